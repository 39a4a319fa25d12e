import io.libvegas.Consumer;
import io.libvegas.Producer;
import io.libvegas.Record;

public class Sample {
    public static void main(String[] args) {
        var p = new Producer("stream-name");
        p.send("partition-key", "message");

        var c = new Consumer("stream-name", "efo-arn", Sample::processRecord); // group name or EFO consumer ARN; runs at once
        System.out.println("Consumer is running. Press ctrl+c to stop");
        c.run();
    }

    static void processRecord(Record r) {
        System.out.println(r.partitionKey() + ":" + r.text());
    }
}
