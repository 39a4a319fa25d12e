"""Receiving the records of a stream."""

from __future__ import annotations

import concurrent.futures
import inspect
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections import deque
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional, Tuple, Union

from . import _engine, _future, _spec as spec, _wire as wire
from ._future import Future
from ._options import Options
from .record import Done, Record, Shard

if TYPE_CHECKING:
    from typing_extensions import Unpack

_PROGRESS = 1.0  # seconds after which a chunk under way tells what of it is done
_IDLE = 10.0  # seconds after which a thread beside a shard's that has nothing to do ends
_REASONS = {
    spec.REASON_SHUTDOWN: "shutdown",
    spec.REASON_HANDOFF: "handoff",
    spec.REASON_LEASE_LOST: "lease_lost",
    spec.REASON_GRACE_OVER: "grace_over",
}
_ENGINE_GONE = "engine_gone"


class Receiving:
    """What consumers with threads and with asyncio have in common. Subclasses say
    what becomes of start_shard, chunks, end_shard and stops."""

    def __init__(self, of: str, stream: str, group: str, given: Mapping[str, Any]) -> None:
        for name, value in (("stream", stream), ("group", group)):
            if not isinstance(value, str):
                raise TypeError(f"{of}: {name} is {type(value).__name__}, want str")
        self.stream = stream
        self.group = group
        #: Name of this worker, once it runs.
        self.worker = ""
        self._of = f"{of}({stream!r}, {group!r})"
        self._options = Options(of, spec.CONSUMER_OPTIONS, given)
        self._batch = bool(self._options.value("batch"))
        self._parallel = int(self._options.value("parallel"))
        self._dead_letter = self._options.host.get("dead_letter")
        self._external = self._options.host.get("external")
        self._on_stats = self._options.host.get("on_stats")
        self._shards: Dict[int, Any] = {}
        self._is_open: Future[None] = Future()
        self._ended: Future[None] = Future()
        self._closing = False
        self._given_up = False
        self._engine: Optional[_engine.Engine] = None
        self._session: Optional[_engine.Session] = None
        self.number = _engine.number(self)

    # What subclasses do.

    def _start(self, shard: Shard, call: int) -> None:
        raise NotImplementedError

    def _deliver(self, shard: Shard, chunk: wire.Chunk) -> None:
        raise NotImplementedError

    def _end(self, shard: Shard, call: Optional[int]) -> None:
        """Nothing more will come; call is None where nobody waits for the answer."""
        raise NotImplementedError

    def _stop(self, shard: Shard, why: str) -> None:
        shard.stopping = why

    # What the engine calls.

    def open_call(self) -> Tuple[str, Dict[str, Any]]:
        return spec.METHOD_OPEN_CONSUMER, {
            "consumer": self.number,
            "stream": self.stream,
            "group": self.group,
            "options": self._options.wire,
        }

    def opened(self, session: _engine.Session, answer: Dict[str, Any]) -> None:
        self._session = session
        if self._closing:  # while it was being opened: nobody is here to handle anything
            session.call(spec.METHOD_CLOSE_CONSUMER, {"consumer": self.number}, lambda *_: None)
        self.worker = answer.get("worker", "")
        if not self._is_open.done():
            self._is_open.finish()

    def broken(self, error: spec.VegasError) -> None:
        if not self._is_open.done():
            self._is_open.finish(None, error)
            self._ended.finish(None, _future.again(error))
            return
        self._finished(error)

    def _finished(self, error: Optional[spec.VegasError]) -> None:
        if self._engine is not None:
            self._engine.detach(self)
        shards, self._shards = self._shards, {}
        for shard in shards.values():
            if shard.stopping is None:
                self._stop(shard, "shutdown")
            self._end(shard, None)
        # Handlers that have not ended are told of also where the program has closed it.
        raised = error if not self._closing or isinstance(error, spec.GraceOverError) else None
        if error is not None and not self._ended.done():
            log = _engine.log.warning if raised is None else _engine.log.error
            log("%s has ended: %s", self._of, error)
        if self._ended.done():
            return
        self._ended.finish(None, raised)

    def lost(self, session: _engine.Session, why: spec.VegasError) -> None:
        if self._session is not session:
            return
        self._session = None
        shards, self._shards = self._shards, {}
        for shard in shards.values():
            self._stop(shard, _ENGINE_GONE)
            self._end(shard, None)
        if self._closing:
            self._finished(None)

    def called(self, session: _engine.Session, number: int, args: Dict[str, Any]) -> None:
        method = args.get("method")
        try:
            if method == spec.METHOD_START_SHARD:
                shard = Shard(self, session, args)
                for number_before, before in list(self._shards.items()):
                    if before.id == shard.id:  # lost before it had started
                        self._stop(self._shards.pop(number_before), "lease_lost")
                        self._end(before, None)
                self._shards[shard.number] = shard
                self._start(shard, number)
            elif method == spec.METHOD_END_SHARD:
                ended = self._shards.pop(args["shard"], None)
                if ended is None:  # its start has failed
                    session.answer_call(number, {})
                else:
                    self._end(ended, number)
            else:
                error = {"code": "protocol", "text": f"a consumer has no method {method!r:.50}"}
                session.answer_call(number, {"error": error})
        except KeyError as e:
            raise spec.ProtocolError(f"{method}: there is no {e}") from None

    def frame(self, session: _engine.Session, kind: int, body: bytes) -> None:
        if kind == spec.KIND_DELIVER:
            chunk = wire.Chunk(body)
            shard = self._shards.get(chunk.shard)
            if shard is None:
                raise spec.ProtocolError(f"a chunk of shard {chunk.shard} arrives, which has not started")
            self._deliver(shard, chunk)
        elif kind == spec.KIND_STOP:
            if len(body) != wire.STOP.size:
                raise spec.ProtocolError("a stop is cut off")
            _, number, why = wire.STOP.unpack(body)
            shard = self._shards.get(number)
            if shard is not None:
                self._stop(shard, _REASONS.get(why, "shutdown"))
        else:
            raise spec.ProtocolError(f"a consumer was sent a frame of kind {kind}")

    def take(self, session: _engine.Session) -> List[bytes]:
        return []

    def event(self, event: Dict[str, Any]) -> None:
        if event.get("event") == "consumer_ended":
            failed = event.get("error")
            self._finished(wire.error(failed) if failed else None)
        elif event.get("event") == "stats" and self._on_stats is not None:
            on_stats = self._on_stats
            _future.callbacks.put(lambda: on_stats(event.get("stats")))

    def forked(self) -> None:
        """In the child: the consumer is the parent's."""
        self._closing = True
        self._shards = {}
        self._session = None
        self._engine = None
        self._ended = Future()
        self._ended.finish()

    def _attach(self) -> None:
        self._engine = _engine.get(self._options.host.get("engine"))
        self._engine.connect()
        self._engine.attach(self)

    def _begin_close(self) -> None:
        """Asks the engine to end the consumer; _ended finishes when it has."""
        if self._closing:
            return
        self._closing = True
        for shard in list(self._shards.values()):
            if shard.stopping is None:
                shard.stopping = "shutdown"
        session, engine = self._session, self._engine
        if session is None or engine is None:
            self._finished(None)
            return

        def done(answer: Any, error: Optional[spec.VegasError]) -> None:
            if error is not None and not isinstance(error, spec.EngineGoneError):
                _engine.log.warning("%s: %s", self._of, error)
            self._finished(None)

        session.call(spec.METHOD_CLOSE_CONSUMER, {"consumer": self.number}, done)

    def _request(self, method: str, args: Dict[str, Any]) -> "Future[Dict[str, Any]]":
        if self._engine is None or self._ended.done():
            raise spec.ClosedError(f"{self._of} is closed")
        return self._engine.request(method, {"consumer": self.number, **args}, self._session)

    def _checkpoint(self, record: Record) -> "Future[Dict[str, Any]]":
        shard = record._shard
        if shard.consumer is not self:
            raise spec.BadOptionError(f"{self._of}: the record is of another consumer")
        future: Future[Dict[str, Any]] = Future()
        position = {"shard": shard.number, "sequence": record.sequence, "sub": record.sub_sequence}
        if shard.stopping == _ENGINE_GONE:
            raise spec.LeaseLostError(f"{self._of}: checkpoint: the engine that had the shard {shard.id} is gone")
        shard._session.call(spec.METHOD_CHECKPOINT, {"consumer": self.number, **position}, future.finish)
        return future

    # The program's end.

    def exit_begin(self, stage: str) -> None:
        self._begin_close()

    def exit_end(self, began: float) -> None:
        if self._given_up:
            return
        until = began + self._options.seconds("grace") + 5
        try:
            try:
                self._ended.exception(max(0.0, min(began + 1, until) - time.monotonic()))
            except _TIMEOUTS:
                if until > time.monotonic():
                    _engine.log.warning("%s: waiting for handlers to end", self._of)
                self._ended.exception(max(0.0, until - time.monotonic()))
        except _TIMEOUTS:
            self._given_up = True
            _engine.log.error("%s: the program ends while handlers run", self._of)

    def __repr__(self) -> str:
        return self._of


