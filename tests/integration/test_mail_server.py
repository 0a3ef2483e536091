"""Mails over a real SMTP server: what is in them, what is tried again, what came back, what is never sent twice."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import icalendar
import pytest

from consult.domain.clock import utc_now
from consult.files import folder
from consult.jobs import Jobs, enqueue
from consult.notices import queueing, sending
from consult.notices import service as notices
from consult.notices.outbox import MailNotSent
from consult.scheduling import service as scheduling
from consult.settings import Settings
from consult.web.words import load_languages
from tests.calendar_programs import needs_thunderbirds_parser, read_as_thunderbird
from tests.conftest import SECRET, Database
from tests.integration.clinic import Clinic, book_one, open_clinic
from tests.mail_server import MailServer, certificate, mail_server
from tests.unit.test_bounces import report

LANGUAGES = load_languages(folder("locale"), ("en", "es"))
ROOT = Path(__file__).parents[2]


async def book(database: Database, *, days: int = 9) -> tuple[Clinic, Any]:
    now = utc_now()
    async with database.pool.acquire() as conn:
        clinic = await open_clinic(conn, now=now)
        appointment, _link = await book_one(conn, clinic, now + timedelta(days=days), now=now)
        await notices.queue_invitation(conn, appointment.id, now)
    return clinic, appointment


async def send_all(database: Database, settings: Settings, *, audience: str = "patient") -> list[str]:
    """Try every mail to somebody once, as the job does; returns what failed."""
    sender = notices.MailSender(database.pool, settings, LANGUAGES)
    failed = []
    rows = await database.pool.fetch(
        "select id from mails where audience = $1 and channel = 'mail' order by queued_at, id", audience
    )
    for row in rows:
        try:
            await sender({"mail_id": str(row["id"])})
        except MailNotSent as error:
            failed.append(str(error))
    return failed


async def patients_mail(database: Database) -> Any:
    (mail,) = [
        mail
        for mail in await _messages(database)
        if mail.audience == "patient" and mail.again_of is None and mail.kind == "invitation"
    ]
    return mail


async def _messages(database: Database) -> list[Any]:
    async with database.pool.acquire() as conn:
        lines, _more = await notices.list_messages(conn)
    return [line.mail for line in lines]


def entry_of(message: Any) -> bytes:
    (part,) = [one for one in message.walk() if one.get_content_type() == "text/calendar"]
    data: bytes = part.get_payload(decode=True)
    return data


@needs_thunderbirds_parser
async def test_an_appointments_life_reaches_patient_and_expert_as_entries_that_replace_each_other(
    database: Database, make_settings: Callable[..., Settings]
) -> None:
    _clinic, appointment = await book(database)
    moved_to = appointment.starts_at + timedelta(days=1)
    async with mail_server() as server:
        settings = make_settings(mail_url=f"smtp://127.0.0.1:{server.port}", mail_from="Clinic <c@clinic.example>")
        for audience in ("patient", "expert"):
            await send_all(database, settings, audience=audience)
        async with database.pool.acquire() as conn:
            await scheduling.move(
                conn, appointment.id, moved_to, sequence=0, by=None, now=utc_now(), outside_hours=True
            )
            await notices.queue_change(conn, appointment.id, utc_now())
        for audience in ("patient", "expert"):
            await send_all(database, settings, audience=audience)
        async with database.pool.acquire() as conn:
            await scheduling.cancel(conn, appointment.id, utc_now())
            await notices.queue_cancellation(conn, appointment.id, utc_now())
        for audience in ("patient", "expert"):
            await send_all(database, settings, audience=audience)
    for address, other in (("ana@example.org", "brandt@clinic.example"), ("brandt@clinic.example", "ana@example.org")):
        mails = [one for one in server.taken if one["To"] == address]
        read = read_as_thunderbird([entry_of(one) for one in mails])
        entries = [one["entries"][0] for one in read]
        assert [one["method"] for one in read] == ["REQUEST", "REQUEST", "CANCEL"]
        assert [one["status"] for one in entries] == ["CONFIRMED", "CONFIRMED", "CANCELLED"]
        assert len({one["uid"] for one in entries}) == 1
        assert [one["sequence"] for one in entries] == sorted({one["sequence"] for one in entries})
        assert [one["starts_s"] for one in entries] == [
            int(at.timestamp()) for at in (appointment.starts_at, moved_to, moved_to)
        ]
        for one in mails:
            whole = one.as_string() + entry_of(one).decode()
            for hidden in ("Ribeiro", "Sabine", "Lung", "Neuroradiology", other):
                assert hidden not in whole
        assert all("/join#" not in entry_of(one).decode() for one in mails)
        types = [part.get_content_type() for part in mails[0].walk() if not part.is_multipart()]
        assert types == ["text/plain", "text/html", "text/calendar", "application/ics"]
        calendar = next(part for part in mails[0].walk() if part.get_content_type() == "text/calendar")
        assert calendar.get_param("method") == "REQUEST"
    uids = {read_as_thunderbird([entry_of(one)])[0]["entries"][0]["uid"] for one in server.taken}
    assert len(uids) == 2


async def test_another_expert_is_invited_and_the_one_before_gets_a_cancellation(
    database: Database, make_settings: Callable[..., Settings]
) -> None:
    clinic, appointment = await book(database)
    async with mail_server() as server:
        settings = make_settings(mail_url=f"smtp://127.0.0.1:{server.port}")
        await send_all(database, settings, audience="expert")
        async with database.pool.acquire() as conn:
            await scheduling.move(
                conn, appointment.id, appointment.starts_at + timedelta(days=1), sequence=0, by=clinic.scheduler,
                now=utc_now(), expert_id=clinic.other_expert, outside_hours=True,
            )  # fmt: skip
            await notices.queue_change(conn, appointment.id, utc_now())
        await send_all(database, settings, audience="expert")
        async with database.pool.acquire() as conn:
            await scheduling.cancel(conn, appointment.id, utc_now())
            await notices.queue_cancellation(conn, appointment.id, utc_now())
        await send_all(database, settings, audience="expert")
    told = [(one["To"].partition("@")[0], b"METHOD:CANCEL" in entry_of(one)) for one in server.taken]
    assert sorted(told) == [("brandt", False), ("brandt", True), ("okafor", False), ("okafor", True)]


async def test_two_moves_before_the_mail_went_out_are_told_as_one(
    database: Database, make_settings: Callable[..., Settings]
) -> None:
    _clinic, appointment = await book(database)
    async with mail_server() as server:
        settings = make_settings(mail_url=f"smtp://127.0.0.1:{server.port}")
        await send_all(database, settings)
        for number in range(2):
            async with database.pool.acquire() as conn:
                await scheduling.move(
                    conn, appointment.id, appointment.starts_at + timedelta(days=number + 1), sequence=number, by=None,
                    now=utc_now(), outside_hours=True,
                )  # fmt: skip
                await notices.queue_change(conn, appointment.id, utc_now())
        await send_all(database, settings)
    assert len(server.taken) == 2
    assert b"SEQUENCE:2" in entry_of(server.taken[1])
    assert sorted(mail.state for mail in await _messages(database) if mail.kind == "change") == [
        "dropped", "sent", "waiting", "waiting",
    ]  # fmt: skip


@contextlib.asynccontextmanager
async def while_the_invitation_is_handed_over(
    database: Database, make_settings: Callable[..., Settings]
) -> AsyncIterator[tuple[Any, MailServer, Settings, asyncio.Task[list[str]]]]:
    """A mail server that has been given the patient's invitation and does not answer; it may, when the context ends."""
    _clinic, appointment = await book(database)
    async with mail_server() as server:
        server.may_answer.clear()
        settings = make_settings(mail_url=f"smtp://127.0.0.1:{server.port}")
        sending = asyncio.create_task(send_all(database, settings))
        try:
            async with asyncio.timeout(20):
                await server.asked.wait()
                yield appointment, server, settings, sending
        finally:
            server.may_answer.set()
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)


