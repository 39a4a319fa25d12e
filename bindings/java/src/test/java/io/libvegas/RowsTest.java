package io.libvegas;

import static io.libvegas.Tests.equal;
import static io.libvegas.Tests.thrown;
import static io.libvegas.Tests.yes;

import io.libvegas.internal.Spec;
import io.libvegas.internal.Value;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

public final class RowsTest {
    private static ByteBuffer little(int n) {
        return ByteBuffer.allocate(n).order(ByteOrder.LITTLE_ENDIAN);
    }

    private static byte[] text(String s) {
        return s.getBytes(StandardCharsets.UTF_8);
    }

    public void testABatchFitsIntoAFrame() {
        Batch batch = new Batch();
        while (batch.hasRoom(1)) {
            batch.add(text("k"), new byte[0], new byte[0], new byte[0], new Sent(1));
        }
        yes(batch.count() * (12L + 1) < Spec.FRAME_BYTES, batch.count());
    }

    public void testOpenIsAMap() {
        Random random = new Random(2);
        for (int round = 0; round < 20; round++) {
            Open open = new Open();
            Map<Long, Sent> model = new HashMap<>();
            List<Long> numbers = new ArrayList<>();
            long next = random.nextInt(5);
            for (int i = 0; i < 20_000; i++) {
                if (random.nextInt(10) < 5 || numbers.isEmpty()) {
                    Sent s = new Sent(1);
                    s.number = next++;
                    open.add(s);
                    model.put(s.number, s);
                    numbers.add(s.number);
                } else {
                    int at = random.nextInt(10) == 0 ? random.nextInt(numbers.size()) : random.nextInt(Math.min(numbers.size(), 8));
                    long n = numbers.remove(at);
                    yes(open.remove(n) == model.remove(n), n);
                    yes(open.remove(n) == null, n);
                }
                equal(model.size(), open.count());
            }
            List<Sent> all = open.clear();
            equal(model.size(), all.size());
            for (int i = 1; i < all.size(); i++) {
                yes(all.get(i - 1).number < all.get(i).number, "order");
            }
            equal(0, open.count());
        }
    }

    public void testChunk() {
        Shard shard = null;
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.writeBytes(little(25).putInt(3).putInt(4).putInt(5).putInt(6).put((byte) 1).putInt(2).putInt(3).array());
        out.writeBytes(text("why"));
        byte[] headers = Headers.of("n", "v", "n", "w").encode();
        out.writeBytes(little(32).putInt(2).putInt(headers.length).putShort((short) 2).put((byte) 1).put((byte) 2).put((byte) 1).put((byte) 0)
            .putShort((short) 9).putLong(7).putLong(1700000000123L).array());
        out.writeBytes(little(32).putInt(0).putInt(0).putShort((short) 1).put((byte) 0).put((byte) 0).put((byte) 0).put((byte) 0)
            .putShort((short) 1).putLong(8).putLong(1).array());
        byte[] body = join(out.toByteArray(), text("ü"), text("7"), text("49"), headers, text("ab"), text("k"));
        Chunk chunk = new Chunk(body);
        equal(List.of(true, "why", 2, 4L), List.of(chunk.dead(), chunk.text(), chunk.count(), chunk.shard));
        List<Record> records = chunk.records(shard);
        Record r = records.get(0);
        equal(List.of("ü", "7", "49", 7L, 9, true), List.of(r.partitionKey(), r.explicitHashKey(), r.sequence(), r.subSequence(), r.attempt(), r.aggregated()));
        equal("ab", r.text());
        equal(1700000000123L, r.arrivalTime().toEpochMilli());
        equal("[n=v, n=w]", r.headers().toString());
        equal("v", r.headers().text("n"));
        equal(List.of("k", "49", "", false), List.of(records.get(1).partitionKey(), records.get(1).sequence(), records.get(1).text(), records.get(1).aggregated()));

        BitSet done = new BitSet();
        done.set(0);
        done.set(3, 5);
        byte[] settle = chunk.settle(true, done, List.of(new Chunk.Failure(2, "no")));
        byte[] want = little(5 + 21 + 16 + 10).putInt(48).put((byte) Spec.KIND_SETTLE).putInt(3).putInt(4).putInt(5).put((byte) 1).putInt(2).putInt(1)
            .putInt(0).putInt(1).putInt(3).putInt(5).putInt(2).putInt(2).put(text("no")).array();
        equal(want, settle);

        List<Chunk.Failure> many = new ArrayList<>();
        for (int i = 0; i < 16_000; i++) { // as many as a chunk may have
            many.add(new Chunk.Failure(i, "€".repeat(i % 2 == 0 ? 2_000 : 20_000)));
        }
        yes(chunk.settle(true, new BitSet(), many).length < Spec.FRAME_BYTES, "failures do not fit into a frame");
        yes(chunk.settle(true, new BitSet(), many.subList(0, 2)).length > 16_000, "their texts are cut without need");

        Random random = new Random(3);
        for (int i = 0; i < 100_000; i++) {
            byte[] b = Arrays.copyOf(body, random.nextInt(10) == 0 ? random.nextInt(body.length) : body.length);
            for (int n = random.nextInt(3); n >= 0 && b.length > 0; n--) {
                b[random.nextInt(b.length)] = (byte) random.nextInt(256);
            }
            try {
                new Chunk(b).records(shard).forEach(Record::headers);
            } catch (VegasException.Protocol e) {
                // What it is for.
            }
        }
    }

