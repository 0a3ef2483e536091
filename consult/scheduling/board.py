"""What the scheduler's board shows of a day: a column per expert, and what needs a hand now. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from consult.domain.ids import CaseId, StaffId
from consult.domain.slots import Slot
from consult.scheduling.model import DayLine, opens_until

FIRST_HOUR = 8
LAST_HOUR = 17
FEWEST_HOURS = 4
LATE_AFTER = timedelta(minutes=3)
CHASE_RECORDS_WITHIN = timedelta(hours=48)


class LineState(StrEnum):
    """How an appointment stands now. LATE: its time came, nobody is there; MISSED: it went by without a call."""

    OVER = "over"
    LIVE = "live"
    LOBBY = "lobby"
    LATE = "late"
    MISSED = "missed"
    NO_RECORDS = "no_records"
    READY = "ready"


def state_of(line: DayLine, now: datetime) -> LineState:
    appointment = line.appointment
    if line.call_ended_at is not None:
        return LineState.OVER
    if line.call_started_at is not None:
        return LineState.LIVE if now < opens_until(appointment.ends_at) else LineState.OVER
    if now >= appointment.ends_at:
        return LineState.MISSED
    if line.waiting_since is not None:
        return LineState.LOBBY
    if now >= appointment.starts_at + LATE_AFTER:
        return LineState.LATE
    if line.record_count == 0 and appointment.starts_at - now < CHASE_RECORDS_WITHIN:
        return LineState.NO_RECORDS
    return LineState.READY


@dataclass(frozen=True, slots=True)
class Entry:
    """One block of a column: an appointment, or a free slot (line is None). from_min: from the board's first hour."""

    slot: Slot
    from_min: int
    long_min: int
    line: DayLine | None = None
    state: LineState | None = None


@dataclass(frozen=True, slots=True)
class Need:
    line: DayLine
    state: LineState
    minutes: int  # how long it has been so


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

    def minute_of(self, at: datetime) -> int:
        return int((at - self.starts_at) // timedelta(minutes=1))


def span_of(slots: Sequence[Slot], day: Slot) -> Span:
    """Return the hours that hold everything of a day, four at least. day: its first and last instant."""
    midnight, hour = day.starts_at, timedelta(hours=1)
    all_day = -int(-(day.ends_at - midnight) // hour)
    if not slots:
        return Span(midnight + FIRST_HOUR * hour, FIRST_HOUR, LAST_HOUR)
    first = int((max(min(slot.starts_at for slot in slots), midnight) - midnight) // hour)
    last = -int(-(min(max(slot.ends_at for slot in slots), day.ends_at) - midnight) // hour)
    if last - first < FEWEST_HOURS:  # a board of one hour would be hard to read the day from
        first = max(min(first - 1, all_day - FEWEST_HOURS), 0)
        last = min(max(last, first + FEWEST_HOURS), all_day)
    return Span(midnight + first * hour, first, last)


def columns_of(
    expert_ids: Sequence[StaffId],
    lines: Sequence[DayLine],
    free: dict[StaffId, list[Slot]],
    span: Span,
    now: datetime,
) -> dict[StaffId, list[Entry]]:
    """Return each expert's blocks in the order of time."""
    columns: dict[StaffId, list[Entry]] = {expert_id: [] for expert_id in expert_ids}
    for line in lines:
        slot = Slot(line.appointment.starts_at, line.appointment.ends_at)
        column = columns.setdefault(line.appointment.expert_id, [])
        column.append(_entry(slot, span, line, state_of(line, now)))
    for expert_id, slots in free.items():
        columns[expert_id] += [_entry(slot, span) for slot in slots]
    return {expert_id: sorted(entries, key=lambda entry: entry.slot) for expert_id, entries in columns.items()}


def _entry(slot: Slot, span: Span, line: DayLine | None = None, state: LineState | None = None) -> Entry:
    begin = max(span.minute_of(slot.starts_at), 0)
    end = min(span.minute_of(slot.ends_at), (span.last_hour - span.first_hour) * 60)
    return Entry(slot, begin, max(end - begin, 10), line, state)


def needs_of(lines: Sequence[DayLine], now: datetime) -> list[Need]:
    """Return what needs a hand, most urgent first: who waits, who is missing, whose records are missing."""
    order = [LineState.LOBBY, LineState.LATE, LineState.NO_RECORDS]
    needs: list[Need] = []
    chased: set[CaseId] = set()
    for line in sorted(lines, key=lambda one: one.appointment.starts_at):
        state = state_of(line, now)
        if state is LineState.NO_RECORDS:  # a case is chased once, for its next call
            if line.appointment.case_id in chased:
                continue
            chased.add(line.appointment.case_id)
        since = line.waiting_since if state is LineState.LOBBY else line.appointment.starts_at
        if state in order and since is not None:
            needs.append(Need(line, state, max(int((now - since) // timedelta(minutes=1)), 0)))
    return sorted(needs, key=lambda need: (order.index(need.state), need.line.appointment.starts_at))
