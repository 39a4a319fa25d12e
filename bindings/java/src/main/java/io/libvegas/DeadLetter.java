package io.libvegas;

/** Takes records whose attempts are used up. */
@FunctionalInterface
public interface DeadLetter {
    /** Having returned, it has taken the record over. The last error is given as its text. */
    void take(Record record, String lastError) throws Exception;
}
