import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.google.common.util.concurrent.ListenableFuture;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider;
import software.amazon.kinesis.producer.KinesisProducer;
import software.amazon.kinesis.producer.KinesisProducerConfiguration;
import software.amazon.kinesis.producer.UserRecordResult;

/**
 * Sends records by the Kinesis Producer Library, whose aggregates are made by the native program in its jar:
 * JSON in, where each record was stored out. It speaks TLS only.
 */
public class Kpl {
  public static void main(String[] args) throws Exception {
    ObjectMapper json = new ObjectMapper();
    JsonNode in = json.readTree(System.in);
    KinesisProducer kpl =
        new KinesisProducer(
            new KinesisProducerConfiguration()
                .setRegion("us-east-1")
                .setCredentialsProvider(DefaultCredentialsProvider.create())
                .setKinesisEndpoint("127.0.0.1")
                .setKinesisPort(in.get("port").asLong())
                .setStsEndpoint("127.0.0.1")
                .setStsPort(in.get("port").asLong())
                .setVerifyCertificate(false)
                .setMetricsLevel("none")
                .setTempDirectory(in.get("directory").asText())
                .setRecordMaxBufferedTime(500));
    List<ListenableFuture<UserRecordResult>> results = new ArrayList<>();
    for (JsonNode r : in.get("records")) {
      results.add(
          kpl.addUserRecord(
              in.get("stream").asText(),
              r.get("key").asText(),
              r.hasNonNull("hash_key") ? r.get("hash_key").asText() : null,
              ByteBuffer.wrap(r.get("data").binaryValue())));
      // Until it knows the shards it does not aggregate, so they have to come with the first.
      if (results.size() == 1) results.get(0).get();
    }
    kpl.flushSync();
    List<Map<String, String>> out = new ArrayList<>();
    for (ListenableFuture<UserRecordResult> f : results) {
      UserRecordResult r = f.get();
      out.add(Map.of("shard", r.getShardId(), "sequence", r.getSequenceNumber()));
    }
    kpl.destroy();
    json.writeValue(System.out, Map.of("stored", out));
    System.exit(0);
  }
}
