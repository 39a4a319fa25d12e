package io.libvegas;

import static io.libvegas.Tests.contains;
import static io.libvegas.Tests.equal;
import static io.libvegas.Tests.thrown;

import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;

public final class OptionsTest {
    public void testWhatCrosses() {
        ConsumerOptions o = new ConsumerOptions().fanOut(true).grace(Duration.ofMillis(1500)).onError(ConsumerOptions.OnError.SKIP).window(1 << 20)
            .parallel(3).start(Start.at(Instant.ofEpochSecond(1, 2000))).deadLetter((r, e) -> {}).onStats(s -> {})
            .extensions(List.of(Map.of("dedupe", Map.of("key", "data")))).engine("/somewhere").executor(Runnable::run).store(null);
        equal(Map.of("fan_out", true, "grace", 1_500_000L, "on_error", "skip", "window", 1L << 20, "parallel", 3L, "start", 1_000_002L, "dead_letter", true,
            "stats_every", 10_000_000L, "extensions", List.of(Map.of("dedupe", Map.of("key", "data")))), o.options.crossing());
        equal("/somewhere", o.options.given("engine", String.class));
        equal(Map.of(), new ProducerOptions().options.crossing());
    }

    public void testByName() {
        ProducerOptions o = new ProducerOptions().set("bufferBytes", 1000).set("on_failure", "fail_key").set("durable", Path.of("/d")).set("linger", Duration.ZERO);
        equal(Map.of("buffer_bytes", 1000L, "on_failure", "fail_key", "durable", "/d", "linger", 0L), o.options.crossing());
        equal("/e", new ProducerOptions().set("engine", Path.of("/e")).options.given("engine", String.class));
        contains(thrown(VegasException.BadOption.class, () -> new Producer("s", p -> p.set("onStats", 5))).getMessage(), "onStats is 5: want a OnStats");
        contains(thrown(VegasException.BadOption.class, () -> o.set("lingerTime", 1)).getMessage(), "did you mean linger?");
        contains(thrown(VegasException.BadOption.class, () -> o.set("requireOrders", 1)).getMessage(), "did you mean requireOrder?");
        contains(thrown(VegasException.BadOption.class, () -> o.set("linger", 5)).getMessage(), "want a Duration");
        contains(thrown(VegasException.BadOption.class, () -> o.maxRequests(-1)).getMessage(), "maxRequests is -1");
        contains(thrown(VegasException.BadOption.class, () -> o.linger(Duration.ofSeconds(-1))).getMessage(), "0 or more");
        contains(thrown(VegasException.BadOption.class, () -> o.set("onFailure", "stop")).getMessage(), "fail_record, fail_key");
    }
}
