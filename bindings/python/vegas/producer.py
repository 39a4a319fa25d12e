"""Sending records to a stream."""

from __future__ import annotations

import concurrent.futures
import threading
import time
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Tuple, Union

from . import _engine, _future, _spec as spec, _wire as wire
from ._future import Future
from ._options import Options, micros

if TYPE_CHECKING:
    from typing_extensions import Unpack

Headers = Union[Mapping[str, bytes], Iterable[Tuple[str, bytes]]]
Bytes = Union[bytes, bytearray, memoryview]

# A frame has room for a record of this size, or for several of up to that.
_FRAME_ROOM = spec.FRAME_BYTES - 64
_BATCH_BYTES = 4 << 20

_FINISHED = _future.FINISHED
_pack_row = wire.SEND_ROW.pack
_ROW_BYTES = wire.SEND_ROW.size


class Receipt(NamedTuple):
    """Where a record is."""

    #: The shard that has it; "" while only the durable buffer has.
    shard: str
    #: Sequence number of the Kinesis record that it travelled in.
    sequence: str
    #: Its index in an aggregate, or 0.
    sub_sequence: int
    #: It is safe in the durable buffer, from where it will be sent.
    durable: bool


#: Shard, sequence number, and whether the durable buffer has it.
Place = Tuple[str, str, bool]


class _Sent(Future[Receipt]):
    """A record's. Its receipt is made when somebody asks."""

    _at: Optional[Place] = None
    _sub = 0

    def result(self, timeout: Optional[float] = None) -> Receipt:
        if self._state != _FINISHED or self._at is None:
            return super().result(timeout)
        shard, sequence, durable = self._at
        return Receipt(shard, sequence, self._sub, durable)


