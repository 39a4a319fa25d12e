using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text.Json;
using System.Threading;
using System.Threading.Tasks;
using Libvegas;

/// <summary>What the contest of languages has C# do. See ../../main.go.</summary>
internal static class Bench
{
    private static string stream = "";
    private static int size, records, warm;
    private static string[] keys = { };
    private static byte[] template = { };

    private static async Task Main(string[] args)
    {
        stream = args[1];
        var n = args.Skip(5).Select(a => int.Parse(a, CultureInfo.InvariantCulture)).ToArray();
        (size, records, warm) = (n[0], n[1], n[2]);
        keys = Enumerable.Range(0, n[3]).Select(i => $"customer-{i:000000}").ToArray();
        template = Enumerable.Range(0, size).Select(i => (byte)(i * 31)).ToArray();
        await (args[0] switch
        {
            "produce" => Produce(n[4] == 1),
            "consume" => Consume(args[2], args[3], args[4]),
            "lines" => Lines(),
            "latency" => Latency(),
            "idle" => Idle(),
            _ => throw new ArgumentException(args[0]),
        });
    }

    private static void Say(string line)
    {
        Console.Out.WriteLine(line);
        Console.Out.Flush();
    }

    // Goes on when it was read what this process has cost so far.
    private static void Mark(string word)
    {
        Say(word);
        Console.In.ReadLine();
    }

    // Waits until what it had in memory is read.
    private static void Done(object what)
    {
        Say("done " + JsonSerializer.Serialize(what));
        Console.In.ReadToEnd();
    }

    private static string Key(int i) => keys[(long)i * 7919 % keys.Length];

    // SendAsync copies it.
    private static byte[] Payload(int i)
    {
        BinaryPrimitives.WriteInt64BigEndian(template, i);
        return template;
    }

    private static async Task Produce(bool aggregated)
    {
        await using var p = new Producer(stream, o => o.Aggregate = aggregated);
        async Task Send(int from, int to)
        {
            for (var i = from; i < to; i++)
            {
                if (i % 256 == 0)
                {
                    await p.ReadyAsync();
                }
                _ = p.SendAsync(Key(i), Payload(i));
            }
            await p.FlushAsync();
        }
        await Send(0, warm);
        Mark("begin");
        await Send(warm, records);
        Mark("end");
        Done(new { });
    }

    // The handler's side: counts each record once.
    private sealed class Handled
    {
        private readonly int[] seen;
        private int handled, twice;
        private long first, last;

        public Handled(int records) => seen = new int[records];

        public TaskCompletionSource<bool> All { get; } = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);

        public void Handle(byte[] data)
        {
            if (Interlocked.Exchange(ref seen[BinaryPrimitives.ReadInt64BigEndian(data)], 1) != 0)
            {
                Interlocked.Increment(ref twice);
                return;
            }
            var n = Interlocked.Increment(ref handled);
            if (n == 1)
            {
                Volatile.Write(ref first, Stopwatch.GetTimestamp());
            }
            if (n == seen.Length)
            {
                Volatile.Write(ref last, Stopwatch.GetTimestamp());
                All.SetResult(true);
            }
        }

        public object Told() => new { handled, twice, seconds = (Volatile.Read(ref last) - Volatile.Read(ref first)) / (double)Stopwatch.Frequency };
    }

    private static Consumer Read(string of, string group, Handled h) => new Consumer(of, group, r => h.Handle(r.Data), o => o.Store = "memory");

    private static async Task Consume(string group, string warmStream, string warmGroup)
    {
        var before = new Handled(warm);
        await using (Read(warmStream, warmGroup, before))
        {
            await before.All.Task;
        }
        Mark("begin");
        var h = new Handled(records);
        await using var c = Read(stream, group, h);
        await h.All.Task;
        Mark("end");
        Done(h.Told());
    }

    private static Task Lines()
    {
        Handled? h = null;
        using var input = new StreamReader(Console.OpenStandardInput(), bufferSize: 1 << 16);
        for (var line = input.ReadLine(); line != null; line = input.ReadLine())
        {
            using var m = JsonDocument.Parse(line);
            var action = m.RootElement.GetProperty("action").GetString();
            if (action == "initialize")
            {
                h = new Handled(records);
            }
            else if (action == "processRecords")
            {
                foreach (var r in m.RootElement.GetProperty("records").EnumerateArray())
                {
                    h!.Handle(r.GetProperty("data").GetBytesFromBase64());
                }
            }
            Say(JsonSerializer.Serialize(new { action = "status", responseFor = action }));
        }
        Say(JsonSerializer.Serialize(h!.Told()));
        return Task.CompletedTask;
    }

    private static async Task Latency()
    {
        await using var p = new Producer(stream, o => o.Linger = TimeSpan.Zero);
        var micros = new List<double>();
        for (var i = 0; i < records; i++)
        {
            if (i == warm)
            {
                Mark("begin");
            }
            var clock = Stopwatch.StartNew();
            await p.SendAsync(Key(i), Payload(i));
            micros.Add(clock.Elapsed.TotalMilliseconds * 1000);
        }
        Mark("end");
        Done(new { micros = micros.Skip(warm) });
    }

    private static async Task Idle()
    {
        await using var p = new Producer(stream);
        var h = new Handled(1);
        await using var c = Read(stream, "idle", h);
        Mark("begin");
        await p.SendAsync(Key(0), Payload(0));
        await h.All.Task;
        Mark("end");
        Done(h.Told());
    }
}
