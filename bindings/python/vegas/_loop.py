"""What producers and consumers for asyncio do with event loops."""

from __future__ import annotations

import asyncio
from typing import Any, Callable


def open_in(loop: asyncio.AbstractEventLoop, connect: Callable[[], None]) -> "asyncio.Future[None]":
    """Starts an engine without holding up the loop."""
    opening = loop.run_in_executor(None, connect)
    opening.add_done_callback(lambda f: f.cancelled() or f.exception())  # open() raises it
    return opening


def call_in(loop: asyncio.AbstractEventLoop, call: Callable[[], Any]) -> None:
    try:
        loop.call_soon_threadsafe(call)
    except RuntimeError:
        pass  # the loop is closed, and nobody waits in it
