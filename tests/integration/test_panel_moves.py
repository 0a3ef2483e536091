"""A panel that its patient moves from the link: among the times when all are free, and nobody of it is lost."""

from __future__ import annotations

import email
import re
from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from email.message import EmailMessage
from email.policy import default
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import icalendar
import pytest

from consult.availability import service as availability
from consult.domain.clock import utc_now
from consult.domain.kinds import ConsultationKind
from consult.domain.slots import Slot
from consult.domain.working_days import WorkingBlock
from consult.files import folder
from consult.keys import POOL
from consult.notices import service as notices
from consult.scheduling import service as scheduling
from consult.web.words import load_languages
from tests.conftest import Server
from tests.integration.clinic import Clinic, open_case, open_clinic
from tests.integration.pages import read, send, sign_in
from tests.integration.test_join import press_join
from tests.integration.test_visit_changes import MOVE, a_working_day_ahead, browser, choices_in, sequence_in

LANGUAGES = load_languages(folder("locale"), ("en", "es"))
HOUR = timedelta(hours=1)
BERLIN, TORONTO = ZoneInfo("Europe/Berlin"), ZoneInfo("America/Toronto")
EVERYBODY = ("ana@example.org", "brandt@clinic.example", "okafor@clinic.example")


class Panel:
    """Both experts on a day at ten, Berlin time, when the first has time until noon and the second from ten on."""

    def __init__(self, clinic: Clinic, appointment: Any, at: datetime) -> None:
        self.clinic, self.appointment, self.at = clinic, appointment, at


@pytest.fixture
async def panel(server: Server, client: aiohttp.ClientSession) -> Panel:
    """The client has opened the patient's link, and the invitations are sent."""
    now, at = utc_now(), a_working_day_ahead(4) + HOUR
    async with server.app[POOL].acquire() as conn:
        clinic = await open_clinic(conn, now=now)
        begins = at.astimezone(TORONTO).time().replace(tzinfo=None)
        await availability.set_working_hours(
            conn, clinic.other_expert,
            [WorkingBlock(weekday, begins, time(begins.hour + 4)) for weekday in range(5)],
        )  # fmt: skip
        appointment, link = await scheduling.book(
            conn, clinic.case, clinic.expert, at, HOUR, kind=ConsultationKind.PANEL, others=[clinic.other_expert],
            booked_by=clinic.scheduler, now=now,
        )  # fmt: skip
        await notices.queue_invitation(conn, appointment.id, now)
    await send_all(server)
    assert (await press_join(client, secret=link.secret))[0] == 200
    return Panel(clinic, appointment, at)


async def send_all(server: Server) -> None:
    sender = notices.MailSender(server.app[POOL], server.settings, LANGUAGES)
    for row in await server.app[POOL].fetch("select id from mails where sent_at is null order by queued_at, id"):
        await sender({"mail_id": str(row["id"])})


def entries(server: Server) -> dict[str, list[tuple[str, int, str, datetime]]]:
    """What each address got for its calendar, in the order of the sequence: method, sequence, UID and start."""
    found: dict[str, list[tuple[str, int, str, datetime]]] = {}
    for path in server.settings.outbox.glob("*.eml"):
        letter = email.message_from_bytes(path.read_bytes(), policy=default)
        assert isinstance(letter, EmailMessage)
        (part,) = [one for one in letter.walk() if one.get_content_type() == "text/calendar"]
        calendar = icalendar.Calendar.from_ical(part.get_payload(decode=True))
        (event,) = calendar.walk("VEVENT")
        got = (str(calendar["METHOD"]), int(event["SEQUENCE"]), str(event["UID"]), event.decoded("DTSTART"))
        found.setdefault(str(letter["To"]), []).append(got)
    return {address: sorted(got, key=lambda one: one[1]) for address, got in found.items()}


async def offered(client: aiohttp.ClientSession) -> list[datetime]:
    """Every time that the patient's pages offer in the first month and the next; for more there are too few looks."""
    times: list[str] = []
    first = await read(client, MOVE)
    (later,) = set(re.findall(r'href="(/visit/move\?month=[\d-]+)"', first))
    for month in (first, await read(client, later)):
        for day in re.findall(r'href="(/visit/move\?day=[\d-]+)"', month):
            times += choices_in(await read(client, day))
    return sorted(datetime.fromisoformat(one) for one in times)


async def look_at_day(client: aiohttp.ClientSession, at: datetime) -> str:
    """Return the sequence with which the day's times are offered."""
    return sequence_in(await read(client, f"{MOVE}?day={at.astimezone(BERLIN).date()}"))


