import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.libvegas.Consumer;
import io.libvegas.Producer;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.services.kinesis.KinesisClient;
import software.amazon.awssdk.services.kinesis.model.PutRecordsRequestEntry;

/** What the contest of languages has Java do. See ../main.go. */
public class Bench {
    static final ObjectMapper JSON = new ObjectMapper();
    static String stream;
    static int size;
    static int records;
    static int warm;
    static String[] keys;
    static byte[] template;

    public static void main(String[] args) throws Exception {
        stream = args[1];
        size = Integer.parseInt(args[5]);
        records = Integer.parseInt(args[6]);
        warm = Integer.parseInt(args[7]);
        keys = new String[Integer.parseInt(args[8])];
        for (int i = 0; i < keys.length; i++) {
            keys[i] = String.format("customer-%06d", i);
        }
        template = new byte[size];
        for (int n = 8; n < size; n++) {
            template[n] = (byte) (n * 31);
        }
        switch (args[0]) {
            case "produce" -> produce(args[9].equals("1"));
            case "sdk" -> Sdk.run();
            case "consume" -> consume(args[2], args[3], args[4]);
            case "lines" -> lines();
            case "latency" -> latency();
            case "idle" -> idle();
            default -> throw new IllegalArgumentException(args[0]);
        }
    }

    static void say(String line) {
        System.out.println(line);
        System.out.flush();
    }

    /** Goes on when it was read what this process has cost so far. */
    static void mark(String word) throws Exception {
        say(word);
        System.in.read();
    }

    /** Waits until what it had in memory is read. */
    static void done(Map<String, Object> what) throws Exception {
        say("done " + JSON.writeValueAsString(what));
        while (System.in.read() >= 0) {
            // the rest
        }
    }

    static String key(int i) {
        return keys[(int) ((long) i * 7919 % keys.length)];
    }

    static byte[] payload(int i) {
        byte[] b = template.clone();
        ByteBuffer.wrap(b).putLong(0, i);
        return b;
    }

    interface Send {
        void send(int from, int to) throws Exception;
    }

    /** Sends the first records, and then what is measured. */
    static void measured(Send s) throws Exception {
        s.send(0, warm);
        mark("begin");
        s.send(warm, records);
        mark("end");
        done(Map.of());
    }

    static void produce(boolean aggregated) throws Exception {
        try (var p = new Producer(stream, o -> o.aggregate(aggregated))) {
            measured((from, to) -> {
                for (int i = from; i < to; i++) {
                    p.send(key(i), payload(i));
                }
                p.flush();
            });
        }
    }

    /** The handler's side: counts each record once. */
    static class Handled {
        final int records;
        final AtomicIntegerArray seen;
        final AtomicInteger handled = new AtomicInteger();
        final AtomicInteger twice = new AtomicInteger();
        final CountDownLatch all = new CountDownLatch(1);
        volatile long first;
        volatile long last;

        Handled(int records) {
            this.records = records;
            seen = new AtomicIntegerArray(records);
        }

        void handle(byte[] data) {
            int i = (int) ByteBuffer.wrap(data).getLong(0);
            if (seen.getAndSet(i, 1) != 0) {
                twice.incrementAndGet();
                return;
            }
            int n = handled.incrementAndGet();
            if (n == 1) {
                first = System.nanoTime();
            }
            if (n == records) {
                last = System.nanoTime();
                all.countDown();
            }
        }

        Map<String, Object> told() {
            return Map.of("handled", handled.get(), "twice", twice.get(), "seconds", (last - first) / 1e9);
        }
    }

    static void consume(String group, String warmStream, String warmGroup) throws Exception {
        var before = new Handled(warm);
        try (var c = new Consumer(warmStream, warmGroup, r -> before.handle(r.data()), o -> o.store("memory"))) {
            before.all.await();
        }
        mark("begin");
        var h = new Handled(records);
        try (var c = new Consumer(stream, group, r -> h.handle(r.data()), o -> o.store("memory"))) {
            h.all.await();
            mark("end");
            done(h.told());
        }
    }

    static void lines() throws Exception {
        Handled h = null;
        var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            JsonNode m = JSON.readTree(line);
            String action = m.get("action").asText();
            if (action.equals("initialize")) {
                h = new Handled(records);
            } else if (action.equals("processRecords")) {
                for (JsonNode r : m.get("records")) {
                    h.handle(Base64.getDecoder().decode(r.get("data").asText()));
                }
            }
            say(JSON.writeValueAsString(Map.of("action", "status", "responseFor", action)));
        }
        say(JSON.writeValueAsString(h.told()));
    }

    static void latency() throws Exception {
        try (var p = new Producer(stream, o -> o.linger(Duration.ZERO))) {
            List<Double> micros = new ArrayList<>();
            for (int i = 0; i < records; i++) {
                if (i == warm) {
                    mark("begin");
                }
                long began = System.nanoTime();
                p.send(key(i), payload(i)).join();
                micros.add((System.nanoTime() - began) / 1e3);
            }
            mark("end");
            done(Map.of("micros", micros.subList(warm, records)));
        }
    }

    static void idle() throws Exception {
        var h = new Handled(1);
        try (var p = new Producer(stream); var c = new Consumer(stream, "idle", r -> h.handle(r.data()), o -> o.store("memory"))) {
            mark("begin");
            p.send(key(0), payload(0)).join();
            h.all.await();
            mark("end");
            done(h.told());
        }
    }

    /** PutRecords of 500, four calls at once. */
    static class Sdk {
        static void run() throws Exception {
            ExecutorService four = Executors.newFixedThreadPool(4);
            try (KinesisClient client = KinesisClient.create()) {
                measured((from, to) -> {
                    List<Future<?>> calls = new ArrayList<>();
                    for (int first = from; first < to; first += 500) {
                        int begin = first;
                        int end = Math.min(to, first + 500);
                        calls.add(four.submit(() -> put(client, begin, end)));
                    }
                    for (Future<?> c : calls) {
                        c.get();
                    }
                });
            }
            four.shutdown();
        }

        static Object put(KinesisClient client, int from, int to) {
            List<PutRecordsRequestEntry> entries = new ArrayList<>(to - from);
            for (int i = from; i < to; i++) {
                entries.add(PutRecordsRequestEntry.builder().partitionKey(key(i)).data(SdkBytes.fromByteArrayUnsafe(payload(i))).build());
            }
            int failed = client.putRecords(r -> r.streamName(stream).records(entries)).failedRecordCount();
            if (failed > 0) {
                throw new IllegalStateException(failed + " records were refused");
            }
            return null;
        }
    }
}
