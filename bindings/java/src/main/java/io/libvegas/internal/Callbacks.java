package io.libvegas.internal;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/**
 * Calls what is the program's own (what depends on futures, on_stats, loggers), one after
 * the other and in a thread of its own, so that none of it can hold up the engine's reader.
 */
public final class Callbacks {
    private static final LinkedBlockingQueue<Runnable> QUEUE = new LinkedBlockingQueue<>();

    private Callbacks() {}

    /** Starts the thread when it is needed first. */
    private static final class Holder {
        static final Thread THREAD = new Thread(Callbacks::run, "vegas-callbacks");

        static {
            THREAD.setDaemon(true);
            THREAD.start();
        }
    }

    public static void put(Runnable call) {
        QUEUE.add(call);
        Holder.THREAD.isAlive();
    }

    /** Whether it is the thread of callbacks that asks. */
    public static boolean here() {
        return Thread.currentThread() == Holder.THREAD;
    }

    /** Waits until all that was put before has been called, unless this is such a call. */
    public static void barrier(long nanos) {
        if (here()) {
            return;
        }
        CountDownLatch reached = new CountDownLatch(1);
        put(reached::countDown);
        try {
            reached.await(nanos, TimeUnit.NANOSECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private static void run() {
        for (;;) {
            try {
                QUEUE.take().run();
            } catch (InterruptedException e) {
                // Whoever interrupts it has the wrong thread.
            } catch (Throwable e) {
                try {
                    Log.LOGGER.log(System.Logger.Level.ERROR, "a callback has failed", e);
                } catch (Throwable inTheLogger) {
                    // Nobody is left to be told.
                }
            }
        }
    }
}
