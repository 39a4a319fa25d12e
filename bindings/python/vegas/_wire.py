"""Bytes of the bridge protocol: frames, values and rows of records.

What they mean is said in PROTOCOL.md. Everything here is a function of bytes;
what is not as the protocol wants it is a ProtocolError.
"""

from __future__ import annotations

import struct
from typing import Any, BinaryIO, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

from . import _spec as spec

_FRAME = struct.Struct("<IB")
_U32 = struct.Struct("<I")
_I64 = struct.Struct("<q")
_F64 = struct.Struct("<d")
_HEADER = struct.Struct("<HI")

SEND = struct.Struct("<IQI")
SEND_ROW = struct.Struct("<IIHBx")
_REPORT = struct.Struct("<II")
_GROUP = struct.Struct("<BxHI")
_GROUP_ROW = struct.Struct("<Qq")
_DELIVER = struct.Struct("<IIIIBII")
_DELIVER_ROW = struct.Struct("<IIHBBBxHqq")
_SETTLE = struct.Struct("<IIIBII")
_PAIR = struct.Struct("<II")
STOP = struct.Struct("<IIB")

#: Flag of a settle frame: the last word on the chunk.
LAST_WORD = 1
#: Flag of a deliver frame: its one record is for the dead letters.
DEAD_LETTER = 1
#: Flag of a delivered row: it travelled in an aggregate.
AGGREGATED = 1

# Of a failure's text, and of all of a frame together.
_TEXT, _TEXTS = 32 << 10, 8 << 20


def frame(kind: int, body: bytes) -> bytes:
    return _FRAME.pack(len(body) + 1, kind) + body


def send_frame(producer: int, first: int, rows: Sequence[bytes], bodies: Sequence[bytes]) -> bytes:
    """The frame of a run of records, each of which has a row and bytes."""
    size = SEND.size + SEND_ROW.size * len(rows) + sum(map(len, bodies))
    head = _FRAME.pack(size + 1, spec.KIND_SEND) + SEND.pack(producer, first, len(rows))
    return b"".join((head, *rows, *bodies))


def read_frame(source: BinaryIO) -> Optional[Tuple[int, bytes]]:
    """The next frame, or None where the other side has ended."""
    head = source.read(5)
    if len(head) < 5:
        return None
    size, kind = _FRAME.unpack(head)
    if not 1 <= size <= spec.FRAME_BYTES:
        raise spec.ProtocolError(f"a frame of {size} bytes begins with {head!r}")
    body = source.read(size - 1)
    if len(body) < size - 1:
        return None
    return kind, body


def encode(value: Any) -> bytes:
    """A value as it describes itself."""
    parts: List[bytes] = []
    _encode(value, parts.append, 1)
    return b"".join(parts)


def _encode(value: Any, put: Any, depth: int) -> None:
    if depth > spec.VALUE_DEPTH:
        raise ValueError(f"values nest deeper than {spec.VALUE_DEPTH}")
    if value is None:
        put(b"\0")
    elif value is False:
        put(b"\1")
    elif value is True:
        put(b"\2")
    elif isinstance(value, int):
        put(b"\3" + _I64.pack(value))
    elif isinstance(value, float):
        put(b"\4" + _F64.pack(value))
    elif isinstance(value, str):
        text = value.encode()
        put(b"\5" + _U32.pack(len(text)) + text)
    elif isinstance(value, (bytes, bytearray, memoryview)):
        put(b"\6" + _U32.pack(len(value)) + bytes(value))
    elif isinstance(value, (list, tuple)):
        put(b"\7" + _U32.pack(len(value)))
        for v in value:
            _encode(v, put, depth + 1)
    elif isinstance(value, dict):
        put(b"\x08" + _U32.pack(len(value)))
        for k, v in value.items():
            text = k.encode()
            put(_U32.pack(len(text)) + text)
            _encode(v, put, depth + 1)
    else:
        raise TypeError(f"{type(value).__name__} cannot cross to the engine")


