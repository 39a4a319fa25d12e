using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;

namespace Libvegas
{
    using Map = Dictionary<string, object?>;

    /// <summary>Receives the records of a stream as a worker of a group, from construction until it is
    /// closed. The group is a name, or the ARN of a fan-out consumer.
    /// <para>A record is done with when its handler has returned, or its task has ended. What a handler
    /// throws is a failure, which OnError, MaxAttempts and DeadLetter decide about.</para>
    /// <para>Handlers that return a task run on the thread pool, others on threads of their own: side by
    /// side for different shards and one after the other for one, unless Parallel says otherwise.</para></summary>
    public sealed partial class Consumer : IDisposable, IClient
    {
        private readonly string of;
        private readonly ConsumerOptions options = new ConsumerOptions();
        private readonly Map wire;
        private readonly Engine engine;
        private readonly uint number = Engine.NewNumber();
        private readonly Runner runner;
        private readonly TaskCompletionSource<bool> isOpen = new TaskCompletionSource<bool>();
        private readonly TaskCompletionSource<bool> ended = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);

        private readonly object gate = new object();
        private readonly Dictionary<uint, Shard> shards = new Dictionary<uint, Shard>();
        private readonly Dictionary<string, Shard> latest = new Dictionary<string, Shard>(); // by id
        private Session? session;
        private bool closing;

        /// <summary>With a handler that returns a task.</summary>
        public Consumer(string stream, string group, Func<Record, Task> handler, Action<ConsumerOptions>? configure = null)
            : this(stream, group, Given(handler, h => (r, _) => h(r)), null, false, configure)
        {
        }

        /// <summary>With a handler that is told when what it finishes does not count any more.</summary>
        public Consumer(string stream, string group, Func<Record, CancellationToken, Task> handler, Action<ConsumerOptions>? configure = null)
            : this(stream, group, Given(handler, h => h), null, false, configure)
        {
        }

        /// <summary>With a handler that blocks its thread.</summary>
        public Consumer(string stream, string group, Action<Record> handler, Action<ConsumerOptions>? configure = null)
            : this(stream, group, Given<Action<Record>>(handler, h => (r, _) => Call(h, r)), null, true, configure)
        {
        }

        /// <summary>A consumer whose handler takes lists of records of one shard. They are done with, or fail, as
        /// a whole.</summary>
        public static Consumer OfBatches(string stream, string group, Func<IReadOnlyList<Record>, CancellationToken, Task> handler, Action<ConsumerOptions>? configure = null) =>
            new Consumer(stream, group, null, handler ?? throw new ArgumentNullException(nameof(handler)), false, configure);

        private Consumer(
            string stream, string group, Func<Record, CancellationToken, Task?>? one, Func<IReadOnlyList<Record>, CancellationToken, Task?>? many,
            bool blocking, Action<ConsumerOptions>? configure)
        {
            Stream = stream ?? throw new ArgumentNullException(nameof(stream));
            Group = group ?? throw new ArgumentNullException(nameof(group));
            of = $"Consumer({stream}, {group})";
            configure?.Invoke(options);
            options.Batch = many != null;
            wire = options.Wire();
            runner = new Runner(number, one, many, blocking, options);
            engine = Engine.Get(options.Engine);
            engine.Connect();
            engine.Attach(this);
            isOpen.Task.GetAwaiter().GetResult();
        }

        /// <summary>The stream's name or ARN.</summary>
        public string Stream { get; }

        /// <summary>The group's name, or the ARN of a fan-out consumer.</summary>
        public string Group { get; }

        /// <summary>Name of this worker.</summary>
        public string Worker { get; private set; } = "";

        /// <summary>Ends when the consumer has; fails with what ended it, unless that was CloseAsync, and with
        /// GraceOverException where handlers had not ended by the time that Grace gives them.</summary>
        public Task Completion => ended.Task;

        /// <summary>Waits for the end, and closes at Ctrl-C; a second one ends the program at once. Throws what
        /// Completion fails with.</summary>
        public void Run()
        {
            ConsoleCancelEventHandler stop = (_, e) =>
            {
                if (!closing)
                {
                    e.Cancel = true;
                    BeginClose();
                }
            };
            Console.CancelKeyPress += stop;
            try
            {
                Completion.GetAwaiter().GetResult();
            }
            finally
            {
                Console.CancelKeyPress -= stop;
            }
        }

        /// <summary>Ends when the consumer has, and closes it when that is cancelled. Throws what Completion fails
        /// with.</summary>
        public async Task RunAsync(CancellationToken cancellation = default)
        {
            using (cancellation.Register(BeginClose))
            {
                await Completion.ConfigureAwait(false);
            }
        }

