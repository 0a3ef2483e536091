"""What the scheduler's board shows of a day: a column per expert, and what needs a hand now. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from consult.boards.model import BoardLine, KeptTime, LineState
from consult.domain.ids import CaseId, StaffId
from consult.domain.slots import Slot
from consult.scheduling.model import opens_until

FIRST_HOUR = 8
LAST_HOUR = 17
FEWEST_HOURS = 4
NEAR = timedelta(hours=2)  # now is drawn with the day's times while they are no farther than that
SHORTEST_MIN = 10  # a block is drawn as long as that at least
LATE_AFTER = timedelta(minutes=3)
CHASE_RECORDS_WITHIN = timedelta(hours=48)
MANY_COLUMNS = 6  # more do not fit beside each other


def state_of(line: BoardLine, now: datetime) -> LineState:
    if line.call_ended_at is not None:
        return LineState.OVER
    links_open = now < opens_until(line.ends_at)
    if line.call_started_at is not None:
        return LineState.LIVE if links_open else LineState.OVER
    if line.waiting_since is not None and links_open:  # also after the end: somebody still sits there
        return LineState.LOBBY
    if now >= line.ends_at:
        return LineState.MISSED
    if now >= line.starts_at + LATE_AFTER:
        return LineState.LATE
    if line.record_count == 0 and line.starts_at - now < CHASE_RECORDS_WITHIN:
        return LineState.NO_RECORDS
    return LineState.READY


def may_move(line: BoardLine, now: datetime) -> bool:
    """Whether an appointment can still be put elsewhere: before its start, and nobody waits or talks."""
    return now < line.starts_at and line.call_started_at is None


@dataclass(frozen=True, slots=True)
class Entry:
    """One block of a column: an appointment, a time kept for somebody, or else a free slot.

    from_min: from the board's first hour. can_move: it may be put elsewhere. is_away: the expert is absent.
    """

    slot: Slot
    from_min: int
    long_min: int
    line: BoardLine | None = None
    state: LineState | None = None
    can_move: bool = False
    kept: KeptTime | None = None
    is_away: bool = False


@dataclass(frozen=True, slots=True)
class Need:
    """since: when it began to be so."""

    line: BoardLine
    state: LineState
    since: datetime
    minutes: int


@dataclass(frozen=True, slots=True)
class Span:
    """The hours that a board shows, in its zone."""

    starts_at: datetime
    first_hour: int
    last_hour: int

    @property
    def marks(self) -> list[datetime]:
        """Each full hour, to be written beside the day."""
        return [self.starts_at + timedelta(hours=number) for number in range(self.last_hour - self.first_hour)]

    @property
    def shown(self) -> Slot:
        return Slot(self.starts_at, self.starts_at + timedelta(hours=self.last_hour - self.first_hour))

    def minute_of(self, at: datetime) -> int:
        return int((at - self.starts_at) // timedelta(minutes=1))


def span_of(slots: Sequence[Slot], day: Slot, now: datetime) -> Span:
    """Return the hours that hold everything of a day, or the usual ones: four at least, and now if it is near.

    day: its first and last instant.
    """
    midnight, hour = day.starts_at, timedelta(hours=1)
    all_day = -int(-(day.ends_at - midnight) // hour)
    begin = min((slot.starts_at for slot in slots), default=midnight + FIRST_HOUR * hour)
    end = max((slot.ends_at for slot in slots), default=midnight + LAST_HOUR * hour)
    if begin - NEAR <= now < end + NEAR:
        begin, end = min(begin, now), max(end, now + timedelta(minutes=1))
    first = int((max(begin, midnight) - midnight) // hour)
    last = -int(-(min(end, day.ends_at) - midnight) // hour)
    if last - first < FEWEST_HOURS:  # a board of one hour would be hard to read the day from
        first = max(min(first - 1, all_day - FEWEST_HOURS), 0)
        last = min(max(last, first + FEWEST_HOURS), all_day)
    return Span(midnight + first * hour, first, last)


def columns_of(
    expert_ids: Sequence[StaffId],
    lines: Sequence[BoardLine],
    free: Mapping[StaffId, Sequence[Slot]],
    kept: Sequence[KeptTime],
    span: Span,
    now: datetime,
    absences: Mapping[StaffId, Sequence[Slot]] | None = None,
) -> dict[StaffId, list[Entry]]:
    """Return each expert's blocks in the order of time; an appointment of a panel stands in the column of each.

    The order is that of expert_ids. Of many experts those with calls come first, and those without any time last.
    """
    columns: dict[StaffId, list[Entry]] = {expert_id: [] for expert_id in expert_ids}
    for line in lines:
        entry = replace(_entry(line.slot, span), line=line, state=state_of(line, now), can_move=may_move(line, now))
        for expert_id in line.expert_ids:
            columns.setdefault(expert_id, []).append(entry)
    for time in kept:
        columns.setdefault(time.expert_id, []).append(replace(_entry(time.slot, span), kept=time))
    for expert_id, away in (absences or {}).items():
        seen = [replace(_entry(slot, span), is_away=True) for slot in away if span.shown.overlaps(slot)]
        columns.setdefault(expert_id, []).extend(seen)
    for expert_id, slots in free.items():
        columns.setdefault(expert_id, []).extend(_entry(slot, span) for slot in slots)
    ordered = list(columns)
    if len(columns) > MANY_COLUMNS:
        ordered.sort(key=lambda expert_id: _rank(columns[expert_id]))
    return {expert_id: sorted(columns[expert_id], key=lambda entry: entry.slot) for expert_id in ordered}


def _rank(entries: Sequence[Entry]) -> int:
    if any(entry.line or entry.kept for entry in entries):
        return 0
    return 2 if all(entry.is_away for entry in entries) else 1


def _entry(slot: Slot, span: Span) -> Entry:
    begin = max(span.minute_of(slot.starts_at), 0)
    end = min(span.minute_of(slot.ends_at), (span.last_hour - span.first_hour) * 60)
    return Entry(slot, begin, max(end - begin, SHORTEST_MIN))


def needs_of(lines: Sequence[BoardLine], now: datetime) -> list[Need]:
    """Return what needs a hand, most urgent first: who waits, is late, was missed, has no records."""
    order = [LineState.LOBBY, LineState.LATE, LineState.MISSED, LineState.NO_RECORDS]
    needs: list[Need] = []
    chased: set[CaseId] = set()
    for line in sorted(lines, key=lambda one: one.starts_at):
        state = state_of(line, now)
        if state is LineState.NO_RECORDS:  # a case is chased once, for its next call
            if line.case_id in chased:
                continue
            chased.add(line.case_id)
        if state is LineState.MISSED and line.booked_again:
            continue
        since = {LineState.LOBBY: line.waiting_since, LineState.MISSED: line.ends_at}.get(state, line.starts_at)
        if state in order and since is not None:
            needs.append(Need(line, state, since, max(int((now - since) // timedelta(minutes=1)), 0)))
    return sorted(needs, key=lambda need: (order.index(need.state), need.since))