async def test_a_mail_server_that_takes_long_keeps_nobody_from_moving(
    database: Database, make_settings: Callable[..., Settings]
) -> None:
    async with while_the_invitation_is_handed_over(database, make_settings) as (appointment, server, settings, first):
        moved_to = appointment.starts_at + timedelta(days=1)
        async with database.pool.acquire() as conn, conn.transaction():
            await scheduling.move(
                conn, appointment.id, moved_to, sequence=0, by=None, now=utc_now(), outside_hours=True
            )
            await notices.queue_change(conn, appointment.id, utc_now())
        assert not server.taken
        server.may_answer.set()
        assert await first == []
        assert await send_all(database, settings) == []
        told = [icalendar.Calendar.from_ical(entry_of(one).decode()).walk("VEVENT")[0] for one in server.taken]
        assert [one["SEQUENCE"] for one in told] == [0, 1]
        sent = await database.pool.fetch(
            "select i.revoked_at is null as opens from mails m join invitations i on i.id = m.invitation_id"
            " where m.audience = 'patient' order by m.sequence"
        )
        assert [row["opens"] for row in sent] == [False, True]


async def test_a_cancellation_comes_after_the_invitation_that_is_being_handed_over(
    database: Database, make_settings: Callable[..., Settings]
) -> None:
    async with while_the_invitation_is_handed_over(database, make_settings) as (appointment, server, settings, first):
        async with database.pool.acquire() as conn, conn.transaction():
            await scheduling.cancel(conn, appointment.id, utc_now())
            await notices.queue_cancellation(conn, appointment.id, utc_now())
        cancelling = asyncio.create_task(send_all(database, settings))
        while await database.pool.fetchval("select count(*) from mails where kind = 'cancellation'") < 2:
            await asyncio.sleep(0.05)
        server.may_answer.set()
        assert await first == []
        assert await cancelling == []
        methods = [icalendar.Calendar.from_ical(entry_of(one).decode())["METHOD"] for one in server.taken]
        assert methods == ["REQUEST", "CANCEL"]


