"""What is received: records, and the shards that they come from."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Mapping, Optional, Tuple

from . import _engine, _spec as spec, _wire as wire

if TYPE_CHECKING:
    from .consumer import Receiving


class Headers(Mapping[str, bytes]):
    """Headers of a record: `pairs` in their order, and the first of each name as a
    mapping."""

    __slots__ = ("pairs",)

    def __init__(self, pairs: Tuple[Tuple[str, bytes], ...]) -> None:
        self.pairs = pairs

    def __getitem__(self, name: str) -> bytes:
        for k, v in self.pairs:
            if k == name:
                return v
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(k for k, _ in self.pairs))

    def __len__(self) -> int:
        return len({k for k, _ in self.pairs})

    def __repr__(self) -> str:
        return f"Headers({self.pairs!r})"


class Record:
    """A record of the stream."""

    __slots__ = (
        "_shard",
        "partition_key",
        "data",
        "explicit_hash_key",
        "sequence",
        "sub_sequence",
        "_arrival",
        "attempt",
        "_flags",
        "_headers",
    )

    def __init__(
        self,
        shard: "Shard",
        partition_key: str,
        data: bytes,
        explicit_hash_key: str,
        sequence: str,
        sub_sequence: int,
        arrival: int,
        attempt: int,
        flags: int,
        headers: bytes,
    ) -> None:
        self._shard = shard
        self.partition_key = partition_key
        self.data = data
        #: Decimal digits, or "".
        self.explicit_hash_key = explicit_hash_key
        #: Sequence number of the Kinesis record that it travelled in.
        self.sequence = sequence
        #: Its index in an aggregate, or 0.
        self.sub_sequence = sub_sequence
        self._arrival = arrival
        #: How often it is handled by now, 1 at first.
        self.attempt = attempt
        self._flags = flags
        self._headers = headers

    @property
    def partitionKey(self) -> str:
        return self.partition_key

    @property
    def headers(self) -> Headers:
        return Headers(wire.decode_headers(self._headers))

    @property
    def arrival_time(self) -> datetime:
        """When the stream had it."""
        return datetime.fromtimestamp(self._arrival / 1000, timezone.utc)

    @property
    def aggregated(self) -> bool:
        """Whether it travelled in an aggregate."""
        return bool(self._flags & wire.AGGREGATED)

    @property
    def stream(self) -> str:
        return self._shard.consumer.stream

    @property
    def shard(self) -> str:
        return self._shard.id

    @property
    def possession(self) -> int:
        """Fencing token: it grows with each owner of the shard."""
        return self._shard.possession

    @property
    def consumer(self) -> Any:
        """The consumer that received it."""
        return self._shard.consumer

    @property
    def stopping(self) -> Optional[str]:
        """Why the handler should return soon: "shutdown" or "handoff", then what
        it finishes is still counted; "lease_lost", "grace_over" or "engine_gone",
        then the record comes again, here or elsewhere. None otherwise."""
        return self._shard.stopping

    def __repr__(self) -> str:
        return (
            f"Record(shard={self.shard!r}, sequence={self.sequence!r}, sub_sequence={self.sub_sequence}, "
            f"{len(self.data)} bytes, attempt={self.attempt})"
        )


class Shard:
    """A shard, from the moment that this worker has it until it has not."""

    def __init__(self, consumer: "Receiving", session: _engine.Session, args: Dict[str, Any]) -> None:
        self.consumer = consumer
        self._session = session
        self.number = args["shard"]
        #: As the stream names it.
        self.id: str = args["id"]
        self.parents: List[str] = list(args.get("parents") or ())
        #: Fencing token: it grows with each owner.
        self.possession: int = args.get("possession", 0)
        #: Position behind which reading begins.
        self.sequence: str = args.get("sequence", "")
        self.sub_sequence: int = args.get("sub", 0)
        #: How many owners died at that position.
        self.takeovers: int = args.get("takeovers", 0)
        #: Why nothing further is begun, or None.
        self.stopping: Optional[str] = None

    def records(self, chunk: wire.Chunk) -> Optional[List[Record]]:
        """Those of a chunk. None where it cannot be read: that ends the session."""
        try:
            return chunk.records(Record, self)
        except spec.ProtocolError as e:
            self._session.refuse(e)
            return None

    def answer_start(self, call: int, position: Any) -> None:
        results: Dict[str, Any] = {}
        if position is not None:
            if isinstance(position, str):
                position = (position, 0)
            results["sequence"], results["sub"] = position
        self._session.answer_call(call, results)

    def answer(self, call: int, error: Optional[str] = None) -> None:
        self._session.answer_call(call, {"error": {"code": "handler", "text": error}} if error else {})

    def settle(self, chunk: wire.Chunk, last: bool, ranges: Any, failures: Any = ()) -> None:
        self._session.put(wire.settle(chunk, last, ranges, failures))

    def __repr__(self) -> str:
        return f"Shard({self.id!r})"


class Done:
    """Which records of a chunk are done with, and which the engine knows of."""

    def __init__(self, count: int) -> None:
        self._marks = bytearray(count)

    def mark(self, index: int) -> None:
        self._marks[index] = 1

    def take(self) -> List[Tuple[int, int]]:
        """Ranges of those that it does not know of yet."""
        ranges, marks, start = [], self._marks, self._marks.find(1)
        while start >= 0:
            end = start
            while end < len(marks) and marks[end] == 1:
                marks[end] = 2
                end += 1
            ranges.append((start, end))
            start = marks.find(1, end)
        return ranges
