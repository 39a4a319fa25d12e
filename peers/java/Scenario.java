import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.net.URI;
import java.security.MessageDigest;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import org.reactivestreams.Subscriber;
import org.reactivestreams.Subscription;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.core.interceptor.Context;
import software.amazon.awssdk.core.interceptor.ExecutionAttributes;
import software.amazon.awssdk.core.interceptor.ExecutionInterceptor;
import software.amazon.awssdk.http.Protocol;
import software.amazon.awssdk.http.nio.netty.NettyNioAsyncHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.model.*;

/**
 * The scenario of scenario_test.go, played by the AWS SDK for Java 2.x: JSON in, JSON out. CBOR is the
 * SDK's own choice for Kinesis; the system property aws.cborEnabled=false turns it off.
 */
public class Scenario {
  static KinesisAsyncClient client;
  static String stream;
  static final Set<String> contentTypes = Collections.synchronizedSet(new TreeSet<>());
  static final Map<String, String> last = new HashMap<>(); // key -> sequence number

  public static void main(String[] args) throws Exception {
    ObjectMapper json = new ObjectMapper();
    JsonNode in = json.readTree(System.in);
    stream = in.get("stream").asText();
    client =
        KinesisAsyncClient.builder()
            .endpointOverride(URI.create(in.get("endpoint").asText()))
            .region(Region.US_EAST_1)
            .httpClientBuilder(
                NettyNioAsyncHttpClient.builder()
                    .protocol(in.get("http2").asBoolean() ? Protocol.HTTP2 : Protocol.HTTP1_1))
            .overrideConfiguration(c -> c.addExecutionInterceptor(new Types()))
            .build();
    Map<String, Object> out = play(in);
    out.put("content_types", contentTypes);
    client.close();
    json.writeValue(System.out, out);
    System.exit(0);
  }

  static class Types implements ExecutionInterceptor {
    @Override
    public void beforeTransmission(Context.BeforeTransmission c, ExecutionAttributes a) {
      c.httpRequest().firstMatchingHeader("Content-Type").ifPresent(contentTypes::add);
    }
  }

