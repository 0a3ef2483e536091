"""Puts everybody's words in order: turns on the consultation's clock.

A turn ends where its speaker pauses for longer than PAUSE_MS, where the segment ends, or where somebody else speaks in
the speaker's pause. Somebody who talks over a speaker without a pause has a turn of their own and splits nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from consult.transcripts.model import Spoken, Turn, Word

PAUSE_MS = 1200
BREATH_MS = 250  # between words of one sentence; a shorter gap is no room for somebody else's turn


def merge_turns(spoken: Iterable[Spoken]) -> list[Turn]:
    """Return the turns of all segments, ordered by start."""
    pieces = [piece for piece in spoken if piece.words]
    middles = {piece.segment_id: [_middle(word) for word in piece.words] for piece in pieces}
    turns: list[Turn] = []
    for piece in pieces:
        others = sorted(
            middle for other in pieces if other.speaker != piece.speaker for middle in middles[other.segment_id]
        )
        turns.extend(_split(piece, others))
    return sorted(turns, key=lambda turn: (turn.start_ms, turn.end_ms))


def _split(piece: Spoken, others: Sequence[float]) -> list[Turn]:
    turns: list[Turn] = []
    words: list[Word] = []
    for word in piece.words:
        if words and _is_break(words[-1], word, others):
            turns.append(Turn(piece.segment_id, tuple(words)))
            words = []
        words.append(word)
    turns.append(Turn(piece.segment_id, tuple(words)))
    return turns


def _is_break(before: Word, after: Word, others: Sequence[float]) -> bool:
    gap_ms = after.start_ms - before.end_ms
    if gap_ms > PAUSE_MS:
        return True
    if gap_ms < BREATH_MS:
        return False
    first = bisect_left(others, before.end_ms)
    return first < len(others) and others[first] < after.start_ms


def _middle(word: Word) -> float:
    return (word.start_ms + word.end_ms) / 2
