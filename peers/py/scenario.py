"""The scenario of scenario_test.go, played by boto3: JSON in, JSON out."""

import base64
import hashlib
import json
import sys
import threading
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

inp = json.load(sys.stdin)
stream = inp["stream"]
client = boto3.client(
    "kinesis",
    endpoint_url=inp["endpoint"],
    region_name="us-east-1",
    aws_access_key_id="AKIDPEER",
    aws_secret_access_key="peer",
    config=Config(read_timeout=30, retries={"mode": "standard"}),
)


def until(what, check, seconds=30):
    end = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.1)


def active():
    def check():
        s = client.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]
        return s if s["StreamStatus"] == "ACTIVE" else None

    return until("stream active", check)


def shard(s):
    return {
        "id": s["ShardId"],
        "first": s["HashKeyRange"]["StartingHashKey"],
        "last": s["HashKeyRange"]["EndingHashKey"],
        "parents": s.get("ParentShards") or [p for p in (s.get("ParentShardId"), s.get("AdjacentParentShardId")) if p],
    }


def shards():
    return [shard(s) for s in client.list_shards(StreamName=stream)["Shards"]]


def record(r):
    return {
        "sequence": r["SequenceNumber"],
        "key": r["PartitionKey"],
        "bytes": len(r["Data"]),
        "md5": hashlib.md5(r["Data"]).hexdigest(),
        "arrival_ms": int(r["ApproximateArrivalTimestamp"].timestamp() * 1000),
    }


last = {}  # key -> sequence number


def put(r):
    args = {"StreamName": stream, "PartitionKey": r["key"], "Data": base64.b64decode(r["data"])}
    if r.get("hash_key"):
        args["ExplicitHashKey"] = r["hash_key"]
    if r["key"] in last:
        args["SequenceNumberForOrdering"] = last[r["key"]]
    a = client.put_record(**args)
    last[r["key"]] = a["SequenceNumber"]
    return {"shard": a["ShardId"], "sequence": a["SequenceNumber"]}


def poll(shard_id, **iterator):
    """All records of a shard up to its tip or end."""
    it = client.get_shard_iterator(StreamName=stream, ShardId=shard_id, **iterator)["ShardIterator"]
    got, children = [], []
    while it:
        a = client.get_records(ShardIterator=it, Limit=1000)
        got += [record(r) for r in a["Records"]]
        children = [shard(s) for s in a.get("ChildShards", [])]
        it = a.get("NextShardIterator")
        if not a["Records"] and a["MillisBehindLatest"] == 0 and it:
            return {"records": got, "ended": False, "children": children}
        if it:
            time.sleep(0.21)  # five reads a second and shard
    return {"records": got, "ended": True, "children": children}


class Subscription(threading.Thread):
    """Reads a shard by fan-out until it ends, or until so many records came."""

    def __init__(self, consumer, shard_id, position, count=None):
        super().__init__(daemon=True)
        self.args = (consumer, shard_id, position, count)
        self.first = threading.Event()
        self.out = {"records": [], "ended": False, "children": []}
        self.error = None
        self.start()

    def run(self):
        consumer, shard_id, position, count = self.args
        try:
            events = client.subscribe_to_shard(ConsumerARN=consumer, ShardId=shard_id, StartingPosition=position)["EventStream"]
            for event in events:
                e = event["SubscribeToShardEvent"]
                self.out["records"] += [record(r) for r in e["Records"]]
                self.out["children"] += [shard(s) for s in e.get("ChildShards", [])]
                if self.out["records"]:
                    self.first.set()
                if count and len(self.out["records"]) >= count:
                    events.close()
                    return
            self.out["ended"] = True
        except Exception as e:  # reported by whoever waits
            self.error = e
        finally:
            self.first.set()

    def wait(self, event=True):
        if event:
            if not self.first.wait(30):
                raise TimeoutError("no record by fan-out of " + self.args[1])
        else:
            self.join(30)
            if self.is_alive():
                raise TimeoutError("the fan-out of " + self.args[1] + " does not end")
        if self.error:
            raise self.error
        return self.out


def code(call):
    try:
        call()
        return ""
    except ClientError as e:
        return e.response["Error"]["Code"]


