"""What was said: words, utterances, turns, and how far their making has come.

Pure: standard library alone. Times in ms; of words and turns on the consultation's clock unless said otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Word:
    """confidence: 0 to 1, as the engine sees it."""

    text: str
    start_ms: int
    end_ms: int
    confidence: float

    def moved(self, offset_ms: int) -> Word:
        return replace(self, start_ms=self.start_ms + offset_ms, end_ms=self.end_ms + offset_ms)

    def as_json(self) -> dict[str, Any]:
        return {
            "text": self.text,
            "start_ms": self.start_ms,
            "end_ms": self.end_ms,
            "confidence": round(self.confidence, 3),
        }


@dataclass(frozen=True, slots=True)
class Utterance:
    """Words that an engine heard together, in order, on the file's time. until_ms: everything before it was heard."""

    words: tuple[Word, ...]
    until_ms: int


@dataclass(frozen=True, slots=True)
class Spoken:
    """The words of one segment, in order, on the consultation's clock. speaker: the person's id."""

    segment_id: UUID
    speaker: str
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Turn:
    """One speaker's uninterrupted speech."""

    segment_id: UUID
    words: tuple[Word, ...]

    @property
    def start_ms(self) -> int:
        return self.words[0].start_ms

    @property
    def end_ms(self) -> int:
        return self.words[-1].end_ms

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)


@dataclass(frozen=True, slots=True)
class FiledTurn:
    """A turn as it is kept, with who said it."""

    id: UUID
    segment_id: UUID
    member_id: str
    person_id: str
    name: str
    role: str
    start_ms: int
    end_ms: int
    text: str


class Progress(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    READY = "ready"
    FAILED = "failed"
    NO_ENGINE = "no_engine"  # nothing here understands the language: a fact, not a failure


class Failure(StrEnum):
    """Why there is no transcript; the page has a sentence for each."""

    LANGUAGE = "language"
    AUDIO = "audio"
    ENGINE = "engine"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Transcript:
    """How far the transcript of one segment is. done_ms, duration_ms: of the segment's sound."""

    segment_id: UUID
    language: str
    queued_at: datetime
    started_at: datetime | None
    done_ms: int
    duration_ms: int
    finished_at: datetime | None
    failed_at: datetime | None
    failure: str | None
    tries: int

    @property
    def progress(self) -> Progress:
        if self.finished_at is not None:
            return Progress.READY
        if self.failed_at is not None:
            return Progress.NO_ENGINE if self.failure == Failure.LANGUAGE else Progress.FAILED
        return Progress.RUNNING if self.started_at is not None else Progress.WAITING
