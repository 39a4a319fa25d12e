"""The engine: one process for all producers and consumers of a program.

It is started at its first use and lives until the program ends. When it dies, a
new one is started, and what was open is opened anew.

Threads, all of them daemons: `vegas-engine` starts the process and reads its
frames, `vegas-writer` writes what has gathered, `vegas-callbacks` calls what is
the program's own (log handlers, callbacks of futures, on_stats), so that none of
it can hold up the reader.
"""

from __future__ import annotations

import atexit
import concurrent.futures.thread  # before threading._register_atexit: its end comes after ours
import itertools
import logging
import os
import queue
import subprocess
import sys
import threading
import time
import weakref
from typing import Any, BinaryIO, Callable, Dict, List, Optional, Protocol, Tuple

from . import _future
from . import _spec as spec
from . import _wire as wire
from ._future import Future

VERSION = "0.1.0"

log = logging.getLogger("vegas")

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
_STARTS = 5  # that many within a minute are enough
_BACKOFF = 0.1
_FLUSHED_AT = 1 << 20


class Client(Protocol):
    """A producer or consumer, as the engine sees it. All but `take` and `exit_*`
    are called by the engine's reader, and do not wait."""

    number: int

    def open_call(self) -> Tuple[str, Dict[str, Any]]: ...
    def opened(self, session: "Session", answer: Dict[str, Any]) -> None: ...
    def broken(self, error: spec.VegasError) -> None:
        """It could not be opened, or there will be no engine any more."""

    def lost(self, session: "Session", why: spec.VegasError) -> None:
        """The session has ended; another one comes."""

    def frame(self, session: "Session", kind: int, body: bytes) -> None: ...
    def called(self, session: "Session", number: int, args: Dict[str, Any]) -> None: ...
    def event(self, event: Dict[str, Any]) -> None: ...
    def take(self, session: "Session") -> List[bytes]:
        """What has gathered, as frames. Called by the writer after put(client)."""

    def forked(self) -> None: ...
    def exit_begin(self, stage: str) -> None: ...
    def exit_end(self, began: float) -> None: ...


