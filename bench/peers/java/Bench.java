import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.ByteBuffer;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLongArray;

/** The work of a contender, and its side of the measurement: package contest in Java. */
public class Bench {
  final String stream, endpoint, tls, dynamodb, consumerArn, dir;
  final int shards, size, records, warm, last, keys;
  final boolean aggregated;

  private final AtomicLongArray seen;
  private final AtomicInteger distinct = new AtomicInteger(), twice = new AtomicInteger();
  private final CountDownLatch done = new CountDownLatch(1);
  private final byte[] filler;
  private boolean begun, ended;

  /** The work is the last argument. */
  Bench(String[] args) throws Exception {
    JsonNode w = new ObjectMapper().readTree(args[args.length - 1]);
    stream = w.get("stream").asText();
    endpoint = w.get("endpoint").asText();
    tls = w.get("tls").asText();
    dynamodb = w.get("dynamodb").asText();
    consumerArn = w.get("consumer_arn").asText();
    dir = w.get("dir").asText();
    shards = w.get("shards").asInt();
    size = w.get("size").asInt();
    records = w.get("records").asInt();
    warm = w.get("warm").asInt();
    last = w.get("last").asInt();
    keys = w.get("keys").asInt();
    aggregated = w.get("aggregated").asBoolean();
    seen = new AtomicLongArray((records + 63) / 64);
    filler = new byte[size];
    for (int n = 0; n < size; n++) filler[n] = (byte) (n * 31);
  }

  /** The place in allKeys of the key of record i. */
  int keyIndex(int i) {
    return (int) ((long) i * 7919 % keys);
  }

  String[] allKeys() {
    String[] all = new String[keys];
    for (int i = 0; i < keys; i++) all[i] = String.format("customer-%06d", i);
    return all;
  }

  ByteBuffer payload(int i) {
    byte[] b = filler.clone();
    ByteBuffer buffer = ByteBuffer.wrap(b);
    buffer.putLong(0, i);
    return buffer;
  }

  /** The process is warm. */
  synchronized void begin() {
    if (begun) return;
    begun = true;
    say("begin");
  }

  /** What is measured is done. */
  private synchronized void measured() {
    if (ended) return;
    ended = true;
    say("end");
  }

  private static void say(String line) {
    System.out.println(line);
    System.out.flush();
  }

  /** A consumer was given the payload of a record. */
  void handle(ByteBuffer payload) {
    long i = payload.getLong(payload.position());
    if (i < 0 || i >= records) throw new IllegalStateException("record " + i + " was never sent");
    long bit = 1L << (i % 64);
    if ((seen.getAndUpdate((int) (i / 64), bits -> bits | bit) & bit) != 0) {
      twice.incrementAndGet();
      return;
    }
    int n = distinct.incrementAndGet();
    if (n == warm) begin();
    if (n == records - last) measured();
    if (n == records) done.countDown();
  }

  /** Returns when every record was handled. */
  void awaitAll() throws InterruptedException {
    done.await();
  }

  /** The work is done. Waits until the runner has looked at what this process cost, and ends it. */
  void end() throws Exception {
    measured();
    say("done " + new ObjectMapper().writeValueAsString(
        Map.of("allocated", -1, "handled", distinct.get(), "twice", twice.get())));
    while (System.in.read() >= 0) {}
    Runtime.getRuntime().halt(0);
  }
}
