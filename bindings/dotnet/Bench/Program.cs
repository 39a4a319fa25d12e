using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Libvegas;

/// <summary>What a record costs: processor time of this process and of its engine.
///
///   Bench [records] [bytes]
///
/// against the server that AWS_ENDPOINT_URL names, on the stream "bench". Receiving is measured
/// with what was sent.</summary>
internal static class Bench
{
    private static async Task Main(string[] args)
    {
        var count = args.Length > 0 ? int.Parse(args[0]) : 400_000;
        var data = new byte[args.Length > 1 ? int.Parse(args[1]) : 100];
        var keys = Enumerable.Range(0, 1000).Select(i => "key-" + i).ToArray();

        await using (var p = new Producer("bench"))
        {
            await Send(p, 20_000, keys, data);
            for (var turn = 0; turn < 3; turn++)
            {
                await Measure("send", count, () => Send(p, count, keys, data));
            }
            var latencies = new List<double>();
            for (var i = 0; i < 500; i++)
            {
                var clock = Stopwatch.StartNew();
                await p.CheckLatency();
                latencies.Add(clock.Elapsed.TotalMilliseconds);
            }
            latencies.Sort();
            Console.WriteLine($"a call there and back: p50 {latencies[latencies.Count / 2]:0.000} ms");
        }

        var left = 3 * count;
        var all = new TaskCompletionSource<bool>();
        await Measure("receive", left, async () =>
        {
            await using var c = new Consumer("bench", "bench-" + Guid.NewGuid(), r =>
            {
                if (Interlocked.Decrement(ref left) == 0)
                {
                    all.SetResult(true);
                }
                return Task.CompletedTask;
            }, o => (o.Store, o.PollBusy) = ("memory", TimeSpan.FromMilliseconds(5)));
            await all.Task;
        });
    }

    private static async Task CheckLatency(this Producer p) => await p.StatsAsync();

    private static async Task Send(Producer p, int count, string[] keys, byte[] data)
    {
        for (var i = 0; i < count; i++)
        {
            if (i % 256 == 0)
            {
                await p.ReadyAsync();
            }
            _ = p.SendAsync(keys[i % keys.Length], data);
        }
        await p.FlushAsync();
    }

    private static async Task Measure(string what, int count, Func<Task> work)
    {
        var (host, engine, clock) = (Process.GetCurrentProcess().TotalProcessorTime, EngineTime(), Stopwatch.StartNew());
        await work();
        var seconds = clock.Elapsed.TotalSeconds;
        var us = 1e6 / count;
        Console.WriteLine($"{what}: {count / seconds / 1000:0} thousand records/s; a record: {(Process.GetCurrentProcess().TotalProcessorTime - host).TotalSeconds * us:0.00} µs here, {(EngineTime() - engine).TotalSeconds * us:0.00} µs in the engine");
    }

    // Processor time of the engine, which is our child.
    private static TimeSpan EngineTime()
    {
        var me = Process.GetCurrentProcess().Id.ToString();
        foreach (var folder in Directory.GetDirectories("/proc").Where(d => int.TryParse(Path.GetFileName(d), out _)))
        {
            try
            {
                var words = File.ReadAllText(Path.Combine(folder, "stat")).Split(") ").Last().Split(' ');
                if (words[1] == me)
                {
                    return TimeSpan.FromMilliseconds(10 * (long.Parse(words[11]) + long.Parse(words[12])));
                }
            }
            catch (IOException)
            {
                // It has ended.
            }
        }
        return TimeSpan.Zero;
    }
}
