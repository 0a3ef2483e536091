"""The one clock of a consultation: from a room's now_ms to what people and the application see. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(slots=True)
class RoomClock:
    """wall_at_zero_ms: ms since 1970 UTC at now_ms 0. new_id: makes the ids of events.

    origin_ms: now_ms at the consultation's start; negative if it started before this room was made; None before it."""

    room_id: str
    wall_at_zero_ms: int
    new_id: Callable[[], str]
    origin_ms: int | None = None

    @property
    def started(self) -> bool:
        return self.origin_ms is not None

    def start(self, now_ms: int, *, started_at_ms: int | None = None) -> None:
        """Start now, or go on from a start in the past (ms since 1970 UTC)."""
        self.origin_ms = now_ms if started_at_ms is None else min(now_ms, started_at_ms - self.wall_at_zero_ms)

    def at_ms(self, now_ms: int) -> int:
        """Return ms since the consultation's start; 0 before it."""
        return max(0, now_ms - self.origin_ms) if self.origin_ms is not None else 0

    def started_at(self) -> str:
        """The consultation's start, ISO 8601; empty before it."""
        return self.wall(self.origin_ms) if self.origin_ms is not None else ""

    def wall(self, now_ms: int) -> str:
        instant = datetime.fromtimestamp((self.wall_at_zero_ms + now_ms) / 1000, UTC)
        return instant.isoformat(timespec="milliseconds")

    def fact(self, now_ms: int) -> dict[str, Any]:
        """Return what every event has."""
        return {
            "event_id": self.new_id(),
            "room_id": self.room_id,
            "at_ms": self.at_ms(now_ms),
            "happened_at": self.wall(now_ms),
        }
