"""Putting everybody's words in order."""

from __future__ import annotations

from uuid import UUID, uuid4

from consult.transcripts.model import Spoken, Word
from consult.transcripts.turns import merge_turns

EXPERT, PATIENT = uuid4(), uuid4()


def said(segment: UUID, speaker: str, *places: tuple[int, int]) -> Spoken:
    return Spoken(segment, speaker, tuple(Word(f"w{start}", start, end, 1.0) for start, end in places))


def spans(*spoken: Spoken) -> list[tuple[UUID, int, int]]:
    return [(turn.segment_id, turn.start_ms, turn.end_ms) for turn in merge_turns(spoken)]


def test_words_without_a_pause_are_one_turn() -> None:
    assert spans(said(EXPERT, "e", (0, 300), (300, 600), (1700, 2000))) == [(EXPERT, 0, 2000)]


def test_a_long_pause_ends_a_turn() -> None:
    assert spans(said(EXPERT, "e", (0, 300), (1501, 1800))) == [(EXPERT, 0, 300), (EXPERT, 1501, 1800)]


def test_somebody_elses_word_in_a_short_pause_splits_a_turn() -> None:
    turns = spans(said(EXPERT, "e", (0, 300), (1000, 1300)), said(PATIENT, "p", (400, 900)))
    assert turns == [(EXPERT, 0, 300), (PATIENT, 400, 900), (EXPERT, 1000, 1300)]


def test_somebody_who_talks_over_a_speaker_splits_nothing() -> None:
    turns = spans(said(EXPERT, "e", (0, 300), (300, 900), (900, 1300)), said(PATIENT, "p", (400, 800)))
    assert turns == [(EXPERT, 0, 1300), (PATIENT, 400, 800)]


def test_a_second_device_of_the_same_person_interrupts_nobody() -> None:
    turns = spans(said(EXPERT, "e", (0, 300), (1000, 1300)), said(uuid4(), "e", (400, 900)))
    assert turns[0] == (EXPERT, 0, 1300)


def test_silence_makes_no_turn() -> None:
    assert merge_turns([Spoken(EXPERT, "e", ())]) == []