  static Map<String, Object> play(JsonNode in) throws Exception {
    Map<String, Object> out = new LinkedHashMap<>();
    client.createStream(r -> r.streamName(stream).shardCount(2)).join();
    StreamDescriptionSummary s = active();
    String arn = s.streamARN();
    out.put("arn", arn);
    out.put("open_shards", s.openShardCount());
    out.put("retention_hours", s.retentionPeriodHours());
    List<Shard> shards = shards();
    out.put("shards", map(shards));
    out.put("described", map(client.describeStream(r -> r.streamName(stream)).join().streamDescription().shards()));
    Map<String, String> tags = new HashMap<>();
    in.get("tags").fields().forEachRemaining(e -> tags.put(e.getKey(), e.getValue().asText()));
    client.addTagsToStream(r -> r.streamName(stream).tags(tags)).join();
    Map<String, String> back = new HashMap<>();
    for (Tag t : client.listTagsForStream(r -> r.streamName(stream)).join().tags()) {
      back.put(t.key(), t.value() == null ? "" : t.value());
    }
    out.put("tags", back);
    client.increaseStreamRetentionPeriod(r -> r.streamName(stream).retentionPeriodHours(48)).join();
    out.put("retention_raised_hours", active().retentionPeriodHours());
    out.put("listed", client.listStreams().join().streamNames().contains(stream));

    String consumer =
        client.registerStreamConsumer(r -> r.streamARN(arn).consumerName("reader")).join().consumer().consumerARN();
    until(
        "consumer active",
        () ->
            client.describeStreamConsumer(r -> r.consumerARN(consumer)).join().consumerDescription().consumerStatus()
                    == ConsumerStatus.ACTIVE
                ? true
                : null);
    out.put("consumer", consumer);
    out.put(
        "consumers",
        client.listStreamConsumers(r -> r.streamARN(arn)).join().consumers().stream()
            .map(Consumer::consumerName)
            .collect(Collectors.toList()));

    List<PutRecordsRequestEntry> entries = new ArrayList<>();
    for (JsonNode r : in.get("batch")) {
      entries.add(
          PutRecordsRequestEntry.builder()
              .partitionKey(r.get("key").asText())
              .explicitHashKey(r.hasNonNull("hash_key") ? r.get("hash_key").asText() : null)
              .data(SdkBytes.fromByteArray(r.get("data").binaryValue()))
              .build());
    }
    PutRecordsResponse a = client.putRecords(r -> r.streamName(stream).records(entries)).join();
    out.put("failed", a.failedRecordCount());
    out.put(
        "batch",
        a.records().stream()
            .map(r -> Map.of("shard", string(r.shardId()), "sequence", string(r.sequenceNumber())))
            .collect(Collectors.toList()));
    out.put("puts", putAll(in.get("puts")));

    String left = shards.get(0).shardId();
    Shard right = shards.get(1);
    Reading polled = poll(left, r -> r.shardIteratorType(ShardIteratorType.TRIM_HORIZON));
    out.put(
        "polled",
        Map.of(left, polled, right.shardId(), poll(right.shardId(), r -> r.shardIteratorType(ShardIteratorType.TRIM_HORIZON))));
    Received second = polled.records.get(1);
    out.put(
        "at",
        poll(left, r -> r.shardIteratorType(ShardIteratorType.AT_SEQUENCE_NUMBER).startingSequenceNumber(second.sequence)));
    out.put(
        "after",
        poll(left, r -> r.shardIteratorType(ShardIteratorType.AFTER_SEQUENCE_NUMBER).startingSequenceNumber(second.sequence)));
    out.put(
        "at_time",
        poll(left, r -> r.shardIteratorType(ShardIteratorType.AT_TIMESTAMP).timestamp(Instant.ofEpochMilli(second.arrival_ms))));
    out.put("latest", poll(left, r -> r.shardIteratorType(ShardIteratorType.LATEST)));

    StartingPosition horizon = StartingPosition.builder().type(ShardIteratorType.TRIM_HORIZON).build();
    Map<String, Reading> fanned = new HashMap<>();
    out.put("fanned", fanned);
    Fan sub = new Fan(consumer, left, horizon, 0);
    sub.first.get(30, TimeUnit.SECONDS);
    client
        .splitShard(r -> r.streamName(stream).shardToSplit(left).newStartingHashKey(in.get("split_at").asText()))
        .join();
    fanned.put(left, sub.all.get(30, TimeUnit.SECONDS));
    active();
    List<Shard> split = shards();
    out.put("shards_split", map(split));
    out.put("after_split", putAll(in.get("after_split")));
    List<String> halves =
        split.stream().filter(x -> left.equals(x.parentShardId())).map(Shard::shardId).collect(Collectors.toList());
    List<Fan> subs = halves.stream().map(id -> new Fan(consumer, id, horizon, 0)).collect(Collectors.toList());
    for (Fan f : subs) f.first.get(30, TimeUnit.SECONDS);
    client
        .mergeShards(r -> r.streamName(stream).shardToMerge(halves.get(0)).adjacentShardToMerge(halves.get(1)))
        .join();
    for (Fan f : subs) fanned.put(f.shard, f.all.get(30, TimeUnit.SECONDS));
    active();
    List<Shard> merged = shards();
    out.put("shards_merged", map(merged));
    List<Map<String, String>> after = putAll(in.get("after_merge"));
    out.put("after_merge", after);
    String last = merged.get(merged.size() - 1).shardId();
    StartingPosition from =
        StartingPosition.builder()
            .type(ShardIteratorType.AT_SEQUENCE_NUMBER)
            .sequenceNumber(after.get(0).get("sequence"))
            .build();
    fanned.put(last, new Fan(consumer, last, from, after.size()).all.get(30, TimeUnit.SECONDS));
    out.put("closed", poll(left, r -> r.shardIteratorType(ShardIteratorType.TRIM_HORIZON)));

    String missing = stream + "-missing";
    SdkBytes x = SdkBytes.fromUtf8String("x");
    Map<String, String> errors = new HashMap<>();
    out.put("errors", errors);
    errors.put("describe missing stream", code(() -> client.describeStreamSummary(r -> r.streamName(missing))));
    errors.put("put to missing stream", code(() -> client.putRecord(r -> r.streamName(missing).partitionKey("k").data(x))));
    errors.put("create it again", code(() -> client.createStream(r -> r.streamName(stream).shardCount(1))));
    errors.put("made-up iterator", code(() -> client.getRecords(r -> r.shardIterator("made-up"))));
    errors.put("key too long", code(() -> client.putRecord(r -> r.streamName(stream).partitionKey("k".repeat(257)).data(x))));
    errors.put(
        "split at the edge",
        code(
            () ->
                client.splitShard(
                    r ->
                        r.streamName(stream)
                            .shardToSplit(right.shardId())
                            .newStartingHashKey(right.hashKeyRange().startingHashKey()))));
    errors.put(
        "subscribe unknown consumer",
        code(() -> new Fan(consumer.replace("reader", "nobody"), right.shardId(), horizon, 0).all));

    client.deregisterStreamConsumer(r -> r.consumerARN(consumer)).join();
    client.deleteStream(r -> r.streamName(stream).enforceConsumerDeletion(true)).join();
    out.put(
        "gone",
        until(
            "stream gone",
            () -> {
              String c = code(() -> client.describeStreamSummary(r -> r.streamName(stream)));
              return c.isEmpty() ? null : c;
            }));
    return out;
  }

