import java.net.URI;
import software.amazon.awssdk.http.Protocol;
import software.amazon.awssdk.http.nio.netty.NettyNioAsyncHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.cloudwatch.CloudWatchAsyncClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.model.Shard;
import software.amazon.kinesis.common.ConfigsBuilder;
import software.amazon.kinesis.common.HashKeyRangeForLease;
import software.amazon.kinesis.common.InitialPositionInStream;
import software.amazon.kinesis.common.InitialPositionInStreamExtended;
import software.amazon.kinesis.coordinator.Scheduler;
import software.amazon.kinesis.exceptions.InvalidStateException;
import software.amazon.kinesis.exceptions.ShutdownException;
import software.amazon.kinesis.leases.Lease;
import software.amazon.kinesis.leases.LeaseRefresher;
import software.amazon.kinesis.lifecycle.events.InitializationInput;
import software.amazon.kinesis.lifecycle.events.LeaseLostInput;
import software.amazon.kinesis.lifecycle.events.ProcessRecordsInput;
import software.amazon.kinesis.lifecycle.events.ShardEndedInput;
import software.amazon.kinesis.lifecycle.events.ShutdownRequestedInput;
import software.amazon.kinesis.metrics.NullMetricsFactory;
import software.amazon.kinesis.processor.ShardRecordProcessor;
import software.amazon.kinesis.processor.SingleStreamTracker;
import software.amazon.kinesis.retrieval.KinesisClientRecord;
import software.amazon.kinesis.retrieval.RetrievalSpecificConfig;
import software.amazon.kinesis.retrieval.fanout.FanOutConfig;
import software.amazon.kinesis.retrieval.kpl.ExtendedSequenceNumber;
import software.amazon.kinesis.retrieval.polling.PollingConfig;

/** Receives records by the Kinesis Client Library: "polling" or "fan-out". */
public class KclBench {
  public static void main(String[] args) throws Exception {
    Bench bench = new Bench(args);
    boolean fanOut = args[0].equals("fan-out");
    KinesisAsyncClient kinesis =
        KinesisAsyncClient.builder()
            .endpointOverride(URI.create(bench.endpoint))
            .region(Region.US_EAST_1)
            .httpClientBuilder(
                NettyNioAsyncHttpClient.builder()
                    .maxConcurrency(Integer.MAX_VALUE)
                    .protocol(fanOut ? Protocol.HTTP2 : Protocol.HTTP1_1))
            .build();
    DynamoDbAsyncClient tables =
        DynamoDbAsyncClient.builder()
            .endpointOverride(URI.create(bench.dynamodb))
            .region(Region.US_EAST_1)
            .build();
    CloudWatchAsyncClient nobody =
        CloudWatchAsyncClient.builder()
            .endpointOverride(URI.create(bench.endpoint))
            .region(Region.US_EAST_1)
            .build();
    var oldest =
        InitialPositionInStreamExtended.newInitialPosition(InitialPositionInStream.TRIM_HORIZON);
    String group = "contest-" + ProcessHandle.current().pid() + "-" + System.nanoTime();
    ConfigsBuilder configs =
        new ConfigsBuilder(
            new SingleStreamTracker(bench.stream, oldest),
            group,
            kinesis,
            tables,
            nobody,
            "worker",
            () -> new Processor(bench));
    RetrievalSpecificConfig retrieval =
        fanOut
            ? new FanOutConfig(kinesis).streamName(bench.stream).consumerArn(bench.consumerArn)
            : new PollingConfig(bench.stream, kinesis)
                .maxRecords(10_000)
                .maxPendingProcessRecordsInput(1)
                .idleTimeBetweenReadsInMillis(0);
    var leases = configs.leaseManagementConfig().leaseAssignmentIntervalMillis(1000L);
    leases.workerUtilizationAwareAssignmentConfig().disableWorkerMetrics(true);
    Scheduler scheduler =
        new Scheduler(
            configs.checkpointConfig(),
            configs.coordinatorConfig().parentShardPollIntervalMillis(100),
            leases,
            configs.lifecycleConfig(),
            configs.metricsConfig().metricsFactory(new NullMetricsFactory()),
            configs.processorConfig(),
            configs.retrievalConfig().retrievalSpecificConfig(retrieval));
    makeLeases(scheduler.leaseRefresher(), kinesis, bench.stream);
    Thread worker = new Thread(scheduler);
    worker.setUncaughtExceptionHandler(
        (thread, failure) -> {
          failure.printStackTrace();
          Runtime.getRuntime().halt(1);
        });
    worker.start();
    bench.awaitAll();
    bench.end();
  }

  /** Makes what a group has that was there before: to make them itself takes it one to two minutes. */
  static void makeLeases(LeaseRefresher table, KinesisAsyncClient kinesis, String stream)
      throws Exception {
    table.createLeaseTableIfNotExists();
    table.waitUntilLeaseTableExists(1, 60);
    table.createLeaseOwnerToLeaseKeyIndexIfNotExists();
    table.waitUntilLeaseOwnerToLeaseKeyIndexExists(1, 60);
    for (Shard s : kinesis.listShards(r -> r.streamName(stream)).get().shards()) {
      Lease lease = new Lease();
      lease.leaseKey(s.shardId());
      lease.checkpoint(ExtendedSequenceNumber.TRIM_HORIZON);
      lease.ownerSwitchesSinceCheckpoint(0L);
      lease.hashKeyRange(HashKeyRangeForLease.fromHashKeyRange(s.hashKeyRange()));
      table.createLeaseIfNotExists(lease);
    }
  }

  /** Checkpoints every five seconds, as often as vegas. */
  static class Processor implements ShardRecordProcessor {
    static final long EVERY = 5_000_000_000L;

    final Bench bench;
    private long last = System.nanoTime();

    Processor(Bench bench) {
      this.bench = bench;
    }

    @Override
    public void initialize(InitializationInput in) {}

    @Override
    public void processRecords(ProcessRecordsInput in) {
      for (KinesisClientRecord r : in.records()) bench.handle(r.data());
      long now = System.nanoTime();
      if (in.records().isEmpty() || now - last < EVERY) return;
      last = now;
      try {
        in.checkpointer().checkpoint();
      } catch (InvalidStateException | ShutdownException e) {
        throw new IllegalStateException(e);
      }
    }

    @Override
    public void leaseLost(LeaseLostInput in) {}

    @Override
    public void shardEnded(ShardEndedInput in) {}

    @Override
    public void shutdownRequested(ShutdownRequestedInput in) {}
  }
}
