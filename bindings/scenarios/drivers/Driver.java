import io.libvegas.Consumer;
import io.libvegas.ConsumerOptions;
import io.libvegas.Header;
import io.libvegas.Headers;
import io.libvegas.Position;
import io.libvegas.Producer;
import io.libvegas.Receipt;
import io.libvegas.Record;
import io.libvegas.VegasException;
import io.libvegas.testing.LocalKinesis;
import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.zip.CRC32;

/** Does what scenarios say, with the Java package. See ../README.md. */
public final class Driver {
    private static final FileOutputStream OUT = new FileOutputStream(FileDescriptor.out);
    private final Map<String, Object> things = new ConcurrentHashMap<>();
    private final Map<String, Position> positions = new ConcurrentHashMap<>();

    public static void main(String[] args) throws Exception {
        var driver = new Driver();
        String name = System.getenv("VEGAS_SCENARIO_COMMANDS");
        InputStream in = name == null ? System.in : new FileInputStream(name);
        var lines = new BufferedReader(new InputStreamReader(in, StandardCharsets.UTF_8));
        for (String line; (line = lines.readLine()) != null; ) {
            var c = new Command(Json.parse(line));
            if (c.text("do").equals("exit")) {
                return;
            }
            var thread = new Thread(() -> driver.answer(c));
            thread.setDaemon(true);
            thread.start();
        }
        Thread.currentThread().join(); // nobody commands any more
    }

    private void answer(Command c) {
        Map<String, Object> result;
        try {
            result = perform(c);
        } catch (Throwable e) {
            result = map("error", error(e));
        }
        var said = new LinkedHashMap<String, Object>(result == null ? Map.of() : result);
        said.put("id", c.fields.get("id"));
        say(said);
    }

    private Map<String, Object> perform(Command c) throws Exception {
        switch (c.text("do")) {
            case "producer" -> things.put(c.text("as"), new Producer(c.text("stream"), o -> {
                for (var one : c.options()) {
                    o.set((String) one.get("name"), value(one));
                }
            }));
            case "consumer" -> consumer(c);
            case "send" -> {
                return send(c);
            }
            case "many" -> {
                return many(c);
            }
            case "misuse" -> producer(c.text("to")).send("\udc80key", "x").get();
            case "release" -> state(c).free.countDown();
            case "checkpoint" -> consumer(c.text("of")).checkpoint(state(c).kept.get(c.text("data")));
            case "wait" -> {
                return map("ended", consumer(c.text("of")).await(c.limit(Duration.ofHours(1))));
            }
            case "flush" -> producer(c.text("of")).flush();
            case "close" -> {
                if (things.get(c.text("of")) instanceof Consumer consumer) {
                    consumer.close();
                } else if (c.fields.containsKey("limit")) {
                    producer(c.text("of")).close(c.limit(null));
                } else {
                    producer(c.text("of")).close();
                }
            }
            case "check" -> producer(c.text("of")).check();
            case "stats" -> {
                return map("stats", things.get(c.text("of")) instanceof Consumer consumer ? consumer.stats() : producer(c.text("of")).stats());
            }
            case "local" -> {
                var streams = new HashMap<String, Integer>();
                c.map("streams").forEach((stream, shards) -> streams.put(stream, ((Number) shards).intValue()));
                var local = new LocalKinesis(streams);
                things.put(c.text("as"), local);
                return map("endpoint", local.endpoint());
            }
            default -> throw new IllegalArgumentException("there is no verb " + c.text("do"));
        }
        return null;
    }

    // Producers.

    private Producer producer(String name) {
        return (Producer) things.get(name);
    }