        /// <summary>Begins nothing further, waits for handlers for as long as Grace says, writes checkpoints and
        /// gives the shards back. Called by a handler it does not wait. Handlers that had not ended by then are
        /// told of by Completion.</summary>
        public async Task CloseAsync()
        {
            BeginClose();
            if (!runner.Handling)
            {
                await ended.Task.ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default).ConfigureAwait(false);
            }
        }

        /// <summary>Closes, and waits for it.</summary>
        public void Dispose() => CloseAsync().GetAwaiter().GetResult();

        /// <summary>Moves the group's position behind a record, where the option Checkpoint is Manual. Throws
        /// LeaseLostException where the shard is another worker's by now.</summary>
        public async Task CheckpointAsync(Record record)
        {
            var shard = (record ?? throw new ArgumentNullException(nameof(record))).Of;
            if (shard.Owner != this)
            {
                throw new BadOptionException($"{of}: the record is of another consumer");
            }
            if (shard.Stopping == StopReason.EngineGone)
            {
                throw new LeaseLostException($"{of}: checkpoint: the engine that had the shard {shard.Id} is gone");
            }
            await shard.Session.CallAsync(Spec.MethodCheckpoint, new Map
            {
                ["consumer"] = number, ["shard"] = shard.Number, ["sequence"] = record.Sequence, ["sub"] = record.SubSequence,
            }).ConfigureAwait(false);
        }

        /// <summary>Asks whether the stream can be read, and throws why not.</summary>
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

        private Task<Map> Ask(string method)
        {
            Session? now;
            lock (gate)
            {
                now = session;
            }
            if (ended.Task.IsCompleted || closing)
            {
                throw new ClosedException($"{of} is closed");
            }
            return (now ?? throw new EngineGoneException($"{of}: the engine has ended, another one starts"))
                .CallAsync(method, new Map { ["consumer"] = number });
        }

        private static Func<Record, CancellationToken, Task?> Given<T>(T handler, Func<T, Func<Record, CancellationToken, Task?>> adapt)
            where T : Delegate => adapt(handler ?? throw new ArgumentNullException(nameof(handler)));

        private static Task? Call(Action<Record> handler, Record record)
        {
            handler(record);
            return null;
        }

        // What the engine calls.

        uint IClient.Number => number;

        (string Method, Map Arguments) IClient.OpenCall() => (Spec.MethodOpenConsumer, new Map
        {
            ["consumer"] = number, ["stream"] = Stream, ["group"] = Group, ["options"] = wire,
        });

        void IClient.Opened(Session session, Map answer)
        {
            bool over;
            lock (gate)
            {
                this.session = session;
                Worker = answer.Text("worker");
                over = closing;
            }
            isOpen.TrySetResult(true);
            if (over)
            {
                Close(session); // it was closed between two sessions
            }
        }

        void IClient.Broken(VegasException error)
        {
            if (isOpen.TrySetException(error.Again()))
            {
                _ = isOpen.Task.Exception;
                End(null);
                return;
            }
            Finished(error);
        }

        void IClient.Lost(Session session, VegasException why)
        {
            lock (gate)
            {
                if (this.session != session)
                {
                    return;
                }
                this.session = null;
                foreach (var shard in shards.Values)
                {
                    shard.Stop(StopReason.EngineGone);
                }
                shards.Clear();
            }
            if (closing)
            {
                Finished(null);
            }
        }

        void IClient.Called(Session session, long call, Map arguments)
        {
            switch (arguments.Text("method"))
            {
                case Spec.MethodStartShard:
                    var shard = new Shard(this, session, arguments);
                    Task before;
                    lock (gate)
                    {
                        before = Task.CompletedTask;
                        if (latest.TryGetValue(shard.Id, out var other))
                        {
                            // A handler of an earlier possession may still run: this one begins behind it.
                            before = other.Work;
                            if (shards.Remove(other.Number))
                            {
                                other.Stop(StopReason.LeaseLost); // lost before it had started
                            }
                        }
                        shards[shard.Number] = latest[shard.Id] = shard;
                    }
                    shard.Work = Start(shard, call, before);
                    return;
                case Spec.MethodEndShard:
                    Shard? ending;
                    lock (gate)
                    {
                        if (shards.TryGetValue((uint)arguments.Number("shard"), out ending))
                        {
                            shards.Remove(ending.Number);
                        }
                    }
                    _ = EndShard(ending, session, call);
                    return;
                default:
                    session.AnswerError(call, "protocol", $"a consumer has no method {arguments.Text("method")}");
                    return;
            }
        }

        private async Task Start(Shard shard, long call, Task before)
        {
            await Task.Yield(); // out of the reader's thread
            await before.ConfigureAwait(false);
            try
            {
                var external = options.External;
                var position = external == null ? null : await external(shard).ConfigureAwait(false);
                shard.Session.Answer(call, position == null
                    ? new Map()
                    : new Map { ["sequence"] = position.Sequence, ["sub"] = position.SubSequence });
            }
            catch (Exception e)
            {
                // The engine forgets the shard, and starts it anew.
                lock (gate)
                {
                    shards.Remove(shard.Number);
                }
                shard.Session.AnswerError(call, "handler", e.ToString());
            }
        }

        private async Task EndShard(Shard? shard, Session session, long call)
        {
            if (shard != null)
            {
                await shard.Work.ConfigureAwait(false);
                lock (gate)
                {
                    if (latest.TryGetValue(shard.Id, out var last) && last == shard)
                    {
                        latest.Remove(shard.Id);
                    }
                }
            }
            session.Answer(call, new Map());
        }

        void IClient.Frame(Session session, byte kind, byte[] b, int from, int to)
        {
            var c = new Cursor(b, from + 4, to);
            var number = c.U32();
            Shard? shard;
            lock (gate)
            {
                shards.TryGetValue(number, out shard);
            }
            switch (kind)
            {
                case Spec.KindDeliver:
                    if (shard == null)
                    {
                        throw new ProtocolException($"a chunk of shard {number} arrives, which has not started");
                    }
                    var chunk = Chunk.Read(shard, b, from, to);
                    shard.Work = runner.Begin(chunk);
                    return;
                case Spec.KindStop:
                    var why = c.U8();
                    shard?.Stop(why >= 1 && why <= 4 ? (StopReason)why : StopReason.Shutdown);
                    return;
                default:
                    throw new ProtocolException($"a consumer was sent a frame of kind {kind}");
            }
        }

        void IClient.Event(Map told)
        {
            if (told.Text("event") == "consumer_ended")
            {
                var error = told.Get("error");
                Finished(error == null ? null : Wire.Error(error));
                return;
            }
            var onStats = options.OnStats;
            if (onStats != null && told.Get("stats") is Map stats)
            {
                Callbacks.Put(() => onStats(stats));
            }
        }

        // The end.

        private void BeginClose()
        {
            Session? now;
            lock (gate)
            {
                if (closing)
                {
                    return;
                }
                closing = true;
                foreach (var shard in shards.Values)
                {
                    if (shard.Stopping == StopReason.None)
                    {
                        shard.Stop(StopReason.Shutdown);
                    }
                }
                now = session;
            }
            if (now == null)
            {
                Finished(null);
            }
            else
            {
                Close(now);
            }
        }

        private void Close(Session session) =>
            session.Call(Spec.MethodCloseConsumer, new Map { ["consumer"] = number }, (_, error) =>
            {
                if (error != null && !(error is EngineGoneException))
                {
                    VegasLog.Write(VegasLogLevel.Warn, $"{of}: {error.Words}");
                }
                Finished(null);
            });

        private void Finished(VegasException? error)
        {
            engine.Detach(this);
            lock (gate)
            {
                foreach (var shard in shards.Values)
                {
                    if (shard.Stopping == StopReason.None)
                    {
                        shard.Stop(StopReason.Shutdown);
                    }
                }
                shards.Clear();
            }
            // Handlers that have not ended are told of also where the program has closed it.
            var thrown = (!closing || error is GraceOverException) ? error : null;
            if (error != null && !ended.Task.IsCompleted)
            {
                VegasLog.Write(thrown == null ? VegasLogLevel.Warn : VegasLogLevel.Error, $"{of} has ended: {error.Words}");
            }
            End(thrown);
        }

        private void End(VegasException? error)
        {
            if (error == null)
            {
                ended.TrySetResult(true);
            }
            else if (ended.TrySetException(error.Again()))
            {
                _ = ended.Task.Exception; // it is in the log
            }
        }

        bool IClient.EndsFirst => true;

        void IClient.ExitBegin() => BeginClose();

        void IClient.ExitEnd(long began)
        {
            var until = began + (long)options.Grace.TotalMilliseconds + 5000;
            if (!Ended(Math.Min(began + 1000, until)) && !Ended(until, $"{of}: waiting for handlers to end"))
            {
                VegasLog.Write(VegasLogLevel.Error, $"{of}: the program ends while handlers run");
            }
        }

        private bool Ended(long until, string? words = null)
        {
            if (words != null && until > Clock.Now)
            {
                VegasLog.Write(VegasLogLevel.Warn, words);
            }
            return ended.Task.ContinueWith(_ => { }, TaskContinuationOptions.ExecuteSynchronously).Wait((int)Math.Max(0, Math.Min(until - Clock.Now, int.MaxValue)));
        }
    }
}
