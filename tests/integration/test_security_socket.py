"""The way into a room of the whole server, and what somebody does there who was not let in (SECURITY 5, 6, 10, 17)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiortc import RTCSessionDescription

from consult.db import listening
from consult.domain.clock import utc_now
from consult.keys import POOL, SOCKETS
from consult.people import service as people
from consult.web.session import NOTIFY_ENDED, SESSION_ENDED, session_key
from signaling.events import RecordingFinished
from signaling.hub import Hub
from signaling.local_bus import LocalBus, LocalDirectory
from signaling.messages import CONSENT_WORDING
from signaling.relay import RoomMedia
from signaling.ticket import Grant, MemberId, PersonId, Role, RoomId, Seat
from tests.conftest import Server
from tests.integration.browsers import LOOPBACK, Browser, _without_rtx_in_slots, loopback, until
from tests.integration.personas import EXPERT, PATIENT, SCHEDULER, STRANGER, Town, settle

__all__ = ["loopback"]

WITHIN_S = 20


@pytest.fixture
async def town(server: Server) -> Town:
    async with server.app[POOL].acquire() as conn:
        return await settle(server, conn)


@pytest.fixture
async def browser() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as client:
        yield client


async def ticket_of(browser: aiohttp.ClientSession, server: Server, town: Town, persona: str) -> str:
    path = f"/appointments/{town.appointment_id}/seat" if persona == EXPERT else "/visit/seat"
    async with browser.post(server.url + path, headers=town.headers_of(persona, server.settings)) as answer:
        assert answer.status == 200, await answer.text()
        ticket: str = (await answer.json())["ticket"]
        return ticket


@asynccontextmanager
async def socket(
    browser: aiohttp.ClientSession, server: Server, town: Town, persona: str, **headers: str
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    given = {"Origin": server.url} | town.cookie_of(persona) | headers
    async with browser.ws_connect(f"{server.url}/socket", headers=given, max_msg_size=0) as opened:
        yield opened


async def hello(ws: aiohttp.ClientWebSocketResponse, ticket: str) -> dict[str, Any]:
    await ws.send_json({"type": "hello", "version": 1, "ticket": ticket})
    return await hear(ws)


async def hear(ws: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    async with asyncio.timeout(WITHIN_S):
        message = await ws.receive()
    if message.type is not aiohttp.WSMsgType.TEXT:
        return {"type": "closed", "code": ws.close_code}
    heard: dict[str, Any] = json.loads(message.data)
    return heard


async def heard_until(ws: aiohttp.ClientWebSocketResponse, kind: str) -> dict[str, Any]:
    while (message := await hear(ws))["type"] != kind:
        assert message["type"] != "closed", f"closed with {message} before {kind}"
    return message


@pytest.mark.parametrize(
    "origin",
    [
        "null", "", "https://evil.example", "{own}.evil.example", "{other_port}", "https://{host}", "{own}/",
        "http://user@{host}", "http://[", "http://localhost", "file://",
    ],
)  # fmt: skip
async def test_only_our_own_origin_opens_a_socket(
    browser: aiohttp.ClientSession, server: Server, town: Town, origin: str
) -> None:
    host = server.url.removeprefix("http://")
    origin = origin.format(own=server.url, other_port="http://127.0.0.1:1", host=host)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with socket(browser, server, town, PATIENT, Origin=origin):
            pass
    assert refused.value.status == 403


async def test_behind_tls_a_page_without_it_opens_no_socket_and_sends_no_form(
    browser: aiohttp.ClientSession, make_settings: Any, start_server: Any
) -> None:
    settings = make_settings(public_url="https://consult.example.org")
    await start_server(settings)
    url = f"http://127.0.0.1:{settings.port}"
    for origin, status in (("http://consult.example.org", 403), ("https://consult.example.org:8443", 403)):
        headers = {"Host": "consult.example.org", "Origin": origin}
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await browser.ws_connect(f"{url}/socket", headers=headers)
        assert refused.value.status == status
        async with browser.post(f"{url}/language", headers=headers, data={"language": "es"}) as answer:
            assert (await answer.json())["code"] == "csrf.missing"
    headers = {"Host": "consult.example.org", "Origin": "https://consult.example.org"}
    async with browser.ws_connect(f"{url}/socket", headers=headers):
        pass


@pytest.mark.parametrize("thief", ["nobody", STRANGER])
async def test_a_ticket_is_worth_nothing_without_the_session_that_got_it(
    browser: aiohttp.ClientSession, server: Server, town: Town, thief: str
) -> None:
    for owner in (PATIENT, EXPERT):
        ticket = await ticket_of(browser, server, town, owner)
        async with socket(browser, server, town, thief) as ws:
            assert (await hello(ws, ticket))["code"] == "ticket.invalid"
            assert (await hear(ws))["code"] == 4001


async def test_after_signing_out_a_ticket_opens_nothing_and_open_sockets_close(
    browser: aiohttp.ClientSession, server: Server, town: Town
) -> None:
    ticket = await ticket_of(browser, server, town, EXPERT)
    async with socket(browser, server, town, EXPERT) as ws:
        assert (await hello(ws, ticket))["type"] == "welcome"
        async with browser.post(
            f"{server.url}/sign-out", headers=town.headers_of(EXPERT, server.settings), allow_redirects=False
        ) as answer:
            assert answer.status == 303
        assert (await heard_until(ws, "ended"))["reason"] == "expired"
    async with socket(browser, server, town, EXPERT) as ws:
        assert (await hello(ws, ticket))["code"] == "ticket.invalid"


async def test_a_session_that_ends_while_its_socket_opens_is_noticed(
    browser: aiohttp.ClientSession, server: Server, town: Town
) -> None:
    """In any process: the end is told through the database."""
    ticket, token = await ticket_of(browser, server, town, EXPERT), town.tokens[EXPERT]
    async with socket(browser, server, town, EXPERT) as ws:
        assert (await hello(ws, ticket))["type"] == "welcome"
        async with server.app[POOL].acquire() as conn:
            await people.end_session(conn, token, utc_now())
            await conn.execute(NOTIFY_ENDED, SESSION_ENDED, session_key("staff", token))
        assert (await heard_until(ws, "ended"))["reason"] == "expired"


async def test_a_session_that_ended_while_nobody_listened_is_noticed_when_the_database_is_back(
    browser: aiohttp.ClientSession, server: Server, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "PAUSE_S", 0.1)
    ticket, token = await ticket_of(browser, server, town, EXPERT), town.tokens[EXPERT]
    stays_open = asyncio.Event()

    async def close_other() -> None:
        stays_open.set()

    async with socket(browser, server, town, EXPERT) as ws:
        assert (await hello(ws, ticket))["type"] == "welcome"
        with server.app[SOCKETS].kept(session_key("staff", town.tokens[SCHEDULER]), close_other):
            async with server.app[POOL].acquire() as conn:
                await people.end_session(conn, token, utc_now())  # told by another process, and not heard here
                ended = await conn.fetch(
                    "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()"
                    " and query like 'LISTEN%consult_session_ended%'"
                )
            assert len(ended) == 1
            assert (await heard_until(ws, "ended"))["reason"] == "expired"
            assert not stays_open.is_set(), "a session that goes on keeps its socket"


@pytest.mark.parametrize("what", ["cancel", "link"])
async def test_within_a_second_of_losing_the_link_the_open_socket_closes(
    browser: aiohttp.ClientSession, server: Server, town: Town, what: str
) -> None:
    """By cancelling, or by a new link that withdraws the earlier ones."""
    ticket = await ticket_of(browser, server, town, PATIENT)
    async with socket(browser, server, town, PATIENT) as ws:
        assert (await hello(ws, ticket))["type"] == "waiting"
        async with browser.post(
            f"{server.url}/appointments/{town.appointment_id}/{what}",
            data={"withdraw": "1"},
            headers=town.headers_of(SCHEDULER, server.settings),
            allow_redirects=False,
        ) as answer:
            assert answer.status == 303, await answer.text()
        async with asyncio.timeout(1):
            assert (await heard_until(ws, "ended"))["reason"] in ("cancelled", "ended", "removed", "expired")
    async with browser.get(f"{server.url}/visit/when", headers=town.cookie_of(PATIENT)) as answer:
        assert answer.status == 401
    async with socket(browser, server, town, PATIENT) as ws:
        assert (await hello(ws, ticket))["type"] in ("error", "ended"), "the ticket from before is worth nothing"


async def test_who_is_not_let_in_changes_nothing_for_those_inside(
    browser: aiohttp.ClientSession, server: Server, town: Town
) -> None:
    host_ticket, ticket = [await ticket_of(browser, server, town, who) for who in (EXPERT, PATIENT)]
    async with socket(browser, server, town, EXPERT) as host, socket(browser, server, town, PATIENT) as ws:
        assert (await hello(host, host_ticket))["type"] == "welcome"
        waiting = await hello(ws, ticket)
        assert waiting["type"] == "waiting"
        assert set(waiting) == {"type", "member_id", "host_present", "room_full", "second_device"}
        knock = await heard_until(host, "knock")
        record = {"record_id": str(town.record_id), "page": 1, "x": 0.5, "y": 0.5, "zoom": 1, "rotation": 0}
        for message in (
            {"type": "offer", "sdp": "v=0\r\n", "attempt": 1},
            {"type": "show", "view": record, "revision": 1},
            {"type": "point", "x": 0.5, "y": 0.5, "visible": True},
            {"type": "say", "line_id": "a" * 16, "text": "let me in"},
            {"type": "admit", "member_id": knock["member"]["member_id"]},
            {"type": "set_consent", "given": True, "wording": CONSENT_WORDING},
            {"type": "set_recording", "wanted": True},
            {"type": "end"},
        ):
            await ws.send_json(message)
            assert (await hear(ws))["type"] == "error", message["type"]
        await host.send_json({"type": "ping", "n": 7})
        assert await hear(host) == {"type": "pong", "n": 7}, "nothing came before the answer"


async def test_a_sixth_device_finds_the_lobby_full(browser: aiohttp.ClientSession, server: Server, town: Town) -> None:
    from consult.scheduling import service as scheduling

    opened: list[aiohttp.ClientWebSocketResponse] = []
    try:
        for number in range(6):
            async with server.app[POOL].acquire() as conn:
                visit = await scheduling.open_invitation(conn, now=utc_now(), secret=town.link.secret)
            town.tokens[PATIENT] = visit.token
            ticket = await ticket_of(browser, server, town, PATIENT)
            headers = {"Origin": server.url} | town.cookie_of(PATIENT)
            opened.append(await browser.ws_connect(f"{server.url}/socket", headers=headers))
            heard = await hello(opened[-1], ticket)
            assert heard["type"] == ("waiting" if number < 5 else "error"), heard
        assert heard["code"] == "lobby.full"
    finally:
        for ws in opened:
            await ws.close()


async def test_a_frame_of_ten_megabytes_ends_its_own_socket_alone(
    browser: aiohttp.ClientSession, server: Server, town: Town
) -> None:
    tickets = [await ticket_of(browser, server, town, who) for who in (EXPERT, PATIENT)]
    async with socket(browser, server, town, EXPERT) as host, socket(browser, server, town, PATIENT) as ws:
        assert (await hello(host, tickets[0]))["type"] == "welcome"
        assert (await hello(ws, tickets[1]))["type"] == "waiting"
        try:
            await ws.send_str("x" * 10_000_000)
            while (message := await hear(ws))["type"] != "closed":
                pass
            assert message["code"] in (1009, 1006)
        except ConnectionError:
            pass  # cut off in the middle of it
        await host.send_json({"type": "ping", "n": 1})
        assert (await heard_until(host, "pong"))["n"] == 1


async def test_a_message_in_endless_fragments_is_cut_off(
    browser: aiohttp.ClientSession, server: Server, town: Town
) -> None:
    """Frames without an end, each of 60 kB: what is kept of them has a limit."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.settings.port)
    try:
        writer.write(
            f"GET /socket HTTP/1.1\r\nHost: 127.0.0.1:{server.settings.port}\r\nOrigin: {server.url}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        async with asyncio.timeout(WITHIN_S):
            assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
            size = 60_000
            for number in range(50):
                opcode = 0x01 if number == 0 else 0x00
                writer.write(bytes([opcode, 0x80 | 126, *size.to_bytes(2, "big"), 0, 0, 0, 0]) + b"x" * size)
                try:
                    await writer.drain()
                except ConnectionError:
                    break
                if reader.at_eof():
                    break
                await asyncio.sleep(0)
            try:
                rest = await reader.read()
            except ConnectionError:
                rest = b""
            assert rest[:1] in (b"", b"\x88"), "a close frame or the end"
    finally:
        writer.close()


# Consent, with real connections ------------------------------------------------------------------------------------


class Ear:
    """A socket as the hub sees it."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []

    def send(self, text: str, *, replaces: str | None = None) -> None:
        self.heard.append(json.loads(text))

    def end(self, reason: str | None) -> None:
        self.heard.append({"type": "ended", "reason": reason})

    def last(self, kind: str) -> dict[str, Any] | None:
        return next((message for message in reversed(self.heard) if message["type"] == kind), None)


def _seat(name: str, *grants: Grant) -> Seat:
    role = Role.EXPERT if Grant.HOST in grants else Role.PATIENT
    return Seat(
        RoomId("room"), MemberId(name), PersonId(f"person:{name}"), name, role, grants, Grant.HOST in grants, False,
        None, int(time.time()) + 600,
    )  # fmt: skip


async def _connect(room: Any, browser: Browser, ear: Ear) -> None:
    """Offer through the room, take its answer."""
    from signaling import messages as wire

    sdp = _without_rtx_in_slots(
        "".join(f"{line}\r\n" for line in (await browser.offer()).splitlines() if "candidate" not in line)
    )
    room.receive(browser.member.member_id, ear, wire.Offer(sdp=sdp, attempt=1))
    await until(lambda: ear.last("answer") is not None)
    answer = ear.last("answer")
    assert answer is not None
    await browser.pc.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
    await until(lambda: browser.pc.connectionState == "connected")


@pytest.mark.usefixtures("loopback")
async def test_no_frame_is_recorded_before_everybody_present_consented(tmp_path: Path) -> None:
    from signaling import messages as wire

    bus, opened = LocalBus(), []
    finished: list[RecordingFinished] = []

    def open_media(room_id: str, **given: Any) -> RoomMedia:
        opened.append(RoomMedia(room_id, spool=tmp_path, ice=LOOPBACK, **given))
        return opened[-1]

    hub = Hub(bus=bus, directory=LocalDirectory(), open_media=open_media, node="here")
    await hub.start()

    async def listen() -> None:
        async for delivery in bus.deliveries("test"):
            if isinstance(delivery.event, RecordingFinished):
                finished.append(delivery.event)
            await delivery.acknowledge()

    listening = asyncio.create_task(listen(), name="listens")
    host, patient = Browser("host"), Browser("patient", luma=200)
    host_ear, patient_ear = Ear(), Ear()
    yes = wire.SetConsent(given=True, wording=CONSENT_WORDING)

    def kept() -> list[Path]:
        return [path for path in tmp_path.rglob("*") if path.is_file()]

    try:
        room: Any = await hub.enter(_seat("host", Grant.HOST, Grant.PUBLISH, Grant.SHOW), host_ear)
        await hub.enter(_seat("patient", Grant.PUBLISH), patient_ear)
        room.receive("host", host_ear, wire.Admit(member_id="patient"))
        await asyncio.gather(_connect(room, host, host_ear), _connect(room, patient, patient_ear))
        room.receive("host", host_ear, yes)
        await asyncio.sleep(1.5)
        assert kept() == [], "one yes of two"
        room.receive("patient", patient_ear, yes)
        consented_ms = room._room.clock_ms(room._now_ms())
        await until(lambda: len(kept()) >= 2)
        await asyncio.sleep(2)
        room.receive("patient", patient_ear, wire.SetConsent(given=False, wording=CONSENT_WORDING))
        withdrawn_ms = room._room.clock_ms(room._now_ms())
        await until(lambda: len(finished) >= 2)
        sizes = {path: path.stat().st_size for path in kept()}
        await asyncio.sleep(1.5)
        assert {path: path.stat().st_size for path in kept()} == sizes, "nothing is written after the withdrawal"
        for segment in finished:
            assert segment.offset_ms >= consented_ms - 20, "nothing from before the last yes"
            assert segment.offset_ms + segment.duration_ms <= withdrawn_ms + 1000, "and it stops within a second"
    finally:
        await hub.close()
        await bus.close()
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        for each in (host, patient):
            await each.close()
