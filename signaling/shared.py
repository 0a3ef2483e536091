"""What everybody in a room shares: the View and the chat, pure, no I/O."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from signaling.messages import ChatLine, View

MAX_CHAT_LINES = 500
VIEW_SETTLES_MS = 1000


@dataclass(frozen=True, slots=True)
class Shown:
    view: View
    by: str
    shown_at_ms: int


@dataclass(slots=True)
class SharedView:
    """The View on screen, and which Views the application hears of: at most one a second, always the last."""

    view: View = field(default_factory=View)
    by: str | None = None
    _recalled_from_lead: bool | None = None  # None: shown here, or nothing yet
    _told: View = field(default_factory=View)
    _told_at_ms: int | None = None
    _pending: Shown | None = None

    def show(self, view: View, by: str, now_ms: int) -> None:
        self._recalled_from_lead = None
        self._put(view, by, now_ms)

    def recall(self, view: View, by: str, now_ms: int, *, leads: bool) -> bool:
        """Put up what was shown in a room before this one; return False if something newer stands."""
        shown_here = self.by is not None and self._recalled_from_lead is None
        if shown_here or self._recalled_from_lead or (self._recalled_from_lead is False and not leads):
            return False
        self._recalled_from_lead = leads
        self._put(view, by, now_ms)
        return True

    def _put(self, view: View, by: str, now_ms: int) -> None:
        self.view = view
        self.by = by
        self._pending = Shown(view, by, now_ms)

    def settles_at_ms(self) -> int | None:
        if self._pending is None:
            return None
        return 0 if self._told_at_ms is None else self._told_at_ms + VIEW_SETTLES_MS

    def settled(self, now_ms: int) -> Shown | None:
        """Return the View that is due to be told, once."""
        due = self.settles_at_ms()
        if self._pending is None or due is None or now_ms < due:
            return None
        return self.flush(now_ms)

    def flush(self, now_ms: int) -> Shown | None:
        """Return the View not yet told, due or not."""
        pending, self._pending = self._pending, None
        if pending is None or pending.view == self._told:
            return None
        self._told = pending.view
        self._told_at_ms = now_ms
        return pending


@dataclass(slots=True)
class Chat:
    """The last lines, each once: a browser sends a line again if it doesn't know whether it arrived."""

    _lines: OrderedDict[tuple[str, str], ChatLine] = field(default_factory=OrderedDict)

    def find(self, person_id: str, line_id: str) -> ChatLine | None:
        return self._lines.get((person_id, line_id))

    def keep(self, person_id: str, line: ChatLine) -> None:
        self._lines[person_id, line.line_id] = line
        while len(self._lines) > MAX_CHAT_LINES:
            self._lines.popitem(last=False)

    def lines(self) -> tuple[ChatLine, ...]:
        return tuple(self._lines.values())