out = {}
client.create_stream(StreamName=stream, ShardCount=2)
s = active()
out["arn"] = s["StreamARN"]
out["open_shards"] = s["OpenShardCount"]
out["retention_hours"] = s["RetentionPeriodHours"]
out["shards"] = shards()
out["described"] = [shard(s) for s in client.describe_stream(StreamName=stream)["StreamDescription"]["Shards"]]
client.add_tags_to_stream(StreamName=stream, Tags=inp["tags"])
out["tags"] = {t["Key"]: t.get("Value", "") for t in client.list_tags_for_stream(StreamName=stream)["Tags"]}
client.increase_stream_retention_period(StreamName=stream, RetentionPeriodHours=48)
out["retention_raised_hours"] = active()["RetentionPeriodHours"]
out["listed"] = stream in client.list_streams()["StreamNames"]

consumer = client.register_stream_consumer(StreamARN=out["arn"], ConsumerName="reader")["Consumer"]["ConsumerARN"]
until(
    "consumer active",
    lambda: client.describe_stream_consumer(ConsumerARN=consumer)["ConsumerDescription"]["ConsumerStatus"] == "ACTIVE",
)
out["consumer"] = consumer
out["consumers"] = [c["ConsumerName"] for c in client.list_stream_consumers(StreamARN=out["arn"])["Consumers"]]

a = client.put_records(
    StreamName=stream,
    Records=[
        {"PartitionKey": r["key"], "Data": base64.b64decode(r["data"]), **({"ExplicitHashKey": r["hash_key"]} if r.get("hash_key") else {})}
        for r in inp["batch"]
    ],
)
out["failed"] = a["FailedRecordCount"]
out["batch"] = [{"shard": r.get("ShardId", ""), "sequence": r.get("SequenceNumber", "")} for r in a["Records"]]
out["puts"] = [put(r) for r in inp["puts"]]

left, right = out["shards"][0]["id"], out["shards"][1]["id"]
out["polled"] = {i: poll(i, ShardIteratorType="TRIM_HORIZON") for i in (left, right)}
second = out["polled"][left]["records"][1]
out["at"] = poll(left, ShardIteratorType="AT_SEQUENCE_NUMBER", StartingSequenceNumber=second["sequence"])
out["after"] = poll(left, ShardIteratorType="AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=second["sequence"])
out["at_time"] = poll(left, ShardIteratorType="AT_TIMESTAMP", Timestamp=second["arrival_ms"] / 1000)
out["latest"] = poll(left, ShardIteratorType="LATEST")

horizon = {"Type": "TRIM_HORIZON"}
sub = Subscription(consumer, left, horizon)
sub.wait()
client.split_shard(StreamName=stream, ShardToSplit=left, NewStartingHashKey=inp["split_at"])
out["fanned"] = {left: sub.wait(event=False)}
active()
out["shards_split"] = shards()
out["after_split"] = [put(r) for r in inp["after_split"]]
a, b = [s["id"] for s in out["shards_split"] if left in s["parents"]]
subs = {i: Subscription(consumer, i, horizon) for i in (a, b)}
for sub in subs.values():
    sub.wait()
client.merge_shards(StreamName=stream, ShardToMerge=a, AdjacentShardToMerge=b)
for i, sub in subs.items():
    out["fanned"][i] = sub.wait(event=False)
active()
out["shards_merged"] = shards()
out["after_merge"] = [put(r) for r in inp["after_merge"]]
merged = next(s["id"] for s in out["shards_merged"] if sorted(s["parents"]) == sorted([a, b]))
position = {"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": out["after_merge"][0]["sequence"]}
out["fanned"][merged] = Subscription(consumer, merged, position, len(inp["after_merge"])).wait(event=False)
out["closed"] = poll(left, ShardIteratorType="TRIM_HORIZON")

missing = stream + "-missing"
out["errors"] = {
    "describe missing stream": code(lambda: client.describe_stream_summary(StreamName=missing)),
    "put to missing stream": code(lambda: client.put_record(StreamName=missing, PartitionKey="k", Data=b"x")),
    "create it again": code(lambda: client.create_stream(StreamName=stream, ShardCount=1)),
    "made-up iterator": code(lambda: client.get_records(ShardIterator="made-up")),
    "key too long": code(lambda: client.put_record(StreamName=stream, PartitionKey="k" * 257, Data=b"x")),
    "split at the edge": code(lambda: client.split_shard(StreamName=stream, ShardToSplit=right, NewStartingHashKey=out["shards"][1]["first"])),
    "subscribe unknown consumer": code(
        lambda: client.subscribe_to_shard(ConsumerARN=consumer.replace("reader", "nobody"), ShardId=right, StartingPosition=horizon)
    ),
}
client.deregister_stream_consumer(ConsumerARN=consumer)
client.delete_stream(StreamName=stream, EnforceConsumerDeletion=True)
out["gone"] = until("stream gone", lambda: code(lambda: client.describe_stream_summary(StreamName=stream)))
json.dump(out, sys.stdout)
