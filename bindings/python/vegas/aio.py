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

from ._aio_consumer import Consumer
from ._aio_producer import Producer

__all__ = ["Consumer", "Producer"]
