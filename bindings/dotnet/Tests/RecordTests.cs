using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;

namespace Libvegas.Tests
{
    public class RecordTests : Case
    {
        public async Task AllThatARecordHas()
        {
            var box = new Box<Record>();
            Consumer(box.Put);
            var p = Producer();
            await p.CheckAsync();
            var headers = new Headers { { "a", "1" }, { "a", "2" }, { "ß", new byte[0] } };
            var sent = new List<(string Key, byte[] Data, Headers? Headers, string? Hash)>
            {
                ("k", new byte[0], null, null), (new string('ü', 256), new byte[] { 0, 255 }, headers, null),
                ("k", new byte[1 << 20], null, null), ("k", new byte[9 << 20], null, null), ("k", new byte[] { 7 }, null, "1"),
            };
            var tasks = sent.Select(s => p.SendAsync(s.Key, s.Data, s.Headers, s.Hash)).ToList();
            var got = box.Wait(sent.Count);
            for (var i = 0; i < sent.Count; i++)
            {
                var r = got.Single(g => g.PartitionKey == sent[i].Key && g.Data.SequenceEqual(sent[i].Data));
                var receipt = await tasks[i];
                Assert.Equal((receipt.Shard, receipt.Sequence, receipt.SubSequence), (r.Shard, r.Sequence, r.SubSequence));
                Assert.Equal((Stream, 1, sent[i].Headers?.Count() ?? 0), (r.Stream, r.Attempt, r.Headers.Count));
                Assert.True(Math.Abs((r.ArrivalTime - DateTimeOffset.UtcNow).TotalSeconds) < 60);
                Assert.True(r.Possession > 0 && r.Stopping == StopReason.None);
            }
            Assert.Equal("1", got.Single(r => r.Headers.Count > 0).Headers.Text("a"));
            Assert.Equal("shardId-000000000000", got.Single(r => r.Data.Length == 1).Shard);
        }

        public async Task AHundredThousand()
        {
            const int n = 100_000;
            var gate = new object();
            var last = new Dictionary<string, int>();
            var seen = new HashSet<int>();
            var wrong = 0;
            var all = new ManualResetEventSlim();
            Consumer(r =>
            {
                lock (gate)
                {
                    var i = int.Parse(r.Text);
                    wrong += last.TryGetValue(r.PartitionKey, out var before) && before >= i ? 1 : 0;
                    last[r.PartitionKey] = i;
                    if (seen.Add(i) && seen.Count == n)
                    {
                        all.Set();
                    }
                }
                return Task.CompletedTask;
            });
            var p = Producer();
            for (var i = 0; i < n; i++)
            {
                _ = p.SendAsync($"key-{i % 1000}", i.ToString());
            }
            await p.FlushAsync();
            Assert.True(all.Wait(60_000), $"{seen.Count} have come");
            Assert.Equal(0, wrong);
            Assert.True((await p.StatsAsync()).Count > 0);
        }

        public async Task WhatCannotBeSent()
        {
            var p = Producer();
            await Assert.Throws<TooLargeException>(() => p.SendAsync("k", new byte[(10 << 20) + 1]));
            Assert.Throws<ArgumentException>(() => p.SendAsync("", "x").Wait());
            Assert.Throws<ArgumentException>(() => p.SendAsync(new string('x', 257), "x").Wait());
            Assert.Throws<ArgumentException>(() => p.SendAsync("\ud800", "x").Wait());
            Assert.Throws<ArgumentException>(() => p.SendAsync("k", "x", null, "12x").Wait());
            Assert.Throws<ArgumentNullException>(() => p.SendAsync(null!, "x").Wait());
            using (var q = new Producer("no-such-stream"))
            {
                Assert.Contains("no-such-stream", (await Assert.Throws<NotFoundException>(() => q.CheckAsync())).Message);
            }
            Assert.Throws<BadOptionException>(() => new Producer("not a name!"));
            Assert.Throws<BadOptionException>(() => new Consumer(Stream, "g", r => { }, o => o.Store = "nothing:else"));
            await p.FlushAsync(); // the first one was looked at
            _ = p.SendAsync("k", new byte[(10 << 20) + 1]);
            await Assert.Throws<TooLargeException>(() => p.FlushAsync());
            await p.CloseAsync();
            Assert.Throws<ClosedException>(() => p.SendAsync("k", "x").Wait());
        }

        public void TwoOfEachAndStatistics()
        {
            var box = new Box<string>();
            var told = new Box<IReadOnlyDictionary<string, object?>>();
            var often = TimeSpan.FromMilliseconds(50);
            Consumer(r => box.Put("a"), o => (o.OnStats, o.StatsEvery) = (told.Put, often), "a");
            Consumer(r => box.Put("b"), null, "b");
            var p = Producer(o => (o.OnStats, o.StatsEvery) = (told.Put, often));
            p.SendAsync("k", "1");
            Producer().SendAsync("k", "2");
            Assert.Equal("aabb", string.Concat(box.Wait(4).OrderBy(x => x)));
            Assert.True(told.Wait(3)[0].Count > 0);
        }

        public async Task Backpressure()
        {
            const int n = 300;
            var box = new Box<string>();
            var go = new ManualResetEventSlim();
            var full = 0;
            var p = Producer(o => o.BufferBytes = 1 << 20);
            for (var i = 0; i < n; i++)
            {
                await p.ReadyAsync();
                _ = p.SendAsync($"k{i}", $"{i:000}" + new string('x', 40_000));
            }
            await p.FlushAsync();
            for (var i = 0; full == 0 && i < 1000; i++)
            {
                try
                {
                    _ = p.SendAsync("z", new byte[100_000]);
                }
                catch (BufferFullException)
                {
                    full++;
                }
            }
            Assert.Equal(1, full);
            await p.FlushAsync();
            Consumer(
                r =>
                {
                    go.Wait();
                    box.Put(r.PartitionKey);
                },
                o => o.Window = 1 << 20);
            go.Set();
            Assert.Equal(n, box.Wait(all => all.Where(k => k != "z").Distinct().Count() == n).Where(k => k != "z").Distinct().Count());
        }
    }
}
