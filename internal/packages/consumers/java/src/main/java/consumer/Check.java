package consumer;

import io.libvegas.Consumer;
import io.libvegas.Producer;
import io.libvegas.Record;
import io.libvegas.testing.LocalKinesis;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/**
 * Sends and receives a record. Arguments: the folder that the package has to come from, and
 * the one that its engine has to run in.
 */
public final class Check {
    private Check() {}

    public static void main(String[] args) throws Exception {
        Path from = Path.of(Producer.class.getProtectionDomain().getCodeSource().getLocation().toURI());
        yes(from.startsWith(args[0]), "the package comes from " + from);
        yes("io.libvegas".equals(Producer.class.getModule().getName()), "the package is no module of that name");
        yes(System.getenv("VEGAS_ENGINE") == null, "VEGAS_ENGINE names an engine");
        yes(Producer.class.getResource("/META-INF/THIRD-PARTY-NOTICES.txt") != null, "the package has no licences of others");
        try (var kinesis = new LocalKinesis(Map.of("orders", 1))) {
            var arrived = new CompletableFuture<Record>();
            try (var p = new Producer("orders", o -> o.endpoint(kinesis.endpoint()));
                var c = new Consumer("orders", "group", arrived::complete, o -> o.endpoint(kinesis.endpoint()).store("memory"))) {
                p.send("key", "message").get(30, TimeUnit.SECONDS);
                yes(arrived.get(30, TimeUnit.SECONDS).text().equals("message"), "another message arrived");
            }
            var engines = ProcessHandle.current().children().map(h -> h.info().command().orElse("")).toList();
            yes(engines.size() == 1 && engines.get(0).startsWith(args[1]), "engines are " + engines + ", want one below " + args[1]);
        }
    }

    private static void yes(boolean is, String what) {
        if (!is) {
            throw new IllegalStateException(what);
        }
    }
}
