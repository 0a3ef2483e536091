"""A consultation as the case page shows it: videos, what was shown, said and written, who was there, on one clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from consult.consultations import service as consultations
from consult.consultations.model import (
    Attendance,
    Consent,
    Consultation,
    Gap,
    Segment,
    Shown,
    Video,
    VideoState,
    Written,
)
from consult.db.pool import Connection
from consult.transcripts import queries
from consult.transcripts.model import FiledTurn, Progress, Transcript

# The tint of a person, by role, everywhere on the page.
TINTS = {
    "expert": "expert",
    "patient": "patient",
    "caregiver": "family",
    "physician": "doctor",
    "interpreter": "clinic",
    "scheduler": "clinic",
}


SCREEN = "screen"  # stands in the player for whoever shows theirs: one at a time


class TextState(StrEnum):
    """How far the text of a whole consultation is."""

    NOTHING = "nothing"  # no sound was recorded
    FILING = "filing"
    WAITING = "waiting"
    RUNNING = "running"
    READY = "ready"
    FAILED = "failed"
    NO_ENGINE = "no_engine"

    @property
    def is_busy(self) -> bool:
        return self in (TextState.FILING, TextState.WAITING, TextState.RUNNING)


@dataclass(frozen=True, slots=True)
class TextStatus:
    state: TextState
    done_ms: int
    all_ms: int
    unfiled: int
    failed: tuple[Transcript, ...]

    def as_json(self) -> dict[str, Any]:
        return {"state": self.state, "done_ms": self.done_ms, "all_ms": self.all_ms, "unfiled": self.unfiled}


@dataclass(frozen=True, slots=True)
class Presence:
    """One person in a consultation. consented: None if they were never asked or never answered."""

    person_id: str
    name: str
    role: str
    stays: tuple[tuple[int, int | None], ...]
    consented: bool | None

    @property
    def tint(self) -> str:
        return TINTS.get(self.role, "clinic")


@dataclass(frozen=True, slots=True)
class Line:
    """One entry of the transcript column, in the order of time: exactly one of turn, shown, written."""

    at_ms: int
    turn: FiledTurn | None = None
    shown: Shown | None = None
    written: Written | None = None

    @property
    def tint(self) -> str:
        said = self.turn or self.written
        return TINTS.get(said.role, "clinic") if said else ""


@dataclass(frozen=True, slots=True)
class ConsultationPage:
    consultation: Consultation
    length_ms: int
    people: tuple[Presence, ...]
    segments: tuple[Segment, ...]
    shown: tuple[Shown, ...]
    gaps: tuple[Gap, ...]
    lines: tuple[Line, ...]
    text: TextStatus
    titles: Mapping[str, str]
    video: Video | None = None

    @property
    def video_state(self) -> VideoState:
        """How far the one video of the whole call is."""
        return self.video.state if self.video is not None else VideoState.NONE

    @property
    def can_be_shown(self) -> bool:
        """Something of the recording can be read."""
        return any(segment.has_audio or segment.has_video for segment in self.segments)

    @property
    def ends_at(self) -> datetime:
        return self.consultation.started_at + timedelta(milliseconds=self.length_ms)

    @property
    def is_running(self) -> bool:
        """Somebody is still there, as far as we know."""
        return self.consultation.ended_at is None and any(end is None for who in self.people for _, end in who.stays)

    @property
    def has_screens(self) -> bool:
        return any(segment.is_screen for segment in self.segments)

    @property
    def paused(self) -> tuple[Gap, ...]:
        return tuple(gap for gap in self.gaps if gap.paused)

    def data(self) -> dict[str, Any]:
        """What the player needs; the turns it finds on the page."""
        return {
            "id": str(self.consultation.id),
            "length_ms": self.length_ms,
            "people": [{"id": who.person_id, "name": who.name, "tint": who.tint} for who in self.people],
            "segments": [
                {
                    "id": str(segment.id),
                    "person": SCREEN if segment.is_screen else segment.person_id,
                    "offset_ms": segment.offset_ms,
                    "duration_ms": segment.duration_ms,
                    "picture": segment.has_video,
                    "url": f"/segments/{segment.id}/media",
                }
                for segment in self.segments
                if segment.has_audio or segment.has_video
            ],
            "shown": [
                {
                    "title": self.titles.get(span.record_id, ""),
                    "page": span.page,
                    "start_ms": span.start_ms,
                    "end_ms": span.end_ms,
                }
                for span in self.shown
            ],
            "gaps": [{"start_ms": gap.start_ms, "end_ms": gap.end_ms, "paused": gap.paused} for gap in self.gaps],
        }


async def list_for_page(conn: Connection, case_id: int, titles: Mapping[str, str]) -> list[ConsultationPage]:
    """Return the consultations of a case, the latest first. titles: of its records, removed ones too, by id."""
    found = await consultations.list_consultations(conn, case_id)
    return [await read(conn, consultation, titles) for consultation in reversed(found)]


async def read(conn: Connection, consultation: Consultation, titles: Mapping[str, str]) -> ConsultationPage:
    text = await progress(conn, consultation)  # before the words: what is said to be ready is read afterwards, whole
    attendances = await consultations.list_attendances(conn, consultation.appointment_id)
    segments = await consultations.list_segments(conn, consultation.id)
    consents = await consultations.list_consents(conn, consultation.appointment_id)
    turns = await queries.list_turns(conn, consultation.id)
    timeline = await consultations.read_timeline(conn, consultation, segments, attendances)
    lines = [
        *(Line(turn.start_ms, turn=turn) for turn in turns),
        *(Line(span.start_ms, shown=span) for span in timeline.shown),
        *(Line(line.at_ms, written=line) for line in timeline.written),
    ]
    return ConsultationPage(
        consultation=consultation,
        length_ms=timeline.length_ms,
        people=presences(attendances, segments, consents),
        segments=tuple(segments),
        shown=timeline.shown,
        gaps=timeline.gaps,
        lines=tuple(sorted(lines, key=lambda line: (line.at_ms, line.shown is None))),
        text=text,
        titles=titles,
        video=await consultations.fetch_video(conn, consultation.id),
    )


async def progress(conn: Connection, consultation: Consultation) -> TextStatus:
    """Return how far the text of a consultation is."""
    unfiled = await consultations.count_unfiled(conn, consultation.appointment_id)
    return summarise(await queries.list_transcripts(conn, consultation.id), unfiled)


def summarise(transcripts: Sequence[Transcript], unfiled: int) -> TextStatus:
    heard = [one for one in transcripts if one.progress is not Progress.NO_ENGINE]
    states = {one.progress for one in heard}
    if Progress.RUNNING in states:
        state = TextState.RUNNING
    elif Progress.WAITING in states:
        state = TextState.WAITING
    elif unfiled:
        state = TextState.FILING
    elif Progress.FAILED in states:
        state = TextState.FAILED
    elif states:
        state = TextState.READY
    else:
        state = TextState.NO_ENGINE if transcripts else TextState.NOTHING
    return TextStatus(
        state,
        done_ms=sum(one.duration_ms if one.progress is Progress.READY else one.done_ms for one in heard),
        all_ms=sum(one.duration_ms for one in heard),
        unfiled=unfiled,
        failed=tuple(one for one in heard if one.progress is Progress.FAILED),
    )


def presences(
    attendances: Sequence[Attendance], segments: Sequence[Segment], consents: Sequence[Consent]
) -> tuple[Presence, ...]:
    """Return everybody who was there or is heard, in the order of coming; several devices of a person are one."""
    answers = {consent.person_id: consent.given for consent in consents}
    known: dict[str, tuple[str, str]] = {}
    for there in attendances:
        known.setdefault(there.person_id, (there.name, there.role))
    for segment in segments:
        known.setdefault(segment.person_id, (segment.name, segment.role))
    return tuple(
        Presence(
            person_id=person_id,
            name=name,
            role=role,
            stays=tuple((there.joined_ms, there.left_ms) for there in attendances if there.person_id == person_id),
            consented=answers.get(person_id),
        )
        for person_id, (name, role) in known.items()
    )