class Consumer(Receiving):
    """Receives the records of a stream as a worker of a group, from construction
    until it is closed. `group` is a name, or the ARN of a fan-out consumer.

        c = vegas.Consumer("orders", "billing", handle)
        c.run()

    `handler` is called with each Record, or with lists of them under batch. It has
    done its work when it returns; what it raises is a failure, which on_error,
    max_attempts and dead_letter decide about. Each shard has a thread of its own, so
    handlers run side by side for different shards and one after the other for one,
    unless parallel says otherwise.

    Options: vegas.ConsumerOptions, as keyword arguments.
    """

    def __init__(
        self,
        stream: str,
        group: str,
        handler: Union[Callable[[Record], Any], Callable[[List[Record]], Any]],
        **options: "Unpack[spec.ConsumerOptions]",
    ) -> None:
        if not callable(handler):
            raise TypeError(f"Consumer: the handler is {type(handler).__name__}, want a function of a record")
        if inspect.iscoroutinefunction(handler):
            raise TypeError("Consumer: the handler is a coroutine function: use vegas.aio.Consumer")
        super().__init__("Consumer", stream, group, options)
        self._handler: Callable[[Any], Any] = handler
        self._threads: Dict[str, threading.Thread] = {}
        self._mine = threading.local()
        self._helpers = _Helpers()
        if _in_notebook():
            self._replace_older()
        self._attach()
        self._is_open.result()

    def _replace_older(self) -> None:
        """A cell that is run again means one consumer, not two."""
        engine = _engine.get(self._options.host.get("engine"))
        for other in list(engine.clients.values()):
            if isinstance(other, Consumer) and (other.stream, other.group) == (self.stream, self.group):
                _engine.log.warning("%s: closing the one that this notebook made before", self._of)
                other.close()

    # Lifetime.

    def wait(self, timeout: Optional[float] = None) -> bool:
        """Returns True when the consumer has ended, False after `timeout` seconds.
        Raises what ended it, unless that was close(), and GraceOverError where
        handlers had not ended by the time that grace gives them."""
        try:
            self._ended.result(timeout)
        except _TIMEOUTS:
            if not self._ended.done():
                return False
            raise
        return True

    def run(self) -> None:
        """Waits for the end, and closes at Ctrl-C and, in the main thread, at SIGTERM
        where the program does not handle it otherwise. Raises what wait() does."""
        before = None
        if threading.current_thread() is threading.main_thread() and hasattr(signal, "SIGTERM"):
            if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
                before = signal.signal(signal.SIGTERM, lambda *_: self._begin_close())
        try:
            self.wait()
        except KeyboardInterrupt:
            self.close()
            self.wait()
        finally:
            if before is not None:
                signal.signal(signal.SIGTERM, before)

    def close(self, timeout: Optional[float] = None) -> None:
        """Begins nothing further, waits for handlers for as long as grace says,
        writes checkpoints and gives the shards back. Called by a handler it does
        not wait. Handlers that had not ended by then are told of by wait(). Raises
        TimeoutError after `timeout` seconds, and goes on with it."""
        self._begin_close()
        if getattr(self._mine, "shard", None) is None:
            try:
                self._ended.exception(timeout)
            except _TIMEOUTS:
                raise spec.TimeoutError(f"{self._of}: it has not ended after {timeout} s") from None

    def __enter__(self) -> "Consumer":
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self.close()
        if error is None:
            self.wait()

    def checkpoint(self, record: Record) -> None:
        """Moves the group's position behind a record, under checkpoint="manual".
        Raises LeaseLostError where the shard is another worker's by now."""
        self._checkpoint(record).result()

    def check(self) -> None:
        """Asks whether the stream can be read, and raises why not."""
        self._request(spec.METHOD_CHECK, {}).result()

    def stats(self) -> Dict[str, Any]:
        """Statistics by the names of the metrics."""
        return self._request(spec.METHOD_STATS, {}).result()["stats"]  # type: ignore[no-any-return]

    # Shards, each in a thread of its own.

    def _start(self, shard: Shard, call: int) -> None:
        inbox: "queue.SimpleQueue[Any]" = queue.SimpleQueue()
        shard.inbox = inbox  # type: ignore[attr-defined]
        # A handler of an earlier possession may still run: the next one begins
        # behind it, so that order holds in this program.
        before = self._threads.get(shard.id)
        thread = threading.Thread(
            target=self._serve, args=(shard, inbox, call, before), name=f"vegas-{shard.id}", daemon=True
        )
        self._threads[shard.id] = thread
        thread.start()

    def _deliver(self, shard: Shard, chunk: wire.Chunk) -> None:
        shard.inbox.put(chunk)  # type: ignore[attr-defined]

    def _end(self, shard: Shard, call: Optional[int]) -> None:
        shard.inbox.put(call)  # type: ignore[attr-defined]

    def _serve(
        self, shard: Shard, inbox: "queue.SimpleQueue[Any]", call: int, before: Optional[threading.Thread]
    ) -> None:
        self._mine.shard = shard
        if before is not None:
            before.join()
        try:
            shard.answer_start(call, self._external(shard) if self._external is not None else None)
        except BaseException as e:
            # The engine forgets the shard, and starts it anew.
            self._shards.pop(shard.number, None)
            shard.answer(call, failure_text(e))
            inbox.put(None)
        while True:
            item = inbox.get()
            if isinstance(item, wire.Chunk):
                self._handle(shard, item)
                continue
            if item is not None:
                shard.answer(item)
            break
        if self._threads.get(shard.id) is threading.current_thread():
            self._threads.pop(shard.id, None)

    def _handle(self, shard: Shard, chunk: wire.Chunk) -> None:
        records = shard.records(chunk)
        if records is None:
            return
        if shard.stopping is not None:
            shard.settle(chunk, True, ())
        elif chunk.dead or self._batch:
            try:
                if chunk.dead:
                    assert self._dead_letter is not None
                    self._dead_letter(records[0], chunk.text)
                else:
                    self._handler(records)
            except BaseException as e:
                shard.settle(chunk, True, (), ((0, failure_text(e)),))
            else:
                shard.settle(chunk, True, ((0, chunk.count),))
        elif self._parallel > 1 and chunk.count > 1:
            self._handle_by_key(shard, chunk, records)
        else:
            self._handle_in_order(shard, chunk, records)

    def _handle_in_order(self, shard: Shard, chunk: wire.Chunk, records: List[Record]) -> None:
        handler, now = self._handler, time.monotonic
        told, done, failures = 0, 0, ()
        next_word = now() + _PROGRESS
        try:
            for record in records:
                if shard.stopping is not None:
                    break
                handler(record)
                done += 1
                if now() > next_word and done < chunk.count:
                    shard.settle(chunk, False, ((told, done),))
                    told, next_word = done, now() + _PROGRESS
        except BaseException as e:  # SystemExit of a handler is its failure, too
            failures = ((done, failure_text(e)),)  # type: ignore[assignment]
        shard.settle(chunk, True, ((told, done),) if done > told else (), failures)

    def _handle_by_key(self, shard: Shard, chunk: wire.Chunk, records: List[Record]) -> None:
        by_key: Dict[str, List[int]] = {}
        for i, record in enumerate(records):
            by_key.setdefault(record.partition_key, []).append(i)
        work, done = deque(by_key.values()), Done(chunk.count)
        failures: List[Tuple[int, str]] = []
        lock = threading.Lock()
        next_word = [time.monotonic() + _PROGRESS]

        def handle() -> None:
            self._mine.shard = shard
            while True:
                try:
                    indexes = work.popleft()
                except IndexError:
                    return
                for i in indexes:
                    if shard.stopping is not None:
                        return
                    try:
                        self._handler(records[i])
                    except BaseException as e:
                        with lock:
                            failures.append((i, failure_text(e)))
                        break  # none of its key behind it
                    with lock:
                        done.mark(i)
                        if time.monotonic() > next_word[0]:
                            shard.settle(chunk, False, done.take())
                            next_word[0] = time.monotonic() + _PROGRESS

        helpers = [self._helpers.run(handle) for _ in range(min(self._parallel, len(by_key)) - 1)]
        handle()
        for helper in helpers:
            helper.result()
        shard.settle(chunk, True, done.take(), sorted(failures))