    private Map<String, Object> send(Command c) throws InterruptedException {
        Producer p = producer(c.text("to"));
        var sent = new ArrayList<CompletableFuture<Receipt>>();
        for (Object one : c.list("records")) {
            var r = new Command(one);
            byte[] data = r.fields.containsKey("data") ? r.text("data").getBytes(StandardCharsets.UTF_8) : filled(r.number("size", 0));
            var headers = new ArrayList<Header>();
            for (Object pair : r.list("headers")) {
                headers.add(new Header((String) ((List<?>) pair).get(0), (String) ((List<?>) pair).get(1)));
            }
            try {
                sent.add(p.send(r.text("key"), data, Headers.of(headers), r.text("hash_key")));
            } catch (RuntimeException e) {
                sent.add(CompletableFuture.failedFuture(e));
            }
        }
        if (Boolean.FALSE.equals(c.fields.get("wait"))) {
            return null;
        }
        var results = new ArrayList<Object>();
        for (var future : sent) {
            try {
                Receipt at = future.get();
                results.add(map("shard", at.shard(), "sequence", at.sequence(), "sub", at.subSequence(), "durable", at.durable()));
            } catch (ExecutionException e) {
                results.add(map("error", error(e)));
            }
        }
        return map("results", results);
    }

    private Map<String, Object> many(Command c) {
        Producer p = producer(c.text("to"));
        int count = c.number("count", 0);
        int keys = c.number("keys", 1);
        int size = c.number("size", 0);
        int from = c.number("from", 0);
        boolean tell = Boolean.TRUE.equals(c.fields.get("tell"));
        String prefix = c.fields.containsKey("prefix") ? c.text("prefix") : "";
        var ends = new ArrayList<CompletableFuture<Throwable>>();
        for (int i = from; i < from + count; i++) {
            int n = i;
            String data = prefix + n;
            if (data.length() < size) {
                data += ".".repeat(size - data.length());
            }
            ends.add(p.send(prefix + "key-" + n % keys, data).handle((at, e) -> {
                if (tell) {
                    var event = map("event", "sent", "of", c.text("to"), "number", n);
                    if (e != null) {
                        event.put("error", error(e));
                    }
                    say(event);
                }
                return e;
            }));
        }
        if (Boolean.FALSE.equals(c.fields.get("wait"))) {
            return null;
        }
        var failed = new ArrayList<Object>();
        for (int i = 0; i < ends.size(); i++) {
            Throwable e = ends.get(i).join();
            if (e != null) {
                failed.add(map("number", from + i, "error", error(e)));
            }
        }
        return map("ok", ends.size() - failed.size(), "failed", failed);
    }

    // Consumers.

    private static final class State {
        final CountDownLatch free = new CountDownLatch(1);
        final Map<String, Record> kept = new ConcurrentHashMap<>();
        final AtomicInteger handled = new AtomicInteger();
    }

    private Consumer consumer(String name) {
        return (Consumer) things.get(name);
    }

    private State state(Command c) {
        return (State) things.get(c.text("of") + " state");
    }

    private void consumer(Command c) {
        String name = c.text("as");
        var behave = new Command(c.map("behave"));
        var state = new State();
        things.put(name + " state", state);
        boolean batch = false;
        for (var one : c.options()) {
            batch |= one.get("name").equals("batch");
        }
        java.util.function.Consumer<ConsumerOptions> configure = o -> {
            for (var one : c.options()) {
                switch ((String) one.get("name")) {
                    case "batch" -> { }
                    case "dead_letter" -> o.deadLetter((r, text) -> say(told(name, r, "dead", "text", text)));
                    case "on_stats" -> o.onStats(stats -> say(map("event", "stats", "of", name, "stats", stats)));
                    case "external" -> o.external(shard -> {
                        say(map("event", "start", "of", name, "shard", shard.id(), "possession", shard.possession()));
                        return positions.get(shard.id());
                    });
                    default -> o.set((String) one.get("name"), value(one));
                }
            }
        };
        things.put(name, batch
            ? Consumer.ofBatches(c.text("stream"), c.text("group"), rs -> {
                for (Record r : rs) {
                    say(told(name, r, "record", "batch", rs.size()));
                }
                for (Record r : rs) {
                    act(behave, state, r);
                }
            }, configure)
            : new Consumer(c.text("stream"), c.text("group"), r -> {
                say(told(name, r, "record"));
                act(behave, state, r);
            }, configure));
    }

