"""The PyPI package aws-kinesis-agg on both sides: JSON in, JSON out.

In: {"decode": [base64, ...], "encode": [[{key, hash_key, data}, ...], ...]}.
Out: for each to decode the records it holds, for each to encode the Kinesis
record it makes. "aggregated" tells that the reader took it for an aggregate.
"""

import base64
import json
import sys

from aws_kinesis_agg import aggregator, deaggregator

inp = json.load(sys.stdin)


def decode(data):
    outer = {"kinesis": {"kinesisSchemaVersion": "1.0", "sequenceNumber": "7", "approximateArrivalTimestamp": 0, "partitionKey": "a", "data": data}}
    return [
        {
            "key": r["kinesis"]["partitionKey"],
            "hash_key": r["kinesis"].get("explicitHashKey") or "",
            "data": base64.b64encode(base64.b64decode(r["kinesis"]["data"])).decode(),
            "aggregated": r["kinesis"].get("aggregated", False),
        }
        for r in deaggregator.deaggregate_records([outer])
    ]


def encode(records):
    a = aggregator.RecordAggregator()
    for r in records:
        full = a.add_user_record(r["key"], base64.b64decode(r["data"]), r.get("hash_key") or None)
        assert full is None, "does not fit"
    key, hash_key, data = a.clear_and_get().get_contents()
    if isinstance(key, bytes):
        key = key.decode()
    return {"key": key, "hash_key": hash_key or "", "data": base64.b64encode(data).decode()}


json.dump({"decoded": [decode(d) for d in inp["decode"]], "encoded": [encode(e) for e in inp["encode"]]}, sys.stdout)