async def keep_and_say_yes(client: aiohttp.ClientSession, at: datetime, sequence: str) -> tuple[int, str]:
    status, text, place = await send(client, MOVE, {"time": at.isoformat(), "sequence": sequence}, page=MOVE)
    if status != 303:
        return status, text
    status, text, place = await send(client, place, {"sequence": sequence}, page=place)
    return status, place


async def days_of(server: Server, address: str, days: Iterable[datetime]) -> list[bool]:
    """Whether an expert's own board shows the patient, by day."""
    async with browser(server) as expert:
        await sign_in(expert, address)
        return ["Ana Ribeiro" in await read(expert, f"/today?day={day.astimezone(BERLIN).date()}") for day in days]


async def test_a_patient_moves_a_panel_to_a_time_when_all_are_free_and_all_follow(
    server: Server, client: aiohttp.ClientSession, panel: Panel
) -> None:
    busy = Slot(panel.at + timedelta(days=7), panel.at + timedelta(days=7) + timedelta(minutes=45))
    async with server.app[POOL].acquire() as conn:
        elsewhere = await open_case(conn, panel.clinic.scheduler, name="Marc Weil", email="marc@example.org")
        await scheduling.book(
            conn, elsewhere, panel.clinic.other_expert, busy.starts_at, timedelta(minutes=45),
            booked_by=panel.clinic.scheduler, now=utc_now(), outside_hours=True,
        )  # fmt: skip
    times = await offered(client)
    assert len(times) > 20
    for at in times:
        local = at.astimezone(BERLIN)
        begins = at.astimezone(TORONTO)
        assert local.weekday() < 5 and local.hour * 60 + local.minute <= 11 * 60, "the first goes at noon"
        assert begins.time() >= panel.at.astimezone(TORONTO).time(), "the second is not there yet"
        assert not Slot(at, at + HOUR).overlaps(busy), "the second has another call"

    new = times[-1]
    assert await keep_and_say_yes(client, new, await look_at_day(client, new)) == (303, "/visit/moved")
    async with server.app[POOL].acquire() as conn:
        moved = (await scheduling.fetch_appointment(conn, panel.appointment.id)).appointment
        taken = await conn.fetch(
            "select expert_id from busy_times where appointment_id = $1 and during = tstzrange($2, $3)",
            moved.id, new, new + HOUR,
        )  # fmt: skip
    assert (moved.starts_at, moved.expert_ids) == (new, panel.appointment.expert_ids)
    assert {row["expert_id"] for row in taken} == set(moved.expert_ids)
    for page in ("/visit/when", "/visit/people", "/visit/change", "/visit/cancel"):
        text = await read(client, page)
        assert "Dr Sabine Brandt" in text and "Dr Helen Okafor" in text, page
    for address in EVERYBODY[1:]:
        assert await days_of(server, address, (panel.at, new)) == [False, True], address

    await send_all(server)
    status, _text, place = await send(client, "/visit/cancel", {"reason": ""}, page="/visit/cancel")
    assert (status, place) == (303, "/visit/cancelled")
    assert "with Dr Sabine Brandt, Dr Helen Okafor does not take place" in await read(client, "/visit/cancelled")
    await send_all(server)
    got = entries(server)
    assert sorted(got) == sorted(EVERYBODY)
    for address, letters in got.items():
        told = [(method, sequence, at.astimezone(UTC)) for method, sequence, _uid, at in letters]
        assert told == [("REQUEST", 0, panel.at), ("REQUEST", 1, new), ("CANCEL", 2, new)], address
        assert len({uid for _, _, uid, _ in letters}) == 1
    for address in EVERYBODY[1:]:
        assert await days_of(server, address, (panel.at, new)) == [False, False], address


async def test_a_time_that_one_of_the_panel_gave_away_meanwhile_is_refused_and_the_panel_stays(
    server: Server, client: aiohttp.ClientSession, panel: Panel
) -> None:
    new = (await offered(client))[-1]
    sequence = await look_at_day(client, new)
    async with server.app[POOL].acquire() as conn:
        elsewhere = await open_case(conn, panel.clinic.scheduler, name="Marc Weil", email="marc@example.org")
        await scheduling.book(
            conn, elsewhere, panel.clinic.other_expert, new, timedelta(minutes=45), booked_by=panel.clinic.scheduler,
            now=utc_now(), outside_hours=True,
        )  # fmt: skip
    status, text = await keep_and_say_yes(client, new, sequence)
    assert status == 409
    assert "Your appointment is still on" in text
    async with server.app[POOL].acquire() as conn:
        after = (await scheduling.fetch_appointment(conn, panel.appointment.id)).appointment
        held = await conn.fetchval("select count(*) from busy_times where hold_id is not null")
    assert (after.starts_at, after.expert_ids, held) == (panel.at, panel.appointment.expert_ids, 0)