class Sending:
    """What producers for threads and for asyncio have in common: records that
    gather, that are open, and the window that both have to fit into.

    An *entry* is what a record's result is given to; it has its `_cost`."""

    def __init__(self, of: str, stream: str, given: Mapping[str, Any]) -> None:
        self._closing: Optional[Future[Dict[str, Any]]] = None
        if not isinstance(stream, str):
            raise TypeError(f"{of}: stream is {type(stream).__name__}, want str")
        self.stream = stream
        self._of = f"{of}({stream!r})"
        self._options = Options(of, spec.PRODUCER_OPTIONS, given)
        self._engine_path = self._options.host.get("engine")
        self._on_stats = self._options.host.get("on_stats")
        self._quiet = _future.Quiet(_engine.log, time.monotonic)
        self._failures = _future.Failures(self._warn)
        self._closed = self._ended = False
        self._fresh()
        self.number = _engine.number(self)

    def _fresh(self) -> None:
        """No engine yet, and nothing sent."""
        self._lock = threading.Lock()
        self._room_made = threading.Condition(self._lock)
        self._fork_lock = threading.Lock()
        self._engine: Optional[_engine.Engine] = None
        self._session: Optional[_engine.Session] = None
        # Why send has to look closer before it accepts.
        self._halted: Any = self._closed
        self._error: Optional[spec.VegasError] = None
        self._is_open: Future[None] = Future()
        # Row, bytes and entry of each record, one after the other: lists of tuples
        # would be work for the garbage collector.
        self._gathered: List[Any] = []
        self._put = False
        self._open: Dict[int, Any] = {}
        self._next = 0
        self._held = 0
        self._window = int(self._options.value("buffer_bytes"))
        self._record_cost = 0
        self._waiting = 0

    def _connect(self) -> None:
        self._engine = _engine.get(self._engine_path)
        self._engine.connect()
        self._engine.attach(self)
        self._is_open.result()

    # What subclasses do with results.

    def _finish(self, rows: Iterable[Tuple[int, int]], at: "Place") -> None:
        """Takes records, by number and sub-sequence, out of what is open and held,
        and gives them their receipts. Called with the lock held."""
        raise NotImplementedError

    def _fail(self, entries: List[Any], error: spec.VegasError) -> None:
        raise NotImplementedError

    def _abandon(self, entries: List[Any], error: spec.VegasError) -> None:
        """In the child of a fork: like _fail, but telling nobody."""

    def _made_room(self) -> None:
        """Called with the lock held when records have ended."""
        if self._waiting:
            self._room_made.notify_all()

    # Accepting.

    def _row(self, key: str, data: Any, headers: Optional[Headers], hash_key: Optional[str]) -> Tuple[bytes, bytes]:
        """Row and bytes of a record that is not just a key and bytes, or not right."""
        if not isinstance(key, str):
            raise TypeError(f"the partition key is {type(key).__name__}, want str")
        if not 1 <= len(key) <= spec.KEY_CHARACTERS:
            raise ValueError(f"the partition key has {len(key)} characters, want 1 to {spec.KEY_CHARACTERS}")
        try:
            k = key.encode()
        except UnicodeEncodeError:
            raise ValueError(
                "the partition key is no Unicode text (it has lone surrogates): decode it with the right encoding"
            ) from None
        if not isinstance(data, bytes):
            if not isinstance(data, (bytearray, memoryview)):
                raise TypeError(
                    f"data is {type(data).__name__}, want bytes" + (": encode() it" if isinstance(data, str) else "")
                )
            data = bytes(data)
        h = b""
        if headers:
            h = wire.encode_headers(headers.items() if isinstance(headers, Mapping) else headers)
        x = b""
        if hash_key:
            if not isinstance(hash_key, str):
                raise TypeError(f"explicit_hash_key is {type(hash_key).__name__}, want str of decimal digits")
            x = hash_key.encode()
            if len(x) > 39:
                raise ValueError(f"explicit_hash_key has {len(x)} digits, want 39 at most")
        if len(k) + len(x) + len(h) + len(data) > _FRAME_ROOM:
            raise spec.TooLargeError(
                f"a record of {len(data)} bytes exceeds what any stream takes", "records reach 10 MiB, headers included"
            )
        return _pack_row(len(data), len(h), len(k), len(x)), b"".join((k, x, h, data))

    def _add(self, row: bytes, body: bytes, entry: Any) -> None:
        """Takes a record in; the lock is held and there is room."""
        if not self._put:
            self._tell()
        self._held += entry._cost
        self._gathered += (row, body, entry)

    def _tell(self) -> None:
        """Lets the session's writer come for what gathers, with the lock held."""
        if self._session is not None:
            self._session.put(self)
            self._put = True

    def _no_room(self, cost: int) -> bool:
        return self._held + cost > self._window and self._held > 0

    # What the engine calls.

    def open_call(self) -> Tuple[str, Dict[str, Any]]:
        return spec.METHOD_OPEN_PRODUCER, {
            "producer": self.number,
            "stream": self.stream,
            "options": self._options.wire,
        }

    def opened(self, session: _engine.Session, answer: Dict[str, Any]) -> None:
        with self._lock:
            if self._ended:  # closed while it was being opened
                session.call(spec.METHOD_CLOSE_PRODUCER, {"producer": self.number, "timeout": 0}, lambda *_: None)
                return
            self._session = session
            self._next = 0
            self._window = answer["window_bytes"]
            self._record_cost = answer["record_cost"]
            self._put = bool(self._gathered)
            if self._put:
                session.put(self)
            self._room_made.notify_all()
            self._made_room()
        if not self._is_open.done():
            self._is_open.finish()

    def broken(self, error: spec.VegasError) -> None:
        with self._lock:
            self._error, self._halted = error, True
        self._forsake(error)
        if not self._is_open.done():
            self._is_open.finish(None, error)

    def _forsake(self, error: spec.VegasError) -> None:
        """No session will take or report anything any more: what has no result fails."""
        with self._lock:
            self._session, self._ended = None, True
            written, unsent = list(self._open.values()), self._forget_unsent()
            self._open.clear()
            self._held = 0
            self._room_made.notify_all()
            self._made_room()
        self._fail(written, error)
        self._fail(unsent, type(error)(error.text, error.remedy))

    def _forget_unsent(self) -> List[Any]:
        """Gives up what was not written, with the lock held."""
        entries = self._gathered[2::3]
        self._gathered = []
        return entries

    def lost(self, session: _engine.Session, why: spec.VegasError) -> None:
        """What was written and not reported is unknown; what was not goes to the
        next session."""
        with self._lock:
            if self._session is not session:
                return
            self._session = None
            entries = list(self._open.values())
            self._open.clear()
            behind = []
            if entries and self._options.value("on_failure") == "fail_key":
                behind = self._forget_unsent()
            self._held = sum(e._cost for e in self._gathered[2::3])
            self._made_room()
        remedy = why.remedy
        if self._options.value("durable"):
            remedy = "if the durable buffer has it, the next engine sends it"
        self._fail(entries, spec.EngineGoneError(why.text, remedy, True))
        text = "the results of earlier records are unknown, since the engine has ended"
        self._fail(behind, spec.EarlierFailedError(text))

    def take(self, session: _engine.Session) -> List[bytes]:
        with self._lock:
            if self._session is not session:
                return []
            self._put = False
            gathered, self._gathered = self._gathered, []
            if not gathered:
                return []
            rows, bodies, entries = gathered[0::3], gathered[1::3], gathered[2::3]
            first = self._next
            self._next += len(entries)
            self._open.update(zip(range(first, self._next), entries))
        size = sum(map(len, bodies)) + len(rows) * _ROW_BYTES
        if size <= _BATCH_BYTES:
            return [self._send_frame(first, rows, bodies)]
        frames, start, size = [], 0, 0
        for i, body in enumerate(bodies):
            size += len(body) + _ROW_BYTES
            if size > _BATCH_BYTES and i > start:
                frames.append(self._send_frame(first + start, rows[start:i], bodies[start:i]))
                start, size = i, len(body) + _ROW_BYTES
        frames.append(self._send_frame(first + start, rows[start:], bodies[start:]))
        return frames

    def _send_frame(self, first: int, rows: List[bytes], bodies: List[bytes]) -> bytes:
        return wire.send_frame(self.number, first, rows, bodies)

    def frame(self, session: _engine.Session, kind: int, body: bytes) -> None:
        if kind != spec.KIND_REPORT:
            raise spec.ProtocolError(f"a producer was sent a frame of kind {kind}")
        for status, text, rows in wire.report_groups(body):
            with self._lock:
                if self._session is not session:
                    return
                try:
                    if status <= spec.STATUS_DURABLE:
                        shard, _, sequence = text.decode(errors="replace").partition("\0")
                        self._finish(rows, (shard, sequence, status == spec.STATUS_DURABLE))
                        entries = []
                    else:
                        entries = [self._open.pop(n) for n, _ in rows]
                        self._held -= sum([e._cost for e in entries])
                except KeyError as e:
                    raise spec.ProtocolError(f"record {e} was reported, and is not open") from None
                self._made_room()
            if entries:
                error = wire.error(wire.decode(text))
                error.unknown = status == spec.STATUS_UNKNOWN
                self._fail(entries, error)

    def called(self, session: _engine.Session, number: int, args: Dict[str, Any]) -> None:
        raise spec.ProtocolError("a producer was called")

    def event(self, event: Dict[str, Any]) -> None:
        on_stats = self._on_stats
        if on_stats is not None and event.get("event") == "stats":
            _future.callbacks.put(lambda: on_stats(event.get("stats")))

    def forked(self) -> None:
        """In the child: a fresh producer. What was open is the parent's."""
        entries = self._gathered[2::3] + list(self._open.values())
        self._fresh()
        if not self._closed:
            self._halted = "forked"
        self._abandon(entries, spec.EngineGoneError("the record was sent before a fork, the parent has its result", None, True))

    def _left(self) -> int:
        with self._lock:
            return len(self._open) + len(self._gathered) // 3

    def _check_halted(self) -> None:
        if self._halted is True:
            if self._error is not None:
                raise _future.again(self._error)
            raise spec.ClosedError(f"{self._of} is closed")

    def _settle_all(self, method: str, timeout: Optional[float]) -> int:
        until = None if timeout is None else time.monotonic() + timeout
        while not self._ended:
            if self._engine is None:
                return 0  # made before a fork, and not used since
            try:
                session = self._engine.connect(until)
                with self._lock:
                    while self._session is not session and not self._ended:
                        # It is being opened. Its writer gets what has gathered then.
                        left = 1.0 if until is None else min(1.0, until - time.monotonic())
                        if left <= 0:
                            raise concurrent.futures.TimeoutError
                        if not self._room_made.wait(left) and session.over:
                            break
                args: Dict[str, Any] = {"producer": self.number}
                patience = None
                if until is not None:
                    left = max(0.0, until - time.monotonic())
                    args["timeout"], patience = micros(left), left + 5
                answer = self._engine.request(method, args, session)
                return int(answer.result(patience).get("left") or 0)
            except concurrent.futures.TimeoutError:
                break  # an engine that does not answer
            except spec.EngineGoneError:
                if until is not None and time.monotonic() > until:
                    break
        return self._left()

    def _halt(self) -> bool:
        """Accepts nothing from now on. False where there is nothing to close."""
        with self._lock:
            was, self._closed = self._closed, True
            fresh = self._halted == "forked"
            self._halted = True
        return not (was or fresh)

    def _settle_flush(self, timeout: Optional[float]) -> None:
        left = self._settle_all(spec.METHOD_FLUSH, timeout)
        self._raise_failures()
        if left and not self._options.value("durable"):
            raise spec.TimeoutError(f"{self._of}: {left} records have no result after {timeout} s")

    def _settle_close(self, timeout: Optional[float]) -> None:
        if timeout is None:
            timeout = self._options.seconds("close_timeout")
        self._settle_all(spec.METHOD_CLOSE_PRODUCER, timeout)
        if self._engine is not None:
            self._engine.detach(self)
        self._forsake(spec.ClosedError(f"{self._of} is closed, and the record has no result", None, True))
        self._raise_failures()

    def _raise_failures(self) -> None:
        error = self._failures.take()
        if error is not None:
            raise error

    def _warn(self, text: str) -> None:
        # It may come out of a garbage collection, with any lock held.
        _future.callbacks.put(lambda: self._quiet.warn(f"{self._of}: {text}"))

    # The program's end.

    def exit_begin(self, stage: str) -> None:
        if stage != "all" or self._ended:
            return
        self._closed = self._halted = True
        session, self._closing = self._session, Future()
        if session is None:
            self._closing.finish(None, spec.EngineGoneError("another engine is being started"))
            return
        timeout = micros(self._options.seconds("close_timeout"))
        session.call(spec.METHOD_CLOSE_PRODUCER, {"producer": self.number, "timeout": timeout}, self._closing.finish)

    def exit_end(self, began: float) -> None:
        if self._closing is None:
            return
        until = began + self._options.seconds("close_timeout") + 1
        try:
            gone = self._closing.exception(max(0.0, until - time.monotonic()))
            if isinstance(gone, spec.EngineGoneError) and until > time.monotonic():
                # What was not written yet goes to the next one.
                self._settle_all(spec.METHOD_CLOSE_PRODUCER, until - time.monotonic())
        except (concurrent.futures.TimeoutError, spec.VegasError):
            pass
        error = self._failures.take()
        left = self._left()
        if error is not None:
            _engine.log.error("%s: %s", self._of, error)
        if left:
            _engine.log.error("%s: the program ends with %d records that have no result", self._of, left)