def decode(body: bytes) -> Any:
    """The value that a body is."""
    if len(body) > spec.VALUE_BYTES:
        raise spec.ProtocolError(f"a value has {len(body)} bytes, {spec.VALUE_BYTES} is the most")
    try:
        value, at = _decode(body, 0, 1)
    except (struct.error, IndexError, UnicodeDecodeError) as e:
        raise spec.ProtocolError(f"a value cannot be read: {e}") from None
    if at != len(body):
        raise spec.ProtocolError(f"{len(body) - at} bytes lie behind a value")
    return value


def _decode(b: bytes, at: int, depth: int) -> Tuple[Any, int]:
    if depth > spec.VALUE_DEPTH:
        raise spec.ProtocolError(f"values nest deeper than {spec.VALUE_DEPTH}")
    tag = b[at]
    at += 1
    if tag == 0:
        return None, at
    if tag <= 2:
        return tag == 2, at
    if tag == 3:
        return _I64.unpack_from(b, at)[0], at + 8
    if tag == 4:
        return _F64.unpack_from(b, at)[0], at + 8
    if tag > 8:
        raise spec.ProtocolError(f"no value has the tag {tag}")
    n = _U32.unpack_from(b, at)[0]
    at += 4
    if n > len(b) - at:
        raise spec.ProtocolError(f"a value of {n} is announced, {len(b) - at} bytes are left")
    if tag == 5:
        return b[at : at + n].decode(), at + n
    if tag == 6:
        return b[at : at + n], at + n
    if tag == 7:
        items = []
        for _ in range(n):
            v, at = _decode(b, at, depth + 1)
            items.append(v)
        return items, at
    entries: Dict[str, Any] = {}
    for _ in range(n):
        size = _U32.unpack_from(b, at)[0]
        at += 4
        if size > len(b) - at:
            raise spec.ProtocolError(f"a key of {size} bytes is announced, {len(b) - at} are left")
        key = b[at : at + size].decode()
        v, at = _decode(b, at + size, depth + 1)
        if key in entries:
            raise spec.ProtocolError(f"the key {key!r} is there twice")
        entries[key] = v
    return entries, at


def error(value: Any) -> spec.VegasError:
    """The exception that an error on the wire stands for."""
    if not isinstance(value, dict):
        return spec.FailedError(f"an error that is none: {value!r:.100}")
    made = spec.ERRORS.get(str(value.get("code")), spec.FailedError)
    return made(str(value.get("text", "")), value.get("remedy") or None, value.get("unknown") is True)


def encode_headers(pairs: Iterable[Tuple[str, bytes]]) -> bytes:
    parts = [b""]
    for key, value in pairs:
        if not isinstance(key, str) or not isinstance(value, (bytes, bytearray, memoryview)):
            raise TypeError(f"headers are str to bytes, not {type(key).__name__} to {type(value).__name__}")
        k = key.encode()
        parts.append(_HEADER.pack(len(k), len(value)) + k + bytes(value))
    if len(parts) == 1:
        return b""
    parts[0] = struct.pack("<H", len(parts) - 1)
    return b"".join(parts)


def decode_headers(b: bytes) -> Tuple[Tuple[str, bytes], ...]:
    if not b:
        return ()
    try:
        (count,) = struct.unpack_from("<H", b)
        at, pairs = 2, []
        for _ in range(count):
            key, value = _HEADER.unpack_from(b, at)
            at += 6
            if key + value > len(b) - at:
                raise spec.ProtocolError("headers are cut off")
            pairs.append((b[at : at + key].decode(), b[at + key : at + key + value]))
            at += key + value
        return tuple(pairs)
    except (struct.error, UnicodeDecodeError) as e:
        raise spec.ProtocolError(f"headers cannot be read: {e}") from None


