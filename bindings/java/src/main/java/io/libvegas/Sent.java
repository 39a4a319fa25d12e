package io.libvegas;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * The result of one record. It knows whether somebody looks at it: waits for it, asks what
 * it was, or has something depend on it.
 */
final class Sent extends CompletableFuture<Receipt> {
    final int cost;
    long number; // of its session
    long sub; // of its report

    private volatile boolean looked;
    private volatile Failures.Unseen unseen; // once it has failed

    Sent(int cost) {
        this.cost = cost;
    }

    /** Fails it; among the failures that nobody has looked at if that is so. */
    void fail(VegasException error, Failures failures) {
        if (!looked && getNumberOfDependents() == 0) {
            unseen = failures.add(this, error);
        }
        completeExceptionally(error);
        if (looked) {
            look();
        }
    }

    private void look() {
        looked = true;
        Failures.Unseen u = unseen;
        if (u != null) {
            unseen = null;
            u.seen();
        }
    }

    // All that makes another stage of this one comes by here.
    @Override
    public <U> CompletableFuture<U> newIncompleteFuture() {
        look();
        return new CompletableFuture<>();
    }

    @Override
    public CompletableFuture<Receipt> toCompletableFuture() {
        look();
        return this;
    }

    @Override
    public Receipt get() throws InterruptedException, ExecutionException {
        try {
            return super.get();
        } finally {
            lookIfDone();
        }
    }

    @Override
    public Receipt get(long timeout, TimeUnit unit) throws InterruptedException, ExecutionException, TimeoutException {
        try {
            return super.get(timeout, unit);
        } finally {
            lookIfDone();
        }
    }

    @Override
    public Receipt join() {
        try {
            return super.join();
        } finally {
            lookIfDone();
        }
    }

    @Override
    public Receipt getNow(Receipt otherwise) {
        try {
            return super.getNow(otherwise);
        } finally {
            lookIfDone();
        }
    }

    @Override
    public boolean isCompletedExceptionally() {
        lookIfDone();
        return super.isCompletedExceptionally();
    }

    private void lookIfDone() {
        if (unseen != null) {
            look();
        }
    }
}
