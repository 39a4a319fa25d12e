package io.libvegas;

import java.nio.charset.StandardCharsets;
import java.time.Instant;

/** A record of the stream. */
public final class Record {
    private static final int AGGREGATED = 1;

    final Shard from;
    private final String partitionKey;
    private final byte[] data;
    private final String explicitHashKey;
    private final String sequence;
    private final long subSequence;
    private final long arrival;
    private final int attempt;
    private final int flags;
    private final byte[] headers;

    Record(Shard from, String partitionKey, byte[] data, String explicitHashKey, String sequence, long subSequence, long arrival, int attempt,
        int flags, byte[] headers) {
        this.from = from;
        this.partitionKey = partitionKey;
        this.data = data;
        this.explicitHashKey = explicitHashKey;
        this.sequence = sequence;
        this.subSequence = subSequence;
        this.arrival = arrival;
        this.attempt = attempt;
        this.flags = flags;
        this.headers = headers;
    }

    public String partitionKey() {
        return partitionKey;
    }

    /** Its bytes, which are the caller's. */
    public byte[] data() {
        return data;
    }

    /** Its bytes as UTF-8 text. */
    public String text() {
        return new String(data, StandardCharsets.UTF_8);
    }

    public Headers headers() {
        return Headers.decode(headers);
    }

    /** In decimal digits, or empty. */
    public String explicitHashKey() {
        return explicitHashKey;
    }

    public String stream() {
        return from.stream();
    }

    /** The shard, as the stream names it. */
    public String shard() {
        return from.id();
    }

    /** Sequence number of the Kinesis record that it travelled in. */
    public String sequence() {
        return sequence;
    }

    /** Its index in an aggregate, or 0. */
    public long subSequence() {
        return subSequence;
    }

    /** Where it is, for programs that keep positions themselves. */
    public Position position() {
        return new Position(sequence, subSequence);
    }

    /** When the stream had it. */
    public Instant arrivalTime() {
        return Instant.ofEpochMilli(arrival);
    }

    /** Whether it travelled in an aggregate. */
    public boolean aggregated() {
        return (flags & AGGREGATED) != 0;
    }

    /** How often it is handled by now, 1 at first. */
    public int attempt() {
        return attempt;
    }

    /** Fencing token: it grows with each owner of the shard. */
    public long possession() {
        return from.possession();
    }

    /** The consumer that received it. */
    public Consumer consumer() {
        return from.consumer();
    }

    /** Why the handler should return soon, or null. */
    public Stopping stopping() {
        return from.stopping();
    }

    @Override
    public String toString() {
        return "Record(shard=" + shard() + ", sequence=" + sequence + ", subSequence=" + subSequence + ", " + data.length + " bytes, attempt="
            + attempt + ")";
    }
}
