"""SQL about transcripts and turns."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid5

from consult.db.pool import Connection
from consult.transcripts.model import FiledTurn, Spoken, Transcript, Turn, Word

_INSERT_TRANSCRIPT = """
    insert into transcripts (segment_id, language, engine, queued_at) values ($1, $2, '', $3)
    on conflict (segment_id) do nothing
"""


async def insert_transcript(conn: Connection, segment_id: UUID, language: str, now: datetime) -> None:
    await conn.execute(_INSERT_TRANSCRIPT, segment_id, language, now)


_FETCH_LANGUAGE = """
    select p.language from consultations c
      join appointments a on a.id = c.appointment_id
      join cases k on k.id = a.case_id
      join patients p on p.id = k.patient_id
     where c.id = $1
"""


async def fetch_language(conn: Connection, consultation_id: UUID) -> str | None:
    """The patient's language, which is the language of the consultation."""
    language: str | None = await conn.fetchval(_FETCH_LANGUAGE, consultation_id)
    return language


_TRANSCRIPT = """
    select t.segment_id, t.language, t.queued_at, t.started_at, t.done_ms, s.duration_ms, t.finished_at, t.failed_at,
           t.failure, t.tries
      from transcripts t join segments s on s.id = t.segment_id
"""
_FETCH_TRANSCRIPT = _TRANSCRIPT + " where t.segment_id = $1"
_LIST_TRANSCRIPTS = _TRANSCRIPT + " where s.consultation_id = $1 order by s.offset_ms, s.member_id"


async def fetch_transcript(conn: Connection, segment_id: UUID) -> Transcript | None:
    row = await conn.fetchrow(_FETCH_TRANSCRIPT, segment_id)
    return Transcript(**row) if row else None


async def list_transcripts(conn: Connection, consultation_id: UUID) -> list[Transcript]:
    return [Transcript(**row) for row in await conn.fetch(_LIST_TRANSCRIPTS, consultation_id)]


_START_TRANSCRIPT = """
    update transcripts
       set started_at = $2, engine = $3, done_ms = 0, failed_at = null, failure = null, tries = tries + 1
     where segment_id = $1 and finished_at is null
"""


async def start_transcript(conn: Connection, segment_id: UUID, engine: str, now: datetime) -> None:
    await conn.execute(_START_TRANSCRIPT, segment_id, now, engine)


_UPDATE_DONE = "update transcripts set done_ms = greatest(done_ms, $2) where segment_id = $1"


async def update_done(conn: Connection, segment_id: UUID, done_ms: int) -> None:
    await conn.execute(_UPDATE_DONE, segment_id, done_ms)


_FINISH_TRANSCRIPT = "update transcripts set finished_at = $2, done_ms = $3 where segment_id = $1"


async def finish_transcript(conn: Connection, segment_id: UUID, now: datetime, done_ms: int) -> None:
    await conn.execute(_FINISH_TRANSCRIPT, segment_id, now, done_ms)


_FAIL_TRANSCRIPT = "update transcripts set failed_at = $2, failure = $3 where segment_id = $1 and finished_at is null"


async def fail_transcript(conn: Connection, segment_id: UUID, now: datetime, failure: str) -> None:
    await conn.execute(_FAIL_TRANSCRIPT, segment_id, now, failure)


_REQUEUE_TRANSCRIPT = """
    update transcripts set queued_at = $2, started_at = null, failed_at = null, failure = null, done_ms = 0
     where segment_id = $1 and failed_at is not null and finished_at is null
    returning tries
"""


async def requeue_transcript(conn: Connection, segment_id: UUID, now: datetime) -> int | None:
    """Return how often it was tried, or None if it has not failed."""
    tries: int | None = await conn.fetchval(_REQUEUE_TRANSCRIPT, segment_id, now)
    return tries


_LOCK_TURNS = "select pg_advisory_xact_lock(hashtextextended('turns:' || $1::text, 0))"


async def lock_turns(conn: Connection, consultation_id: UUID) -> None:
    """Wait until nobody else rewrites the turns of this consultation; held until the transaction ends."""
    await conn.execute(_LOCK_TURNS, str(consultation_id))


_LIST_WORDS = """
    select t.segment_id, s.person_id, t.words
      from turns t join segments s on s.id = t.segment_id
     where s.consultation_id = $1 order by t.segment_id, t.start_ms
"""


async def list_spoken(conn: Connection, consultation_id: UUID) -> list[Spoken]:
    """Return the words of every segment that has some, whatever turns they stand in at present."""
    words: dict[UUID, list[Word]] = {}
    speakers: dict[UUID, str] = {}
    for row in await conn.fetch(_LIST_WORDS, consultation_id):
        speakers[row["segment_id"]] = row["person_id"]
        words.setdefault(row["segment_id"], []).extend(Word(**word) for word in row["words"])
    return [Spoken(segment_id, speakers[segment_id], tuple(said)) for segment_id, said in words.items()]


_DELETE_TURNS = """
    delete from turns t using segments s where s.id = t.segment_id and s.consultation_id = $1
"""
_INSERT_TURN = "insert into turns (id, segment_id, start_ms, end_ms, text, words) values ($1, $2, $3, $4, $5, $6)"


async def replace_turns(conn: Connection, consultation_id: UUID, turns: Sequence[Turn]) -> None:
    await conn.execute(_DELETE_TURNS, consultation_id)
    rows = [
        # A turn that did not change keeps its id, so that a link to it stays good.
        (uuid5(turn.segment_id, f"{turn.start_ms} {turn.text}"), turn.segment_id, turn.start_ms, turn.end_ms, turn.text,
         [word.as_json() for word in turn.words])
        for turn in turns
    ]  # fmt: skip
    await conn.executemany(_INSERT_TURN, rows)


_LIST_TURNS = """
    select t.id, t.segment_id, s.member_id, s.person_id, s.name, s.role, t.start_ms, t.end_ms, t.text
      from turns t join segments s on s.id = t.segment_id
     where s.consultation_id = $1 order by t.start_ms, t.end_ms, t.id
"""


async def list_turns(conn: Connection, consultation_id: UUID) -> list[FiledTurn]:
    return [FiledTurn(**row) for row in await conn.fetch(_LIST_TURNS, consultation_id)]