class _Helpers:
    """Threads that handle records beside their shard's; idle ones are used again, and
    end when nobody does. As many wait as _idle counts and _work has calls."""

    def __init__(self) -> None:
        self._work: "queue.SimpleQueue[Tuple[Callable[[], None], Future[None]]]" = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)

    def run(self, call: Callable[[], None]) -> "Future[None]":
        ended: Future[None] = Future()
        self._work.put((call, ended))
        if not self._idle.acquire(blocking=False):
            threading.Thread(target=self._run, name="vegas-parallel", daemon=True).start()
        return ended

    def _run(self) -> None:
        while True:
            try:
                call, ended = self._work.get(timeout=_IDLE)
            except queue.Empty:
                if self._idle.acquire(blocking=False):
                    return
                continue  # somebody counts on this one
            call()
            ended.finish()
            del call, ended
            self._idle.release()


_TIMEOUTS = (TimeoutError, concurrent.futures.TimeoutError)


def failure_text(e: BaseException) -> str:
    """An exception and its stack, without this package's part of it."""
    trace, here = e.__traceback__, os.path.dirname(__file__)
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(here):
        trace = trace.tb_next
    stack = "".join(traceback.format_exception(type(e), e, trace)).rstrip()
    return "".join(traceback.format_exception_only(type(e), e)).strip() + "\n" + stack


def _in_notebook() -> bool:
    """Whether this program is an IPython session with a kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")
