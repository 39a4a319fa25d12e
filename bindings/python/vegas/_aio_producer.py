"""Sending records from an event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Deque, Dict, Generator, Iterable, List, Optional, Tuple

from . import _engine, _future, _spec as spec
from ._loop import call_in, open_in
from .producer import Bytes, Headers, Place, Receipt, Sending

if TYPE_CHECKING:
    from typing_extensions import Unpack


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
        super().__init__("aio.Producer", stream, options)
        self._opening = open_in(self._loop, self._connect)

    def _fresh(self) -> None:
        super()._fresh()
        # What waits for room, in its order.
        self._overflow: Deque[Tuple[bytes, bytes, _Entry]] = deque()
        self._overflow_bytes = 0
        self._room: Optional[asyncio.Event] = None

    def _connect(self) -> None:
        try:
            super()._connect()
        except spec.VegasError as e:
            self.broken(e)  # for what was sent meanwhile
            raise

    def _check_halted(self) -> None:
        if self._halted == "forked":
            raise spec.ClosedError(f"{self._of} was made before a fork", "make one in the child's event loop")
        super()._check_halted()

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
        future = _Sent(loop=self._loop)
        entry = _Entry(future, len(body) + self._record_cost)
        with self._lock:
            if self._halted:
                self._check_halted()
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
            call_in(self._loop, room.set)

    def _forget_waiting(self) -> List[Any]:
        """Gives up what waits for room, with the lock held."""
        waiting, self._overflow = self._overflow, deque()
        self._overflow_bytes = 0
        return [entry for _, _, entry in waiting]

    def _forget_unsent(self) -> List[Any]:
        return super()._forget_unsent() + self._forget_waiting()

    def _left(self) -> int:
        return super()._left() + len(self._overflow)

    async def _ready_within(self, timeout: Optional[float]) -> Optional[float]:
        """Waits until nothing waits for room, and says how much of the time is left."""
        if not self._overflow:
            return timeout
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
                waiting = self._forget_waiting()
                self._made_room()
            self._fail(waiting, e)
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

            call_in(self._loop, finish)

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

        call_in(self._loop, fail)