class Session:
    """One process, from its start to its end."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.answer: Dict[str, Any] = {}
        self._out: "queue.SimpleQueue[Any]" = queue.SimpleQueue()
        self._calls: Dict[int, Callable[[Any, Optional[spec.VegasError]], None]] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._ended: Optional[spec.VegasError] = None
        self._reason: Optional[spec.VegasError] = None
        try:
            self.process = subprocess.Popen(
                [path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                # A Ctrl-C at the terminal is this program's to handle.
                start_new_session=True,
            )
        except OSError as e:
            raise _missing(path, e) from None
        assert self.process.stdin and self.process.stdout
        self._stdin: BinaryIO = self.process.stdin  # type: ignore[assignment]
        _widen(self._stdin)
        _widen(self.process.stdout)
        # A file of its own, since it has a lock that a fork would leave locked.
        self._source = open(self.process.stdout.fileno(), "rb", 256 << 10, closefd=False)

    def hello(self) -> None:
        """Shakes hands; raises where this is no engine."""
        silent = threading.Event()

        def give_up() -> None:
            silent.set()
            self.process.kill()

        late = threading.Timer(spec.HELLO_TIMEOUT / 1e6, give_up)
        late.daemon = True
        late.start()
        try:
            self._write(
                wire.frame(
                    spec.KIND_HELLO,
                    wire.encode(
                        {
                            "protocol": [spec.PROTOCOL, spec.PROTOCOL],
                            "language": "python",
                            "version": VERSION,
                            "pid": os.getpid(),
                            "log": _wanted_level(),
                        }
                    ),
                )
            )
            first = wire.read_frame(self._source)
            if first is not None and first[0] == spec.KIND_FAIL:
                raise wire.error(wire.decode(first[1]).get("error"))
            if first is None or first[0] != spec.KIND_HELLO:
                raise spec.ProtocolError("its first words are not the engine's")
            answer = wire.decode(first[1])
            if not isinstance(answer, dict) or not isinstance(answer.get("protocol"), int):
                raise spec.ProtocolError("its first words are not the engine's")
            self.answer = answer
            if answer["protocol"] != spec.PROTOCOL:
                raise spec.VersionError(
                    f"the engine {self.path} speaks protocol {self.answer.get('protocol')}, this package {spec.PROTOCOL}",
                    "use the engine that comes with the package",
                )
        except (OSError, spec.ProtocolError) as e:
            self.kill()
            self._hang_up()
            why = f"{self.path} is no vegas engine: {e} (exit status {self.process.returncode})"
            if silent.is_set():
                why = f"the engine {self.path} did not say hello within {spec.HELLO_TIMEOUT / 1e6:.0f} s"
            raise spec.EngineMissingError(
                why,
                "name one by the option engine or VEGAS_ENGINE, or unset it for the one in the package",
            ) from None
        except spec.VegasError:
            self.kill()
            self._hang_up()
            raise
        finally:
            late.cancel()
        threading.Thread(target=self._writing, name="vegas-writer", daemon=True).start()

    @property
    def over(self) -> bool:
        return self._ended is not None

    def put(self, frame_or_client: Any) -> None:
        """Leaves a frame, or a client that has some, to the writer. Waits for nobody."""
        self._out.put(frame_or_client)

    def call(
        self, method: str, args: Dict[str, Any], done: Callable[[Any, Optional[spec.VegasError]], None]
    ) -> None:
        """Calls the engine; done(results, error) is called once, by the reader."""
        number = next(self._numbers)
        body = wire.encode({"call": number, "method": method, **args})
        with self._lock:
            ended = self._ended
            if ended is None:
                self._calls[number] = done
        if ended is not None:
            done(None, ended)
            return
        self.put(wire.frame(spec.KIND_CALL, body))

    def answer_call(self, number: int, results: Dict[str, Any]) -> None:
        self.put(wire.frame(spec.KIND_ANSWER, wire.encode({"call": number, **results})))

    def refuse(self, error: spec.VegasError) -> None:
        """Tells the engine what is wrong with what it has sent. It ends."""
        self.put(wire.frame(spec.KIND_FAIL, wire.encode({"error": {"code": error.code, "text": error.text}})))

    def _writing(self) -> None:
        get, poll = self._out.get, self._out.get_nowait
        try:
            while True:
                item, parts, size = get(), [], 0
                while True:
                    if item is None:
                        return
                    for b in (item,) if item.__class__ is bytes else item.take(self):
                        parts.append(b)
                        size += len(b)
                    if size >= _FLUSHED_AT:
                        break
                    try:
                        item = poll()
                    except queue.Empty:
                        break
                self._write(parts[0] if len(parts) == 1 else b"".join(parts))
        except OSError:
            pass  # the reader sees the end, and why
        finally:
            self._hang_up()

    def _hang_up(self) -> None:
        try:
            self._stdin.close()
        except OSError:
            pass

    def _write(self, data: bytes) -> None:
        n = self._stdin.write(data)
        while n < len(data):
            data = data[n:]
            n = self._stdin.write(data)

    def read(self, engine: "Engine") -> spec.VegasError:
        """Takes in frames until there are no more, and says why."""
        try:
            while True:
                got = wire.read_frame(self._source)
                if got is None:
                    break
                self._take(engine, *got)
        except spec.ProtocolError as e:
            self._reason = e
            self.refuse(e)
        except OSError:
            pass
        self.kill()
        why = self._reason
        return spec.EngineGoneError(
            f"the engine has ended ({why.text if why else _status(self.process.returncode)})",
            why.remedy if why else None,
            True,
        )

    def _take(self, engine: "Engine", kind: int, body: bytes) -> None:
        if kind in (spec.KIND_REPORT, spec.KIND_DELIVER, spec.KIND_STOP):
            if len(body) < 4:
                raise spec.ProtocolError("a frame of records is cut off")
            client = engine.clients.get(int.from_bytes(body[:4], "little"))
            if client is not None:
                client.frame(self, kind, body)
            return
        if kind not in (spec.KIND_ANSWER, spec.KIND_CALL, spec.KIND_EVENT, spec.KIND_FAIL):
            return
        value = wire.decode(body)
        if not isinstance(value, dict):
            raise spec.ProtocolError("a frame holds no map")
        if kind == spec.KIND_ANSWER:
            with self._lock:
                done = self._calls.pop(value.get("call", 0), None)
            if done is None:
                raise spec.ProtocolError("the engine answers what nobody asked")
            failed = value.get("error")
            done(value, wire.error(failed) if failed is not None else None)
        elif kind == spec.KIND_CALL:
            client = engine.clients.get(value.get("consumer", 0))
            number = value.get("call", 0)
            if client is None:
                gone = {"code": "closed", "text": "there is no such consumer any more"}
                self.answer_call(number, {"error": gone})
            else:
                client.called(self, number, value)
        elif kind == spec.KIND_EVENT:
            if value.get("event") == "log":
                _future.callbacks.put(lambda: _write_log(value))
                return
            client = engine.clients.get(value.get("producer") or value.get("consumer") or 0)
            if client is not None:
                client.event(value)
        else:
            self._reason = wire.error(value.get("error"))

    def end(self, why: spec.VegasError) -> None:
        """Fails what was asked and not answered."""
        with self._lock:
            self._ended = why
            calls, self._calls = self._calls, {}
        self.put(None)
        for done in calls.values():
            done(None, why)

    def close(self, wait: float) -> None:
        """Closes the engine's input, and gives it time to end."""
        self.put(None)
        try:
            self.process.wait(wait)
        except subprocess.TimeoutExpired:
            pass

    def kill(self) -> None:
        """Only the reader, or who has not begun to read, may: its file is closed."""
        try:
            self.process.kill()
        except OSError:
            pass
        self.process.wait()
        assert self.process.stdout
        self.process.stdout.close()

    def forked(self) -> None:
        """In the child: lets go of the parent's engine, which must see the
        parent's end."""
        self.process.returncode = 0  # it is nobody's to wait for here
        for f in (self._stdin, self.process.stdout):
            try:
                f.close()  # type: ignore[union-attr]
            except OSError:
                pass


