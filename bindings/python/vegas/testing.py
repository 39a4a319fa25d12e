"""A Kinesis of its own for tests: in memory, on a free port of this machine."""

from __future__ import annotations

import os
from typing import Any, Dict, Mapping, Optional, Union

from . import _engine, _options, _spec as spec


class LocalKinesis:
    """A local server inside the engine, with streams.

        with vegas.testing.LocalKinesis({"orders": 4}) as k:
            with vegas.Producer("orders") as p:
                p.send("key", b"data").result()

    Within the block producers and consumers that name no endpoint use it, and so do
    other clients, by the environment (AWS_ENDPOINT_URL, keys, region). Outside,
    give `endpoint=k.endpoint` (and `store=k.store`) to those that should.

    streams: shards of each stream. no_limits: do not throttle as AWS does.
    record_bytes: MaxRecordSize of the streams, 1 to 10 MiB. state_delay: how long,
    in seconds, streams take to be created, split or merged. port: 0 takes a free one.
    """

    def __init__(
        self,
        streams: Optional[Mapping[str, int]] = None,
        *,
        no_limits: bool = False,
        record_bytes: Optional[int] = None,
        state_delay: Optional[float] = None,
        port: int = 0,
        engine: Optional[str] = None,
    ) -> None:
        arguments: Dict[str, Any] = {"streams": dict(streams or {}), "no_limits": no_limits, "port": port}
        if record_bytes is not None:
            arguments["record_bytes"] = record_bytes
        if state_delay is not None:
            arguments["state_delay"] = _options.micros(state_delay)
        self._number = _engine.number(self)
        self._engine = _engine.get(engine)
        answer = self._engine.request(spec.METHOD_START_LOCAL, {"local": self._number, **arguments}).result()
        #: Where it is.
        self.endpoint: str = answer["endpoint"]
        #: What other programs need in their environment to use it.
        self.environment: Dict[str, str] = answer["environment"]
        # boto3 asks for this one only.
        self.environment["AWS_DEFAULT_REGION"] = self.environment["AWS_REGION"]
        #: A store for groups, which goes with it.
        self.store: str = self.environment["VEGAS_STORE"]
        self._before: Dict[str, Optional[str]] = {}
        self._ambient: Dict[str, Union[str, None]] = {}
        self._stopped = False

    def __enter__(self) -> "LocalKinesis":
        self._before = {k: os.environ.get(k) for k in self.environment}
        os.environ.update(self.environment)
        self._ambient = dict(_options.ambient)
        _options.ambient.update(
            endpoint=self.endpoint, store=self.store, region=self.environment["AWS_REGION"]
        )
        return self

    def __exit__(self, *_: Any) -> None:
        for k, v in self._before.items():
            if v is None:
                os.environ.pop(k, None)
            else:
                os.environ[k] = v
        _options.ambient.clear()
        _options.ambient.update(self._ambient)
        self.stop()

    def stop(self) -> None:
        """Ends it. What it had is gone."""
        if self._stopped:
            return
        self._stopped = True
        try:
            self._engine.request(spec.METHOD_STOP_LOCAL, {"local": self._number}).result()
        except spec.EngineGoneError:
            pass

    def forked(self) -> None:
        self._stopped = True  # it is the parent's

    def __repr__(self) -> str:
        return f"LocalKinesis({self.endpoint!r})"
