import vegas
p = vegas.Producer("stream-name")
p.send("partition-key", b"message")

def process_record(r):
    print(str(r.partitionKey) + ":" + r.data.decode("utf-8"))

c = vegas.Consumer("stream-name", "efo-arn", process_record)   # group name or EFO consumer ARN; runs at once
input("Consumer is running. Press ctrl+c to stop\n")
