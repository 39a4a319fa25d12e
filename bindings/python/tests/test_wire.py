"""Bytes of the protocol, with those of a hostile peer among them."""

import io
import math
import random
import struct
import unittest

from vegas import _spec as spec
from vegas import _wire as wire
from vegas.record import Done, Headers, Record


def chunk(rows, number=3, dead=0, text=b""):
    head, blob = b"", b""
    for key, hash_, sequence, headers, data in rows:
        head += struct.pack("<IIHBBBxHqq", len(data), len(headers), len(key), len(hash_), len(sequence), 1, 2, 4, 1500)
        blob += key + hash_ + sequence + headers + data
    return struct.pack("<IIIIBII", 1, 2, number, 5, dead, len(rows), len(text)) + text + head + blob


class Values(unittest.TestCase):
    def test_round_trip(self):
        for value in (
            None, False, True, 0, -(2**63), 2**63 - 1, 1.5, math.inf, "", "schön 🎉", b"", b"\0\xff",
            [], [1, [2, ["x"]]], {}, {"a": {"b": [None, True]}, "ä": b"x"},
        ):
            with self.subTest(value=value):
                got = wire.decode(wire.encode(value))
                self.assertEqual(got, value)
                self.assertIs(type(got), type(value))

    def test_depth(self):
        value = []
        for _ in range(spec.VALUE_DEPTH - 1):
            value = [value]
        self.assertEqual(wire.decode(wire.encode(value)), value)
        with self.assertRaises(ValueError):
            wire.encode([value])
        with self.assertRaises(spec.ProtocolError):
            wire.decode(b"\7\1\0\0\0" + wire.encode(value))

    def test_what_cannot_cross(self):
        with self.assertRaises(TypeError):
            wire.encode(object())

    def test_hostile(self):
        for body in (
            b"", b"\x09", b"\3\0", b"\5\xff\xff\xff\xff", b"\7\xff\xff\xff\x7f", b"\x08\xff\xff\xff\x7f",
            b"\5\1\0\0\0\xff", b"\0\0", b"\x08\2\0\0\0" + 2 * b"\1\0\0\0a\0", b"\6" + bytes(2 << 20),
        ):
            with self.subTest(body=body[:20]), self.assertRaises(spec.ProtocolError):
                wire.decode(body)

    def test_noise_is_an_error_or_a_value(self):
        draw = random.Random(1)
        good = wire.encode({"a": [1, 2.5, "x", b"y", {"z": None}], "b": True})
        for _ in range(3000):
            b = bytearray(good)
            for _ in range(draw.randrange(1, 4)):
                b[draw.randrange(len(b))] = draw.randrange(256)
            try:
                wire.decode(bytes(b[: draw.randrange(len(b) + 1)]))
            except spec.ProtocolError:
                pass


class Frames(unittest.TestCase):
    def test_round_trip_and_ends(self):
        stream = wire.frame(1, b"abc") + wire.frame(200, b"")
        for cut in range(len(stream)):
            source, got = io.BytesIO(stream[:cut]), []
            while True:
                f = wire.read_frame(source)
                if f is None:
                    break
                got.append(f)
            self.assertEqual(got, [(1, b"abc")] if cut >= 8 else [])

    def test_absurd_sizes(self):
        for size in (0, spec.FRAME_BYTES + 1, 2**32 - 1):
            with self.assertRaises(spec.ProtocolError):
                wire.read_frame(io.BytesIO(struct.pack("<IB", size, 1)))

    def test_headers(self):
        pairs = (("a", b"1"), ("a", b"2"), ("ü", b""))
        got = wire.decode_headers(wire.encode_headers(pairs))
        self.assertEqual(got, pairs)
        h = Headers(got)
        self.assertEqual((h["a"], h.get("b"), list(h), len(h), h.pairs), (b"1", None, ["a", "ü"], 2, pairs))
        self.assertEqual(wire.encode_headers(()), b"")
        for bad in (b"\1", b"\1\0\5\0\0\0\0\0a", b"\1\0\1\0\0\0\0\0\xff"):
            with self.assertRaises(spec.ProtocolError):
                wire.decode_headers(bad)


class Rows(unittest.TestCase):
    def test_chunk(self):
        body = chunk([(b"k1", b"12", b"49", b"", b"one"), ("ü".encode(), b"", b"", b"\0\0", b"")], text=b"why", dead=1)
        c = wire.Chunk(body)
        self.assertEqual((c.consumer, c.shard, c.number, c.behind, c.dead, c.text, c.count), (1, 2, 3, 5, True, "why", 2))
        a, b = c.records(Record, None)
        self.assertEqual((a.partition_key, a.partitionKey, a.explicit_hash_key, a.data), ("k1", "k1", "12", b"one"))
        self.assertEqual((b.partition_key, b.sequence, b.sub_sequence, b.attempt, b.data), ("ü", "49", 4, 2, b""))
        self.assertTrue(a.aggregated)
        self.assertEqual(a.arrival_time.isoformat(), "1970-01-01T00:00:01.500000+00:00")

    def test_garbled_chunks_and_reports(self):
        good = chunk([(b"key", b"", b"49", b"", b"data")] * 3)
        draw = random.Random(2)
        for _ in range(3000):
            b = bytearray(good)
            b[draw.randrange(12, 60)] = draw.randrange(256)
            try:
                c = wire.Chunk(bytes(b[: draw.randrange(len(b) + 1)]))
                c.records(Record, None)
            except spec.ProtocolError:
                pass
        for bad in (b"", b"\1\0\0\0\1\0\0\0", b"\1\0\0\0\0\0\0\0x", struct.pack("<IIBxHI", 1, 1, 0, 9, 2**31)):
            with self.assertRaises(spec.ProtocolError):
                wire.report_producer(bad)
                list(wire.report_groups(bad))

    def test_done_is_told_once(self):
        d = Done(6)
        for i in (0, 1, 4):
            d.mark(i)
        self.assertEqual(d.take(), [(0, 2), (4, 5)])
        d.mark(2)
        d.mark(5)
        self.assertEqual(d.take(), [(2, 3), (5, 6)])
        self.assertEqual(d.take(), [])

    def test_failures_are_cut(self):
        c = wire.Chunk(chunk([(b"k", b"", b"1", b"", b"")]))
        many = wire.settle(c, True, (), [(i, "ä" * 200_000) for i in range(3000)])
        self.assertLess(len(many), spec.FRAME_BYTES)
        body = wire.settle(c, True, (), ((0, "ä" * 200_000),))
        self.assertLess(len(body), 70_000)
        body[5 + 21 + 8 :].decode()


if __name__ == "__main__":
    unittest.main()
