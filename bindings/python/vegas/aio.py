"""Producer and Consumer for asyncio.

    async with vegas.aio.Producer("orders") as p:
        receipt = await p.send("customer-17", b"...")

    async with vegas.aio.Consumer("orders", "billing") as c:
        async for record in c:
            ...

Both belong to the event loop that runs when they are made. Handlers run as tasks
of that loop, one for each shard.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import time
from collections import deque
from typing import TYPE_CHECKING, Any, AsyncIterator, Awaitable, Callable, Coroutine, Deque, Dict, Generator, Iterable, List, Optional, Set, Tuple, Union

from . import _engine, _future, _spec as spec, _wire as wire
from .consumer import Receiving, failure_text
from .producer import Bytes, Headers, Place, Receipt, Sending
from .record import Done, Record, Shard

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Consumer", "Producer"]

_BREATH = 0.01  # seconds after which handlers that never wait let others run
_PROGRESS = 1.0
_CANCELS = ("lease_lost", "grace_over", "engine_gone")

# The consumer whose handler a task runs, or is started by.
_handling: "contextvars.ContextVar[Optional[Consumer]]" = contextvars.ContextVar("vegas_handling", default=None)


class _Sent(asyncio.Future):  # type: ignore[type-arg]
    """A record's result. It knows whether somebody has asked for it."""

    _unseen: Any = None

    def _ask(self) -> None:
        unseen = self._unseen
        if unseen is not None:
            self._unseen = None
            unseen.seen()

    def __await__(self) -> Generator[Any, None, Any]:
        try:
            return (yield from super().__await__())
        finally:
            self._ask()

    def result(self) -> Any:
        self._ask()
        return super().result()

    def exception(self) -> Optional[BaseException]:
        self._ask()
        return super().exception()


class _Entry:
    __slots__ = ("_cost", "future")

    def __init__(self, future: "_Sent", cost: int) -> None:
        self.future, self._cost = future, cost