async def test_a_mail_whose_worker_stops_leaves_no_link_and_goes_out_from_the_next_one(
    database: Database, make_settings: Callable[..., Settings]
) -> None:
    async with while_the_invitation_is_handed_over(database, make_settings) as (_one, server, settings, first):
        links = await database.pool.fetchval("select count(*) from invitations")
        first.cancel()
        server.may_answer.set()  # to the client that takes its leave
        await asyncio.wait([first])
        assert await database.pool.fetchval("select count(*) from invitations") == links - 1
        assert await send_all(database, settings) == []
        assert (await patients_mail(database)).state == "sent"
        assert len(server.taken) == 1


async def test_a_mail_whose_worker_was_killed_goes_out_when_it_was_given_up(
    database: Database, make_settings: Callable[..., Settings]
) -> None:
    await book(database)
    begun_at = utc_now() - sending.UNDER_WAY
    await database.pool.execute("update mails set begun_at = $1, sequence = 0", begun_at)
    async with mail_server() as server:
        assert await send_all(database, make_settings(mail_url=f"smtp://127.0.0.1:{server.port}")) == []
        assert len(server.taken) == 1


async def test_a_mail_is_in_its_recipients_zone_and_language(
    database: Database, make_settings: Callable[..., Settings]
) -> None:
    await book(database)
    await database.pool.execute("update patients set language = 'es', time_zone = 'America/Bogota'")
    async with mail_server() as server:
        settings = make_settings(mail_url=f"smtp://127.0.0.1:{server.port}")
        await send_all(database, settings)
        await send_all(database, settings, audience="expert")
    to_patient = next(one for one in server.taken if one["To"] == "ana@example.org")
    text = to_patient.get_body(("plain",))
    assert text["Content-Language"] == "es"
    assert "hora de Bogotá" in text.get_content()
    assert b"TZID:America/Bogota" in entry_of(to_patient)
    to_expert = next(one for one in server.taken if one["To"] == "brandt@clinic.example")
    assert b"TZID:Europe/Berlin" in entry_of(to_expert)