    private static Map<String, Object> told(String of, Record r, String event, Object... more) {
        var headers = new ArrayList<Object>();
        for (Header h : r.headers()) {
            headers.add(List.of(h.name(), h.text()));
        }
        var m = map("event", event, "of", of, "key", r.partitionKey(), "shard", r.shard(), "sequence", r.sequence(), "sub", r.subSequence(),
            "attempt", r.attempt(), "aggregated", r.aggregated(), "hash_key", r.explicitHashKey(), "headers", headers);
        byte[] data = r.data();
        boolean printable = data.length <= 1024;
        for (int i = 0; printable && i < data.length; i++) {
            printable = data[i] >= ' ' && data[i] < 127;
        }
        if (printable) {
            m.put("data", new String(data, StandardCharsets.US_ASCII));
        } else {
            var crc = new CRC32();
            crc.update(data);
            m.put("size", data.length);
            m.put("crc", crc.getValue());
        }
        m.putAll(map(more));
        return m;
    }

    private void act(Command behave, State state, Record r) throws Exception {
        byte[] data = r.data();
        String text = new String(data, 0, Math.min(data.length, 1024), StandardCharsets.UTF_8);
        if (Boolean.TRUE.equals(behave.fields.get("keep"))) {
            state.kept.put(text.replaceAll("\\.+$", ""), r);
        }
        if (behave.begins("die", text)) {
            Runtime.getRuntime().halt(137); // as if killed: no hook runs
        }
        if (behave.begins("hold", text)) {
            state.free.await();
        }
        TimeUnit.MILLISECONDS.sleep(behave.number("pause", 0));
        if (behave.begins("fail", text) && (behave.number("times", 0) == 0 || r.attempt() <= behave.number("times", 0))) {
            throw new IllegalStateException("cannot handle " + text);
        }
        int every = behave.number("checkpoint_every", 0);
        if (every > 0 && state.handled.incrementAndGet() % every == 0) {
            r.consumer().checkpoint(r);
        }
        positions.put(r.shard(), r.position());
    }

    // What crosses.

    private static void say(Map<String, Object> message) {
        var b = new StringBuilder();
        Json.write(b, message);
        byte[] line = b.append('\n').toString().getBytes(StandardCharsets.UTF_8);
        synchronized (OUT) {
            try {
                OUT.write(line);
            } catch (IOException e) {
                // The runner is gone.
            }
        }
    }

    private static Map<String, Object> error(Throwable e) {
        while ((e instanceof ExecutionException || e instanceof CompletionException) && e.getCause() != null) {
            e = e.getCause();
        }
        if (e instanceof VegasException v) {
            return map("code", v.code(), "text", v.text(), "remedy", v.remedy(), "unknown", v.unknown(), "class", v.getClass().getName());
        }
        return map("code", "own", "text", String.valueOf(e), "class", e.getClass().getName());
    }

    private static Object value(Map<String, Object> option) {
        Object v = option.get("value");
        return "duration".equals(option.get("type")) && v instanceof Number n ? Duration.ofNanos(n.longValue() * 1000) : v;
    }

    private static byte[] filled(int size) {
        byte[] b = new byte[size];
        for (int i = 0; i < size; i++) {
            b[i] = (byte) (i % 251);
        }
        return b;
    }

    private static Map<String, Object> map(Object... pairs) {
        var m = new LinkedHashMap<String, Object>();
        for (int i = 0; i < pairs.length; i += 2) {
            m.put((String) pairs[i], pairs[i + 1]);
        }
        return m;
    }

    /** An object of JSON. */
    private static final class Command {
        final Map<String, Object> fields;

        @SuppressWarnings("unchecked")
        Command(Object fields) {
            this.fields = fields == null ? Map.of() : (Map<String, Object>) fields;
        }

        String text(String name) {
            return (String) fields.get(name);
        }

