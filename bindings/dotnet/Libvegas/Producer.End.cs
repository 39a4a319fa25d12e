using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;

namespace Libvegas
{
    using Map = Dictionary<string, object?>;

    // Waiting for what was sent, and the end.
    public sealed partial class Producer
    {
        /// <summary>Ends when everything that was sent before has its result. Throws a failure that nobody has
        /// looked at, and VegasTimeoutException.</summary>
        public async Task FlushAsync(TimeSpan? timeout = null, CancellationToken cancellation = default)
        {
            var left = await Settle(Spec.MethodFlush, timeout, cancellation).ConfigureAwait(false);
            ThrowFailures();
            if (left > 0 && !durable)
            {
                throw new VegasTimeoutException($"{of}: {left} records have no result after {timeout}");
            }
        }

        /// <summary>Like FlushAsync, and then the end of the producer. What has no result after a time
        /// (default: CloseTimeout) fails, or stays in the durable buffer.</summary>
        public Task CloseAsync(TimeSpan? timeout = null)
        {
            lock (gate)
            {
                refusal = refusal ?? new ClosedException($"{of} is closed");
                return closing = closing ?? Task.Run(() => CloseOnce(timeout ?? options.CloseTimeout)); // out of the lock
            }
        }

        /// <summary>Closes; what went wrong is logged.</summary>
        public void Dispose()
        {
            try
            {
                CloseAsync().GetAwaiter().GetResult();
            }
            catch (VegasException e)
            {
                VegasLog.Write(VegasLogLevel.Error, e.Words);
            }
        }

        /// <summary>Asks whether the stream can be sent to, and throws why not.</summary>
        public async Task CheckAsync()
        {
            await Ask(Spec.MethodCheck).ConfigureAwait(false);
        }

        /// <summary>Statistics by the names of the metrics.</summary>
        public async Task<IReadOnlyDictionary<string, object?>> StatsAsync()
        {
            var answer = await Ask(Spec.MethodStats).ConfigureAwait(false);
            return answer.Get("stats") as Map ?? new Map();
        }

        /// <inheritdoc/>
        public override string ToString() => of;

        private async Task<Map> Ask(string method)
        {
            while (true)
            {
                Session? now;
                Task change;
                lock (gate)
                {
                    if (refusal != null)
                    {
                        throw refusal.Again();
                    }
                    now = session;
                    change = changed.Next;
                }
                if (now != null)
                {
                    return await now.CallAsync(method, new Map { ["producer"] = number }).ConfigureAwait(false);
                }
                await change.ConfigureAwait(false);
            }
        }

        private async Task CloseOnce(TimeSpan timeout)
        {
            await Settle(Spec.MethodCloseProducer, timeout, default).ConfigureAwait(false);
            List<Sent> records;
            Session? late;
            lock (gate)
            {
                late = session == asked ? null : session;
                session = null;
                broken = true;
                records = TakeUnsent();
                changed.Tell();
            }
            if (late != null)
            {
                CloseLate(late);
            }
            engine.Detach(this);
            FailAll(records, new VegasTimeoutException($"{of}: the record was not sent when the time to close was over"));
            lock (gate)
            {
                records = open.TakeAll();
            }
            FailAll(records, new VegasTimeoutException($"{of}: the record had no result when the time to close was over", null, true));
            ThrowFailures();
        }

        // Ends what the engine has opened once nobody waited for it any more.
        private void CloseLate(Session late) =>
            late.Call(Spec.MethodCloseProducer, new Map { ["producer"] = number, ["timeout"] = 0 }, (_, __) => { });

        // Gives the engine all that was accepted by now, and asks it with a method that has a timeout.
        // Returns how many records have no result, or are left in a durable buffer.
        private async Task<long> Settle(string method, TimeSpan? timeout, CancellationToken cancellation)
        {
            var began = Clock.Now;
            TimeSpan? Rest() => timeout == null ? (TimeSpan?)null : timeout.Value - TimeSpan.FromMilliseconds(Clock.Now - began);
            long target;
            lock (gate)
            {
                target = accepted;
            }
            while (true)
            {
                Session? now = null;
                Task change;
                lock (gate)
                {
                    if (broken)
                    {
                        return 0;
                    }
                    if (session != null && passed >= target)
                    {
                        now = session;
                        asked = method == Spec.MethodCloseProducer ? now : asked;
                    }
                    change = changed.Next;
                }
                if (now == null)
                {
                    if (!await change.Within(Rest(), cancellation).ConfigureAwait(false))
                    {
                        return Left();
                    }
                    continue;
                }
                var arguments = new Map { ["producer"] = number };
                var rest = Rest();
                if (rest != null)
                {
                    arguments["timeout"] = Math.Max(0, rest.Value.Ticks / 10);
                }
                var answer = now.CallAsync(method, arguments);
                try
                {
                    // An engine that does not answer is not waited for much longer.
                    return await answer.Within(rest + TimeSpan.FromSeconds(5), cancellation).ConfigureAwait(false)
                        ? (await answer.ConfigureAwait(false)).Number("left")
                        : Left();
                }
                catch (EngineGoneException)
                {
                    lock (gate)
                    {
                        change = changed.Next;
                        if (broken || session != now)
                        {
                            continue;
                        }
                    }
                    await change.Within(Rest(), cancellation).ConfigureAwait(false); // Lost comes
                    if (Rest() < TimeSpan.Zero)
                    {
                        return Left();
                    }
                }
            }
        }

        private long Left()
        {
            lock (gate)
            {
                return open.Count + gathered.Records.Count + waiting.Count;
            }
        }

        private void ThrowFailures()
        {
            var error = failures.Take();
            if (error != null)
            {
                throw error;
            }
        }

        // The program's end.

        bool IClient.EndsFirst => false;

        void IClient.ExitBegin()
        {
            lock (gate)
            {
                refusal = refusal ?? new ClosedException($"{of}: the program is ending");
                exiting = session?.CallAsync(Spec.MethodCloseProducer, new Map { ["producer"] = number, ["timeout"] = options.CloseTimeout.Ticks / 10 });
            }
        }

        void IClient.ExitEnd(long began)
        {
            var until = began + (long)options.CloseTimeout.TotalMilliseconds + 1000;
            try
            {
                exiting?.Wait((int)Math.Max(0, Math.Min(until - Clock.Now, int.MaxValue)));
            }
            catch (AggregateException)
            {
                // What is left tells.
            }
            failures.Log();
            var left = Left();
            if (left > 0)
            {
                VegasLog.Write(VegasLogLevel.Error, $"{of}: the program ends with {left} records that have no result");
            }
        }
    }
}