class Engine:
    """All sessions with one binary, one after the other."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._reset()

    def _reset(self) -> None:
        self._changed = threading.Condition()
        self._session: Optional[Session] = None
        self._running = False
        self._failed: Optional[spec.VegasError] = None
        self._starting: Optional[Session] = None
        self._closing = False
        self._hurry = False
        self.clients: Dict[int, Client] = {}

    def connect(self, until: Optional[float] = None) -> Session:
        """The session, started where there is none. Raises where there cannot be, and
        concurrent.futures.TimeoutError where there is none by then."""
        with self._changed:
            if not self._running and self._failed is None:
                self._running = True
                threading.Thread(target=self._run, name="vegas-engine", daemon=True).start()
            while self._session is None:
                if self._failed is not None:
                    raise _future.again(self._failed)
                if not self._running:
                    raise spec.EngineGoneError("the program is ending")
                left = None if until is None else until - time.monotonic()
                if left is not None and left <= 0:
                    raise concurrent.futures.TimeoutError
                self._changed.wait(left)
            return self._session

    def attach(self, client: Client) -> None:
        """Opens a client now and in every session to come."""
        with self._changed:
            if not self._running:
                raise self._failed or spec.EngineGoneError("the program is ending")
            self.clients[client.number] = client
            session = self._session
            if session is not None:
                self._open(session, client)

    def detach(self, client: Client) -> None:
        with self._changed:
            self.clients.pop(client.number, None)

    def _open(self, session: Session, client: Client) -> None:
        method, args = client.open_call()

        def done(answer: Any, error: Optional[spec.VegasError]) -> None:
            if isinstance(error, spec.EngineGoneError):
                return  # it is opened in the next session
            if error is not None:
                self.detach(client)
                client.broken(error)
            else:
                client.opened(session, answer)

        session.call(method, args, done)

    def _run(self) -> None:
        starts: List[float] = []
        first = True
        while True:
            starts = [t for t in starts if t > time.monotonic() - 60] + [time.monotonic()]
            try:
                self._starting = session = Session(self.path)
                session.hello()
            except spec.VegasError as e:
                if first:  # nothing is open yet: the next call may try again
                    self._end(e, retry=True)
                    return
                why: spec.VegasError = e
            else:
                first = False
                with self._changed:
                    self._session = session
                    for client in list(self.clients.values()):
                        self._open(session, client)
                    self._changed.notify_all()
                why = session.read(self)
                with self._changed:
                    self._session = None
                session.end(why)
                for client in list(self.clients.values()):
                    client.lost(session, why)
            if self._closing:
                self._end(spec.EngineGoneError("the program is ending", None, True))
                return
            if len(starts) >= _STARTS:
                self._end(
                    spec.EngineGoneError(
                        f"the engine has ended {len(starts)} times within a minute; the last time: {why.text}",
                        "what kills it is on standard error",
                        True,
                    )
                )
                return
            log.warning("%s; starting another one", why)
            time.sleep(_BACKOFF * 2 ** (len(starts) - 1))

    def _end(self, why: spec.VegasError, retry: bool = False) -> None:
        with self._changed:
            self._failed, self._running = why, False
            clients, self.clients = self.clients, {}
            self._changed.notify_all()
        for client in clients.values():
            client.broken(why)
        if retry:
            # Whoever waits has woken with the reason; later ones try anew.
            with _registry_lock:
                if _engines.get(self.path) is self:
                    del _engines[self.path]

    def request(
        self, method: str, args: Dict[str, Any], session: Optional[Session] = None
    ) -> "Future[Dict[str, Any]]":
        """Calls the engine; the future has the answer."""
        future: Future[Dict[str, Any]] = Future()

        (session or self.connect()).call(method, args, future.finish)
        return future

    def exit(self, stage: str) -> None:
        """The program ends: closes consumers, or else everything. A Ctrl-C meanwhile
        ends the waiting, and what is left is logged."""
        if self._closing:
            return
        clients = list(self.clients.values())
        for c in clients:
            c.exit_begin(stage)
        began = time.monotonic()
        for c in clients:
            try:
                c.exit_end(float("-inf") if self._hurry else began)
            except KeyboardInterrupt:
                self._hurry = True
                c.exit_end(float("-inf"))
        if stage == "all":
            self._closing = True
            session = self._session
            if session is not None:
                session.close(0 if self._hurry else 2)

    def forked(self) -> None:
        for session in {self._session, self._starting} - {None}:
            session.forked()  # type: ignore[union-attr]
        self._reset()


# Engines of this process, by path.
_engines: Dict[str, Engine] = {}
_registry_lock = threading.Lock()
_clients: "weakref.WeakSet[Any]" = weakref.WeakSet()
_numbers = itertools.count(1)
_exit_in: Optional[int] = None


def get(path: Optional[str]) -> Engine:
    """The engine of a binary: the one named, that of VEGAS_ENGINE, or the package's."""
    path = path or os.environ.get("VEGAS_ENGINE") or _packaged()
    with _registry_lock:
        engine = _engines.get(path)
        if engine is None:
            engine = _engines[path] = Engine(path)
        _register_exit()
    return engine


