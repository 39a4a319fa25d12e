// Does what scenarios say, with the C# package. See ../../README.md.

using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Threading;
using System.Threading.Tasks;
using Libvegas;
using Libvegas.Testing;

using Map = System.Collections.Generic.Dictionary<string, object?>;

internal static class Driver
{
    private static readonly Stream output = Console.OpenStandardOutput();
    private static readonly ConcurrentDictionary<string, object> things = new ConcurrentDictionary<string, object>();
    private static readonly ConcurrentDictionary<string, State> states = new ConcurrentDictionary<string, State>();
    private static readonly ConcurrentDictionary<string, Position> positions = new ConcurrentDictionary<string, Position>();
    private static readonly ManualResetEventSlim over = new ManualResetEventSlim();
    private static volatile bool interrupted;

    /// <summary>What a handler has.</summary>
    private sealed class State
    {
        public readonly TaskCompletionSource<bool> Free = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        public readonly ConcurrentDictionary<string, Record> Kept = new ConcurrentDictionary<string, Record>();
        public int Handled;
    }

    private static void Main()
    {
        Console.CancelKeyPress += (_, __) => interrupted = true;
        new Thread(Read) { IsBackground = true }.Start();
        over.Wait();
    }

    private static void Read()
    {
        var file = Environment.GetEnvironmentVariable("VEGAS_SCENARIO_COMMANDS");
        using var commands = new StreamReader(file != null ? File.OpenRead(file) : Console.OpenStandardInput());
        for (var line = commands.ReadLine(); line != null; line = commands.ReadLine())
        {
            var c = JsonDocument.Parse(line).RootElement;
            if (c.Text("do") == "exit")
            {
                over.Set();
                return;
            }
            Task.Run(() => Answer(c));
        }
    }