  static <T> T until(String what, Supplier<T> check) throws InterruptedException {
    long end = System.nanoTime() + Duration.ofSeconds(30).toNanos();
    while (true) {
      T value = check.get();
      if (value != null) return value;
      if (System.nanoTime() > end) throw new IllegalStateException("timed out: " + what);
      Thread.sleep(100);
    }
  }

  static StreamDescriptionSummary active() throws InterruptedException {
    return until(
        "stream active",
        () -> {
          StreamDescriptionSummary s =
              client.describeStreamSummary(r -> r.streamName(stream)).join().streamDescriptionSummary();
          return s.streamStatus() == StreamStatus.ACTIVE ? s : null;
        });
  }

  static List<Shard> shards() {
    return client.listShards(r -> r.streamName(stream)).join().shards();
  }

  static Map<String, Object> map(String id, HashKeyRange range, List<String> parents) {
    return Map.of("id", id, "first", range.startingHashKey(), "last", range.endingHashKey(), "parents", parents);
  }

  static List<Map<String, Object>> map(List<Shard> shards) {
    return shards.stream()
        .map(
            s ->
                map(
                    s.shardId(),
                    s.hashKeyRange(),
                    Arrays.asList(s.parentShardId(), s.adjacentParentShardId()).stream()
                        .filter(p -> p != null)
                        .collect(Collectors.toList())))
        .collect(Collectors.toList());
  }

  static String string(String s) {
    return s == null ? "" : s;
  }

  static List<Map<String, String>> putAll(JsonNode records) throws Exception {
    List<Map<String, String>> out = new ArrayList<>();
    for (JsonNode r : records) {
      String key = r.get("key").asText();
      SdkBytes data = SdkBytes.fromByteArray(r.get("data").binaryValue());
      PutRecordResponse a =
          client
              .putRecord(
                  p ->
                      p.streamName(stream)
                          .partitionKey(key)
                          .explicitHashKey(r.hasNonNull("hash_key") ? r.get("hash_key").asText() : null)
                          .sequenceNumberForOrdering(last.get(key))
                          .data(data))
              .join();
      last.put(key, a.sequenceNumber());
      out.add(Map.of("shard", a.shardId(), "sequence", a.sequenceNumber()));
    }
    return out;
  }

  public static class Received {
    public String sequence, key, md5;
    public int bytes;
    public long arrival_ms;

