"""A database for each test, copied and dropped by a thread while other tests run: nobody waits for the copying."""

from __future__ import annotations

import asyncio
import queue
import threading
import uuid

import asyncpg

AHEAD = 2  # copies that lie ready
WITHIN_S = 60


class Databases:
    """Copies of a template that nobody is connected to."""

    def __init__(self, server_url: str, template: str) -> None:
        self._server_url = server_url
        self._template = template
        self._orders: queue.Queue[str | None] = queue.Queue()  # drop this one, or "": make another; None: end
        self._ready: queue.Queue[str | BaseException] = queue.Queue()
        for _ in range(AHEAD):
            self._orders.put("")
        self._thread = threading.Thread(target=lambda: asyncio.run(self._work()), name="databases", daemon=True)
        self._thread.start()

    def take(self) -> str:
        """Return the name of a database that nobody has used."""
        self._orders.put("")
        made = self._ready.get(timeout=WITHIN_S)
        if isinstance(made, BaseException):
            raise made
        return made

    def drop(self, name: str) -> None:
        """Whoever is still connected to it is shown out."""
        self._orders.put(name)

    def close(self) -> None:
        self._orders.put(None)
        self._thread.join(WITHIN_S)

    async def _work(self) -> None:
        try:
            admin = await asyncpg.connect(self._server_url)
            while (order := self._orders.get()) is not None:
                if order:
                    await admin.execute(f"drop database {order} with (force)")
                    continue
                name = f"t{uuid.uuid4().hex}"
                await admin.execute(f"create database {name} template {self._template} strategy file_copy")
                self._ready.put(name)
            await admin.close()
        except BaseException as error:
            self._ready.put(error)
