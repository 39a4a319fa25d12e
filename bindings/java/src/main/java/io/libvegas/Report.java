package io.libvegas;

import io.libvegas.internal.Spec;
import io.libvegas.internal.Value;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.LongConsumer;
import java.util.function.LongFunction;

/** What became of records, in groups that share a Kinesis record or an error. */
final class Report {
    /** Records with what their receipts share, or with the error of all of them. */
    private record Group(Sent[] sents, String shard, String sequence, boolean durable, VegasException error) {
        static Group of(Sent[] sents, VegasException error) {
            return new Group(sents, "", "", false, error);
        }
    }

    private static final int OFTEN = 32; // records

    private final List<Group> groups = new ArrayList<>(4);

    /**
     * Reads a report. take gives the open record of a number, or null. At an error those that
     * were taken are in here.
     */
    void read(byte[] body, LongFunction<Sent> take) {
        if (body.length < 8) {
            throw cutOff();
        }
        ByteBuffer b = ByteBuffer.wrap(body).order(ByteOrder.LITTLE_ENDIAN);
        int at = 8;
        for (long n = Integer.toUnsignedLong(b.getInt(4)); n > 0; n--) {
            if (body.length - at < 8) {
                throw cutOff();
            }
            int status = b.get(at);
            int text = b.getShort(at + 2) & 0xffff;
            long count = Integer.toUnsignedLong(b.getInt(at + 4));
            at += 8;
            if (text + 16 * count > body.length - at) {
                throw cutOff();
            }
            Sent[] sents = new Sent[(int) count];
            Group group = group(status, body, at, at + text, sents);
            at += text;
            for (int i = 0; i < sents.length; i++, at += 16) {
                sents[i] = take.apply(b.getLong(at));
                if (sents[i] == null) {
                    groups.add(Group.of(Arrays.copyOf(sents, i), new VegasException.EngineGone("the engine's report cannot be read", null, true, null)));
                    throw Value.broken("record " + b.getLong(at) + " was reported, and is not open");
                }
                sents[i].sub = b.getLong(at + 8);
            }
            groups.add(group);
        }
        if (at != body.length) {
            throw Value.broken("bytes lie behind a report");
        }
    }

    private static VegasException cutOff() {
        return Value.broken("a report is cut off");
    }

    private static Group group(int status, byte[] body, int from, int to, Sent[] sents) {
        switch (status) {
            case Spec.STATUS_STORED, Spec.STATUS_DURABLE -> {
                int zero = from;
                while (zero < to && body[zero] != 0) {
                    zero++;
                }
                String shard = new String(body, from, zero - from, StandardCharsets.UTF_8);
                String sequence = zero < to ? new String(body, zero + 1, to - zero - 1, StandardCharsets.UTF_8) : "";
                return new Group(sents, shard, sequence, status == Spec.STATUS_DURABLE, null);
            }
            case Spec.STATUS_NOT_STORED, Spec.STATUS_UNKNOWN -> {
                VegasException e = Value.error(Value.decode(body, from, to));
                return Group.of(sents, VegasException.of(e.code(), e.text(), e.remedy(), status == Spec.STATUS_UNKNOWN, null));
            }
            default -> throw Value.broken("a report with the status " + status);
        }
    }

    boolean isEmpty() {
        return groups.isEmpty();
    }

    /**
     * Gives the records their results. What the program has depend on them runs here. Now and
     * then it tells what those cost that have theirs.
     */
    void finish(Failures failures, LongConsumer given) {
        long cost = 0;
        int n = 0;
        for (Group g : groups) {
            for (Sent s : g.sents) {
                if (g.error == null) {
                    s.complete(new Receipt(g.shard, g.sequence, s.sub, g.durable));
                } else {
                    s.fail(g.error, failures);
                }
                cost += s.cost;
                if (++n % OFTEN == 0) {
                    given.accept(cost);
                    cost = 0;
                }
            }
        }
        given.accept(cost);
    }
}