    static Received of(software.amazon.awssdk.services.kinesis.model.Record r) {
      try {
        Received to = new Received();
        byte[] data = r.data().asByteArray();
        to.sequence = r.sequenceNumber();
        to.key = r.partitionKey();
        to.bytes = data.length;
        to.md5 = HexFormat.of().formatHex(MessageDigest.getInstance("MD5").digest(data));
        to.arrival_ms = r.approximateArrivalTimestamp().toEpochMilli();
        return to;
      } catch (java.security.NoSuchAlgorithmException e) {
        throw new IllegalStateException(e);
      }
    }
  }

  public static class Reading {
    public List<Received> records = new ArrayList<>();
    public boolean ended;
    public List<Map<String, Object>> children = new ArrayList<>();

    void add(List<software.amazon.awssdk.services.kinesis.model.Record> more, List<ChildShard> children) {
      for (var r : more) records.add(Received.of(r));
      for (ChildShard c : children) this.children.add(map(c.shardId(), c.hashKeyRange(), c.parentShards()));
    }
  }

  /** All records of a shard up to its tip or end. */
  static Reading poll(String shard, java.util.function.Consumer<GetShardIteratorRequest.Builder> from) throws Exception {
    String it = client.getShardIterator(r -> from.accept(r.streamName(stream).shardId(shard))).join().shardIterator();
    Reading out = new Reading();
    while (true) {
      String iterator = it;
      GetRecordsResponse a = client.getRecords(r -> r.shardIterator(iterator).limit(1000)).join();
      out.add(a.records(), a.childShards());
      it = a.nextShardIterator();
      if (it == null) {
        out.ended = true;
        return out;
      }
      if (a.records().isEmpty() && a.millisBehindLatest() == 0) return out;
      Thread.sleep(210); // five reads a second and shard
    }
  }

  /** Reads a shard by fan-out until it ends, or until so many records came. */
  static class Fan implements Subscriber<SubscribeToShardEventStream> {
    final String shard;
    final int count;
    final CompletableFuture<Void> first = new CompletableFuture<>();
    final CompletableFuture<Reading> all = new CompletableFuture<>();
    final Reading out = new Reading();
    Subscription subscription;

    Fan(String consumer, String shard, StartingPosition position, int count) {
      this.shard = shard;
      this.count = count;
      all.whenComplete((r, e) -> first.complete(null));
      SubscribeToShardRequest request =
          SubscribeToShardRequest.builder().consumerARN(consumer).shardId(shard).startingPosition(position).build();
      client
          .subscribeToShard(
              request,
              SubscribeToShardResponseHandler.builder()
                  .onEventStream(p -> p.subscribe(this))
                  .onError(all::completeExceptionally)
                  .build())
          .whenComplete(
              (r, e) -> {
                if (e != null) all.completeExceptionally(e);
                out.ended = count == 0;
                all.complete(out);
              });
    }

    @Override
    public void onSubscribe(Subscription s) {
      subscription = s;
      s.request(Long.MAX_VALUE);
    }

    @Override
    public void onNext(SubscribeToShardEventStream event) {
      if (!(event instanceof SubscribeToShardEvent)) return;
      SubscribeToShardEvent e = (SubscribeToShardEvent) event;
      out.add(e.records(), e.hasChildShards() ? e.childShards() : List.of());
      if (!out.records.isEmpty()) first.complete(null);
      if (count > 0 && out.records.size() >= count) {
        all.complete(out);
        subscription.cancel();
      }
    }

    @Override
    public void onError(Throwable t) {
      all.completeExceptionally(t);
    }

    @Override
    public void onComplete() {}
  }

  static String code(Supplier<CompletableFuture<?>> call) {
    try {
      call.get().join();
      return "";
    } catch (CompletionException e) {
      Throwable t = e;
      while (t != null && !(t instanceof AwsServiceException)) t = t.getCause();
      return t == null ? e.toString() : ((AwsServiceException) t).awsErrorDetails().errorCode();
    }
  }
}
