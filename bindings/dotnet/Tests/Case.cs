using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;

namespace Libvegas.Tests
{
    /// <summary>A stream of two shards, and what a test has open on it.</summary>
    public abstract class Case : IDisposable
    {
        private static int last = -1;
        private readonly Stack<IDisposable> open = new Stack<IDisposable>();

        private protected string Stream { get; } = "stream-" + Interlocked.Increment(ref last);

        private protected Producer Producer(Action<ProducerOptions>? configure = null) => Keep(new Producer(Stream, configure));

        private protected Consumer Consumer(Func<Record, Task> handler, Action<ConsumerOptions>? configure = null, string group = "g") =>
            Keep(new Consumer(Stream, group, handler, o => Fast(o, configure)));

        private protected Consumer Consumer(Action<Record> handler, Action<ConsumerOptions>? configure = null, string group = "g") =>
            Keep(new Consumer(Stream, group, handler, o => Fast(o, configure)));

        private protected static void Fast(ConsumerOptions o, Action<ConsumerOptions>? configure = null)
        {
            o.PollIdle = TimeSpan.FromMilliseconds(50);
            o.PollBusy = TimeSpan.FromMilliseconds(20);
            o.CheckpointEvery = TimeSpan.FromMilliseconds(100);
            configure?.Invoke(o);
        }

        private protected void Send(params string[] data)
        {
            using var p = new Producer(Stream);
            foreach (var d in data)
            {
                p.SendAsync("k", d);
            }
            p.FlushAsync().Wait();
        }

        private protected T Keep<T>(T what)
            where T : IDisposable
        {
            open.Push(what);
            return what;
        }

        public void Dispose()
        {
            while (open.Count > 0)
            {
                open.Pop().Dispose();
            }
        }
    }
}
