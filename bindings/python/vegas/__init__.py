"""vegas: send and receive over Amazon Kinesis Data Streams.

    p = vegas.Producer("orders")
    p.send("customer-17", b"...")

    c = vegas.Consumer("orders", "billing", handle)   # runs at once
    c.run()

Everything else is optional. `vegas.aio` is the same for asyncio, and
`vegas.testing` has a Kinesis of its own for tests.
"""

import importlib
from typing import TYPE_CHECKING, Any

from . import _foreign, errors
from ._engine import VERSION as __version__
from ._future import Future
from ._spec import ConsumerOptions, ProducerOptions
from .consumer import Consumer
from .errors import *  # noqa: F403
from .producer import Producer, Receipt
from .record import Headers, Record, Shard

if TYPE_CHECKING:
    from . import aio, testing

__all__ = [
    "Consumer",
    "ConsumerOptions",
    "Future",
    "Headers",
    "Producer",
    "ProducerOptions",
    "Receipt",
    "Record",
    "Shard",
    "errors",
    # Not TimeoutError: a star import would hide the language's own.
    *(name for name in errors.__all__ if name != "TimeoutError"),
]


def __getattr__(name: str) -> Any:
    # asyncio is worth its loading to those who use it.
    if name in ("aio", "testing"):
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


_foreign.warn()
