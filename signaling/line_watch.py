"""How good everybody's connection is: graded from what browsers measure, told to the others and to the application.

Pure, no I/O. Browsers measure every two seconds; others hear of changes at once and of the figures now and then, the
timeline keeps a summary a minute and every lasting change.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from signaling import events
from signaling import messages as wire
from signaling.announcements import about, to_present
from signaling.effects import Effect, Tell
from signaling.room_clock import RoomClock
from signaling.roster import Attendee, Roster

MIN_STEP_MS: Final = 1000  # whoever measures more often is not heard
SHOWN_EVERY_MS: Final = 10_000
TOLD_EVERY_MS: Final = 60_000
TOLD_APART_MS: Final = 10_000
BAD_LOSS, BAD_ROUND_TRIP_MS = 0.1, 800
WEAK_LOSS, WEAK_ROUND_TRIP_MS, WEAK_FREEZES = 0.03, 350, 2
_ORDER: Final[tuple[wire.Grade, ...]] = ("good", "weak", "bad")


def grade_of(quality: wire.Quality) -> wire.Grade:
    """Return what one measurement alone would say."""
    if quality.loss > BAD_LOSS or quality.round_trip_ms > BAD_ROUND_TRIP_MS:
        return "bad"
    weak = quality.loss > WEAK_LOSS or quality.round_trip_ms > WEAK_ROUND_TRIP_MS or quality.freezes >= WEAK_FREEZES
    return "weak" if weak else "good"


@dataclass(slots=True)
class _Line:
    """One member's. before: the grade of the measurement before; since: of what the application has not heard yet."""

    before: wire.Grade | None = None
    noted_ms: int | None = None
    shown: wire.Grade | None = None
    shown_ms: int = 0
    told: wire.Grade | None = None
    told_ms: int = 0
    since: list[wire.Quality] = field(default_factory=list)


class LineWatch:
    def __init__(self, roster: Roster, clock: RoomClock) -> None:
        self._roster = roster
        self._clock = clock
        self._lines: dict[str, _Line] = {}

    def note(self, attendee: Attendee, quality: wire.Quality, now_ms: int) -> list[Effect]:
        """Take a measurement of a member's browser."""
        line = self._lines.setdefault(attendee.member_id, _Line(told_ms=now_ms))
        if line.noted_ms is not None and now_ms - line.noted_ms < MIN_STEP_MS:
            return []
        line.noted_ms = now_ms
        line.since.append(quality)
        alone = grade_of(quality)
        # One bad measurement is no news: the better of the last two counts.
        grade = min(alone, line.before or alone, key=_ORDER.index)
        line.before = alone
        return self._show(attendee, line, grade, quality, now_ms) + self._tell(attendee, line, grade, now_ms)

    def forget(self, attendee: Attendee) -> None:
        self._lines.pop(attendee.member_id, None)

    def _show(
        self, attendee: Attendee, line: _Line, grade: wire.Grade, quality: wire.Quality, now_ms: int
    ) -> list[Effect]:
        if grade == line.shown and now_ms - line.shown_ms < SHOWN_EVERY_MS:
            return []
        line.shown, line.shown_ms = grade, now_ms
        return to_present(self._roster, wire.QualityOf(attendee.member_id, grade, quality), besides=attendee)

    def _tell(self, attendee: Attendee, line: _Line, grade: wire.Grade, now_ms: int) -> list[Effect]:
        after_ms = TOLD_APART_MS if grade != (line.told or "good") else TOLD_EVERY_MS
        if now_ms - line.told_ms < after_ms:
            return []
        since, over_ms = line.since, now_ms - line.told_ms
        line.told, line.told_ms, line.since = grade, now_ms, []
        return [
            Tell(
                events.LineMeasured(
                    **self._clock.fact(now_ms), **about(attendee), grade=grade, over_ms=over_ms,
                    round_trip_ms=max(one.round_trip_ms for one in since), loss=max(one.loss for one in since),
                    sent_bps=sum(one.sent_bps for one in since) // len(since),
                    received_bps=sum(one.received_bps for one in since) // len(since),
                    freezes=sum(one.freezes for one in since),
                )
            )
        ]  # fmt: skip