async def test_a_refused_recipient_has_bounced_at_once_and_leaves_no_link(
    database: Database, make_settings: Callable[..., Settings]
) -> None:
    await book(database)
    async with mail_server() as server:
        server.answers = ["550 5.1.1 no such user"]
        settings = make_settings(mail_url=f"smtp://127.0.0.1:{server.port}")
        assert await send_all(database, settings) == []
        mail = await patients_mail(database)
        assert (mail.state, mail.bounce_status, mail.tries) == ("bounced", "5.1.1", 1)
        assert await database.pool.fetchval("select count(*) from invitations") == 1
        assert await send_all(database, settings) == []  # nothing more is tried
        assert server.taken == []


@pytest.mark.parametrize(
    ("answers", "data_answers", "failure"),
    [
        (["451 4.7.1 greylisted, come back later"], [], "SMTPRecipientRefused"),
        ([""], [], "SMTPServerDisconnected"),
        ([], ["452 4.3.1 disk full"], "SMTPDataError"),
    ],
)
async def test_what_may_pass_is_tried_again_and_sent_once(
    database: Database,
    make_settings: Callable[..., Settings],
    answers: list[str],
    data_answers: list[str],
    failure: str,
) -> None:
    await book(database)
    async with mail_server() as server:
        server.answers, server.data_answers = answers, data_answers
        settings = make_settings(mail_url=f"smtp://127.0.0.1:{server.port}")
        assert len(await send_all(database, settings)) == 1
        mail = await patients_mail(database)
        assert (mail.state, mail.failure) == ("failed", failure)
        assert await send_all(database, settings) == []
        assert await send_all(database, settings) == []
        assert len(server.taken) == 1
        assert (await patients_mail(database)).state == "sent"


