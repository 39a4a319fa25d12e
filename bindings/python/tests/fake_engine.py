#!/usr/bin/env python3
"""An engine without a service: keeps records in memory, and does by a stream's
name what a test wants. One shard for each consumer.

  anything   stores each record at once, and delivers it to consumers
  quiet      reports at flush and close only
  fail       refuses each record: throttled
  die        dies at the first record
  garble     answers the first record by bytes that are no frame
"""

import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from vegas import _spec as spec  # noqa: E402
from vegas import _wire as wire  # noqa: E402

source, sink = open(0, "rb", 1 << 20, closefd=False), open(1, "wb", 0, closefd=False)
ROW = struct.Struct("<IIHBBBxHqq")


def write(kind, value):
    put(wire.frame(kind, value if isinstance(value, bytes) else wire.encode(value)))


def put(frame):
    while frame:
        frame = frame[sink.write(frame) :]


def call(method, **args):
    call.number += 1
    write(spec.KIND_CALL, {"call": call.number, "method": method, **args})
    return call.number


call.number = 0


class Producer:
    def __init__(self, number, stream, options):
        self.number, self.stream, self.options, self.held = number, stream, options, []

    def send(self, body):
        _, first, count = wire.SEND.unpack_from(body)
        if self.stream == "die":
            os._exit(3)
        if self.stream == "garble":
            put(b"\xff" * 9)
        if self.stream == "quiet":
            self.held.append((first, count))
            return
        self.report(first, count)
        if consumers or self.stream.startswith("kept"):
            records = list(rows(body, count))
            kept.setdefault(self.stream, []).extend(records)
            for c in consumers.values():
                c.feed()

    def report(self, first, count):
        text, status = b"shardId-000000000000\x0049", spec.STATUS_STORED
        if self.stream == "fail":
            status = spec.STATUS_NOT_STORED
            text = wire.encode({"code": "throttled", "text": "refused", "remedy": "send less"})
        n = range(first, first + count)
        pairs = [v for pair in zip(n, range(count)) for v in pair]
        group = struct.pack("<BxHI", status, len(text), count) + text + struct.pack(f"<{2 * count}q", *pairs)
        write(spec.KIND_REPORT, struct.pack("<II", self.number, 1) + group)

    def flush(self):
        for first, count in self.held:
            self.report(first, count)
        self.held = []


def rows(body, count):
    at = wire.SEND.size + count * 12
    for data, headers, key, hash_ in wire.SEND_ROW.iter_unpack(body[wire.SEND.size : at]):
        k, x, h = at + key, at + key + hash_, at + key + hash_ + headers
        yield body[at:k], body[k:x], body[x:h], body[h : h + data]
        at = h + data
    assert at == len(body)


class Consumer:
    def __init__(self, number, stream, options):
        self.number, self.stream, self.options = number, stream, options
        self.next = self.chunk = 0
        self.under_way = None
        self.attempts, self.ready, self.ending, self.skipped = {}, False, None, set()
        self.start = call("start_shard", consumer=number, shard=number, id="shardId-000000000000", stream=stream,
                          parents=[], possession=7, sequence="TRIM_HORIZON", sub=0, takeovers=0)

    def feed(self):
        records = kept.get(self.stream, [])
        if not self.ready or self.under_way is not None or self.ending is not None:
            return
        indexes = [i for i in range(self.next, min(len(records), self.next + 1000)) if i not in self.skipped]
        if not indexes:
            return
        limit = self.options.get("max_attempts", 0)
        dead = 0
        if limit and self.attempts.get(indexes[0], 0) >= limit:
            indexes, dead = indexes[:1], 1
        head, blob = [], []
        for i in indexes:
            key, hash_, headers, data = records[i]
            seq = b"%d" % (i + 1)
            attempt = self.attempts.get(i, 0) + 1
            head.append(ROW.pack(len(data), len(headers), len(key), len(hash_), len(seq), 1, attempt, 0, 1700000000000))
            blob.append(key + hash_ + seq + headers + data)
        self.under_way = indexes
        text = b"last words" if dead else b""
        write(spec.KIND_DELIVER, struct.pack("<IIIIBII", self.number, self.number, self.chunk, 5, dead, len(indexes),
                                             len(text)) + text + b"".join(head + blob))
        self.chunk += 1

    def settle(self, body):
        _, _, chunk, flags, ranges, failures = struct.unpack_from("<IIIBII", body)
        assert chunk == self.chunk - 1
        at = 21
        for _ in range(ranges):
            a, b = struct.unpack_from("<II", body, at)
            at += 8
            for i in range(a, b):
                assert self.under_way[i] not in self.skipped
                self.skipped.add(self.under_way[i])
        for _ in range(failures):
            index, n = struct.unpack_from("<II", body, at)
            texts.append(body[at + 8 : at + 8 + n].decode())
            at += 8 + n
            i = self.under_way[index]
            self.attempts[i] = self.attempts.get(i, 0) + 1
            if self.options.get("on_error") == "stop":
                error = {"code": "handler", "text": texts[-1]}
                write(spec.KIND_EVENT, {"event": "consumer_ended", "consumer": self.number, "error": error})
                self.ready = False
        if flags & 1:
            self.under_way = None
            while self.next in self.skipped:
                self.next += 1
            self.finish()
            self.feed()

    def stop(self, number):
        self.ending = number
        write(spec.KIND_STOP, struct.pack("<IIB", self.number, self.number, 1))
        self.finish()

    def finish(self):
        if self.ending is not None and self.under_way is None:
            self.end = call("end_shard", consumer=self.number, shard=self.number, why="shutdown")


