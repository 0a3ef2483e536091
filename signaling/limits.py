"""How much one socket may send: token buckets, pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class TokenBucket:
    """Holds up to `burst` tokens and gains `per_s` a second."""

    per_s: float
    burst: float
    _tokens: float | None = None
    _seen_at_s: float = 0.0

    def take(self, now_s: float, count: float = 1) -> bool:
        """Take tokens, or none and return False if there are too few. now_s: monotonic."""
        held = self.burst if self._tokens is None else self._tokens + (now_s - self._seen_at_s) * self.per_s
        self._tokens, self._seen_at_s = min(self.burst, held), now_s
        if self._tokens < count:
            return False
        self._tokens -= count
        return True
