package io.libvegas;

/** Handles one record after the other. It has done its work when it returns. */
@FunctionalInterface
public interface Handler {
    /** What it throws is a failure, which onError, maxAttempts and deadLetter decide about. */
    void handle(Record record) throws Exception;
}