    private static void Say(Map message)
    {
        var line = JsonSerializer.SerializeToUtf8Bytes(message, new JsonSerializerOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
        lock (output)
        {
            output.Write(line.Append((byte)'\n').ToArray());
            output.Flush();
        }
    }

    private static async Task Answer(JsonElement c)
    {
        Map answer;
        try
        {
            answer = await Do(c);
        }
        catch (Exception e)
        {
            answer = new Map { ["error"] = Error(e) };
        }
        answer["id"] = c.GetProperty("id").GetInt64();
        Say(answer);
    }

    private static Map Error(Exception e) => e is VegasException v
        ? new Map { ["code"] = v.Code, ["text"] = v.Text, ["remedy"] = v.Remedy ?? "", ["unknown"] = v.Unknown, ["class"] = e.GetType().Name }
        : new Map { ["code"] = "own", ["text"] = $"{e.GetType().Name}: {e.Message}", ["class"] = e.GetType().Name };

    private static async Task<Map> Do(JsonElement c)
    {
        var of = c.Text(c.TryGetProperty("to", out _) ? "to" : c.TryGetProperty("of", out _) ? "of" : "as");
        var limit = c.TryGetProperty("limit", out var ms) ? TimeSpan.FromMilliseconds(ms.GetDouble()) : (TimeSpan?)null;
        switch (c.Text("do"))
        {
            case "producer":
                things[of] = await Task.Run(() => new Producer(c.Text("stream"), o => Options(o, c, new Map())));
                return new Map();
            case "consumer":
                return await MakeConsumer(of, c);
            case "send":
                return await Send((Producer)things[of], c);
            case "many":
                return await Many((Producer)things[of], of, c);
            case "misuse":
                return new Map { ["results"] = new[] { Receipt(await ((Producer)things[of]).SendAsync("\udc80key", "x")) } };
            case "flush":
                await ((Producer)things[of]).FlushAsync(limit);
                return new Map();
            case "close":
                await (things[of] is Producer p ? p.CloseAsync(limit) : ((Consumer)things[of]).CloseAsync());
                return new Map();
            case "check":
                await (things[of] is Producer q ? q.CheckAsync() : ((Consumer)things[of]).CheckAsync());
                return new Map();
            case "stats":
                return new Map { ["stats"] = await (things[of] is Producer r ? r.StatsAsync() : ((Consumer)things[of]).StatsAsync()) };
            case "wait":
                var ended = ((Consumer)things[of]).Completion;
                var first = await Task.WhenAny(ended, Task.Delay(limit ?? TimeSpan.FromMilliseconds(-1)));
                await first;
                return new Map { ["ended"] = first == ended };
            case "release":
                states[of].Free.TrySetResult(true);
                return new Map();
            case "checkpoint":
                await ((Consumer)things[of]).CheckpointAsync(states[of].Kept[c.Text("data")]);
                return new Map();
            case "local":
                var streams = c.GetProperty("streams").EnumerateObject().ToDictionary(s => s.Name, s => s.Value.GetInt32());
                var local = await Task.Run(() => new LocalKinesis(streams));
                things[of] = local;
                return new Map { ["endpoint"] = local.Endpoint };
            default:
                throw new NotSupportedException(c.Text("do"));
        }
    }

    private static void Options(VegasOptions options, JsonElement c, Map functions)
    {
        foreach (var o in c.GetProperty("options").EnumerateArray())
        {
            var name = o.Text("name");
            var value = o.GetProperty("value");
            if (name == "batch")
            {
                continue; // the handler's kind says so
            }
            options[name] = functions.TryGetValue(name, out var function) ? function
                : o.Text("type") == "duration" && value.ValueKind == JsonValueKind.Number ? TimeSpan.FromTicks(value.GetInt64() * 10)
                : Plain(value);
        }
    }

    private static object? Plain(JsonElement value)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.String: return value.GetString();
            case JsonValueKind.Number: return value.GetInt64();
            case JsonValueKind.True: return true;
            case JsonValueKind.False: return false;
            case JsonValueKind.Array:
                var items = value.EnumerateArray().Select(Plain).ToList();
                return items.All(i => i is IReadOnlyDictionary<string, object?>) ? items.Cast<IReadOnlyDictionary<string, object?>>().ToList() : (object)items;
            case JsonValueKind.Object: return value.EnumerateObject().ToDictionary(p => p.Name, p => Plain(p.Value));
            default: return null;
        }
    }

    // Producers.

    private static Map Receipt(Receipt r) => new Map { ["shard"] = r.Shard, ["sequence"] = r.Sequence, ["sub"] = r.SubSequence, ["durable"] = r.Durable };

    private static async Task<Map> Send(Producer p, JsonElement c)
    {
        var tasks = new List<Task<Receipt>>();
        foreach (var r in c.GetProperty("records").EnumerateArray())
        {
            try
            {
                var headers = new Headers();
                if (r.TryGetProperty("headers", out var given) && given.ValueKind == JsonValueKind.Array)
                {
                    foreach (var h in given.EnumerateArray())
                    {
                        headers.Add(h[0].GetString(), h[1].GetString());
                    }
                }
                var data = r.TryGetProperty("data", out var text)
                    ? Encoding.UTF8.GetBytes(text.GetString())
                    : Enumerable.Range(0, r.GetProperty("size").GetInt32()).Select(i => (byte)(i % 251)).ToArray();
                var hash = r.Text("hash_key");
                tasks.Add(p.SendAsync(r.Text("key"), data, headers, hash == "" ? null : hash));
            }
            catch (Exception e)
            {
                tasks.Add(Task.FromException<Receipt>(e));
            }
        }
        if (c.Flag("wait") == false)
        {
            return new Map();
        }
        return new Map { ["results"] = await Task.WhenAll(tasks.Select(Ended)) };
    }

    private static async Task<Map> Ended(Task<Receipt> task)
    {
        try
        {
            return Receipt(await task);
        }
        catch (Exception e)
        {
            return new Map { ["error"] = Error(e) };
        }
    }

    private static async Task<Map> Many(Producer p, string of, JsonElement c)
    {
        int Int(string name, int otherwise) => c.TryGetProperty(name, out var v) ? v.GetInt32() : otherwise;
        var (count, keys, size, from, prefix) = (Int("count", 0), Int("keys", 1), Int("size", 0), Int("from", 0), c.Text("prefix"));
        var (wait, tell) = (c.Flag("wait") != false, c.Flag("tell") == true);
        var failed = new ConcurrentBag<Map>();
        var tasks = new List<Task>();

        async Task Watch(Task<Receipt> task, int n)
        {
            Map? error = null;
            try
            {
                await task.ConfigureAwait(false);
            }
            catch (Exception e)
            {
                error = Error(e);
                failed.Add(new Map { ["number"] = n, ["error"] = error });
            }
            if (tell)
            {
                var told = new Map { ["event"] = "sent", ["of"] = of, ["number"] = n };
                if (error != null)
                {
                    told["error"] = error;
                }
                Say(told);
            }
        }

        for (var n = from; n < from + count; n++)
        {
            await p.ReadyAsync();
            var sent = p.SendAsync($"{prefix}key-{n % keys}", $"{prefix}{n}".PadRight(size, '.'));
            if (wait || tell)
            {
                tasks.Add(Watch(sent, n));
            }
        }
        if (!wait)
        {
            return new Map();
        }
        await Task.WhenAll(tasks);
        return new Map { ["ok"] = count - failed.Count, ["failed"] = failed.ToArray() };
    }

    // Consumers.

    private static async Task<Map> MakeConsumer(string name, JsonElement c)
    {
        var behave = c.TryGetProperty("behave", out var b) && b.ValueKind == JsonValueKind.Object ? b : JsonDocument.Parse("{}").RootElement;
        var state = states[name] = new State();
        int Number(string what) => behave.TryGetProperty(what, out var v) ? v.GetInt32() : 0;
        bool Begins(string text, string what) => behave.TryGetProperty(what, out var v) && text.StartsWith(v.GetString(), StringComparison.Ordinal);

        void Tell(Record r, Map? more = null)
        {
            var told = new Map
            {
                ["event"] = "record", ["of"] = name, ["key"] = r.PartitionKey, ["shard"] = r.Shard, ["sequence"] = r.Sequence, ["sub"] = r.SubSequence,
                ["attempt"] = r.Attempt, ["aggregated"] = r.Aggregated, ["hash_key"] = r.ExplicitHashKey,
                ["headers"] = r.Headers.Select(h => new[] { h.Key, Encoding.UTF8.GetString(h.Value) }).ToArray(),
            };
            if (r.Data.Length <= 1024 && r.Data.All(x => x >= 32 && x < 127))
            {
                told["data"] = r.Text;
            }
            else
            {
                (told["size"], told["crc"]) = (r.Data.Length, Crc32(r.Data));
            }
            foreach (var pair in more ?? new Map())
            {
                told[pair.Key] = pair.Value;
            }
            Say(told);
        }

        async Task Act(Record r)
        {
            var text = Encoding.UTF8.GetString(r.Data, 0, Math.Min(1024, r.Data.Length));
            if (behave.Flag("keep") == true)
            {
                state.Kept[text.TrimEnd('.')] = r;
            }
            if (Begins(text, "die"))
            {
                Process.GetCurrentProcess().Kill();
            }
            if (Begins(text, "hold"))
            {
                await state.Free.Task;
            }
            if (Number("pause") > 0)
            {
                await Task.Delay(Number("pause"));
            }
            if (Begins(text, "fail") && (Number("times") == 0 || r.Attempt <= Number("times")))
            {
                throw new InvalidOperationException("cannot handle " + text);
            }
            var every = Number("checkpoint_every");
            if (every > 0 && Interlocked.Increment(ref state.Handled) % every == 0)
            {
                await ((Consumer)things[name]).CheckpointAsync(r);
            }
            positions[r.Shard] = new Position(r.Sequence, r.SubSequence);
        }

        async Task Handle(Record r)
        {
            Tell(r);
            await Act(r);
        }

        async Task HandleBatch(IReadOnlyList<Record> records, CancellationToken _)
        {
            foreach (var r in records)
            {
                Tell(r, new Map { ["batch"] = records.Count });
            }
            foreach (var r in records)
            {
                await Act(r);
            }
        }

        Func<Record, HandlerException, Task> dead = (r, e) =>
        {
            Tell(r, new Map { ["event"] = "dead", ["text"] = e.Text });
            return Task.CompletedTask;
        };
        Func<Shard, Task<Position?>> external = shard =>
        {
            Say(new Map { ["event"] = "start", ["of"] = name, ["shard"] = shard.Id, ["possession"] = shard.Possession });
            return Task.FromResult(positions.TryGetValue(shard.Id, out var p) ? p : null);
        };
        Action<IReadOnlyDictionary<string, object?>> onStats = stats => Say(new Map { ["event"] = "stats", ["of"] = name, ["stats"] = stats });
        var functions = new Map { ["dead_letter"] = dead, ["external"] = external, ["on_stats"] = onStats };
        var batch = c.GetProperty("options").EnumerateArray().Any(o => o.Text("name") == "batch" && o.GetProperty("value").ValueKind == JsonValueKind.True);
        var consumer = await Task.Run(() => batch
            ? Consumer.OfBatches(c.Text("stream"), c.Text("group"), HandleBatch, o => Options(o, c, functions))
            : new Consumer(c.Text("stream"), c.Text("group"), Handle, o => Options(o, c, functions)));
        things[name] = consumer;
        new Thread(() => Run(consumer)) { IsBackground = true }.Start();
        return new Map { ["worker"] = consumer.Worker };
    }

    // What a program does, whose end a Ctrl-C is.
    private static void Run(Consumer consumer)
    {
        try
        {
            consumer.Run();
        }
        catch (VegasException)
        {
            // wait tells.
        }
        if (interrupted)
        {
            over.Set();
        }
    }

    private static uint Crc32(byte[] data)
    {
        var crc = uint.MaxValue;
        foreach (var b in data)
        {
            crc ^= b;
            for (var k = 0; k < 8; k++)
            {
                crc = (crc & 1) != 0 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
            }
        }
        return ~crc;
    }

    private static string Text(this JsonElement e, string name) => e.TryGetProperty(name, out var v) && v.ValueKind == JsonValueKind.String ? v.GetString() : "";

    private static bool? Flag(this JsonElement e, string name) =>
        !e.TryGetProperty(name, out var v) ? (bool?)null : v.ValueKind == JsonValueKind.True ? true : v.ValueKind == JsonValueKind.False ? false : (bool?)null;
}
