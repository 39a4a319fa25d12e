import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.services.kinesis.KinesisClient;
import software.amazon.awssdk.services.kinesis.model.PutRecordsRequestEntry;

/**
 * What a record costs by PutRecords of the AWS SDK, 500 at a time and 4 calls at once.
 *
 * <pre>
 * java -cp 'JARS/*' bindings/java/bench/Sdk.java 1000000 100  records, bytes
 * </pre>
 */
public class Sdk {
    public static void main(String[] args) throws Exception {
        int n = Integer.parseInt(args[0]);
        byte[] data = new byte[Integer.parseInt(args[1])];
        ExecutorService four = Executors.newFixedThreadPool(4);
        try (KinesisClient client = KinesisClient.create()) {
            send(client, four, n, data);
            long cpu = own();
            long began = System.nanoTime();
            send(client, four, n, data);
            long seconds = System.nanoTime() - began;
            System.out.printf("%d records of %d bytes: %.2f us a record, %.0f records/s%n", n, data.length, (own() - cpu) / 1e3 / n, n / (seconds / 1e9));
        }
        four.shutdown();
    }

    private static void send(KinesisClient client, ExecutorService four, int n, byte[] data) throws Exception {
        List<Future<?>> calls = new ArrayList<>();
        for (int i = 0; i < n; i += 500) {
            int from = i;
            calls.add(four.submit(() -> {
                List<PutRecordsRequestEntry> records = new ArrayList<>(500);
                for (int k = 0; k < 500; k++) {
                    String key = "key-" + (from + k) % 1000;
                    records.add(PutRecordsRequestEntry.builder().partitionKey(key).data(SdkBytes.fromByteArray(data)).build());
                }
                int failed = client.putRecords(r -> r.streamName("bench").records(records)).failedRecordCount();
                if (failed > 0) {
                    throw new IllegalStateException(failed + " records were refused");
                }
                return null;
            }));
        }
        for (Future<?> c : calls) {
            c.get();
        }
    }

    private static long own() {
        return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
    }
}
