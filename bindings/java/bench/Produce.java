import io.libvegas.Producer;
import io.libvegas.testing.LocalKinesis;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

/**
 * What a record costs: processor time of this process and of the engine, after as many
 * records that warm both up. The server is a program of its own.
 *
 * <pre>
 * java -cp .cache/java/main bindings/java/bench/Produce.java serve        prints an environment, until Enter
 * java -cp .cache/java/main bindings/java/bench/Produce.java 1000000 100  records, bytes
 * </pre>
 */
public class Produce {
    public static void main(String[] args) throws Exception {
        if (args[0].equals("serve")) {
            try (var k = new LocalKinesis(Map.of("bench", 4), o -> o.noLimits(true))) {
                k.environment().forEach((name, value) -> System.out.println("export " + name + "='" + value + "'"));
                System.out.println();
                System.in.read();
            }
            return;
        }
        int n = Integer.parseInt(args[0]);
        byte[] data = new byte[Integer.parseInt(args[1])];
        try (var p = new Producer("bench")) {
            send(p, n, data);
            long engine = ProcessHandle.current().children().findFirst().orElseThrow().pid();
            long cpu = own();
            long child = of(engine);
            long began = System.nanoTime();
            send(p, n, data);
            long seconds = System.nanoTime() - began;
            cpu = own() - cpu;
            child = of(engine) - child;
            System.out.printf("%d records of %d bytes: %.2f us a record here, %.2f us in the engine, %.0f records/s%n", n, data.length, cpu / 1e3 / n, child / 1e3 / n,
                n / (seconds / 1e9));
        }
    }

    private static void send(Producer p, int n, byte[] data) {
        for (int i = 0; i < n; i++) {
            p.send("key-" + i % 1000, data);
        }
        p.flush();
    }

    /** Nanoseconds of this process. */
    private static long own() {
        return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
    }

    /** Nanoseconds of another process. */
    private static long of(long pid) throws Exception {
        String stat = Files.readString(Path.of("/proc/" + pid + "/stat"));
        String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ");
        return (Long.parseLong(fields[11]) + Long.parseLong(fields[12])) * 10_000_000L;
    }
}
