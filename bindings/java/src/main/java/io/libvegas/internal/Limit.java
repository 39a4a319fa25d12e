package io.libvegas.internal;

import io.libvegas.VegasException;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** Until when somebody waits; null is for ever. */
public final class Limit {
    private static final long YEAR = TimeUnit.DAYS.toNanos(365);

    private final long end;
    private final boolean none;

    public Limit(Duration timeout) {
        none = timeout == null;
        end = none ? 0 : System.nanoTime() + nanos(timeout);
    }

    /** A duration, a year at most. */
    private static long nanos(Duration d) {
        return d.compareTo(Duration.ofDays(365)) > 0 ? YEAR : d.toNanos();
    }

    public boolean none() {
        return none;
    }

    /** What is left of it in nanoseconds, 0 at least. */
    public long left() {
        return none ? YEAR : Math.max(0, end - System.nanoTime());
    }

    public boolean over() {
        return left() == 0;
    }

    /** The result of a call, or its VegasException with the stack of the one who waits. */
    public static <T> T await(CompletableFuture<T> future, long nanos) throws TimeoutException {
        try {
            return future.get(nanos, TimeUnit.NANOSECONDS);
        } catch (ExecutionException e) {
            throw again(e.getCause());
        } catch (InterruptedException e) {
            throw interrupted();
        }
    }

    /** Like await, without a limit. */
    public static <T> T await(CompletableFuture<T> future) {
        try {
            return future.get();
        } catch (ExecutionException e) {
            throw again(e.getCause());
        } catch (InterruptedException e) {
            throw interrupted();
        }
    }

    /** The same error for another one to throw: each has a stack of its own. */
    public static VegasException again(Throwable error) {
        if (error instanceof VegasException v) {
            return VegasException.of(v.code(), v.text(), v.remedy(), v.unknown(), null);
        }
        return VegasException.of("failed", String.valueOf(error), null, false, error);
    }

    /** What somebody who was interrupted throws. */
    public static VegasException interrupted() {
        Thread.currentThread().interrupt();
        return VegasException.of("timeout", "the thread was interrupted while it waited", null, false, null);
    }
}