kept, texts, closed, producers, consumers = {}, [], [], {}, {}


def answered(number):
    for n, c in list(consumers.items()):
        if number == c.start:
            c.ready = True
            c.feed()
        elif number == getattr(c, "end", None):
            del consumers[n]
            write(spec.KIND_ANSWER, {"call": c.ending})


def called(v):
    method, number = v["method"], v["call"]
    answer = {}
    if method == "open_producer":
        producers[v["producer"]] = Producer(v["producer"], v["stream"], v["options"])
        answer = {"window_bytes": v["options"].get("buffer_bytes", 64 << 20), "record_cost": 350}
    elif method == "open_consumer":
        if v["group"] == "bad":
            answer = {"error": {"code": "bad_option", "text": "a bad group", "remedy": "choose another"}}
        else:
            write(spec.KIND_ANSWER, {"call": number, "worker": "w"})
            consumers[v["consumer"]] = Consumer(v["consumer"], v["stream"], v["options"])
            return
    elif method == "close_consumer":
        closed.append(v["consumer"])
        consumers[v["consumer"]].stop(number)
        return
    elif method in ("flush", "close_producer"):
        producers[v["producer"]].flush()
        if method == "close_producer":
            closed.append(v["producer"])
        answer = {"left": 0}
    elif method == "stats":
        answer = {"stats": {"texts": list(texts), "closed": list(closed), "options": dict((producers.get(v.get("producer")) or consumers.get(v.get("consumer"))).options)}}
    elif method == "checkpoint":
        if v["sequence"] != "1":
            answer = {"error": {"code": "lease_lost", "text": "another worker's"}}
    write(spec.KIND_ANSWER, {"call": number, **answer})


def main():
    kind, body = wire.read_frame(source)
    assert kind == spec.KIND_HELLO, kind
    hello = wire.decode(body)
    write(spec.KIND_HELLO, {"protocol": 1, "version": "fake", "pid": os.getpid(), "capabilities": [], "extensions": []})
    write(99, b"of a kind that nobody knows")
    write(spec.KIND_EVENT, {"event": "log", "level": "info", "text": "hello", "attrs": {"from": hello["language"]}})
    while True:
        got = wire.read_frame(source)
        if got is None:
            return
        kind, body = got
        if kind == spec.KIND_SEND:
            producers[struct.unpack_from("<I", body)[0]].send(body)
        elif kind == spec.KIND_SETTLE:
            c = consumers.get(struct.unpack_from("<I", body)[0])
            if c is not None:
                c.settle(body)
        elif kind == spec.KIND_CALL:
            called(wire.decode(body))
        elif kind == spec.KIND_ANSWER:
            answered(wire.decode(body)["call"])


if __name__ == "__main__":
    main()
