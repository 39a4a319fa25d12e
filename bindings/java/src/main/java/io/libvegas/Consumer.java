package io.libvegas;

import io.libvegas.internal.Callbacks;
import io.libvegas.internal.Client;
import io.libvegas.internal.Engine;
import io.libvegas.internal.Limit;
import io.libvegas.internal.Log;
import io.libvegas.internal.Session;
import io.libvegas.internal.Sink;
import io.libvegas.internal.Spec;
import io.libvegas.internal.Value;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Receives the records of a stream as a worker of a group, from its construction until it is
 * closed. The group is a name, or the ARN of a fan-out consumer.
 *
 * <pre>{@code
 * var c = new Consumer("orders", "billing", r -> bill(r.partitionKey(), r.data()));
 * c.run();
 * }</pre>
 *
 * <p>Handlers run side by side for different shards and one after the other for one, unless
 * the option parallel says otherwise. Their threads do not keep the program alive: wait for the
 * consumer's end, by {@link #run} or {@link #await}.
 */
public final class Consumer implements AutoCloseable {
    private final String stream;
    private final String group;
    private final String of;
    private final Options options;
    private final OnStats onStats;
    private final Work.Program program;
    private final Engine engine;
    private final Member member = new Member();
    private final CompletableFuture<Void> isOpen = new CompletableFuture<>();
    private final CompletableFuture<Void> ended = new CompletableFuture<>();

    private final Map<Long, Work> shards = new ConcurrentHashMap<>(); // by their numbers
    private final Map<String, Work> latest = new ConcurrentHashMap<>(); // by their names, while something is done for them
    private volatile Session session; // where it is open
    private volatile boolean closing;
    private volatile String worker = "";

    public Consumer(String stream, String group, Handler handler) {
        this(stream, group, handler, o -> {});
    }

    /** With options, as in {@code new Consumer("orders", "billing", handler, o -> o.parallel(8))}. */
    public Consumer(String stream, String group, Handler handler, java.util.function.Consumer<ConsumerOptions> configure) {
        this(stream, group, Objects.requireNonNull(handler, "handler"), null, configure);
    }

    /** A consumer whose handler takes lists of records. */
    public static Consumer ofBatches(String stream, String group, BatchHandler handler) {
        return ofBatches(stream, group, handler, o -> {});
    }

    /** A consumer whose handler takes lists of records, with options. */
    public static Consumer ofBatches(String stream, String group, BatchHandler handler, java.util.function.Consumer<ConsumerOptions> configure) {
        return new Consumer(stream, group, null, Objects.requireNonNull(handler, "handler"), configure);
    }

    private Consumer(String stream, String group, Handler handler, BatchHandler batchHandler, java.util.function.Consumer<ConsumerOptions> configure) {
        ConsumerOptions o = new ConsumerOptions();
        configure.accept(o);
        this.stream = Objects.requireNonNull(stream, "stream");
        this.group = Objects.requireNonNull(group, "group");
        of = "Consumer(\"" + stream + "\", \"" + group + "\")";
        options = o.options;
        options.put("batch", batchHandler != null);
        onStats = options.given("on_stats", OnStats.class);
        Executor executor = options.given("executor", Executor.class);
        program = new Work.Program(handler, batchHandler, options.given("dead_letter", DeadLetter.class), options.given("external", External.class),
            (int) Math.min(options.number("parallel"), Integer.MAX_VALUE), executor != null ? executor : Work.THREADS);
        engine = Engine.of(options.given("engine", String.class));
        engine.connect();
        engine.attach(member);
        Limit.await(isOpen);
    }

    public String stream() {
        return stream;
    }

    public String group() {
        return group;
    }

    /** The name of this worker. */
    public String worker() {
        return worker;
    }

    /**
     * Waits for the end. Throws what ended it, unless that was close, and {@link
     * VegasException.GraceOver} where handlers had not ended by the time that the option grace
     * gives them. A program that is told to end (Ctrl-C, SIGTERM) closes it.
     */
    public void run() {
        Limit.await(ended);
    }

    /** Like run, but returns false when it has not ended after that time. */
    public boolean await(Duration timeout) {
        try {
            Limit.await(ended, new Limit(timeout).left());
            return true;
        } catch (TimeoutException e) {
            return false;
        }
    }

