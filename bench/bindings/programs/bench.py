"""What the contest of languages has Python do. See ../main.go."""

import base64
import itertools
import json
import sys
import threading
import time

role, stream, group, warm_stream, warm_group = sys.argv[1:6]
size, records, warm, keys, aggregated = map(int, sys.argv[6:11])


def say(line):
    print(line, flush=True)


def mark(word):
    """Says so, and goes on when it was read what this process has cost so far."""
    say(word)
    sys.stdin.readline()


def done(**what):
    say("done " + json.dumps(what))
    sys.stdin.read()  # until what it had in memory is read


# What is sent.

all_keys = [f"customer-{i:06d}" for i in range(keys)]
filler = bytes(n * 31 & 255 for n in range(8, size))


def key(i):
    return all_keys[i * 7919 % keys]


def payload(i):
    return i.to_bytes(8, "big") + filler


class Handled:
    """The handler's side: counts each record once."""

    def __init__(self, records):
        self.seen, self.records = bytearray(records), records
        self.number, self.all = itertools.count(1), threading.Event()
        self.handled = self.twice = 0
        self.first = self.last = 0.0

    def handle(self, data):
        i = int.from_bytes(data[:8], "big")
        if self.seen[i]:
            self.twice += 1
            return
        self.seen[i] = 1
        n = next(self.number)
        if n == 1:
            self.first = time.perf_counter()
        if n == self.records:
            self.last = time.perf_counter()
            self.all.set()

    def told(self):
        return {"handled": sum(self.seen), "twice": self.twice, "seconds": self.last - self.first}


def produce():
    import vegas

    p = vegas.Producer(stream, aggregate=bool(aggregated))

    def send(start, end):
        for i in range(start, end):
            p.send(key(i), payload(i))
        p.flush()

    send(0, warm)
    mark("begin")
    send(warm, records)
    mark("end")
    done()
    p.close()


def sdk():
    import boto3

    client = boto3.client("kinesis")

    def send(start, end):
        for first in range(start, end, 500):
            entries = [{"PartitionKey": key(i), "Data": payload(i)} for i in range(first, min(end, first + 500))]
            failed = client.put_records(StreamName=stream, Records=entries)["FailedRecordCount"]
            if failed:
                raise RuntimeError(f"{failed} records were refused")

    send(0, warm)
    mark("begin")
    send(warm, records)
    mark("end")
    done()


def consume():
    import vegas

    def read(stream, group, records):
        h = Handled(records)
        c = vegas.Consumer(stream, group, lambda r: h.handle(r.data), store="memory")
        h.all.wait()
        return c, h

    c, _ = read(warm_stream, warm_group, warm)
    c.close()
    mark("begin")
    c, h = read(stream, group, records)
    mark("end")
    done(**h.told())
    c.close()


def lines():
    h = None
    for line in sys.stdin:
        m = json.loads(line)
        action = m["action"]
        if action == "initialize":
            h = Handled(records)
        elif action == "processRecords":
            for r in m["records"]:
                h.handle(base64.b64decode(r["data"]))
        say(json.dumps({"action": "status", "responseFor": action}))
    say(json.dumps(h.told()))


def latency():
    import vegas

    p = vegas.Producer(stream, linger=0)
    micros = []
    for i in range(records):
        if i == warm:
            mark("begin")
        began = time.perf_counter()
        p.send(key(i), payload(i)).result()
        micros.append((time.perf_counter() - began) * 1e6)
    mark("end")
    done(micros=micros[warm:])
    p.close()


def idle():
    import vegas

    p = vegas.Producer(stream)
    h = Handled(1)
    c = vegas.Consumer(stream, "idle", lambda r: h.handle(r.data), store="memory")
    mark("begin")
    p.send(key(0), payload(0)).result()
    h.all.wait()
    mark("end")
    done(**h.told())
    c.close()
    p.close()


{"produce": produce, "sdk": sdk, "consume": consume, "lines": lines, "latency": latency, "idle": idle}[role]()
