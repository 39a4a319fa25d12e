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
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Sends records to one stream. Make one per stream and share it: it is safe for use by many
 * threads, and the more is sent before results are asked for, the fuller the batches are.
 * Order is kept between sends that follow each other.
 *
 * <pre>{@code
 * try (var p = new Producer("orders")) {
 *     p.send("customer-17", bytes);
 * }
 * }</pre>
 *
 * <p>Constructors return when records can be sent; an option that is wrong is a {@link
 * VegasException.BadOption}. What is wrong with the stream, the credentials or the network is
 * the error of records, or of {@link #check}.
 */
public final class Producer implements AutoCloseable {
    private static final long PATIENCE = 100; // milliseconds that callbacks may take to go on

    private final String stream;
    private final String of;
    private final Options options;
    private final OnStats onStats;
    private final boolean durable;
    private final Failures failures;
    private final Engine engine;
    private final Member member = new Member();
    private final CompletableFuture<Void> isOpen = new CompletableFuture<>();

    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition(); // there is room, or a session
    private final Condition caughtUp = lock.newCondition(); // results were given
    // Of the lock:
    private final Gathered gathered = new Gathered();
    private Session session; // where it is open
    private boolean put; // the session's writer knows of what has gathered
    private final Open open = new Open();
    private long next; // number of the record that the session gets next
    private long held; // what those cost that gather or are open
    private long behind; // what those cost that have their report, and not their results yet
    private long progress; // how often results were given
    private long stuck = -1; // the progress that nobody waits to be more
    private long window;
    private int recordCost;
    private int waiting; // for room
    private VegasException refusal; // why nothing more is accepted

    private final AtomicBoolean closed = new AtomicBoolean();
    private volatile boolean broken; // there will be no engine any more
    private volatile boolean ended;
    private volatile Session asked; // to close the producer
    private CompletableFuture<Map<String, Object>> closing; // at the program's end

    public Producer(String stream) {
        this(stream, o -> {});
    }

    /** With options, as in {@code new Producer("orders", o -> o.linger(Duration.ofMillis(5)))}. */
    public Producer(String stream, java.util.function.Consumer<ProducerOptions> configure) {
        ProducerOptions o = new ProducerOptions();
        configure.accept(o);
        this.stream = java.util.Objects.requireNonNull(stream, "stream");
        of = "Producer(\"" + stream + "\")";
        options = o.options;
        onStats = options.given("on_stats", OnStats.class);
        durable = !"".equals(options.value("durable"));
        failures = new Failures(of);
        window = options.number("buffer_bytes");
        engine = Engine.of(options.given("engine", String.class));
        engine.connect();
        engine.attach(member);
        Limit.await(isOpen);
    }

    // Sending.

    /**
     * Sends a record and returns at once; the future has its {@link Receipt} when the stream,
     * or the durable buffer, has it, or a {@link VegasException}. It waits while bufferBytes
     * are on their way. A failure that nobody looks at is logged, and raised by flush and close.
     * A key that no stream takes is an {@link IllegalArgumentException}.
     *
     * <p>What depends on futures runs, without Async, in one thread for all of the program:
     * what takes long there delays the results of other records.
     */
    public CompletableFuture<Receipt> send(String partitionKey, byte[] data) {
        return send(partitionKey, data, Headers.NONE, null);
    }

    /** Sends text as UTF-8. */
    public CompletableFuture<Receipt> send(String partitionKey, String text) {
        return send(partitionKey, text, Headers.NONE, null);
    }

    /** Sends text as UTF-8, with headers. */
    public CompletableFuture<Receipt> send(String partitionKey, String text, Headers headers) {
        return send(partitionKey, text, headers, null);
    }

    /** Sends text as UTF-8, with headers and an explicit hash key in decimal digits, or null. */
    public CompletableFuture<Receipt> send(String partitionKey, String text, Headers headers, String explicitHashKey) {
        return send(partitionKey, Batch.given(text, "the text").getBytes(StandardCharsets.UTF_8), headers, explicitHashKey);
    }

    /** Sends a record with headers. */
    public CompletableFuture<Receipt> send(String partitionKey, byte[] data, Headers headers) {
        return send(partitionKey, data, headers, null);
    }

    /** Sends a record with headers and an explicit hash key in decimal digits, or null. */
    public CompletableFuture<Receipt> send(String partitionKey, byte[] data, Headers headers, String explicitHashKey) {
        byte[] key = Batch.key(partitionKey);
        byte[] hash = Batch.hash(explicitHashKey);
        byte[] more = Batch.given(headers, "headers").encode();
        Batch.given(data, "data");
        long size = (long) key.length + hash.length + more.length + data.length;
        if (size > Batch.RECORD_MOST) {
            throw Batch.tooLarge(size);
        }
        lock.lock();
        try {
            accepting();
            Sent sent = new Sent((int) size + recordCost);
            if (behind > window) {
                waitForCallbacks();
            }
            if (held + sent.cost > window && held > 0) {
                waitForRoom(sent.cost);
            }
            held += sent.cost;
            gathered.add(key, hash, more, data, sent);
            if (!put && session != null) {
                put = true;
                session.put(member);
            }
            return sent;
        } finally {
            lock.unlock();
        }
    }

    private void waitForRoom(int cost) {
        waiting++;
        try {
            while (held + cost > window && held > 0) {
                changed.await();
                accepting();
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new VegasException.BufferFull(of + ": the thread was interrupted while it waited for room; the record was not sent", null);
        } finally {
            waiting--;
        }
    }

    /**
     * Results wait for what the program does with those before them. It is given time for
     * that as long as it goes on; it may also wait for a lock that the thread here has.
     */
    private void waitForCallbacks() {
        if (Callbacks.here()) {
            return;
        }
        try {
            while (behind > window && stuck != progress) {
                long before = progress;
                caughtUp.await(PATIENCE, TimeUnit.MILLISECONDS);
                if (progress == before) {
                    stuck = before;
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        accepting();
    }

    // Waiting and asking.

    /** Returns when all that was sent before has its result. Raises a failure that nobody looked at. */
    public void flush() {
        flush(null);
    }

    /** Like flush; {@link VegasException.Timeout} where that takes longer. */
    public void flush(Duration timeout) {
        long left = ended ? 0 : settle(Spec.METHOD_FLUSH, timeout);
        failures.raise();
        if (left > 0 && !durable) {
            throw new VegasException.Timeout(of + ": " + left + " records have no result after " + timeout.toMillis() + " ms", null);
        }
    }

    /** Flushes for closeTimeout, and ends the producer. */
    @Override
    public void close() {
        close(options.duration("close_timeout"));
    }

    /** Like close; what has no result by then fails, or stays in the durable buffer. */
    public void close(Duration timeout) {
        if (closed.getAndSet(true)) {
            return;
        }
        refuse();
        settle(Spec.METHOD_CLOSE_PRODUCER, timeout);
        lock.lock();
        ended = true;
        Session late = session == asked ? null : session;
        session = null;
        lock.unlock();
        if (late != null) {
            closeLate(late);
        }
        engine.detach(member);
        VegasException unknown = new VegasException.EngineGone(of + " was closed, and the engine did not say what became of the record", null, true, null);
        if (drop(unknown, new VegasException.Timeout(of + ": the record was not sent when the time to close was over", null))) {
            Callbacks.barrier(TimeUnit.SECONDS.toNanos(5)); // they are failures by then
        }
        failures.raise();
    }

    /** Ends what the engine has opened once nobody waited for it any more. */
    private void closeLate(Session s) {
        s.call(Spec.METHOD_CLOSE_PRODUCER, Map.of("producer", member.number(), "timeout", 0L), (answer, error) -> {});
    }

    private void refuse() {
        lock.lock();
        if (refusal == null) {
            refusal = new VegasException.Closed(of + " is closed", null);
        }
        changed.signalAll();
        lock.unlock();
    }

    /** Throws why nothing more is accepted, where that is so. The lock is held. */
    private void accepting() {
        if (refusal != null) {
            throw Limit.again(refusal);
        }
    }

    /** Asks whether the stream can be sent to, and throws why not. */
    public void check() {
        ask(Spec.METHOD_CHECK);
    }

    /** Statistics by the names of the metrics. */
    @SuppressWarnings("unchecked")
    public Map<String, Object> stats() {
        return (Map<String, Object>) ask(Spec.METHOD_STATS).get("stats");
    }

    private Map<String, Object> ask(String method) {
        for (;;) {
            lock.lock();
            try {
                accepting();
            } finally {
                lock.unlock();
            }
            Session s = opened(new Limit(null));
            if (s != null) {
                return Limit.await(s.request(method, Map.of("producer", member.number())));
            }
        }
    }

    public String stream() {
        return stream;
    }

    @Override
    public String toString() {
        return of;
    }

    /** The session in which the producer is open; null where that has just ended, or in time there was none. */
    private Session opened(Limit limit) {
        Session now = engine.connect();
        lock.lock();
        try {
            while (session != now && !broken && !ended && !limit.over()) {
                if (!changed.await(Math.min(limit.left(), TimeUnit.SECONDS.toNanos(1)), TimeUnit.NANOSECONDS) && now.over()) {
                    return null;
                }
            }
            return session == now ? now : null;
        } catch (InterruptedException e) {
            throw Limit.interrupted();
        } finally {
            lock.unlock();
        }
    }

    /** Has the engine flush or close, and returns how many records are left. */
    private long settle(String method, Duration timeout) {
        Limit limit = new Limit(timeout);
        while (!ended && !broken) {
            try {
                Session s = opened(limit);
                if (s == null && limit.over()) {
                    break;
                }
                if (s == null) {
                    continue;
                }
                Map<String, Object> arguments = new LinkedHashMap<>();
                arguments.put("producer", member.number());
                if (!limit.none()) {
                    arguments.put("timeout", TimeUnit.NANOSECONDS.toMicros(limit.left()));
                }
                asked = method.equals(Spec.METHOD_CLOSE_PRODUCER) ? s : asked;
                long patience = limit.left() + TimeUnit.SECONDS.toNanos(5);
                long left = Session.number(Limit.await(s.request(method, arguments), patience), "left");
                Callbacks.barrier(patience);
                return left;
            } catch (TimeoutException e) {
                break; // an engine that does not answer
            } catch (VegasException.EngineGone e) {
                if (limit.over()) {
                    break;
                }
            }
        }
        Callbacks.barrier(limit.left());
        return ended ? 0 : left();
    }

    private long left() {
        lock.lock();
        long n = open.count() + gathered.count();
        lock.unlock();
        return n;
    }

    // Results. What the program has depend on them runs in the thread of callbacks.

    /** Results of records that cost so much were given. */
    private void given(long cost) {
        lock.lock();
        behind -= cost;
        progress++;
        caughtUp.signalAll();
        lock.unlock();
    }

    private void fail(List<Sent> sents, VegasException error) {
        if (!sents.isEmpty()) {
            Callbacks.put(() -> sents.forEach(s -> s.fail(error, failures)));
        }
    }

    /** Fails what is open by one error, and what only gathers by another; false where there is neither. */
    private boolean drop(VegasException ofOpen, VegasException error) {
        lock.lock();
        List<Sent> written = open.clear();
        List<Sent> unsent = gathered.clear();
        held = 0;
        changed.signalAll();
        lock.unlock();
        fail(written, ofOpen);
        fail(unsent, error);
        return !written.isEmpty() || !unsent.isEmpty();
    }

    /** The producer as the engine sees it. */
    private final class Member implements Client {
        private final int number = Engine.number();

        @Override
        public int number() {
            return number;
        }

        @Override
        public String openMethod() {
            return Spec.METHOD_OPEN_PRODUCER;
        }

        @Override
        public Map<String, Object> openArguments() {
            return Map.of("producer", number, "stream", stream, "options", options.crossing());
        }

        @Override
        public void opened(Session s, Map<String, Object> answer) {
            lock.lock();
            boolean late = ended; // closed between two sessions
            if (!late) {
                session = s;
                next = 0;
                window = Session.number(answer, "window_bytes");
                recordCost = (int) Session.number(answer, "record_cost");
                put = gathered.count() > 0;
                if (put) {
                    s.put(this);
                }
                changed.signalAll();
            }
            lock.unlock();
            if (late) {
                closeLate(s);
            }
            isOpen.complete(null);
        }

        @Override
        public void broken(VegasException error) {
            lock.lock();
            session = null;
            if (refusal == null) {
                refusal = error;
            }
            drop(error, error);
            broken = true; // and all have their results, or are about to be called back
            lock.unlock();
            isOpen.completeExceptionally(error);
        }

        /** What was written and has no report is unknown; what was not goes to the next session. */
        @Override
        public void lost(Session s, VegasException why) {
            List<Sent> all;
            lock.lock();
            try {
                if (session != s) {
                    return;
                }
                session = null;
                put = false;
                all = open.clear();
                for (Sent sent : all) {
                    held -= sent.cost;
                }
                changed.signalAll();
            } finally {
                lock.unlock();
            }
            String remedy = durable ? "if the durable buffer has it, the next engine sends it" : why.remedy();
            fail(all, new VegasException.EngineGone(why.text(), remedy, true, null));
            if (!all.isEmpty() && "fail_key".equals(options.value("on_failure"))) {
                VegasException behind = new VegasException.EarlierFailed("the results of earlier records are unknown, since the engine has ended", null);
                drop(behind, behind);
            }
        }

        @Override
        public void take(Session s, Sink sink) throws IOException {
            List<Batch> batches;
            long first;
            lock.lock();
            try {
                if (session != s) {
                    return;
                }
                put = false;
                first = next;
                batches = gathered.take();
                for (Batch b : batches) {
                    for (int i = 0; i < b.count(); i++) {
                        Sent sent = b.sent(i);
                        sent.number = next++;
                        open.add(sent);
                    }
                }
            } finally {
                lock.unlock();
            }
            for (Batch b : batches) {
                if (b.count() > 0) {
                    b.write(number, first, sink);
                    first += b.count();
                }
                if (b.clear()) {
                    lock.lock();
                    gathered.giveBack(b);
                    lock.unlock();
                }
            }
        }

        @Override
        public void frame(Session s, int kind, byte[] body) {
            if (kind != Spec.KIND_REPORT) {
                throw Value.broken("a producer was sent a frame of kind " + kind);
            }
            Report report = new Report();
            lock.lock();
            try {
                if (session != s) {
                    return;
                }
                report.read(body, this::close);
                if (waiting > 0) {
                    changed.signalAll();
                }
            } finally {
                lock.unlock();
                if (!report.isEmpty()) {
                    Callbacks.put(() -> report.finish(failures, Producer.this::given));
                }
            }
        }

        /** The open record of a number, which now has its report. */
        private Sent close(long n) {
            Sent sent = open.remove(n);
            if (sent != null) {
                held -= sent.cost;
                behind += sent.cost;
            }
            return sent;
        }

        @Override
        public void called(Session s, long call, Map<String, Object> arguments) {
            throw Value.broken("a producer was called");
        }

        @Override
        @SuppressWarnings("unchecked")
        public void event(Map<String, Object> event) {
            if (onStats != null && "stats".equals(event.get("event")) && event.get("stats") instanceof Map<?, ?> stats) {
                Callbacks.put(() -> onStats.accept((Map<String, Object>) stats));
            }
        }

        // The program's end.

        @Override
        public boolean endsFirst() {
            return false;
        }

        @Override
        public void exitBegin() {
            lock.lock();
            try {
                if (ended || broken || closing != null) {
                    return;
                }
                refuse();
                if (session != null) {
                    long timeout = options.number("close_timeout");
                    closing = session.request(Spec.METHOD_CLOSE_PRODUCER, Map.of("producer", number, "timeout", timeout));
                }
            } finally {
                lock.unlock();
            }
        }

        @Override
        public void exitEnd(long began) {
            if (closing != null) {
                long limit = TimeUnit.MICROSECONDS.toNanos(options.number("close_timeout")) + TimeUnit.SECONDS.toNanos(1);
                long left = limit - (System.nanoTime() - began);
                try {
                    Limit.await(closing, Math.max(0, left));
                } catch (TimeoutException | VegasException e) {
                    // What is left tells.
                }
                Callbacks.barrier(TimeUnit.SECONDS.toNanos(1));
            }
            long left = left();
            VegasException error = failures.take();
            if (error != null) {
                Log.last(of + ": " + error.getMessage());
            }
            if (left > 0) {
                Log.last(of + ": the program ends with " + left + " records that have no result");
            }
        }
    }
}