    /**
     * Begins nothing further, waits for handlers for as long as the option grace says, writes
     * checkpoints and gives the shards back. Called by a handler it does not wait. Handlers that
     * had not ended by then are told of by {@link #run} and {@link #await}.
     */
    @Override
    public void close() {
        beginClose();
        if (Work.HANDLING.get() == this) {
            return;
        }
        try {
            ended.handle((nothing, error) -> null).get();
        } catch (InterruptedException e) {
            throw Limit.interrupted();
        } catch (java.util.concurrent.ExecutionException e) {
            throw new AssertionError(e); // handled
        }
    }

    /**
     * Moves the group's position behind a record, under checkpoint = MANUAL. Throws {@link
     * VegasException.LeaseLost} where the shard is another worker's by now.
     */
    public void checkpoint(Record record) {
        Shard shard = record.from;
        if (shard.consumer() != this) {
            throw new VegasException.BadOption(of + ": the record is of another consumer", null);
        }
        if (shard.stopping() == Stopping.ENGINE_GONE) {
            throw new VegasException.LeaseLost(of + ": checkpoint: the engine that had the shard " + shard.id() + " is gone", null);
        }
        Map<String, Object> position = new LinkedHashMap<>();
        position.put("consumer", member.number);
        position.put("shard", shard.number);
        position.put("sequence", record.sequence());
        position.put("sub", record.subSequence());
        Limit.await(shard.session.request(Spec.METHOD_CHECKPOINT, position));
    }

    /** Asks whether the stream can be read, and throws why not. */
    public void check() {
        ask(Spec.METHOD_CHECK);
    }

    /** Statistics by the names of the metrics. */
    @SuppressWarnings("unchecked")
    public Map<String, Object> stats() {
        return (Map<String, Object>) ask(Spec.METHOD_STATS).get("stats");
    }

    private Map<String, Object> ask(String method) {
        if (ended.isDone()) {
            throw new VegasException.Closed(of + " is closed", null);
        }
        Session s = session;
        if (s == null) {
            s = engine.connect();
        }
        return Limit.await(s.request(method, Map.of("consumer", member.number)));
    }

    @Override
    public String toString() {
        return of;
    }

    /** Asks the engine to end the consumer; ended is completed when it has. */
    private void beginClose() {
        if (closing) {
            return;
        }
        closing = true;
        for (Work w : shards.values()) {
            if (w.shard.stopping() == null) {
                w.stop(Stopping.SHUTDOWN);
            }
        }
        Session s = session;
        if (s == null) {
            finish(null);
        } else {
            end(s);
        }
    }

    private void end(Session s) {
        s.call(Spec.METHOD_CLOSE_CONSUMER, Map.of("consumer", member.number), (answer, error) -> {
            if (error != null && !(error instanceof VegasException.EngineGone || error instanceof VegasException.Closed)) {
                Log.warn(of + ": " + error.getMessage());
            }
            finish(null);
        });
    }

    private void finish(VegasException error) {
        engine.detach(member);
        endShards(Stopping.SHUTDOWN);
        if (ended.isDone()) {
            return;
        }
        // Handlers that have not ended are told of also where the program has closed it.
        boolean thrown = error != null && (!closing || error instanceof VegasException.GraceOver);
        if (error != null) {
            String line = of + " has ended: " + error.getMessage();
            Callbacks.put(thrown ? () -> Log.error(line) : () -> Log.warn(line));
        }
        if (thrown) {
            ended.completeExceptionally(error);
        } else {
            ended.complete(null);
        }
    }

    private void endShards(Stopping why) {
        List<Work> all = new ArrayList<>(shards.values());
        shards.clear();
        for (Work w : all) {
            if (why == Stopping.ENGINE_GONE || w.shard.stopping() == null) {
                w.shard.stop(why);
            }
            w.end(0);
        }
    }

    /** Nothing is done for a shard any more. */
    void ended(Work work) {
        latest.remove(work.shard.id(), work);
    }

    /** The consumer as the engine sees it. */
    private final class Member implements Client {
        private final int number = Engine.number();

        @Override
        public int number() {
            return number;
        }

        @Override
        public String openMethod() {
            return Spec.METHOD_OPEN_CONSUMER;
        }

        @Override
        public Map<String, Object> openArguments() {
            return Map.of("consumer", number, "stream", stream, "group", group, "options", options.crossing());
        }