        int number(String name, int otherwise) {
            return fields.get(name) instanceof Number n ? n.intValue() : otherwise;
        }

        boolean begins(String name, String text) {
            return fields.get(name) instanceof String with && text.startsWith(with);
        }

        List<?> list(String name) {
            return fields.get(name) instanceof List<?> l ? l : List.of();
        }

        Map<String, Object> map(String name) {
            return new Command(fields.get(name)).fields;
        }

        List<Map<String, Object>> options() {
            var all = new ArrayList<Map<String, Object>>();
            for (Object one : list("options")) {
                all.add(new Command(one).fields);
            }
            return all;
        }

        Duration limit(Duration otherwise) {
            return fields.containsKey("limit") ? Duration.ofMillis(number("limit", 0)) : otherwise;
        }
    }

    /** JSON, as far as it is needed here. */
    private static final class Json {
        private final String text;
        private int at;

        private Json(String text) {
            this.text = text;
        }

        static Object parse(String text) {
            return new Json(text).value();
        }

        private char next() {
            while (Character.isWhitespace(text.charAt(at))) {
                at++;
            }
            return text.charAt(at);
        }

        private Object value() {
            switch (next()) {
                case '{' -> {
                    var m = new LinkedHashMap<String, Object>();
                    for (at++; next() != '}'; skip(',')) {
                        String name = string();
                        next();
                        at++;
                        m.put(name, value());
                    }
                    at++;
                    return m;
                }
                case '[' -> {
                    var l = new ArrayList<Object>();
                    for (at++; next() != ']'; skip(',')) {
                        l.add(value());
                    }
                    at++;
                    return l;
                }
                case '"' -> {
                    return string();
                }
                default -> {
                    int start = at;
                    while (at < text.length() && ",]} \t".indexOf(text.charAt(at)) < 0) {
                        at++;
                    }
                    String word = text.substring(start, at);
                    return switch (word) {
                        case "true" -> true;
                        case "false" -> false;
                        case "null" -> null;
                        default -> word.matches("-?[0-9]+") ? (Object) Long.valueOf(word) : (Object) Double.valueOf(word);
                    };
                }
            }
        }

        private void skip(char c) {
            if (next() == c) {
                at++;
            }
        }

        private String string() {
            next();
            var b = new StringBuilder();
            for (at++; text.charAt(at) != '"'; at++) {
                char c = text.charAt(at);
                if (c != '\\') {
                    b.append(c);
                    continue;
                }
                c = text.charAt(++at);
                switch (c) {
                    case 'n' -> b.append('\n');
                    case 't' -> b.append('\t');
                    case 'r' -> b.append('\r');
                    case 'b' -> b.append('\b');
                    case 'f' -> b.append('\f');
                    case 'u' -> {
                        b.append((char) Integer.parseInt(text.substring(at + 1, at + 5), 16));
                        at += 4;
                    }
                    default -> b.append(c);
                }
            }
            at++;
            return b.toString();
        }

        static void write(StringBuilder b, Object v) {
            if (v instanceof Map<?, ?> m) {
                String before = "{";
                for (var e : m.entrySet()) {
                    b.append(before);
                    write(b, e.getKey());
                    b.append(':');
                    write(b, e.getValue());
                    before = ",";
                }
                b.append(m.isEmpty() ? "{}" : "}");
            } else if (v instanceof List<?> l) {
                String before = "[";
                for (Object one : l) {
                    b.append(before);
                    write(b, one);
                    before = ",";
                }
                b.append(l.isEmpty() ? "[]" : "]");
            } else if (v instanceof String s) {
                b.append('"');
                for (char c : s.toCharArray()) {
                    if (c < ' ' || c == '"' || c == '\\' || Character.isSurrogate(c)) {
                        b.append(String.format("\\u%04x", (int) c));
                    } else {
                        b.append(c);
                    }
                }
                b.append('"');
            } else {
                b.append(v);
            }
        }
    }
}
