package io.libvegas.testing;

import io.libvegas.VegasException;
import io.libvegas.internal.Engine;
import io.libvegas.internal.Limit;
import io.libvegas.internal.Session;
import io.libvegas.internal.Spec;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/**
 * A Kinesis of its own for tests: in memory, in the engine, on a free port of this machine.
 *
 * <pre>{@code
 * try (var k = new LocalKinesis(Map.of("orders", 4));
 *     var p = new Producer("orders", o -> o.endpoint(k.endpoint()))) {
 *     p.send("key", "data").join();
 * }
 * }</pre>
 *
 * <p>Producers and consumers need its endpoint alone: credentials, region and a store come
 * with it.
 */
public final class LocalKinesis implements AutoCloseable {
    /** How the server is to be. */
    public static final class Options {
        private final Map<String, Object> arguments = new LinkedHashMap<>();
        private String engine;

        private Options() {}

        /** Do not throttle as AWS does. */
        public Options noLimits(boolean noLimits) {
            arguments.put("no_limits", noLimits);
            return this;
        }

        /** MaxRecordSize of the streams, 1 to 10 MiB. */
        public Options recordBytes(long recordBytes) {
            arguments.put("record_bytes", recordBytes);
            return this;
        }

        /** How long streams take to be created, split or merged. */
        public Options stateDelay(Duration stateDelay) {
            arguments.put("state_delay", TimeUnit.NANOSECONDS.toMicros(stateDelay.toNanos()));
            return this;
        }

        /** 0 takes a free one. */
        public Options port(int port) {
            arguments.put("port", port);
            return this;
        }

        /** Path of the engine's binary. */
        public Options engine(String engine) {
            this.engine = engine;
            return this;
        }
    }

    private final int number = Engine.number();
    private final Session session;
    private final String endpoint;
    private final Map<String, String> environment = new LinkedHashMap<>();

    /** Starts one with streams of so many shards. */
    public LocalKinesis(Map<String, Integer> streams) {
        this(streams, o -> {});
    }

    public LocalKinesis(Map<String, Integer> streams, Consumer<Options> configure) {
        Options o = new Options();
        configure.accept(o);
        Map<String, Object> call = new LinkedHashMap<>(o.arguments);
        call.put("local", number);
        call.put("streams", streams);
        session = Engine.of(o.engine).connect();
        Map<String, Object> answer = Limit.await(session.request(Spec.METHOD_START_LOCAL, call));
        endpoint = String.valueOf(answer.get("endpoint"));
        if (answer.get("environment") instanceof Map<?, ?> all) {
            all.forEach((k, v) -> environment.put(String.valueOf(k), String.valueOf(v)));
        }
    }

    /** Where it is. */
    public String endpoint() {
        return endpoint;
    }

    /** What other programs need in their environment to use it and its store. */
    public Map<String, String> environment() {
        return Map.copyOf(environment);
    }

    /** Ends it. What it had is gone. */
    @Override
    public void close() {
        try {
            Limit.await(session.request(Spec.METHOD_STOP_LOCAL, Map.of("local", number)));
        } catch (VegasException.EngineGone e) {
            // And it with the engine.
        }
    }

    @Override
    public String toString() {
        return "LocalKinesis(" + endpoint + ")";
    }
}
