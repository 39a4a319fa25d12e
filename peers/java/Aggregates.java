import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.ByteBuffer;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import software.amazon.kinesis.retrieval.AggregatorUtil;
import software.amazon.kinesis.retrieval.KinesisClientRecord;

/**
 * The KCL's own de-aggregation: JSON in, JSON out. In: {"decode": [base64, ...], "ranges": [[first, last], ...]},
 * the hash range of the shard that each came from, or null for the whole.
 */
public class Aggregates {
  public static void main(String[] args) throws Exception {
    ObjectMapper json = new ObjectMapper();
    JsonNode in = json.readTree(System.in);
    List<Object> decoded = new ArrayList<>();
    for (int i = 0; i < in.get("decode").size(); i++) {
      KinesisClientRecord outer =
          KinesisClientRecord.builder()
              .partitionKey("a")
              .sequenceNumber("7")
              .approximateArrivalTimestamp(Instant.EPOCH)
              .data(ByteBuffer.wrap(in.get("decode").get(i).binaryValue()))
              .build();
      JsonNode range = in.path("ranges").path(i);
      List<KinesisClientRecord> subs =
          range.size() == 2
              ? new AggregatorUtil().deaggregate(Arrays.asList(outer), range.get(0).asText(), range.get(1).asText())
              : new AggregatorUtil().deaggregate(Arrays.asList(outer));
      List<Object> out = new ArrayList<>();
      for (KinesisClientRecord r : subs) {
        byte[] data = new byte[r.data().remaining()];
        r.data().get(data);
        Map<String, Object> sub = new LinkedHashMap<>();
        sub.put("key", r.partitionKey());
        sub.put("hash_key", r.explicitHashKey() == null ? "" : r.explicitHashKey());
        sub.put("data", Base64.getEncoder().encodeToString(data));
        sub.put("aggregated", r.aggregated());
        out.add(sub);
      }
      decoded.add(out);
    }
    json.writeValue(System.out, Map.of("decoded", decoded));
  }
}
