package io.libvegas;

import io.libvegas.internal.Engine;
import io.libvegas.internal.Session;
import io.libvegas.testing.LocalKinesis;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;

/** The server that tests have in common, and what one of them makes, which it closes. */
abstract class Local {
    static final String ENGINE = System.getenv("VEGAS_ENGINE");
    private static final AtomicInteger NEXT = new AtomicInteger();
    private static LocalKinesis server;

    final String stream = "stream-" + NEXT.getAndIncrement();
    private final ArrayDeque<AutoCloseable> open = new ArrayDeque<>();

    /** In an engine of its own, by another name, since engines are killed here. */
    static synchronized LocalKinesis server() {
        if (server == null) {
            Map<String, Integer> streams = new LinkedHashMap<>();
            for (int i = 0; i < 60; i++) {
                streams.put("stream-" + i, 2);
            }
            streams.put("stream-name", 1);
            String other = otherEngine();
            server = new LocalKinesis(streams, o -> o.noLimits(true).recordBytes(10 << 20).engine(other));
        }
        return server;
    }

    static String otherEngine() {
        try {
            return Files.createSymbolicLink(Files.createTempDirectory("vegas-engine").resolve("vegas-engine"), Path.of(ENGINE)).toString();
        } catch (IOException e) {
            throw new AssertionError("VEGAS_ENGINE names no engine", e);
        }
    }

    <C extends AutoCloseable> C closed(C c) {
        open.push(c);
        return c;
    }

    Producer producer() {
        return producer(o -> {});
    }

    Producer producer(java.util.function.Consumer<ProducerOptions> more) {
        return closed(new Producer(stream, o -> more.accept(o.endpoint(server().endpoint()))));
    }

    Consumer consumer(Handler handler) {
        return consumer(handler, o -> {});
    }

    Consumer consumer(Handler handler, java.util.function.Consumer<ConsumerOptions> more) {
        return closed(new Consumer(stream, "g", handler, o -> more.accept(fast(o))));
    }

    static ConsumerOptions fast(ConsumerOptions o) {
        return o.endpoint(server().endpoint()).store(server().environment().get("VEGAS_STORE")).pollIdle(Duration.ofMillis(50)).pollBusy(Duration.ofMillis(20))
            .checkpointEvery(Duration.ofMillis(100));
    }

    void send(String... data) {
        Producer p = producer();
        for (String d : data) {
            p.send("k", d);
        }
        p.flush();
    }

    /** The engine of this process's producers and consumers. */
    static ProcessHandle engine() {
        Session session = Engine.of(null).connect();
        return ProcessHandle.of(session.pid()).orElseThrow();
    }

    public void tearDown() throws Exception {
        while (!open.isEmpty()) {
            try {
                open.pop().close();
            } catch (VegasException e) {
                // Tests look at what they want to see.
            }
        }
    }
}