def number(client: Any) -> int:
    """A number for a client, which a fork will find."""
    _clients.add(client)
    return next(_numbers)


def _packaged() -> str:
    path = os.path.join(os.path.dirname(__file__), "_bin", "vegas-engine" + (".exe" if os.name == "nt" else ""))
    if not os.path.exists(path):
        raise spec.EngineMissingError(
            f"there is no engine at {path}",
            "install the wheel for this platform, or name an engine by VEGAS_ENGINE or the option engine",
        )
    return path


def _missing(path: str, e: OSError) -> spec.EngineMissingError:
    remedy = "name one by the option engine or VEGAS_ENGINE"
    if isinstance(e, PermissionError):
        remedy = "give it execute permission; on a file system mounted noexec nothing can be started"
    elif e.errno == 8:  # ENOEXEC
        remedy = "it is of another system or architecture: install the package for this one"
    return spec.EngineMissingError(f"the engine {path} cannot be started: {e.strerror or e}", remedy)


def _status(code: Optional[int]) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit status {code}"


def _widen(pipe: Any) -> None:
    """Makes a pipe take a batch at once, where the system lets it."""
    try:
        import fcntl

        fcntl.fcntl(pipe.fileno(), 1031, 1 << 20)  # F_SETPIPE_SZ
    except (ImportError, OSError):
        pass


def _wanted_level() -> str:
    """What is below the logger's level need not cross."""
    level = log.getEffectiveLevel()
    return next((word for word, n in _LEVELS.items() if n >= level), "error")


def _write_log(event: Dict[str, Any]) -> None:
    level = _LEVELS.get(str(event.get("level")), logging.INFO)
    if not log.isEnabledFor(level):
        return
    attrs = event.get("attrs") or {}
    words = "".join(f" {k}={v}" for k, v in attrs.items())
    log.log(level, "%s%s", event.get("text", ""), words, extra={"vegas": attrs})


def _register_exit() -> None:
    global _exit_in
    if _exit_in == os.getpid():
        return
    first, _exit_in = _exit_in is None, os.getpid()
    # Consumers end when the main thread has, while executors that their handlers may
    # use still take work. Producers end behind other threads.
    if first:
        atexit.register(_exit, "all")
        early = getattr(threading, "_register_atexit", None)
        if early is not None:
            early(_exit, "consumers")
    processes = sys.modules.get("multiprocessing.process")
    if processes is not None and processes.parent_process() is not None:
        # A child of multiprocessing may end without atexit.
        from multiprocessing import util

        util.Finalize(None, _exit, args=("consumers",), exitpriority=11)
        util.Finalize(None, _exit, args=("all",), exitpriority=10)


def _exit(stage: str) -> None:
    if _exit_in != os.getpid():
        return
    for engine in list(_engines.values()):
        engine.exit(stage)


def _forked() -> None:
    global _registry_lock
    _registry_lock = threading.Lock()
    _future.after_fork()
    engines = list(_engines.values())
    _engines.clear()
    for engine in engines:
        engine.forked()
    for client in list(_clients):
        client.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
