"""How often somebody may try what could be guessed or flooded. Counted in Redis if there is one, else here."""

from __future__ import annotations

from typing import Any

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter

from consult.domain.errors import TooManyTries

# What is tried → whom it is counted for → how often.
LIMITS: dict[str, dict[str, str]] = {
    "sign_in": {"address": "40/15 minutes", "account": "8/15 minutes"},
    "join": {"address": "60/10 minutes", "account": "20/10 minutes"},
    "new_link": {"address": "10/hour", "account": "3/hour"},
    "offer": {"address": "60/10 minutes", "account": "20/10 minutes"},
    "upload": {"address": "120/hour", "account": "60/hour"},
    "free_times": {"address": "240/10 minutes", "account": "60/10 minutes"},
    "hold": {"address": "120/hour", "account": "40/hour"},
    "invite": {"address": "60/hour", "account": "20/hour"},
    "calendar": {"address": "60/hour"},
    "needs": {"address": "120/hour", "account": "40/hour"},
    "wish": {"address": "60/hour", "account": "20/hour"},
    "demo": {"address": "120/minute"},
}


class Limiter:
    def __init__(self, redis_url: str | None = None) -> None:
        self._storage: MemoryStorage | RedisStorage
        if redis_url is None:
            self._storage = MemoryStorage()
        else:
            self._storage = RedisStorage(f"async+{redis_url}", implementation="redispy", key_prefix="consult:limits")
        self._strategy = MovingWindowRateLimiter(self._storage)
        self._items: dict[tuple[str, str], RateLimitItem] = {
            (what, whom): parse(rate) for what, rates in LIMITS.items() for whom, rate in rates.items()
        }

    async def hit(self, what: str, **whom: str) -> None:
        """Count one try: `hit("sign_in", address=…, account=…)`. Raises TooManyTries if one of them had too many."""
        allowed = True
        for kind, value in whom.items():
            allowed = await self._strategy.hit(self._items[what, kind], what, kind, value) and allowed
        if not allowed:
            raise TooManyTries(what)

    async def close(self) -> None:
        if isinstance(self._storage, MemoryStorage):
            if self._storage.timer is not None:
                self._storage.timer.cancel()
            return
        bridge: Any = self._storage.bridge
        await bridge.storage.aclose()
