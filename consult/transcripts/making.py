"""Makes the text of a recording and says how far it is.

Owns the job transcribe_segment. Engines are behind `speech.SpeechToText`; the words of all segments become turns
together, because one person's turn ends where another's begins.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

import structlog

from consult.consultations import service as consultations
from consult.consultations.model import Segment
from consult.db.pool import Connection, Pool
from consult.domain.errors import NotFound
from consult.log import facts_of
from consult.storage import BlobStore
from consult.transcripts import queries
from consult.transcripts.errors import LanguageUnknown, SpeechFailed
from consult.transcripts.model import Failure, FiledTurn, Progress, Spoken, Transcript, Word
from consult.transcripts.speech import SpeechToText
from consult.transcripts.turns import merge_turns

TRANSCRIBE_SEGMENT = "transcribe_segment"
MAX_TRIES = 5
_TELL_EVERY_S = 1.5

log = structlog.get_logger()
Enqueue = Callable[..., Awaitable[object]]


async def queue_transcript(conn: Connection, segment: Segment, now: datetime, *, enqueue: Enqueue) -> None:
    """Queue the text of a segment, in the transaction that files it. Twice is once."""
    language = await queries.fetch_language(conn, segment.consultation_id) or "en"
    await queries.insert_transcript(conn, segment.id, language, now)
    await enqueue(conn, TRANSCRIBE_SEGMENT, {"segment_id": str(segment.id)}, key=f"{TRANSCRIBE_SEGMENT}:{segment.id}:0")


async def try_again(conn: Connection, segment_id: UUID, now: datetime, *, enqueue: Enqueue) -> None:
    """Queue a failed text once more; nothing happens if it has not failed. Raises NotFound."""
    if await queries.fetch_transcript(conn, segment_id) is None:
        raise NotFound(f"transcript {segment_id}")
    tries = await queries.requeue_transcript(conn, segment_id, now)
    if tries is not None:
        key = f"{TRANSCRIBE_SEGMENT}:{segment_id}:{tries}:{now.timestamp():.3f}"
        await enqueue(conn, TRANSCRIBE_SEGMENT, {"segment_id": str(segment_id)}, key=key)


@dataclass(frozen=True, slots=True)
class Desk:
    """What the job needs. work: a folder for the sound while it is heard. clock: this instant, UTC."""

    pool: Pool
    store: BlobStore
    engine: SpeechToText
    work: Path
    clock: Callable[[], datetime]


async def transcribe_segment(desk: Desk, segment_id: UUID) -> None:
    """Make the text of one segment, if it has none. What cannot be mended by another try ends as a failed transcript.

    Raises whatever else went wrong, for the job to be tried again; the transcript says "failed" until then.
    """
    async with desk.pool.acquire() as conn:
        segment = await consultations.fetch_segment(conn, segment_id)
        transcript = await queries.fetch_transcript(conn, segment_id)
        if transcript is None or transcript.progress is Progress.READY:
            return
        await queries.start_transcript(conn, segment_id, desk.engine.name, desk.clock())
    try:
        if not desk.engine.understands(transcript.language):
            raise LanguageUnknown(transcript.language)
        words = await _hear(desk, segment, transcript.language)
    except SpeechFailed as error:
        log.warning("transcript.failed", segment=str(segment_id), code=error.code, detail=error.detail)
        await _fail(desk, segment_id, error.failure)
        return
    except Exception as error:
        await _fail(desk, segment_id, Failure.ENGINE)
        if transcript.tries + 1 >= MAX_TRIES:
            log.error("transcript.given_up", segment=str(segment_id), tries=transcript.tries + 1, **facts_of(error))
            return
        raise
    await _keep_words(desk, segment, words)


async def _hear(desk: Desk, segment: Segment, language: str) -> list[Word]:
    words: list[Word] = []
    desk.work.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=desk.work, prefix="hearing-") as folder:
        path = Path(folder) / "sound.webm"
        await _fetch(desk.store, segment.blob_key, path)
        told_at = time.monotonic()
        async for utterance in desk.engine.listen(path, language=language):
            words.extend(word.moved(segment.offset_ms) for word in utterance.words)
            if time.monotonic() - told_at >= _TELL_EVERY_S:
                told_at = time.monotonic()
                async with desk.pool.acquire() as conn:
                    await queries.update_done(conn, segment.id, min(utterance.until_ms, segment.duration_ms))
    return words


async def _fetch(store: BlobStore, key: str, path: Path) -> None:
    with path.open("wb") as file:
        async for chunk in store.open_range(key):
            file.write(chunk)


async def _keep_words(desk: Desk, segment: Segment, words: list[Word]) -> None:
    async with desk.pool.acquire() as conn, conn.transaction():
        await queries.lock_turns(conn, segment.consultation_id)
        spoken = [
            piece
            for piece in await queries.list_spoken(conn, segment.consultation_id)
            if piece.segment_id != segment.id
        ]
        spoken.append(Spoken(segment.id, segment.person_id, tuple(words)))
        await queries.replace_turns(conn, segment.consultation_id, merge_turns(spoken))
        await queries.finish_transcript(conn, segment.id, desk.clock(), segment.duration_ms)


async def _fail(desk: Desk, segment_id: UUID, failure: Failure) -> None:
    async with desk.pool.acquire() as conn:
        await queries.fail_transcript(conn, segment_id, desk.clock(), failure)


async def list_turns(conn: Connection, consultation_id: UUID) -> list[FiledTurn]:
    """Return the turns of a consultation, ordered by start."""
    return await queries.list_turns(conn, consultation_id)


async def list_transcripts(conn: Connection, consultation_id: UUID) -> list[Transcript]:
    """Return how far the text of each segment is, in the order of the recording."""
    return await queries.list_transcripts(conn, consultation_id)