class Producer(Sending):
    """Sends records to one stream. Make one per stream and share it: it is safe for
    use by many threads, and the more is sent before results are asked for, the
    fuller the batches are. Order is kept between sends that follow each other.

        with vegas.Producer("orders") as p:
            p.send("customer-17", b"...")

    Options: vegas.ProducerOptions, as keyword arguments. The constructor returns
    when records can be sent; an option that is wrong is a BadOptionError. What is
    wrong with the stream, the credentials or the network, is the error of records,
    or of check().
    """

    def __init__(self, stream: str, **options: "Unpack[spec.ProducerOptions]") -> None:
        super().__init__("Producer", stream, options)
        self._connect()

    def send(
        self,
        key: str,
        data: Bytes,
        headers: Optional[Headers] = None,
        explicit_hash_key: Optional[str] = None,
    ) -> "Future[Receipt]":
        """Sends a record and returns at once; the future has its Receipt when the
        stream, or the durable buffer, has it. It waits while buffer_bytes are on
        their way. A failure that nobody asks the future for is logged, and raised by
        flush and close."""
        # The common record by the shortest way, any other one by _row.
        if (
            headers is None
            and explicit_hash_key is None
            and key.__class__ is str
            and data.__class__ is bytes
            and 0 < len(key) <= 256
            and key.isascii()
            and len(data) < _BATCH_BYTES
        ):
            row = _pack_row(len(data), 0, len(key), 0)
            body = key.encode() + data
        else:
            row, body = self._row(key, data, headers, explicit_hash_key)
        if self._halted:
            self._resume()
        future = _new_future(_Sent)
        future._cost = cost = len(body) + self._record_cost
        with self._lock:
            if self._halted:  # closed since: the engine would not take it any more
                self._check_halted()
            held = self._held + cost
            if held > self._window and self._held > 0:
                self._wait_for_room(cost)
                held = self._held + cost
            if not self._put:
                self._tell()
            self._held = held
            # The last step, and one: an interruption leaves all of it or nothing.
            self._gathered += (row, body, future)
        return future

    produce = send

    def _wait_for_room(self, cost: int) -> None:
        self._waiting += 1
        try:
            while self._no_room(cost):
                self._room_made.wait()
                self._check_halted()
        finally:
            self._waiting -= 1

    def _resume(self) -> None:
        """Says why nothing can be sent, or after a fork, starts anew."""
        if self._halted == "forked":
            with self._fork_lock:
                if self._halted == "forked":
                    self._connect()
                    self._halted = False
            return
        self._check_halted()

    def flush(self, timeout: Optional[float] = None) -> None:
        """Returns when everything sent before has its result. Raises a failure that
        nobody has asked for, and TimeoutError."""
        self._settle_flush(timeout)

    def close(self, timeout: Optional[float] = None) -> None:
        """Like flush, and then the end of the producer. What has no result after
        `timeout` (default: close_timeout) fails, or stays in the durable buffer."""
        if self._halt():
            self._settle_close(timeout)

    def check(self) -> None:
        """Asks whether the stream can be sent to, and raises why not."""
        self._call(spec.METHOD_CHECK)

    def stats(self) -> Dict[str, Any]:
        """Statistics by the names of the metrics."""
        return self._call(spec.METHOD_STATS)["stats"]  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return self._of

    def _call(self, method: str) -> Dict[str, Any]:
        if self._halted:
            self._resume()
        assert self._engine is not None
        return self._engine.request(method, {"producer": self.number}).result()

    def __enter__(self) -> "Producer":
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if error is None:
            self.close()
            return
        try:
            self.close()
        except spec.VegasError as e:  # the error under way is the one to see
            _engine.log.warning("%s: %s", self._of, e)

    # Results.

    def _finish(self, rows: Iterable[Tuple[int, int]], at: Place) -> None:
        pop, held, waited = self._open.pop, self._held, []
        try:
            with _future.guard():
                for n, sub in rows:
                    f = pop(n)
                    held -= f._cost
                    if f._cond is None:
                        f._at, f._sub = at, sub
                        f._state = _FINISHED
                    else:
                        waited.append((f, sub))
        finally:
            self._held = held
        shard, sequence, durable = at
        for f, sub in waited:
            f.set_result(Receipt(shard, sequence, sub, durable))

    def _fail(self, entries: List[Any], error: spec.VegasError) -> None:
        for future in entries:
            own = _future.again(error)
            self._failures.attach(future, own)
            future.finish(None, own)

    def _abandon(self, entries: List[Any], error: spec.VegasError) -> None:
        for future in entries:
            future.abandon(_future.again(error))


_new_future = Future.__new__
