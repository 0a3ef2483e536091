"""How a process hears that it should end, at once or when its calls are over."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

SAME_ORDER_S = 1.0  # a manager that signals every process of ours, and our supervisor that passes it on, are one order

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Orders:
    """drain: go when nobody needs you any more. stop: go."""

    drain: asyncio.Event = field(default_factory=asyncio.Event)
    stop: asyncio.Event = field(default_factory=asyncio.Event)


def until_signal() -> asyncio.Event:
    """Return an event that SIGINT and SIGTERM set. A third signal ends the process at once."""
    stop = asyncio.Event()
    heard = 0

    def hear() -> None:
        nonlocal heard
        heard += 1
        if heard > 2:
            os._exit(1)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, hear)
    return stop


def hear_orders(lifeline: int | None = None) -> Orders:
    """Return what SIGTERM (first drain, the second time stop) and SIGINT (stop) set; two more end the process at once.

    lifeline: a pipe's end, which closes when whoever looks after this process is gone; then this one goes as well.
    """
    orders = Orders()
    loop = asyncio.get_running_loop()
    heard_s: list[float] = []

    def hear(number: int) -> None:
        if heard_s and loop.time() - heard_s[-1] < SAME_ORDER_S and number == signal.SIGTERM:
            return
        heard_s.append(loop.time())
        if len(heard_s) > 3:
            os._exit(1)
        if number == signal.SIGINT or orders.drain.is_set():
            orders.stop.set()
        orders.drain.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, hear, number)
    if lifeline is not None:

        def let_go() -> None:
            loop.remove_reader(lifeline)
            hear(signal.SIGINT)

        loop.add_reader(lifeline, let_go)
    return orders


async def until_over(orders: Orders, drain: Callable[[], Awaitable[None]], *, limit_s: float) -> None:
    """Wait for the order to drain, carry it out for at most limit_s; return at once when the order to stop comes."""
    await orders.drain.wait()
    if orders.stop.is_set() or limit_s <= 0:
        return
    log.info("process.drains", limit_s=limit_s)
    waiting = [asyncio.ensure_future(drain()), asyncio.ensure_future(orders.stop.wait())]
    try:
        await asyncio.wait(waiting, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*waiting, return_exceptions=True)
    log.info("process.drained", in_time=waiting[0].done() and not waiting[0].cancelled())
