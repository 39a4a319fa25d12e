"""Receiving the records of a stream in an event loop."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import signal
import time
from collections import deque
from typing import TYPE_CHECKING, Any, AsyncIterator, Callable, Deque, Dict, Generator, List, Optional, Set, Tuple, Union

from . import _spec as spec, _wire as wire
from ._loop import call_in, open_in
from .consumer import Receiving, failure_text
from .record import Done, Record, Shard

if TYPE_CHECKING:
    from typing_extensions import Unpack

_BREATH = 0.01  # seconds after which handlers that never wait let others run
_PROGRESS = 1.0
_CANCELS = ("lease_lost", "grace_over", "engine_gone")

# The consumer whose handler a task runs, or is started by.
_handling: "contextvars.ContextVar[Optional[Consumer]]" = contextvars.ContextVar("vegas_handling", default=None)


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
        self._opening = open_in(self._loop, self._attach_open)

    def _attach_open(self) -> None:
        self._attach()
        self._is_open.result()

    async def open(self) -> "Consumer":
        """Returns when it runs; raises why it cannot."""
        await asyncio.shield(self._opening)
        return self

    async def wait(self) -> None:
        """Returns when the consumer has ended. Raises what ended it, unless that was
        close(), and GraceOverError where handlers had not ended by the time that grace
        gives them, although they were cancelled."""
        await self.open()
        await asyncio.wrap_future(self._ended)

    async def run(self) -> None:
        """wait(), which closes when it is cancelled, as asyncio.run does at Ctrl-C, and,
        in the main thread, at SIGTERM where the program does not handle it otherwise."""
        handled = []
        for number in (signal.SIGTERM, signal.SIGINT):
            # asyncio.run has a handler of its own for Ctrl-C since 3.11.
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                try:
                    self._loop.add_signal_handler(number, self._begin_close)
                except (NotImplementedError, ValueError, RuntimeError):
                    break  # on Windows, or in another thread
                handled.append(number)
        try:
            await self.wait()
        except asyncio.CancelledError:
            self._begin_close()
            await self._until_ended()
            raise
        finally:
            for number in handled:
                self._loop.remove_signal_handler(number)

    async def close(self) -> None:
        """Begins nothing further, waits for handlers for as long as grace says, writes
        checkpoints and gives the shards back. Called by a handler it does not wait.
        Handlers that had not ended by then are told of by wait()."""
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
            raise _Withdrawn
        self._hands.append((record, done))
        self._arrived.set()
        try:
            await done
        except asyncio.CancelledError:
            raise _Withdrawn from None

    def _abandon(self, in_hand: bool) -> None:
        while self._hands:
            self._hands.popleft()[1].cancel()
        if in_hand:
            for done in list(self._in_hand):
                done.cancel()
            self._in_hand.clear()

    def _finished(self, error: Optional[spec.VegasError]) -> None:
        super()._finished(error)
        call_in(self._loop, self._arrived.set)

    # Shards. These are called by the engine's reader.

    def _start(self, shard: Shard, call: int) -> None:
        def start() -> None:
            shard.inbox = asyncio.Queue()  # type: ignore[attr-defined]
            shard.task = None  # type: ignore[attr-defined]
            before = self._tasks.get(shard.id)
            self._tasks[shard.id] = self._loop.create_task(self._serve(shard, call, before))

        call_in(self._loop, start)

    def _deliver(self, shard: Shard, chunk: wire.Chunk) -> None:
        shard.out = chunk  # type: ignore[attr-defined]
        call_in(self._loop, lambda: shard.inbox.put_nowait(chunk))  # type: ignore[attr-defined]
        if self._closing and not self._loop.is_running():
            self._leave(shard)

    def _leave(self, shard: Shard) -> None:
        """Where there is no loop any more to handle a chunk, it was not begun."""
        chunk = shard.__dict__.pop("out", None)
        if chunk is not None:
            shard.settle(chunk, True, ())

    def _end(self, shard: Shard, call: Optional[int]) -> None:
        call_in(self._loop, lambda: shard.inbox.put_nowait(call))  # type: ignore[attr-defined]
        if call is not None and self._closing and not self._loop.is_running():
            shard.answer(call)

    def _stop(self, shard: Shard, why: str) -> None:
        def stop() -> None:
            shard.stopping = why
            if self._iterating:
                self._abandon(in_hand=False)
            if why in _CANCELS and shard.task is not None:  # type: ignore[attr-defined]
                shard.task.cancel()  # type: ignore[attr-defined]

        call_in(self._loop, stop)

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
        except (Exception, asyncio.CancelledError) as e:
            # The engine forgets the shard, and starts it anew.
            self._shards.pop(shard.number, None)
            shard.answer(call, failure_text(e))
            shard.inbox.put_nowait(None)  # type: ignore[attr-defined]
        while True:
            item = await shard.inbox.get()  # type: ignore[attr-defined]
            if isinstance(item, wire.Chunk):
                # A task of its own, which is cancelled without ending this one.
                shard.task = self._loop.create_task(self._handle(shard, item))  # type: ignore[attr-defined]
                try:
                    await asyncio.wait([shard.task])  # type: ignore[attr-defined]
                except asyncio.CancelledError:  # the loop ends
                    shard.stopping = "grace_over"
                    raise
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
                except (Exception, asyncio.CancelledError) as e:
                    if await self._failed(shard, e):
                        failures.append((0, failure_text(e)))
            else:
                await self._handle_records(shard, chunk, records, done, failures)
        except asyncio.CancelledError:
            pass  # what was not done is not begun
        if shard.__dict__.pop("out", None) is not None:
            shard.settle(chunk, True, done.take(), sorted(failures))

    async def _failed(self, shard: Shard, e: BaseException) -> bool:
        """Whether a handler has failed. Otherwise it was told to leave the record, which
        counts as not begun."""
        if isinstance(e, asyncio.CancelledError):
            await asyncio.sleep(0)  # behind _serve, which knows when the loop ends
            return shard.stopping not in _CANCELS
        return not isinstance(e, _Withdrawn)

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
                    except (Exception, asyncio.CancelledError) as e:
                        if not await self._failed(shard, e):
                            return
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
        super().exit_begin(stage)
        if not self._loop.is_running():
            for shard in list(self._shards.values()):
                self._leave(shard)


class _Withdrawn(Exception):
    """The iterator was left with the record, or before it came to it."""


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
            call_in(self._consumer._loop, lambda done=self._done: done and done.cancel())  # type: ignore[misc]


async def _call(f: Callable[..., Any], *args: Any) -> None:
    result = f(*args)
    if inspect.isawaitable(result):
        await result