class Producer(Sending):
    """vegas.Producer for asyncio. send() takes a record in before it returns, so
    that sends keep their order whether or not they are awaited at once."""

    def __init__(self, stream: str, **options: "Unpack[spec.ProducerOptions]") -> None:
        self._loop = asyncio.get_running_loop()
        self._overflow: Deque[Tuple[bytes, bytes, _Entry]] = deque()
        self._overflow_bytes = 0
        self._room: Optional[asyncio.Event] = None
        super().__init__("aio.Producer", stream, options)
        self._opening = _open(self._loop, self._connect)

    async def open(self) -> "Producer":
        """Returns when records can be sent; raises why they cannot."""
        await asyncio.shield(self._opening)
        return self

    def send(
        self,
        key: str,
        data: Bytes,
        headers: Optional[Headers] = None,
        explicit_hash_key: Optional[str] = None,
    ) -> "asyncio.Future[Receipt]":
        """Sends a record; what it returns has the Receipt, or raises the failure, when
        awaited. While buffer_bytes are on their way it waits for room; when as much
        waits for room, send raises BufferFullError: await results, or ready()."""
        row, body = self._row(key, data, headers, explicit_hash_key)
        if self._halted:
            self._check_halted()
        future = _Sent(loop=self._loop)
        entry = _Entry(future, len(body) + self._record_cost)
        with self._lock:
            if not self._overflow and not self._no_room(entry._cost):
                self._add(row, body, entry)
            elif self._overflow and self._overflow_bytes + entry._cost > self._window:
                raise spec.BufferFullError(
                    f"{self._of}: {len(self._overflow)} records wait for room", "await results, or ready()"
                )
            else:
                self._overflow.append((row, body, entry))
                self._overflow_bytes += entry._cost
        return future

    produce = send

    async def ready(self) -> None:
        """Returns when nothing waits for room."""
        while True:
            with self._lock:
                if not self._overflow:
                    return
                if self._room is None:
                    self._room = asyncio.Event()
                room = self._room
            await room.wait()

    def _made_room(self) -> None:
        super()._made_room()
        while self._overflow and not self._no_room(self._overflow[0][2]._cost):
            row, body, entry = self._overflow.popleft()
            self._overflow_bytes -= entry._cost
            self._add(row, body, entry)
        if self._room is not None and not self._overflow:
            room, self._room = self._room, None
            _call_in(self._loop, room.set)

    def _forget_unsent(self) -> List[Any]:
        waiting, self._overflow = self._overflow, deque()
        self._overflow_bytes = 0
        return super()._forget_unsent() + [entry for _, _, entry in waiting]

    async def _ready_within(self, timeout: Optional[float]) -> Optional[float]:
        """Waits until nothing waits for room, and says how much of the time is left."""
        began = self._loop.time()
        try:
            await asyncio.wait_for(self.ready(), timeout)
        except asyncio.TimeoutError:
            raise spec.TimeoutError(f"{self._of}: records wait for room after {timeout} s") from None
        return None if timeout is None else max(0.0, began + timeout - self._loop.time())

    async def flush(self, timeout: Optional[float] = None) -> None:
        """Returns when everything sent before has its result. Raises a failure that
        nobody has asked for, and TimeoutError."""
        await self.open()
        left = await self._ready_within(timeout)
        await self._loop.run_in_executor(None, self._settle_flush, left)

    async def close(self, timeout: Optional[float] = None) -> None:
        """Like flush, and then the end of the producer. What has no result after
        `timeout` (default: close_timeout) fails, or stays in the durable buffer."""
        if not self._halt():
            return
        try:
            await self.open()
        except spec.VegasError:
            return  # open() raises it to whoever asks
        if timeout is None:
            timeout = self._options.seconds("close_timeout")
        left: Optional[float] = 0.0
        try:
            left = await self._ready_within(timeout)
        except spec.TimeoutError as e:
            # The engine takes nothing behind close.
            with self._lock:
                unsent = self._forget_unsent()
                self._held = sum(entry._cost for entry in self._open.values())
            self._fail(unsent, e)
        try:
            await self._loop.run_in_executor(None, self._settle_close, left)
        finally:
            await asyncio.sleep(0)  # results of records are on their way into the loop

    async def check(self) -> None:
        """Asks whether the stream can be sent to, and raises why not."""
        await self._ask(spec.METHOD_CHECK)

    async def stats(self) -> Dict[str, Any]:
        """Statistics by the names of the metrics."""
        return (await self._ask(spec.METHOD_STATS))["stats"]  # type: ignore[no-any-return]

    async def _ask(self, method: str) -> Dict[str, Any]:
        await self.open()
        self._check_halted()
        assert self._engine is not None
        return await asyncio.wrap_future(self._engine.request(method, {"producer": self.number}))

    async def __aenter__(self) -> "Producer":
        return await self.open()

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> None:
        try:
            await self.close()
        except spec.VegasError as e:
            if error is None:
                raise
            _engine.log.warning("%s: %s", self._of, e)

    def __await__(self) -> Generator[Any, None, "Producer"]:
        return self.open().__await__()

    # Results.

    def _finish(self, rows: Iterable[Tuple[int, int]], at: Place) -> None:
        pop, ended = self._open.pop, []
        try:
            for n, sub in rows:
                entry = pop(n)
                self._held -= entry._cost
                ended.append((entry.future, sub))
        finally:
            shard, sequence, durable = at

            def finish() -> None:
                for future, sub in ended:
                    if not future.done():
                        future.set_result(Receipt(shard, sequence, sub, durable))

            _call_in(self._loop, finish)

    def _fail(self, entries: List[Any], error: spec.VegasError) -> None:
        owned = []
        for e in entries:
            own = _future.again(error)
            self._failures.attach(e.future, own)
            owned.append((e.future, own))

        def fail() -> None:
            for future, own in owned:
                if future.done():
                    future._ask()
                    continue
                future.set_exception(own)
                asyncio.Future.exception(future)  # it is logged by us, if nobody asks

        _call_in(self._loop, fail)


