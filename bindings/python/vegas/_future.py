"""What send gives back: a concurrent.futures.Future that costs little.

A Future of the standard library makes a lock and two lists at once. This one
makes them when somebody waits; most records are reported before anybody asks.
"""

from __future__ import annotations

import concurrent.futures
import itertools
import logging
import queue
import threading
from typing import Any, Callable, Dict, Generic, List, Optional, TypeVar

from . import _spec as spec

T = TypeVar("T")
RUNNING, FINISHED = "RUNNING", "FINISHED"  # the words of concurrent.futures

# Held while a future's condition is made, or results are given to futures that
# have none. So whoever made one has it seen, or sees the result.
_guard = threading.Lock()



class Callbacks:
    """Calls what is the program's own, one after the other, in a thread of its own."""

    def __init__(self) -> None:
        self._queue: "queue.SimpleQueue[Callable[[], None]]" = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._started = False

    def put(self, call: Callable[[], None]) -> None:
        self._queue.put(call)
        if not self._started:
            with self._lock:
                if not self._started:
                    self._started = True
                    threading.Thread(target=self._run, name="vegas-callbacks", daemon=True).start()

    def _run(self) -> None:
        while True:
            call = self._queue.get()
            try:
                call()
            except Exception:
                logging.getLogger("vegas").exception("a callback has failed")
            del call


callbacks = Callbacks()


def guard() -> threading.Lock:
    """To be held while futures that have no condition get their results."""
    return _guard


def after_fork() -> None:
    global _guard, callbacks
    _guard = threading.Lock()
    callbacks = Callbacks()


def again(error: spec.VegasError) -> spec.VegasError:
    """The same error for another one to raise: each has a traceback of its own."""
    return type(error)(error.text, error.remedy, error.unknown)


class Future(concurrent.futures.Future, Generic[T]):  # type: ignore[type-arg]
    """The result of one call, or of one record. It cannot be cancelled."""

    _state = RUNNING
    _result: Any = None
    _exception: Optional[BaseException] = None
    _cond: Optional[threading.Condition] = None
    _unseen: Optional["_Unseen"] = None
    _cost = 0

    def __init__(self) -> None:
        pass

    # What the base class keeps from the start.

    @property
    def _condition(self) -> threading.Condition:  # type: ignore[override]
        if self._cond is None:
            with _guard:
                if self._cond is None:
                    self._cond = threading.Condition()
        assert self._cond is not None
        return self._cond

    @property
    def _waiters(self) -> List[Any]:  # type: ignore[override]
        return self.__dict__.setdefault("_waiting", [])  # type: ignore[no-any-return]

    @property
    def _done_callbacks(self) -> List[Any]:
        return self.__dict__.setdefault("_callbacks", [])  # type: ignore[no-any-return]

    def done(self) -> bool:
        return self._state == FINISHED

    def result(self, timeout: Optional[float] = None) -> T:
        """What came of it. Raises its VegasError, and TimeoutError when there is
        no result after `timeout` seconds."""
        error = self.exception(timeout)
        if error is not None:
            try:
                raise error
            finally:
                del error, self  # no cycle through the traceback
        return self._result  # type: ignore[no-any-return]

    def exception(self, timeout: Optional[float] = None) -> Optional[BaseException]:
        if self._state != FINISHED:
            super().exception(timeout)
        unseen = self._unseen
        if unseen is not None:
            self._unseen = None
            unseen.seen()
        return self._exception

    def _invoke_callbacks(self) -> None:
        for callback in self._done_callbacks:
            callbacks.put(lambda callback=callback: callback(self))  # type: ignore[misc]

    def finish(self, result: Any = None, error: Optional[BaseException] = None) -> None:
        with _guard:
            if self._cond is None:
                self._result, self._exception = result, error
                self._state = FINISHED
                return
        if error is None:
            self.set_result(result)
        else:
            self.set_exception(error)

    def abandon(self, error: BaseException) -> None:
        """In the child of a fork: whoever waits, or would be called, is the parent's."""
        self.__dict__.clear()
        self._exception, self._state = error, FINISHED


class Failures:
    """Failures that nobody has looked at: logged when they are forgotten, raised
    by flush and close."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self._open: Dict[int, spec.VegasError] = {}
        self._count = itertools.count()

    def attach(self, future: Future[Any], error: spec.VegasError) -> None:
        """Watches a future that is about to fail."""
        n = next(self._count)
        self._open[n] = error
        future._unseen = _Unseen(self, n)

    def seen(self, n: int) -> None:
        self._open.pop(n, None)

    def forgotten(self, n: int) -> None:
        error = self._open.get(n)
        if error is not None:
            self._log(f"a record failed, and nobody asked for its result: {error}")

    def take(self) -> Optional[spec.VegasError]:
        """One error that stands for all that nobody has looked at so far."""
        errors = list(self._open.items())
        for n, _ in errors:
            self._open.pop(n, None)
        if not errors:
            return None
        first = errors[0][1]
        if len(errors) == 1:
            return first
        return type(first)(
            f"{len(errors)} records failed, and nobody asked for their results; the first: {first.text}",
            first.remedy,
            any(e.unknown for _, e in errors),
        )


class _Unseen:
    """Lies in a failed future until somebody looks, and dies with it otherwise."""

    __slots__ = ("_failures", "_n")

    def __init__(self, failures: Failures, n: int) -> None:
        self._failures, self._n = failures, n

    def seen(self) -> None:
        self._failures.seen(self._n)

    def __del__(self) -> None:
        self._failures.forgotten(self._n)


class Quiet:
    """A log of warnings that says one of a kind a second, and how many it kept back."""

    def __init__(self, logger: logging.Logger, now: Callable[[], float]) -> None:
        self._logger, self._now = logger, now
        self._next, self._kept = 0.0, 0

    def warn(self, text: str) -> None:
        if self._now() < self._next:
            self._kept += 1
            return
        kept, self._kept = self._kept, 0
        self._next = self._now() + 1
        self._logger.warning("%s%s", text, f" (and {kept} more before it)" if kept else "")
