package io.libvegas;

import io.libvegas.internal.Log;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * What is done for one shard: its start, its chunks and its end, one after the other, by
 * threads of the executor.
 */
final class Work {
    /** Nanoseconds after which a chunk under way tells what of it is done. */
    private static final long PROGRESS = TimeUnit.SECONDS.toNanos(1);

    /** The consumer whose handler the thread runs. */
    static final ThreadLocal<Consumer> HANDLING = new ThreadLocal<>();

    /** Threads for handlers, where the program gives none. */
    static final Executor THREADS = threads();

    /** What the program gave for the consumer. */
    record Program(Handler handler, BatchHandler batchHandler, DeadLetter deadLetter, External external, int parallel, Executor executor) {}

    private interface Task {
        /** Whether it was the last one. */
        boolean run();
    }

    final Shard shard;
    private final Program program;
    private final ConcurrentLinkedQueue<Task> tasks = new ConcurrentLinkedQueue<>();
    private final AtomicBoolean active = new AtomicBoolean();
    private final CompletableFuture<Void> ended = new CompletableFuture<>();
    private boolean warned; // while it is active
    private volatile Runnable telling; // says what is done of the chunk under way, while there is one

    Work(Shard shard, Program program) {
        this.shard = shard;
        this.program = program;
    }

    private static Executor threads() {
        AtomicInteger number = new AtomicInteger();
        return new ThreadPoolExecutor(0, Integer.MAX_VALUE, 10, TimeUnit.SECONDS, new SynchronousQueue<>(), r -> {
            Thread t = new Thread(r, "vegas-handler-" + number.incrementAndGet());
            t.setDaemon(true);
            return t;
        });
    }

    // What the engine's reader calls.

    /**
     * Starts it, behind what an earlier possession of the shard still does, so that order
     * holds in this program. failed is called where the program cannot begin.
     */
    void start(long call, Work before, Runnable failed) {
        tasks.add(() -> begin(call, failed));
        if (before == null) {
            schedule();
        } else {
            active.set(true);
            before.ended.whenComplete((nothing, error) -> {
                active.set(false);
                schedule();
            });
        }
    }

    void deliver(Chunk chunk) {
        add(() -> {
            handle(chunk);
            return false;
        });
    }

    /** Begins nothing further. Handlers may still run for long: what is done before them is told. */
    void stop(Stopping why) {
        shard.stop(why);
        Runnable tell = telling;
        if (tell != null) {
            tell.run();
        }
    }

    /** Nothing more will come; call is to be answered, 0 where nobody waits for it. */
    void end(long call) {
        add(() -> {
            if (call != 0) {
                shard.session.answer(call, Map.of());
            }
            return true;
        });
    }

    private void add(Task task) {
        tasks.add(task);
        schedule();
    }

    private void schedule() {
        if (tasks.isEmpty() || !active.compareAndSet(false, true)) {
            return;
        }
        try {
            program.executor.execute(this::next);
        } catch (RejectedExecutionException e) {
            if (!warned) {
                warned = true;
                Log.warn(shard.consumer() + ": the executor takes no handlers any more, other threads run them: " + e);
            }
            THREADS.execute(this::next);
        }
    }

    /** Carries out one task, and leaves the thread to other shards before the next one. */
    private void next() {
        Consumer outer = HANDLING.get();
        HANDLING.set(shard.consumer());
        boolean last = false;
        try {
            Task task = tasks.poll();
            last = task != null && task.run();
        } catch (Throwable e) {
            Log.LOGGER.log(System.Logger.Level.ERROR, shard.consumer() + ": " + shard + " cannot go on", e);
        } finally {
            if (outer == null) {
                HANDLING.remove();
            } else {
                HANDLING.set(outer);
            }
        }
        if (last) {
            shard.consumer().ended(this);
            ended.complete(null); // and active for ever
            return;
        }
        active.set(false);
        schedule();
    }

    // Tasks.

    private boolean begin(long call, Runnable failed) {
        try {
            Position at = program.external == null ? null : program.external.begin(shard);
            shard.session.answer(call, at == null ? Map.of() : Map.of("sequence", at.sequence(), "sub", at.subSequence()));
            return false;
        } catch (Throwable e) {
            // The engine forgets the shard, and starts it anew.
            failed.run();
            shard.session.refuse(call, "handler", text(e));
            return true;
        }
    }

    private void handle(Chunk chunk) {
        List<Record> records;
        try {
            records = chunk.records(shard);
        } catch (VegasException e) {
            shard.session.fail(e);
            return;
        }
        if (shard.stopping() != null) {
            shard.session.put(chunk.settle(true, 0, 0, List.of()));
        } else if (chunk.dead() || program.batchHandler != null) {
            handleWhole(chunk, records);
        } else if (program.parallel > 1 && chunk.count() > 1) {
            SideBySide s = new SideBySide(chunk, records);
            telling = s::tell;
            s.handle();
        } else {
            InOrder o = new InOrder(chunk);
            telling = o::tell;
            o.handle(records);
        }
        telling = null;
    }

