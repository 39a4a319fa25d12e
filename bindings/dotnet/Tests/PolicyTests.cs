using System;
using System.Collections.Concurrent;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;

namespace Libvegas.Tests
{
    public class PolicyTests : Case
    {
        public void Skip()
        {
            var box = new Box<(string, int)>();
            Consumer(
                r =>
                {
                    box.Put((r.Text, r.Attempt));
                    if (r.Text == "bad")
                    {
                        throw new InvalidOperationException("no good");
                    }
                },
                o => (o.OnError, o.MaxAttempts) = (OnError.Skip, 2));
            Send("1", "bad", "2");
            Assert.Equal(new[] { ("1", 1), ("bad", 1), ("bad", 2), ("2", 1) }, box.Wait(4).ToArray());
        }

        public async Task Stop()
        {
            var c = Consumer(async r =>
            {
                await Task.Yield();
                throw new InvalidOperationException("no good");
            }, o => (o.OnError, o.MaxAttempts) = (OnError.Stop, 1));
            Send("1");
            var e = await Assert.Throws<HandlerException>(() => c.RunAsync());
            Assert.Contains("no good", e.Message);
            Assert.Contains(nameof(PolicyTests), e.Message); // its stack
        }

        public void DeadLettersAndHold()
        {
            var box = new Box<string>();
            var letters = new Box<(string, string)>();
            Consumer(
                r =>
                {
                    box.Put(r.Text);
                    if (r.Text == "bad")
                    {
                        throw new InvalidOperationException("no good");
                    }
                },
                o =>
                {
                    o.MaxAttempts = 1;
                    o.DeadLetter = (r, e) =>
                    {
                        letters.Put((r.Text, e.Text));
                        return Task.CompletedTask;
                    };
                });
            Send("bad", "2");
            var (data, why) = letters.Wait(1)[0];
            Assert.Equal("bad", data);
            Assert.Contains("InvalidOperationException: no good", why);
            box.Wait(all => all.Contains("2"));
        }

        public void Batches()
        {
            var box = new Box<string>();
            Send("1", "2", "3");
            Keep(Libvegas.Consumer.OfBatches(Stream, "g", async (records, cancel) =>
            {
                await Task.Yield();
                foreach (var r in records)
                {
                    box.Put(r.Text);
                }
            }, o => Fast(o)));
            Assert.Equal("123", string.Concat(box.Wait(3)));
        }

        public async Task ManualCheckpoints()
        {
            Send("1", "2", "3");
            var box = new Box<Record>();
            var c = Consumer(box.Put, o => o.Checkpoint = CheckpointMode.Manual);
            var other = Consumer(r => { }, o => o.Checkpoint = CheckpointMode.Manual, "other");
            await Assert.Throws<BadOptionException>(() => other.CheckpointAsync(box.Wait(3)[1]));
            await c.CheckpointAsync(box.Wait(3)[1]);
            await c.CloseAsync();
            var e = await Assert.Throws<VegasException>(() => c.CheckpointAsync(box.Items[2]));
            Assert.True(e is LeaseLostException || e is ClosedException, e.ToString());
            var again = new Box<string>();
            Consumer(r => again.Put(r.Text), o => o.Checkpoint = CheckpointMode.Manual);
            Assert.Equal("3", again.Wait(1)[0]);
        }

        public async Task External()
        {
            Send("1", "2", "3");
            var place = new ConcurrentDictionary<string, Position>();
            Task<Position?> Begin(Shard shard) => Task.FromResult(place.TryGetValue(shard.Id, out var p) ? p : null);
            var box = new Box<string>();
            var ready = new TaskCompletionSource<Consumer>();
            var c = Consumer(
                async r =>
                {
                    var me = await ready.Task;
                    place[r.Shard] = new Position(r.Sequence, r.SubSequence);
                    box.Put(r.Text);
                    if (r.Text == "2")
                    {
                        await me.CloseAsync(); // a handler's call does not wait
                    }
                },
                o => (o.External, o.CheckpointEvery) = (Begin, TimeSpan.FromMinutes(1)));
            ready.SetResult(c);
            Assert.True(await Task.WhenAny(c.Completion, Task.Delay(20_000)) == c.Completion);
            var again = new Box<string>();
            Consumer(r => again.Put(r.Text), o => o.External = Begin);
            Assert.Equal("123", string.Concat(box.Items.Concat(again.Wait(1))));
        }

        public void Parallel()
        {
            const int n = 300;
            foreach (var blocking in new[] { false, true })
            {
                var box = new Box<(string Key, int N)>();
                using (var p = new Producer(Stream))
                {
                    for (var i = 0; i < n; i++)
                    {
                        p.SendAsync($"k{i % 9}", i.ToString());
                    }
                }
                Action<ConsumerOptions> parallel = o => (o.Parallel, o.Start) = (5, DateTimeOffset.UtcNow.AddMinutes(-1));
                using (blocking
                    ? Consumer(r =>
                    {
                        Thread.Sleep(1);
                        box.Put((r.PartitionKey, int.Parse(r.Text)));
                    }, parallel, "blocking")
                    : Consumer(async r =>
                    {
                        await Task.Delay(1);
                        box.Put((r.PartitionKey, int.Parse(r.Text)));
                    }, parallel))
                {
                    var got = box.Wait(blocking ? 2 * n : n);
                    for (var k = 0; k < 9; k++)
                    {
                        var mine = got.Where(g => g.Key == $"k{k}").Select(g => g.N).ToArray();
                        var once = Enumerable.Range(0, n).Where(i => i % 9 == k).ToArray();
                        Assert.Equal(blocking ? once.Concat(once).ToArray() : once, mine);
                    }
                }
            }
        }
    }
}
