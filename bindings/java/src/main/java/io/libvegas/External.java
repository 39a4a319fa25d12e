package io.libvegas;

/** Knows positions that the program keeps itself, together with what its handler writes. */
@FunctionalInterface
public interface External {
    /**
     * The position behind which a shard that starts is to be read; null leaves it where the
     * group's store has it. {@link Shard#possession} lets the program refuse an owner of the
     * past.
     */
    Position begin(Shard shard) throws Exception;
}