async def test_a_refused_content_has_bounced_but_a_wrong_password_is_ours_to_mend(
    database: Database, make_settings: Callable[..., Settings]
) -> None:
    await book(database)
    async with mail_server(password="right") as server:
        settings = make_settings(mail_url=f"smtp://consult:wrong@127.0.0.1:{server.port}")
        assert await send_all(database, settings) == ["SMTPAuthenticationError"]
        assert (await patients_mail(database)).state == "failed"
        server.data_answers = ["554 5.7.1 looks like spam"]
        settings = make_settings(mail_url=f"smtp://consult:right@127.0.0.1:{server.port}")
        assert await send_all(database, settings) == []
        assert (await patients_mail(database)).bounce_status == "5.7.1"


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_mails_travel_over_tls_to_a_server_that_is_trusted_and_to_no_other(
    database: Database,
    make_settings: Callable[..., Settings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
) -> None:
    await book(database)
    context, trusted = certificate(tmp_path)
    kind: dict[str, Any] = {"tls": context} if scheme == "smtps" else {"starttls": context}
    async with mail_server(**kind) as server:
        settings = make_settings(mail_url=f"{scheme}://127.0.0.1:{server.port}")
        assert len(await send_all(database, settings)) == 1
        assert server.taken == []
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        assert await send_all(database, settings) == []
        assert server.secure == [True]


async def test_reports_come_to_an_address_of_each_mails_own(
    database: Database, make_settings: Callable[..., Settings]
) -> None:
    await book(database)
    async with mail_server() as server:
        settings = make_settings(mail_url=f"smtp://127.0.0.1:{server.port}", mail_bounces="bounces@clinic.example")
        await send_all(database, settings)
    mail = await patients_mail(database)
    assert server.senders == [f"bounces+{mail.id.hex}@clinic.example"]


async def test_the_command_takes_a_report_from_standard_input(
    database: Database, make_settings: Callable[..., Settings]
) -> None:
    await book(database)
    async with mail_server() as server:
        settings = make_settings(mail_url=f"smtp://127.0.0.1:{server.port}")
        await send_all(database, settings)
    (taken,) = server.taken
    env = {"DATABASE_URL": database.url, "SECRET_KEY": SECRET, "PUBLIC_URL": "http://127.0.0.1:8080"}

    async def hand_over(data: bytes, **other: str) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "consult", "take-bounce"]
        return await asyncio.to_thread(
            subprocess.run, command, input=data, capture_output=True, cwd=ROOT, env=env | other, timeout=60
        )

    done = await hand_over(report(message_id=taken["Message-ID"]))
    assert done.returncode == 0, done.stderr
    assert (await patients_mail(database)).state == "bounced"
    assert (await hand_over(b"Subject: I am away\r\n\r\nUntil Monday")).returncode == 0
    away = await hand_over(report(), DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert away.returncode == 75  # the mail server keeps it and tries again


async def test_pauses_between_tries_grow_over_hours(database: Database, make_settings: Callable[..., Settings]) -> None:
    assert queueing.MAIL_PAUSES[0] <= timedelta(minutes=1)
    assert list(queueing.MAIL_PAUSES) == sorted(queueing.MAIL_PAUSES)
    assert timedelta(hours=24) < sum(queueing.MAIL_PAUSES, timedelta()) < timedelta(hours=48)
    await book(database)
    async with mail_server() as server:
        server.answers = ["451 later"] * 2  # patient and expert
        worker, stop = Jobs(), asyncio.Event()
        settings = make_settings(mail_url=f"smtp://127.0.0.1:{server.port}")
        notices.register_jobs(worker, pool=database.pool, settings=settings)
        running = asyncio.create_task(worker.run(database.pool, stop))
        try:
            async with asyncio.timeout(30):
                while await database.pool.fetchval("select count(*) from mails where failed_at is not null") < 2:
                    await asyncio.sleep(0.1)
                waits = await _list_pauses(database)
                while min(waits) < timedelta():  # the queue is told after the failure
                    await asyncio.sleep(0.1)
                    waits = await _list_pauses(database)
        finally:
            stop.set()
            await asyncio.wait_for(running, 30)
    assert len(waits) == 2
    assert all(timedelta(seconds=40) < pause <= timedelta(seconds=60) for pause in waits)


async def _list_pauses(database: Database) -> list[timedelta]:
    """How long each mail's job waits from now on; negative: it is due or runs."""
    rows = await database.pool.fetch(
        "select execute_after - now() as pause from pgqueuer where entrypoint = 'send_mail'"
    )
    return [row["pause"] for row in rows]


async def test_mails_that_wait_for_their_server_leave_half_of_a_worker_to_other_jobs(
    database: Database, make_settings: Callable[..., Settings]
) -> None:
    _clinic, appointment = await book(database)
    done, stop = asyncio.Event(), asyncio.Event()

    async def do_something_else(_payload: dict[str, Any]) -> None:
        done.set()

    async with mail_server() as server:
        server.may_answer.clear()
        worker = Jobs(look_every=timedelta(seconds=0.2))
        settings = make_settings(mail_url=f"smtp://127.0.0.1:{server.port}")
        notices.register_jobs(worker, pool=database.pool, settings=settings)
        worker.handle("something_else", do_something_else)
        async with database.pool.acquire() as conn:
            for _ in range(10):
                await notices.queue_new_link(conn, appointment.id, utc_now())
        running = asyncio.create_task(worker.run(database.pool, stop))
        try:
            async with asyncio.timeout(25):  # less than a mail is waited for
                await server.asked.wait()
                async with database.pool.acquire() as conn:
                    await enqueue(conn, "something_else", {})
                await done.wait()
        finally:
            server.may_answer.set()
            stop.set()
            await running