    private static byte[] join(byte[]... parts) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        for (byte[] p : parts) {
            out.writeBytes(p);
        }
        return out.toByteArray();
    }

    private static byte[] report() {
        return join(little(8).putInt(1).putInt(2).array(),
            little(8).put((byte) 0).put((byte) 0).putShort((short) 4).putInt(2).array(), text("s\00049"),
            little(32).putLong(0).putLong(0).putLong(2).putLong(1).array(),
            little(8).put((byte) 3).put((byte) 0).putShort((short) error().length).putInt(1).array(), error(), little(16).putLong(1).putLong(0).array());
    }

    private static byte[] error() {
        return Value.encode(Map.of("code", "deadline", "text", "late"));
    }

    public void testReport() {
        Map<Long, Sent> open = new HashMap<>();
        for (long n = 0; n < 3; n++) {
            open.put(n, new Sent(1));
        }
        Map<Long, Sent> all = new HashMap<>(open);
        Report report = new Report();
        report.read(report(), open::remove);
        Failures failures = new Failures("test");
        report.finish(failures, cost -> {});
        equal(new Receipt("s", "49", 0, false), all.get(0L).join());
        equal(new Receipt("s", "49", 1, false), all.get(2L).join());
        VegasException e = thrown(VegasException.Deadline.class, () -> {
            throw failures.take();
        });
        yes(e.unknown(), e);
        yes(failures.take() == null, "taken");

        Random random = new Random(4);
        byte[] good = report();
        for (int i = 0; i < 100_000; i++) {
            byte[] b = Arrays.copyOf(good, random.nextInt(10) == 0 ? random.nextInt(good.length) : good.length);
            for (int n = random.nextInt(3); n >= 0 && b.length > 0; n--) {
                b[random.nextInt(b.length)] = (byte) random.nextInt(256);
            }
            try {
                new Report().read(b, n -> n >= 0 && n < 3 ? new Sent(1) : null);
            } catch (VegasException.Protocol expected) {
                // What it is for.
            }
        }
    }

    public void testFailuresThatSomebodyLookedAt() {
        Failures failures = new Failures("test");
        VegasException error = new VegasException.Throttled("no", null);
        Sent handled = new Sent(1);
        handled.exceptionally(e -> null);
        handled.fail(error, failures);
        yes(failures.take() == null, "a stage looks");

        Sent asked = new Sent(1);
        asked.fail(error, failures);
        thrown(java.util.concurrent.CompletionException.class, asked::join);
        yes(failures.take() == null, "join looks");

        Sent together = new Sent(1);
        Object all = java.util.concurrent.CompletableFuture.allOf(together);
        together.fail(error, failures);
        yes(failures.take() == null, "allOf looks " + all);

        Sent late = new Sent(1);
        late.fail(error, failures);
        late.whenComplete((r, e) -> {});
        yes(failures.take() == null, "a late stage looks");

        Sent none = new Sent(1);
        none.fail(error, failures);
        Sent other = new Sent(1);
        other.fail(error, failures);
        Tests.contains(failures.take().getMessage(), "2 records failed");
    }

    public void testKeys() {
        equal(text("a?b"), Batch.key("a?b"));
        equal(text("ü😀"), Batch.key("ü😀"));
        equal(1024, Batch.key("😀".repeat(256)).length);
        for (String bad : new String[] {"", "x".repeat(257), "😀".repeat(257), "a\ud800", "\udc00"}) {
            thrown(IllegalArgumentException.class, () -> Batch.key(bad));
        }
        thrown(IllegalArgumentException.class, () -> Batch.key(null));
        for (String bad : new String[] {"", "1".repeat(40), "-1", "abc"}) {
            thrown(IllegalArgumentException.class, () -> Batch.hash(bad));
        }
    }
}
