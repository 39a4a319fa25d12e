"""Options: from keyword arguments to what the engine is told."""

from __future__ import annotations

import difflib
import os
from datetime import datetime, timedelta
from typing import Any, Dict, Mapping

from . import _spec as spec

#: What options are that nobody gave, while a local server is the place to go.
ambient: Dict[str, Any] = {}


class Options:
    """What was given: `wire` crosses to the engine, `host` stays here."""

    def __init__(self, of: str, table: Mapping[str, spec.Option], given: Mapping[str, Any]) -> None:
        self._table = table
        self.host: Dict[str, Any] = {}
        self.wire: Dict[str, Any] = {}
        given = {k: v for k, v in given.items() if v is not None}
        if "endpoint" not in given:
            given = {**{k: v for k, v in ambient.items() if k in table}, **given}
        for name, value in given.items():
            option = table.get(name)
            if option is None:
                near = difflib.get_close_matches(name, table, 1, 0.5)
                raise spec.BadOptionError(
                    f"{of}: there is no option {name!r}", f"did you mean {near[0]!r}?" if near else None
                )
            try:
                crossing = _cross(option, value)
            except (TypeError, ValueError, OverflowError) as e:
                raise spec.BadOptionError(f"{of}: option {name} is {value!r:.80}: {e}") from None
            if option.host or option.type == "function":
                self.host[name] = value
            if not option.host:
                self.wire[name] = crossing
        if "on_stats" in self.host and not self.wire.get("stats_every"):
            self.wire["stats_every"] = 10_000_000

    def seconds(self, name: str) -> float:
        """A duration, given or by default."""
        given = self.wire.get(name)
        return float(self._table[name].default) if given is None else given / 1e6

    def value(self, name: str) -> Any:
        """What crosses of an option, given or by default."""
        return self.wire.get(name, self._table[name].default)


def _cross(option: spec.Option, value: Any) -> Any:
    kind = option.type
    if kind == "flag":
        return _want(value, bool)
    if kind in ("number", "size"):
        if isinstance(value, bool):
            raise TypeError("want int")
        return _want(value, int)
    if kind == "duration":
        return micros(value)
    if kind == "word":
        if value not in option.words:
            raise ValueError(f"want one of {', '.join(map(repr, option.words))}")
        return value
    if kind == "start":
        if isinstance(value, datetime):
            return round(value.timestamp() * 1e6)
        if value not in ("trim_horizon", "latest"):
            raise ValueError("want 'trim_horizon', 'latest' or a datetime")
        return value
    if kind == "list":
        return [dict(v) for v in value]
    if kind == "function":
        if not callable(value):
            raise TypeError("want a function")
        return True
    return _want(os.fspath(value) if isinstance(value, os.PathLike) else value, str)


def _want(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"want {kind.__name__}")
    return value


def micros(value: Any) -> int:
    """A duration as it crosses; a number is seconds."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError("want a timedelta, or seconds as int or float")
    if value < 0:
        raise ValueError("want 0 or more")
    return round(value * 1e6)