def report_producer(body: bytes) -> int:
    if len(body) < _REPORT.size:
        raise spec.ProtocolError("a report is cut off")
    return int(_U32.unpack_from(body)[0])


def report_groups(body: bytes) -> Iterator[Tuple[int, bytes, Iterator[Tuple[int, int]]]]:
    """Status, text, and rows of number and sub-sequence, of each group. Rows are
    copied: an iterator over a memoryview that an error's traceback keeps crashes the
    garbage collector of CPython 3.11."""
    count, at = _U32.unpack_from(body, 4)[0], _REPORT.size
    for _ in range(count):
        if len(body) - at < _GROUP.size:
            raise spec.ProtocolError("a report is cut off")
        status, text, rows = _GROUP.unpack_from(body, at)
        at += _GROUP.size
        end = at + text + rows * _GROUP_ROW.size
        if end > len(body):
            raise spec.ProtocolError("a report is cut off")
        yield status, body[at : at + text], _GROUP_ROW.iter_unpack(body[at + text : end])
        at = end
    if at != len(body):
        raise spec.ProtocolError("bytes lie behind a report")


class Chunk:
    """A run of records of one shard, as it was delivered."""

    __slots__ = ("consumer", "shard", "number", "behind", "dead", "text", "count", "_body", "_rows", "_bytes")

    def __init__(self, body: bytes) -> None:
        if len(body) < _DELIVER.size:
            raise spec.ProtocolError("a chunk is cut off")
        self.consumer, self.shard, self.number, self.behind, flags, self.count, text = _DELIVER.unpack_from(body)
        self._rows = _DELIVER.size + text
        self._bytes = self._rows + self.count * _DELIVER_ROW.size
        if self._bytes > len(body):
            raise spec.ProtocolError("a chunk is cut off")
        self.dead = bool(flags & DEAD_LETTER)
        self.text = body[_DELIVER.size : self._rows].decode(errors="replace")
        self._body = body

    def records(self, make: Any, of: Any) -> List[Any]:
        """make(of, key, data, hash, sequence, sub, arrival, attempt, flags,
        headers) of each record, where key, hash and sequence are text."""
        body, at, sequence, made = self._body, self._bytes, "", []
        rows = body[self._rows : self._bytes]
        try:
            for data, headers, key, hash_, seq, flags, attempt, sub, arrival in _DELIVER_ROW.iter_unpack(rows):
                k = at + key
                name = body[at:k].decode()
                at = k
                if hash_:
                    at += hash_
                    explicit = body[k:at].decode()
                else:
                    explicit = ""
                if seq:
                    sequence = body[at : at + seq].decode()
                    at += seq
                d = at + headers
                end = d + data
                made.append(
                    make(of, name, body[d:end], explicit, sequence, sub, arrival, attempt, flags, body[at:d])
                )
                at = end
        except UnicodeDecodeError as e:
            raise spec.ProtocolError(f"a chunk cannot be read: {e}") from None
        if at != len(body):
            raise spec.ProtocolError("the rows of a chunk do not speak of its bytes")
        return made


def settle(
    chunk: Chunk,
    last: bool,
    ranges: Sequence[Tuple[int, int]],
    failures: Sequence[Tuple[int, str]] = (),
) -> bytes:
    parts = [
        _SETTLE.pack(
            chunk.consumer, chunk.shard, chunk.number, LAST_WORD if last else 0, len(ranges), len(failures)
        )
    ]
    parts += [_PAIR.pack(a, b) for a, b in ranges]
    most = min(_TEXT, _TEXTS // max(1, len(failures)))
    for index, text in failures:
        t = text.encode(errors="replace")
        if len(t) > most:
            t = t[: most // 2] + b"\n...\n" + t[-most // 2 :]
            t = t.decode(errors="ignore").encode()
        parts += (_PAIR.pack(index, len(t)), t)
    return frame(spec.KIND_SETTLE, b"".join(parts))
