"""When an expert works: weekly hours, and the slots that lie in them.

Pure. Working hours are local times in the expert's zone. A slot is computed as a naive local time, attached to the zone
and carried through UTC, so that a time which the clock skips does not exist, a time which it repeats is offered once,
and every slot is as long as the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from consult.domain.slots import Slot, instant_of
from consult.domain.words import N_

MAX_BLOCKS_A_WEEK = 42


@dataclass(frozen=True, slots=True)
class WorkingBlock:
    """One stretch of a week. weekday: Monday is 0. starts, ends: local, in the expert's zone; ends after starts."""

    weekday: int
    starts: time
    ends: time


def slots_of(
    blocks: Iterable[WorkingBlock],
    zone: ZoneInfo,
    day_from: date,
    day_to: date,
    length: timedelta,
) -> list[Slot]:
    """Return every slot of the working hours from day_from to day_to, both included, ordered; booked or not.

    Days are the expert's. Slots of a block follow each other without a pause, from its start.
    """
    by_weekday: dict[int, list[WorkingBlock]] = {}
    for block in blocks:
        by_weekday.setdefault(block.weekday, []).append(block)
    slots: list[Slot] = []
    for number in range((day_to - day_from).days + 1):
        day = day_from + timedelta(days=number)
        for block in sorted(by_weekday.get(day.weekday(), ()), key=lambda one: one.starts):
            slots.extend(_slots_of_block(block, zone, day, length))
    return slots


def _slots_of_block(block: WorkingBlock, zone: ZoneInfo, day: date, length: timedelta) -> list[Slot]:
    slots: list[Slot] = []
    local = datetime.combine(day, block.starts)
    block_end = datetime.combine(day, block.ends)
    while local + length <= block_end:
        starts_at = instant_of(local, zone)
        local += length
        if starts_at is None or (slots and starts_at < slots[-1].ends_at):
            continue
        ends_at = starts_at + length
        # Across a gap a slot ends later on the wall than the naive sum: it must still end within the block.
        if ends_at.astimezone(zone).replace(tzinfo=None) <= block_end:
            slots.append(Slot(starts_at, ends_at))
    return slots


def wrong_blocks(blocks: Sequence[WorkingBlock]) -> dict[int, str]:
    """Return a sentence for each block (by its place) that cannot stand: end before start, or over another block."""
    wrong: dict[int, str] = {}
    for place, block in enumerate(blocks):
        if block.ends <= block.starts:
            wrong[place] = N_("The end must be later than the start.")
            continue
        for earlier in range(place):
            other = blocks[earlier]
            same_day = other.weekday == block.weekday and earlier not in wrong
            if same_day and block.starts < other.ends and other.starts < block.ends:
                wrong[place] = N_("This overlaps other hours on the same day.")
                break
    return wrong