    private void handleWhole(Chunk chunk, List<Record> records) {
        int done = chunk.count();
        List<Chunk.Failure> failures = List.of();
        try {
            if (chunk.dead()) {
                program.deadLetter.take(records.get(0), chunk.text());
            } else {
                program.batchHandler.handle(records);
            }
        } catch (Throwable e) {
            done = 0;
            failures = List.of(new Chunk.Failure(0, text(e)));
        }
        shard.session.put(chunk.settle(true, 0, done, failures));
    }

    /** One record after the other. */
    private final class InOrder {
        private final Chunk chunk;
        private final AtomicInteger done = new AtomicInteger(); // of the thread that handles
        private final ReentrantLock lock = new ReentrantLock();
        // Of the lock:
        private int told;
        private boolean over; // the last word is said

        InOrder(Chunk chunk) {
            this.chunk = chunk;
        }

        void handle(List<Record> records) {
            List<Chunk.Failure> failures = List.of();
            int i = 0;
            long word = System.nanoTime() + PROGRESS;
            try {
                while (i < records.size() && shard.stopping() == null) {
                    program.handler.handle(records.get(i));
                    done.lazySet(++i);
                    if (System.nanoTime() - word > 0 && i < records.size()) {
                        tell();
                        word = System.nanoTime() + PROGRESS;
                    }
                }
            } catch (Throwable e) { // an Error of a handler is its failure, too
                failures = List.of(new Chunk.Failure(i, text(e)));
            }
            lock.lock();
            try {
                over = true;
                shard.session.put(chunk.settle(true, told, i, failures));
            } finally {
                lock.unlock();
            }
        }

        void tell() {
            lock.lock();
            try {
                int now = done.get();
                if (!over && now > told) {
                    shard.session.put(chunk.settle(false, told, now, List.of()));
                    told = now;
                }
            } finally {
                lock.unlock();
            }
        }
    }

    /** Records of different keys at once, those of one key one after the other. */
    private final class SideBySide {
        private final Chunk chunk;
        private final List<Record> records;
        private final ReentrantLock lock = new ReentrantLock();
        private final Condition idle = lock.newCondition();
        // Of the lock:
        private final ArrayDeque<List<Integer>> keys = new ArrayDeque<>();
        private final BitSet done = new BitSet(); // and not told yet
        private final List<Chunk.Failure> failures = new ArrayList<>();
        private int running;
        private boolean over; // the last word is said
        private long word = System.nanoTime() + PROGRESS;

        SideBySide(Chunk chunk, List<Record> records) {
            this.chunk = chunk;
            this.records = records;
            Map<String, List<Integer>> byKey = new LinkedHashMap<>();
            for (int i = 0; i < records.size(); i++) {
                byKey.computeIfAbsent(records.get(i).partitionKey(), k -> new ArrayList<>()).add(i);
            }
            keys.addAll(byKey.values());
        }

        void handle() {
            int helpers = Math.min(program.parallel, keys.size()) - 1;
            for (int i = 0; i < helpers; i++) {
                try {
                    program.executor.execute(this::help);
                } catch (RejectedExecutionException e) {
                    break; // fewer at once, then
                }
            }
            run();
            // A helper that the executor did not come to finds nothing to do.
            lock.lock();
            try {
                while (running > 0) {
                    idle.awaitUninterruptibly();
                }
                over = true;
                failures.sort((a, b) -> Integer.compare(a.index(), b.index()));
                shard.session.put(chunk.settle(true, done, failures));
            } finally {
                lock.unlock();
            }
        }

        private void help() {
            HANDLING.set(shard.consumer());
            try {
                run();
            } finally {
                HANDLING.remove();
            }
        }

        private void run() {
            for (List<Integer> key = take(null); key != null; key = take(key)) {
                for (int i : key) {
                    if (shard.stopping() != null) {
                        break;
                    }
                    try {
                        program.handler.handle(records.get(i));
                    } catch (Throwable e) {
                        failed(i, text(e));
                        break; // none of its key behind it
                    }
                    done(i);
                }
            }
        }

        /** The next key, for a thread that is through with one. */
        private List<Integer> take(List<Integer> before) {
            lock.lock();
            try {
                List<Integer> next = shard.stopping() != null ? null : keys.poll();
                running += (next != null ? 1 : 0) - (before != null ? 1 : 0);
                if (running == 0) {
                    idle.signalAll();
                }
                return next;
            } finally {
                lock.unlock();
            }
        }

        void tell() {
            lock.lock();
            try {
                if (!over && !done.isEmpty()) {
                    shard.session.put(chunk.settle(false, done, List.of()));
                    done.clear();
                }
            } finally {
                lock.unlock();
            }
        }

        private void failed(int index, String text) {
            lock.lock();
            failures.add(new Chunk.Failure(index, text));
            lock.unlock();
        }

        private void done(int index) {
            lock.lock();
            try {
                done.set(index);
                if (System.nanoTime() - word > 0) {
                    tell();
                    word = System.nanoTime() + PROGRESS;
                }
            } finally {
                lock.unlock();
            }
        }
    }

    /** What a handler threw, with its stack. The thread is fit for the next one. */
    private static String text(Throwable e) {
        if (e instanceof InterruptedException) {
            Thread.interrupted();
        }
        try {
            StringWriter out = new StringWriter();
            e.printStackTrace(new PrintWriter(out, true));
            return out.toString().strip();
        } catch (Throwable inIt) {
            return e.getClass().getName();
        }
    }
}