class Consumer(Receiving):
    """vegas.Consumer for asyncio. The handler is a coroutine function, or a function
    that does not block. Without one, iterate over the consumer: a record is done
    with when the loop comes for the next one; leaving the loop leaves the last one
    undone, and it comes again. Handlers are cancelled when their shard was lost, or
    when the time to finish is over."""

    def __init__(
        self,
        stream: str,
        group: str,
        handler: Union[Callable[[Record], Any], Callable[[List[Record]], Any], None] = None,
        **options: "Unpack[spec.ConsumerOptions]",
    ) -> None:
        if handler is not None and not callable(handler):
            raise TypeError(f"aio.Consumer: the handler is {type(handler).__name__}, want a function of a record")
        self._loop = asyncio.get_running_loop()
        super().__init__("aio.Consumer", stream, group, options)
        self._hands: Deque[Tuple[Any, "asyncio.Future[None]"]] = deque()
        self._in_hand: Set["asyncio.Future[None]"] = set()
        self._arrived = asyncio.Event()
        self._iterating = handler is None
        self._left = False
        self._handler: Callable[[Any], Any] = handler if handler is not None else self._hand_over
        self._tasks: Dict[str, "asyncio.Task[None]"] = {}
        self._opening = _open(self._loop, self._attach_open)

    def _attach_open(self) -> None:
        self._attach()
        self._is_open.result()

    async def open(self) -> "Consumer":
        """Returns when it runs; raises why it cannot."""
        await asyncio.shield(self._opening)
        return self

    async def wait(self) -> None:
        """Returns when the consumer has ended. Raises what ended it, unless that was
        close()."""
        await self.open()
        await asyncio.wrap_future(self._ended)

    run = wait

    async def close(self) -> None:
        """Begins nothing further, waits for handlers for as long as grace says, writes
        checkpoints and gives the shards back. Called by a handler it does not wait."""
        try:
            await self.open()
        except spec.VegasError:
            return  # open() and wait() raise it
        self._begin_close()
        if _handling.get() is not self and not self._in_hand:
            await self._until_ended()

    async def _until_ended(self) -> None:
        try:
            await asyncio.wrap_future(self._ended)
        except spec.VegasError:
            pass  # wait() raises it

    async def __aenter__(self) -> "Consumer":
        return await self.open()

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._left = True
        self._abandon(in_hand=True)
        self._begin_close()
        await self._until_ended()
        if error is None:
            await self.wait()

    def __await__(self) -> Generator[Any, None, "Consumer"]:
        return self.open().__await__()

    async def checkpoint(self, record: Record) -> None:
        """Moves the group's position behind a record, under checkpoint="manual".
        Raises LeaseLostError where the shard is another worker's by now."""
        await asyncio.wrap_future(self._checkpoint(record))

    async def check(self) -> None:
        """Asks whether the stream can be read, and raises why not."""
        await self.open()
        await asyncio.wrap_future(self._request(spec.METHOD_CHECK, {}))

    async def stats(self) -> Dict[str, Any]:
        """Statistics by the names of the metrics."""
        await self.open()
        answer = await asyncio.wrap_future(self._request(spec.METHOD_STATS, {}))
        return answer["stats"]  # type: ignore[no-any-return]

    # Iteration: a handler that hands over, and waits until the loop comes again.

    def __aiter__(self) -> AsyncIterator[Any]:
        if not self._iterating:
            raise TypeError(f"{self._of} has a handler: leave it out to iterate")
        return _Iterator(self)

    async def _hand_over(self, record: Any) -> None:
        done: "asyncio.Future[None]" = self._loop.create_future()
        if self._left:
            raise asyncio.CancelledError
        self._hands.append((record, done))
        self._arrived.set()
        await done

    def _abandon(self, in_hand: bool) -> None:
        while self._hands:
            self._hands.popleft()[1].cancel()
        if in_hand:
            for done in list(self._in_hand):
                done.cancel()
            self._in_hand.clear()

    def _finished(self, error: Optional[spec.VegasError]) -> None:
        super()._finished(error)
        _call_in(self._loop, self._arrived.set)

    # Shards. These are called by the engine's reader.

    def _start(self, shard: Shard, call: int) -> None:
        def start() -> None:
            shard.inbox = asyncio.Queue()  # type: ignore[attr-defined]
            shard.task = None  # type: ignore[attr-defined]
            before = self._tasks.get(shard.id)
            self._tasks[shard.id] = self._loop.create_task(self._serve(shard, call, before))

        _call_in(self._loop, start)

    def _deliver(self, shard: Shard, chunk: wire.Chunk) -> None:
        _call_in(self._loop, lambda: shard.inbox.put_nowait(chunk))  # type: ignore[attr-defined]

    def _end(self, shard: Shard, call: Optional[int]) -> None:
        _call_in(self._loop, lambda: shard.inbox.put_nowait(call))  # type: ignore[attr-defined]

    def _stop(self, shard: Shard, why: str) -> None:
        def stop() -> None:
            shard.stopping = why
            if self._iterating:
                self._abandon(in_hand=False)
            if why in _CANCELS and shard.task is not None:  # type: ignore[attr-defined]
                shard.task.cancel()  # type: ignore[attr-defined]

        _call_in(self._loop, stop)

    # In the loop.

    async def _serve(self, shard: Shard, call: int, before: "Optional[asyncio.Task[None]]") -> None:
        _handling.set(self)
        if before is not None:
            await asyncio.wait([before])
        try:
            position = None
            if self._external is not None:
                position = self._external(shard)
                if inspect.isawaitable(position):
                    position = await position
            shard.answer_start(call, position)
        except Exception as e:
            # The engine forgets the shard, and starts it anew.
            self._shards.pop(shard.number, None)
            shard.answer(call, failure_text(e))
            shard.inbox.put_nowait(None)  # type: ignore[attr-defined]
        while True:
            item = await shard.inbox.get()  # type: ignore[attr-defined]
            if isinstance(item, wire.Chunk):
                # A task of its own, which is cancelled without ending this one.
                shard.task = self._loop.create_task(self._handle(shard, item))  # type: ignore[attr-defined]
                await asyncio.wait([shard.task])  # type: ignore[attr-defined]
                if not shard.task.cancelled():  # type: ignore[attr-defined]
                    shard.task.result()  # type: ignore[attr-defined]
                continue
            if item is not None:
                shard.answer(item)
            break
        if self._tasks.get(shard.id) is asyncio.current_task():
            self._tasks.pop(shard.id, None)

    async def _handle(self, shard: Shard, chunk: wire.Chunk) -> None:
        done, failures = Done(chunk.count), []  # type: Tuple[Done, List[Tuple[int, str]]]
        records = shard.records(chunk)
        if records is None:
            return
        try:
            if shard.stopping is not None:
                pass
            elif chunk.dead or self._batch:
                try:
                    if chunk.dead:
                        assert self._dead_letter is not None
                        await _call(self._dead_letter, records[0], chunk.text)
                    else:
                        await _call(self._handler, records)
                    for i in range(chunk.count):
                        done.mark(i)
                except Exception as e:
                    failures.append((0, failure_text(e)))
            else:
                await self._handle_records(shard, chunk, records, done, failures)
        except asyncio.CancelledError:
            pass  # what was not done is not begun
        shard.settle(chunk, True, done.take(), sorted(failures))

    async def _handle_records(
        self, shard: Shard, chunk: wire.Chunk, records: List[Record], done: Done, failures: List[Tuple[int, str]]
    ) -> None:
        lanes: Deque[List[int]]
        if self._parallel > 1:
            by_key: Dict[str, List[int]] = {}
            for i, record in enumerate(records):
                by_key.setdefault(record.partition_key, []).append(i)
            lanes = deque(by_key.values())
        else:
            lanes = deque([list(range(len(records)))])
        handler, now = self._handler, time.monotonic
        breath, word = now() + _BREATH, now() + _PROGRESS

        async def handle() -> None:
            nonlocal breath, word
            while lanes:
                for i in lanes.popleft():
                    if shard.stopping is not None:
                        return
                    try:
                        waited = handler(records[i])
                        if waited is not None and inspect.isawaitable(waited):
                            await waited
                    except Exception as e:
                        failures.append((i, failure_text(e)))
                        break  # none of its key behind it
                    done.mark(i)
                    t = now()
                    if t > breath:
                        await asyncio.sleep(0)
                        breath = now() + _BREATH
                        if t > word:
                            shard.settle(chunk, False, done.take())
                            word = t + _PROGRESS

        workers = min(self._parallel, len(lanes))
        if workers <= 1:
            await handle()
            return
        tasks = [self._loop.create_task(handle()) for _ in range(workers)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for t in tasks:
                t.cancel()
            await asyncio.wait(tasks)

    def exit_begin(self, stage: str) -> None:
        if self._loop.is_running():
            super().exit_begin(stage)
        # Otherwise nothing can be handled, and the engine frees the shards when
        # the program ends.

    def exit_end(self, began: float) -> None:
        if self._loop.is_running():
            super().exit_end(began)


class _Iterator:
    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self._done: "Optional[asyncio.Future[None]]" = None

    def __aiter__(self) -> "_Iterator":
        return self

    async def __anext__(self) -> Any:
        c = self._consumer
        self._release(True)
        while True:
            while c._hands:
                record, done = c._hands.popleft()
                if not done.done():
                    self._done = done
                    c._in_hand.add(done)
                    return record
            if c._ended.done():
                await c.wait()
                raise StopAsyncIteration
            c._arrived.clear()
            await c._arrived.wait()

    def _release(self, handled: bool) -> None:
        done, self._done = self._done, None
        if done is None:
            return
        self._consumer._in_hand.discard(done)
        if not done.done():
            if handled:
                done.set_result(None)
            else:
                done.cancel()

    def __del__(self) -> None:
        if not self._consumer._loop.is_closed():
            _call_in(self._consumer._loop, lambda done=self._done: done and done.cancel())  # type: ignore[misc]


async def _call(f: Callable[..., Any], *args: Any) -> None:
    result = f(*args)
    if inspect.isawaitable(result):
        await result


def _open(loop: asyncio.AbstractEventLoop, connect: Callable[[], None]) -> "asyncio.Future[None]":
    """Starts an engine without holding up the loop."""
    opening = loop.run_in_executor(None, connect)
    opening.add_done_callback(lambda f: f.cancelled() or f.exception())  # open() raises it
    return opening


def _call_in(loop: asyncio.AbstractEventLoop, call: Callable[[], Any]) -> None:
    try:
        loop.call_soon_threadsafe(call)
    except RuntimeError:
        pass  # the loop is closed, and nobody waits in it
