using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;

namespace Libvegas
{
    /// <summary>The record was given back before anybody looked at it.</summary>
    internal sealed class NotBegunException : Exception
    {
    }

    /// <summary>Hands chunks to a consumer's handler, and says what became of their records.</summary>
    internal sealed class Runner
    {
        private const int ProgressMs = 1000; // after which a chunk under way tells what of it is done
        private static readonly (int, string)[] none = new (int, string)[0];
        private static readonly (int, int)[] nothing = new (int, int)[0];

        private readonly uint consumer;
        private readonly Func<Record, CancellationToken, Task?>? one;
        private readonly Func<IReadOnlyList<Record>, CancellationToken, Task?>? many;
        private readonly bool blocking;
        private readonly ConsumerOptions options;
        private readonly AsyncLocal<bool> handling = new AsyncLocal<bool>();

        public Runner(
            uint consumer, Func<Record, CancellationToken, Task?>? one, Func<IReadOnlyList<Record>, CancellationToken, Task?>? many,
            bool blocking, ConsumerOptions options)
        {
            this.consumer = consumer;
            this.one = one;
            this.many = many;
            this.blocking = blocking;
            this.options = options;
        }

        /// <summary>Whether it is a handler that asks.</summary>
        public bool Handling => handling.Value;

        /// <summary>Begins with a chunk. The task never fails.</summary>
        public Task Begin(Chunk chunk) => Spawn(() => Handle(chunk));

        // A handler that blocks has a thread of its own: so many shards may have one that waits.
        private Task Spawn(Func<Task> work) => blocking
            ? Task.Factory.StartNew(work, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default).Unwrap()
            : Task.Run(work);

        private async Task Handle(Chunk chunk)
        {
            handling.Value = true;
            try
            {
                if (chunk.Shard.Stopping != StopReason.None)
                {
                    Settle(chunk, true, nothing, none);
                }
                else if (chunk.Dead || many != null)
                {
                    await Whole(chunk).ConfigureAwait(false);
                }
                else if (options.Parallel > 1 && chunk.Records.Length > 1)
                {
                    await SideBySide(chunk).ConfigureAwait(false);
                }
                else
                {
                    await OneByOne(chunk).ConfigureAwait(false);
                }
            }
            catch (Exception e)
            {
                chunk.Shard.Session.Fail(new FailedException("the binding has failed: " + e));
            }
        }

        private async Task Whole(Chunk chunk)
        {
            try
            {
                var task = chunk.Dead
                    ? options.DeadLetter?.Invoke(chunk.Records[0], new HandlerException(chunk.Text))
                    : many!(chunk.Records, chunk.Shard.Cancellation);
                if (task != null)
                {
                    await task.ConfigureAwait(false);
                }
            }
            catch (Exception e)
            {
                Settle(chunk, true, nothing, IsGivenBack(chunk, e) ? none : new[] { (0, e.ToString()) });
                return;
            }
            Settle(chunk, true, new[] { (0, chunk.Records.Length) }, none);
        }

        private async Task OneByOne(Chunk chunk)
        {
            var shard = chunk.Shard;
            var cancellation = shard.Cancellation;
            var told = 0;
            var done = 0;
            var failures = none;
            var word = Environment.TickCount;
            try
            {
                while (done < chunk.Records.Length && shard.Stopping == StopReason.None)
                {
                    var task = one!(chunk.Records[done], cancellation);
                    if (task != null && task.Status != TaskStatus.RanToCompletion)
                    {
                        await task.ConfigureAwait(false);
                    }
                    done++;
                    if (unchecked(Environment.TickCount - word) > ProgressMs && done < chunk.Records.Length)
                    {
                        Settle(chunk, false, new[] { (told, done) }, none);
                        told = done;
                        word = Environment.TickCount;
                    }
                }
            }
            catch (Exception e)
            {
                if (!IsGivenBack(chunk, e))
                {
                    failures = new[] { (done, e.ToString()) };
                }
            }
            Settle(chunk, true, done > told ? new[] { (told, done) } : nothing, failures);
        }

        // Records of a key still come one after the other: whoever takes a key takes all of its records.
        private async Task SideBySide(Chunk chunk)
        {
            var keys = new Queue<List<int>>(Enumerable.Range(0, chunk.Records.Length)
                .GroupBy(i => chunk.Records[i].PartitionKey).Select(g => g.ToList()));
            var done = new Done(chunk.Records.Length);
            var failures = new List<(int Index, string Text)>();
            var word = Environment.TickCount;

            async Task Work()
            {
                while (true)
                {
                    List<int> indexes;
                    lock (done)
                    {
                        if (keys.Count == 0)
                        {
                            return;
                        }
                        indexes = keys.Dequeue();
                    }
                    foreach (var i in indexes)
                    {
                        if (chunk.Shard.Stopping != StopReason.None)
                        {
                            return;
                        }
                        try
                        {
                            var task = one!(chunk.Records[i], chunk.Shard.Cancellation);
                            if (task != null)
                            {
                                await task.ConfigureAwait(false);
                            }
                        }
                        catch (Exception e)
                        {
                            if (!IsGivenBack(chunk, e))
                            {
                                lock (done)
                                {
                                    failures.Add((i, e.ToString()));
                                }
                            }
                            break; // none of its key behind it
                        }
                        lock (done)
                        {
                            done.Mark(i);
                            if (unchecked(Environment.TickCount - word) > ProgressMs)
                            {
                                Settle(chunk, false, done.Take(), none);
                                word = Environment.TickCount;
                            }
                        }
                    }
                }
            }

            var workers = Enumerable.Range(0, Math.Min(options.Parallel, keys.Count)).Select(_ => Spawn(Work)).ToList();
            await Task.WhenAll(workers).ConfigureAwait(false);
            Settle(chunk, true, done.Take(), failures.OrderBy(f => f.Index).ToList());
        }

        // Whether an exception says that the record comes again in any case: no failure of the handler's.
        private static bool IsGivenBack(Chunk chunk, Exception e) =>
            e is NotBegunException || (e is OperationCanceledException && chunk.Shard.Cancellation.IsCancellationRequested);

        private void Settle(Chunk chunk, bool last, IReadOnlyList<(int From, int To)> ranges, IReadOnlyList<(int Index, string Text)> failures) =>
            chunk.Shard.Session.Post(Wire.Settle(consumer, chunk.Shard.Number, chunk.Number, last, ranges, failures));
    }
}
