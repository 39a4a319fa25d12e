package io.libvegas;

import java.time.Instant;
import java.util.concurrent.TimeUnit;

/** Where a group starts that the store does not know yet. */
public final class Start {
    /** At the oldest record that the stream has. */
    public static final Start TRIM_HORIZON = new Start("trim_horizon");
    /** Behind the newest one. */
    public static final Start LATEST = new Start("latest");

    final Object crossing;

    private Start(Object crossing) {
        this.crossing = crossing;
    }

    /** At the first record that arrived then or later. */
    public static Start at(Instant time) {
        return new Start(Math.addExact(Math.multiplyExact(time.getEpochSecond(), 1_000_000L), TimeUnit.NANOSECONDS.toMicros(time.getNano())));
    }

    @Override
    public String toString() {
        return crossing.toString();
    }
}
