package io.libvegas;

import java.util.Objects;

/**
 * A place in a shard, which is that of a record.
 *
 * @param sequence a sequence number, or {@code TRIM_HORIZON} before the first record
 * @param subSequence the index in an aggregate, or 0
 */
public record Position(String sequence, long subSequence) {
    /** Before the first record. */
    public static final Position TRIM_HORIZON = new Position("TRIM_HORIZON", 0);

    public Position {
        Objects.requireNonNull(sequence, "sequence");
    }
}
