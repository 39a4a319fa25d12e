import com.google.common.util.concurrent.FutureCallback;
import com.google.common.util.concurrent.Futures;
import com.google.common.util.concurrent.MoreExecutors;
import java.net.URI;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicReference;
import software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider;
import software.amazon.kinesis.producer.KinesisProducer;
import software.amazon.kinesis.producer.KinesisProducerConfiguration;
import software.amazon.kinesis.producer.UserRecordResult;

/** Sends records by the Kinesis Producer Library: "default" or "tuned". It speaks TLS only. */
public class KplBench {
  /** How many records may be under way: its memory is bounded by its caller. */
  static final int MOST = 50_000;

  public static void main(String[] args) throws Exception {
    Bench bench = new Bench(args);
    int port = URI.create(bench.tls).getPort();
    KinesisProducerConfiguration config =
        new KinesisProducerConfiguration()
            .setRegion("us-east-1")
            .setCredentialsProvider(DefaultCredentialsProvider.create())
            .setKinesisEndpoint("127.0.0.1")
            .setKinesisPort(port)
            .setStsEndpoint("127.0.0.1")
            .setStsPort(port)
            .setVerifyCertificate(false)
            .setMetricsLevel("none")
            .setLogLevel("error")
            .setAggregationEnabled(bench.aggregated)
            // Without limits of its own: by default it keeps to 150 % of a shard's.
            .setRateLimit(Integer.MAX_VALUE)
            .setTempDirectory(bench.dir);
    if (args[0].equals("tuned")) {
      config
          .setRecordMaxBufferedTime(1000)
          .setMaxConnections(8)
          .setThreadingModel(KinesisProducerConfiguration.ThreadingModel.POOLED)
          .setThreadPoolSize(2);
    }
    KinesisProducer kpl = new KinesisProducer(config);
    String[] keys = bench.allKeys();
    Semaphore room = new Semaphore(MOST);
    AtomicReference<Throwable> failed = new AtomicReference<>();
    FutureCallback<UserRecordResult> callback =
        new FutureCallback<>() {
          @Override
          public void onSuccess(UserRecordResult r) {
            room.release();
          }

          @Override
          public void onFailure(Throwable t) {
            failed.compareAndSet(null, t);
            room.release();
          }
        };
    for (int i = 0; i < bench.records; i++) {
      // Until it knows the shards it does not aggregate.
      if (i == 1 || i == bench.warm) {
        kpl.flushSync();
        room.acquire(MOST);
        room.release(MOST);
        if (i == bench.warm) bench.begin();
      }
      room.acquire();
      Futures.addCallback(
          kpl.addUserRecord(bench.stream, keys[bench.keyIndex(i)], bench.payload(i)),
          callback,
          MoreExecutors.directExecutor());
      if (failed.get() != null) throw new IllegalStateException(failed.get());
    }
    kpl.flushSync();
    room.acquire(MOST);
    if (failed.get() != null) throw new IllegalStateException(failed.get());
    bench.end();
  }
}
