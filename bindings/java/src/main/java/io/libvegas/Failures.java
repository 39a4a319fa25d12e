package io.libvegas;

import io.libvegas.internal.Callbacks;
import io.libvegas.internal.Limit;
import io.libvegas.internal.Log;
import java.lang.ref.Cleaner;
import java.util.LinkedHashSet;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Failures of a producer that nobody has looked at: logged when their futures are
 * forgotten, raised by flush and close.
 */
final class Failures {
    private static final int REMEMBERED = 10_000;
    private static final long SECOND = TimeUnit.SECONDS.toNanos(1);

    private static final class Holder {
        static final Cleaner CLEANER = Cleaner.create(r -> {
            Thread t = new Thread(r, "vegas-forgotten");
            t.setDaemon(true);
            return t;
        });
    }

    /** One of them. It does not hold its future. */
    final class Unseen implements Runnable {
        final VegasException error;

        Unseen(VegasException error) {
            this.error = error;
        }

        void seen() {
            lock.lock();
            try {
                open.remove(this);
            } finally {
                lock.unlock();
            }
        }

        /** The future is garbage. */
        @Override
        public void run() {
            forgotten(this);
        }
    }

    private final String of;
    private final ReentrantLock lock = new ReentrantLock();
    // Of the lock:
    private final Set<Unseen> open = new LinkedHashSet<>();
    private VegasException first; // of those that are not in open any more
    private long more;
    private boolean unknown;
    private long silent = System.nanoTime() - SECOND; // until then no further line is logged
    private long kept;

    Failures(String of) {
        this.of = of;
    }

    /** Watches a future that is about to fail. */
    Unseen add(Sent sent, VegasException error) {
        Unseen u = new Unseen(error);
        lock.lock();
        try {
            if (open.size() < REMEMBERED) {
                open.add(u);
            } else {
                count(u);
                return u;
            }
        } finally {
            lock.unlock();
        }
        Holder.CLEANER.register(sent, u);
        return u;
    }

    private void count(Unseen u) {
        more++;
        unknown |= u.error.unknown();
        if (first == null) {
            first = u.error;
        }
    }

    private void forgotten(Unseen u) {
        String line = null;
        lock.lock();
        try {
            if (!open.remove(u)) {
                return;
            }
            count(u);
            kept++;
            if (System.nanoTime() - silent >= 0) {
                silent = System.nanoTime() + SECOND;
                line = of + ": a record failed, and nobody asked for its result: " + u.error.getMessage()
                    + (kept > 1 ? " (and " + (kept - 1) + " more before it)" : "");
                kept = 0;
            }
        } finally {
            lock.unlock();
        }
        if (line != null) {
            String text = line;
            Callbacks.put(() -> Log.warn(text));
        }
    }

    /** One error that stands for all so far, which then are forgotten; null if there is none. */
    VegasException take() {
        lock.lock();
        try {
            long n = more + open.size();
            if (n == 0) {
                return null;
            }
            boolean mayBe = unknown;
            VegasException one = open.isEmpty() ? first : open.iterator().next().error;
            for (Unseen u : open) {
                mayBe |= u.error.unknown();
            }
            open.clear();
            first = null;
            more = 0;
            kept = 0;
            unknown = false;
            if (n == 1) {
                return Limit.again(one);
            }
            return VegasException.of(one.code(), n + " records failed, and nobody asked for their results; one of them: " + one.text(), one.remedy(),
                mayBe, null);
        } finally {
            lock.unlock();
        }
    }

    void raise() {
        VegasException error = take();
        if (error != null) {
            throw error;
        }
    }
}
