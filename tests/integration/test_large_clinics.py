"""What grows for years: all that was sent, a long wait list. Pages read what they show, and lead to all of it."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import aiohttp

from consult.domain.clock import utc_now
from consult.notices import queries
from consult.waiting.waiting_views import PAGE_LENGTH
from tests.conftest import Database, Server
from tests.integration.clinic import book_one, open_clinic
from tests.integration.pages import read, send, sign_in

# Of a hundred messages one waits and one came back; every second one has a link.
SEND = """
insert into mails (id, appointment_id, kind, recipient, queued_at, sent_at, bounced_at, invitation_id)
select gen_random_uuid(), $1, 'invitation', 'p@example.org', now() - number * interval '1 minute',
       case when number % 100 <> 7 then now() end, case when number % 100 = 13 then now() end,
       case when number % 2 = 0 then i.id end
from generate_series(1, 20000) number, invitations i
"""
WAIT = """
with people as (
  insert into patients (id, name, email, language, created_at)
  select gen_random_uuid(), 'Patient ' || lpad(number::text, 3, '0'), '', 'en', now() from generate_series(1, $1) number
  returning id, name
), opened as (
  insert into cases (patient_id, diagnosis, opened_by, opened_at) select id, 'Nodule', $2, now() from people
  returning id, patient_id
)
insert into wait_entries (id, case_id, patient_id, kind, weekdays, added_by, added_at, position)
select gen_random_uuid(), o.id, o.patient_id, 'first_review', '{0,1,2,3,4}', $2, now(),
       row_number() over (order by p.name)
from opened o join people p on p.id = o.patient_id
"""


async def blocks_read(conn: Any, statement: str, *values: object) -> int:
    (row,) = await conn.fetchrow("explain (analyze, buffers, format json) " + statement, *values)
    plan = json.loads(row)[0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


async def test_messages_of_years_are_looked_through_without_reading_them_all(
    server: Server, client: aiohttp.ClientSession, database: Database
) -> None:
    now = utc_now()
    async with database.pool.acquire() as conn:
        clinic = await open_clinic(conn, now=now)
        appointment, _link = await book_one(conn, clinic, now + timedelta(days=3), now=now)
        await conn.execute(SEND, appointment.id)
        await conn.execute("analyze mails")
        all_of_it = await conn.fetchval("select pg_relation_size('mails') / 8192")
        for state, found in (("waiting", 51), ("bounced", 51), ("failed", 0), ("dropped", 0)):
            assert await blocks_read(conn, queries.LIST_MESSAGES_OF_STATE, 51, 0, state) < all_of_it / 2, state
            assert len(await conn.fetch(queries.LIST_MESSAGES_OF_STATE, 51, 0, state)) == found
        for offset in (0, 19_900):
            assert await blocks_read(conn, queries.LIST_MESSAGES, 51, offset) < 2 * all_of_it, "one page is looked up"
    await sign_in(client, "noor@clinic.example")
    last = await read(client, "/messages?page=400")
    assert last.count("p@example.org</") >= 1 and "Older" not in last and "page=399" in last
    assert "There are no older messages." in await read(client, "/messages?page=19999")
    assert "page=4" in await read(client, "/messages?show=bounced&page=3")
    assert "Older" not in await read(client, "/messages?show=bounced&page=4&number=999999")


async def test_a_long_wait_list_has_pages_and_a_change_leads_back_to_its_own(
    server: Server, client: aiohttp.ClientSession, database: Database
) -> None:
    async with database.pool.acquire() as conn:
        clinic = await open_clinic(conn, now=utc_now())
        await conn.execute(WAIT, PAGE_LENGTH + 5, clinic.scheduler)
        last = await conn.fetchval("select id from wait_entries order by position desc limit 1")
    await sign_in(client, "noor@clinic.example")
    text = await read(client, "/waiting")
    assert text.count('class="wait-line"') == PAGE_LENGTH
    assert "Patient 001" in text and f"Patient {PAGE_LENGTH + 5}" not in text and "Earlier in the list" not in text
    for page in ("2", "99", str(2**62)):
        text = await read(client, f"/waiting?page={page}")
        assert text.count('class="wait-line"') == 5 and "Later in the list" not in text
        assert re.search(rf"Place </span>{PAGE_LENGTH + 5}<", text)
    status, _text, place = await send(client, f"/waiting/{last}/place", {"to": "up"}, page="/waiting?page=2")
    assert (status, place) == (303, f"/waiting?entry={last}#entry-{last}")
    text = await read(client, place.partition("#")[0])
    assert re.search(rf'id="entry-{last}".*?Place </span>{PAGE_LENGTH + 4}<', text, re.DOTALL)