        @Override
        public void opened(Session s, Map<String, Object> answer) {
            session = s;
            worker = String.valueOf(answer.get("worker"));
            isOpen.complete(null);
            if (closing) { // between two sessions
                end(s);
            }
        }

        @Override
        public void broken(VegasException error) {
            if (isOpen.completeExceptionally(error)) {
                ended.completeExceptionally(error);
            } else {
                finish(error);
            }
        }

        @Override
        public void lost(Session s, VegasException why) {
            if (session != s) {
                return;
            }
            session = null;
            endShards(Stopping.ENGINE_GONE);
            if (closing) {
                finish(null);
            }
        }

        @Override
        public void called(Session s, long call, Map<String, Object> arguments) {
            String method = String.valueOf(arguments.get("method"));
            switch (method) {
                case Spec.METHOD_START_SHARD -> start(call, new Shard(Consumer.this, s, arguments));
                case Spec.METHOD_END_SHARD -> {
                    Work work = shards.remove(Session.number(arguments, "shard"));
                    if (work == null) { // its start has failed
                        s.answer(call, Map.of());
                    } else {
                        work.end(call);
                    }
                }
                default -> s.refuse(call, "protocol", "a consumer has no method " + method);
            }
        }

        private void start(long call, Shard shard) {
            for (Work before : List.copyOf(shards.values())) {
                if (before.shard.id().equals(shard.id())) { // lost before it had started
                    shards.remove(before.shard.number);
                    before.shard.stop(Stopping.LEASE_LOST);
                    before.end(0);
                }
            }
            Work work = new Work(shard, program);
            shards.put(shard.number, work);
            work.start(call, latest.put(shard.id(), work), () -> shards.remove(shard.number, work));
        }

        @Override
        public void frame(Session s, int kind, byte[] body) {
            switch (kind) {
                case Spec.KIND_DELIVER -> {
                    Chunk chunk = new Chunk(body);
                    Work work = shards.get(chunk.shard);
                    if (work == null) {
                        throw Value.broken("a chunk of shard " + chunk.shard + " arrives, which has not started");
                    }
                    work.deliver(chunk);
                }
                case Spec.KIND_STOP -> {
                    if (body.length != 9) {
                        throw Value.broken("a stop is cut off");
                    }
                    Work work = shards.get(Integer.toUnsignedLong(ByteBuffer.wrap(body).order(ByteOrder.LITTLE_ENDIAN).getInt(4)));
                    if (work != null) {
                        work.stop(switch (body[8]) {
                            case Spec.REASON_HANDOFF -> Stopping.HANDOFF;
                            case Spec.REASON_LEASE_LOST -> Stopping.LEASE_LOST;
                            case Spec.REASON_GRACE_OVER -> Stopping.GRACE_OVER;
                            default -> Stopping.SHUTDOWN;
                        });
                    }
                }
                default -> throw Value.broken("a consumer was sent a frame of kind " + kind);
            }
        }

        @Override
        public void take(Session s, Sink sink) {
            // It leaves frames to the writer itself.
        }

        @Override
        @SuppressWarnings("unchecked")
        public void event(Map<String, Object> event) {
            if ("consumer_ended".equals(event.get("event"))) {
                finish(event.get("error") == null ? null : Value.error(event.get("error")));
            } else if (onStats != null && "stats".equals(event.get("event")) && event.get("stats") instanceof Map<?, ?> stats) {
                Callbacks.put(() -> onStats.accept((Map<String, Object>) stats));
            }
        }

        // The program's end.

        @Override
        public boolean endsFirst() {
            return true;
        }

        @Override
        public void exitBegin() {
            beginClose();
        }

        @Override
        public void exitEnd(long began) {
            long limit = TimeUnit.MICROSECONDS.toNanos(options.number("grace")) + TimeUnit.SECONDS.toNanos(5);
            try {
                if (!await(TimeUnit.SECONDS.toNanos(1), began)) {
                    Log.last(of + ": waiting for handlers to end");
                }
                if (!await(limit, began)) {
                    Log.last(of + ": the program ends while handlers run");
                }
            } catch (VegasException e) {
                Log.last(of + " has ended: " + e.getMessage());
            }
        }

        private boolean await(long limit, long began) {
            try {
                Limit.await(ended, Math.max(0, limit - (System.nanoTime() - began)));
                return true;
            } catch (TimeoutException e) {
                return false;
            }
        }
    }
}
