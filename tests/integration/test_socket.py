"""Real sockets on loopback: a real server, a hub, the in-process bus, and a small fake of a room's media."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, AsyncExitStack, nullcontext
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from signaling import connection, endpoint, messages
from signaling import hub as hub_module
from signaling.endpoint import RoomEndpoint, create_media_app
from signaling.errors import OfferRefused
from signaling.events import CloseRoom, MemberLeft, RecordingFinished, RemovePerson, RoomClosed, RoomEvent, RoomOpened
from signaling.hub import Hub
from signaling.local_bus import LocalBus, LocalDirectory
from signaling.media import MediaEvent, MediaMember, SegmentFinished, SlotsChanged
from signaling.messages import Slot
from signaling.ticket import Grant, MemberId, PersonId, Role, RoomId, Seat, sign
from tests.conftest import free_port

KEY = b"a key for tests that is long enough"
WITHIN_S = 5
ROOM = RoomId("room")


@dataclass(slots=True)
class FakeMedia:
    """Answers every offer, and has one segment per recording."""

    room_id: str
    clock: Callable[[], int]
    tell: Callable[[MediaEvent], None]
    started_at: str
    recording: bool = False
    dropped: list[str] = field(default_factory=list)
    segments: int = 0
    silenced: dict[str, bool] = field(default_factory=dict)
    screen: str | None = None

    async def accept_offer(self, member: MediaMember, sdp: str, attempt: int) -> str:
        await asyncio.sleep(0)
        if sdp == "bad":
            raise OfferRefused
        slots = (Slot("2", "audio", None),)
        asyncio.get_running_loop().call_soon(self.tell, SlotsChanged(member.member_id, attempt, slots))
        return f"answer to {sdp}"

    def resume(self, member_id: str) -> int | None:
        return None

    async def drop(self, member_id: str) -> None:
        self.dropped.append(member_id)

    def silence(self, member_id: str, on: bool) -> None:
        self.silenced[member_id] = on

    def share_screen(self, member_id: str | None) -> None:
        self.screen = member_id

    def set_recording(self, on: bool) -> None:
        if self.recording and not on:
            self.segments += 1
            self.tell(segment(self.room_id, f"segment-{self.segments}", self.started_at))
        self.recording = on

    async def close(self) -> None:
        self.set_recording(False)


def segment(room_id: str, segment_id: str, started_at: str) -> SegmentFinished:
    return SegmentFinished(room_id, "m", "p", "N", "expert", segment_id, "a.webm", 10, 20, True, True, started_at)


@dataclass(slots=True)
class House:
    """One process: its hub and its address. events: what it told the application."""

    url: str
    hub: Hub | None
    bus: LocalBus
    directory: LocalDirectory
    media: dict[str, FakeMedia]
    events: list[RoomEvent]
    client: aiohttp.ClientSession
    runner: web.AppRunner

    async def open(self, *, origin: str | None = "own") -> aiohttp.ClientWebSocketResponse:
        headers = {} if origin is None else {"Origin": self.url if origin == "own" else origin}
        return await self.client.ws_connect(f"{self.url}/socket", headers=headers)

    async def enter(self, seat: Seat) -> Browser:
        browser = Browser(await self.open())
        await browser.send(type="hello", version=1, ticket=sign(seat, KEY))
        return browser

    async def status(self, path: str) -> int:
        async with self.client.get(f"{self.url}{path}") as answer:
            return answer.status

    async def told(self, kind: type[RoomEvent], count: int = 1) -> list[RoomEvent]:
        async with asyncio.timeout(WITHIN_S):
            while len(found := [one for one in self.events if isinstance(one, kind)]) < count:
                await asyncio.sleep(0.01)
        return found


@dataclass(slots=True)
class Browser:
    ws: aiohttp.ClientWebSocketResponse

    async def send(self, **fields: Any) -> None:
        await self.ws.send_json(fields)

    async def hear(self, kind: str) -> dict[str, Any]:
        """The next message of a type; others are passed over."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                message = await self.ws.receive()
                assert message.type is aiohttp.WSMsgType.TEXT, f"{kind} did not come before {message}"
                fields: dict[str, Any] = json.loads(message.data)
                if fields["type"] == kind:
                    return fields

    async def closed(self) -> int | None:
        """The code in the server's close frame."""
        async with asyncio.timeout(WITHIN_S):
            while (message := await self.ws.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
        return message.data if message.type is aiohttp.WSMsgType.CLOSE else self.ws.close_code


def seat(member_id: str, *grants: Grant, person_id: str = "", lives_s: int = 60) -> Seat:
    person = PersonId(person_id or f"person of {member_id}")
    role = Role.EXPERT if Grant.HOST in grants else Role.PATIENT
    ends_at = int(time.time()) + lives_s
    return Seat(ROOM, MemberId(member_id), person, member_id.title(), role, grants, False, False, None, ends_at)


HOST = seat("host", Grant.HOST, Grant.PUBLISH, Grant.SHOW, lives_s=3600)
PATIENT = seat("patient", Grant.PUBLISH, lives_s=3600)

StartHouse = Callable[..., Awaitable[House]]


@pytest.fixture
async def start_house() -> AsyncIterator[StartHouse]:
    """Starts a process: by default a web server with rooms; `kind` may be "web" (no rooms) or "media"."""
    directory, bus = LocalDirectory(), LocalBus()
    events: list[RoomEvent] = []

    async def collect() -> None:
        async for delivery in bus.deliveries("test"):
            events.append(delivery.event)
            await delivery.acknowledge()

    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        tasks.create_task(collect())
        client = await stack.enter_async_context(aiohttp.ClientSession())
        houses: list[House] = []

        async def start(kind: str = "both", **options: Any) -> House:
            media: dict[str, FakeMedia] = {}

            def open_media(room_id: str, **given: Any) -> FakeMedia:
                media[room_id] = FakeMedia(room_id, **given)
                return media[room_id]

            url = f"http://127.0.0.1:{free_port()}"
            hub = None
            if kind != "web":
                hub_options = {key: options.pop(key) for key in ("recover_spool",) if key in options}
                hub = Hub(bus=bus, directory=directory, open_media=open_media, node=url, **hub_options)
            if kind == "media":
                assert hub is not None
                app = create_media_app(key=KEY, directory=directory, hub=hub)
            else:
                app = _web_app(RoomEndpoint(key=KEY, directory=directory, hub=hub, **options), hub)
            app_runner = web.AppRunner(app, shutdown_timeout=1)
            await app_runner.setup()
            await web.TCPSite(app_runner, "127.0.0.1", int(url.rpartition(":")[2])).start()
            house = House(url, hub, bus, directory, media, events, client, app_runner)
            houses.append(house)
            return house

        try:
            yield start
        finally:
            for house in houses:
                await house.runner.cleanup()
            await bus.close()


def _web_app(rooms: RoomEndpoint, hub: Hub | None) -> web.Application:
    async def run_hub(app: web.Application) -> AsyncIterator[None]:
        if hub is not None:
            await hub.start()
        yield

    async def on_shutdown(app: web.Application) -> None:
        await rooms.close()

    app = web.Application()
    app.cleanup_ctx.append(run_hub)
    app.on_shutdown.append(on_shutdown)
    app.router.add_get("/socket", rooms.handle)
    return app


async def _call(house: House) -> tuple[Browser, Browser]:
    """A host and a patient, both in."""
    host = await house.enter(HOST)
    await host.hear("welcome")
    patient = await house.enter(PATIENT)
    await host.hear("knock")
    await host.send(type="admit", member_id="patient")
    await patient.hear("welcome")
    return host, patient


async def test_a_whole_call(start_house: StartHouse) -> None:
    house = await start_house()
    host, patient = await _call(house)
    await patient.send(type="offer", sdp="hello", attempt=3)
    assert await patient.hear("answer") == {"type": "answer", "sdp": "answer to hello", "attempt": 3}
    assert (await patient.hear("slots"))["slots"] == [
        {"mid": "2", "kind": "audio", "member_id": None, "source": "camera"}
    ]
    for browser in (host, patient):
        await browser.send(type="set_consent", given=True, wording=messages.CONSENT_WORDING)
    while (await host.hear("recording"))["recording"]["state"] != "on":
        pass
    assert house.media[ROOM].recording
    await host.send(type="end")
    assert await patient.hear("ended") == {"type": "ended", "reason": "ended"}
    assert await patient.closed() == 1000
    await house.told(RoomClosed)
    kinds = [type(event) for event in house.events]
    assert kinds[0] is RoomOpened
    assert kinds[-1] is RoomClosed
    assert RecordingFinished in kinds, "a room is closed when its segments are told"
    late = await house.enter(seat("late", Grant.PUBLISH))
    assert (await late.hear("ended"))["reason"] == "ended"


@pytest.mark.parametrize("origin", [None, "null", "https://elsewhere.example", "http://127.0.0.1:1"])
async def test_a_foreign_or_missing_origin_gets_403(start_house: StartHouse, origin: str | None) -> None:
    house = await start_house()
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await house.open(origin=origin)
    assert refused.value.status == 403


async def test_an_origin_on_the_list_is_let_in(start_house: StartHouse) -> None:
    house = await start_house(allowed_origins=["https://clinic.example/"])
    await (await house.open(origin="https://clinic.example")).close()


async def test_who_says_nothing_is_closed(start_house: StartHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HELLO_S", 0.1)
    browser = Browser(await (await start_house()).open())
    assert (await browser.hear("error"))["code"] == "message.out_of_order"
    assert await browser.closed() == 1008


@pytest.mark.parametrize(
    ("first", "code", "close_code"),
    [
        ("{", "message.malformed", 1008),
        ('{"type":"dance"}', "message.unknown", 1008),
        ('{"type":"ping","n":1}', "message.out_of_order", 1008),
        ('{"type":"hello","version":99,"ticket":"x"}', "version.unsupported", 4002),
        ('{"type":"hello","version":1,"ticket":"x.y"}', "ticket.invalid", 4001),
        ('{"type":"hello","version":1,"ticket":"' + sign(seat("a", lives_s=-5), KEY) + '"}', "ticket.expired", 4001),
        (
            '{"type":"hello","version":1,"ticket":"' + sign(HOST, b"another key, as long as the first") + '"}',
            "ticket.invalid",
            4001,
        ),
    ],
)
async def test_a_wrong_first_message_is_answered_and_closed(
    start_house: StartHouse, first: str, code: str, close_code: int
) -> None:
    browser = Browser(await (await start_house()).open())
    await browser.ws.send_str(first)
    error = await browser.hear("error")
    assert (error["code"], error["of"], len(error["reference"])) == (code, "hello", 8)
    assert await browser.closed() == close_code


async def test_what_cannot_be_used_is_answered_and_the_call_goes_on(start_house: StartHouse) -> None:
    host, patient = await _call(await start_house())
    for text, code, of in (
        ("{", "message.malformed", None),
        ('{"type":"dance"}', "message.unknown", None),
        ('{"type":"hello","version":1,"ticket":"x"}', "message.out_of_order", "hello"),
        ('{"type":"end"}', "grant.missing", "end"),
        ('{"type":"offer","sdp":"bad","attempt":1}', "offer.refused", "offer"),
        ('{"type":"say","line_id":"x","text":"\\ud800"}', "message.malformed", None),
        (" " * (messages.MAX_MESSAGE_BYTES + 1), "message.too_large", None),
    ):
        await patient.ws.send_str(text)
        error = await patient.hear("error")
        assert (error["code"], error["of"]) == (code, of)
    await patient.ws.send_bytes(b"\x00")
    assert (await patient.hear("error"))["code"] == "message.malformed"
    await patient.send(type="say", text="Still here", line_id="1")
    assert (await host.hear("said"))["line"]["text"] == "Still here"


async def test_a_message_far_too_large_ends_the_socket(start_house: StartHouse) -> None:
    host, patient = await _call(await start_house())
    await patient.ws.send_str(" " * (endpoint.MAX_FRAME_BYTES + 1))
    assert await patient.closed() == 1009
    assert not (await host.hear("changed"))["member"]["connected"]


async def test_twenty_useless_messages_end_the_socket(start_house: StartHouse) -> None:
    _, patient = await _call(await start_house())
    for _ in range(connection.MAX_PROTOCOL_ERRORS):
        await patient.ws.send_str("{")
    assert await patient.closed() == 1008


async def test_a_flood_ends_the_socket_and_nobody_elses(start_house: StartHouse) -> None:
    host, patient = await _call(await start_house())
    for number in range(400):
        await patient.send(type="ping", n=number)
    assert (await patient.hear("error"))["code"] == "message.too_many"
    assert await patient.closed() == 4008
    await host.send(type="ping", n=1)
    await host.hear("pong")


async def test_many_large_messages_are_a_flood_too(start_house: StartHouse) -> None:
    _, patient = await _call(await start_house())
    for _ in range(16):
        await patient.ws.send_str("{" + " " * 90_000)
    assert (await patient.hear("error"))["code"] == "message.malformed"
    assert await patient.closed() in (4008, 1008)


async def test_who_does_not_read_is_cut_off_and_the_others_go_on(start_house: StartHouse) -> None:
    house = await start_house()
    host, patient = await _call(house)
    patient.ws._response.connection.transport.pause_reading()  # type: ignore[union-attr]
    assert house.hub is not None
    outlet = house.hub._rooms[ROOM]._sockets["patient"]
    async with asyncio.timeout(20):
        while house.hub.socket_count() == 2:
            outlet.send("x" * 60_000)  # what one person may say fills the buffers of loopback only slowly
            await asyncio.sleep(0)
    assert not (await host.hear("changed"))["member"]["connected"]


async def test_a_reload_keeps_the_seat_and_the_old_socket_hears_why(start_house: StartHouse) -> None:
    house = await start_house()
    host, patient = await _call(house)
    again = await house.enter(PATIENT)
    await again.hear("welcome")
    assert (await patient.hear("ended"))["reason"] == "superseded"
    assert await patient.closed() == 4005
    await again.ws.close()
    changed = await host.hear("changed")
    while changed["member"]["connected"]:
        changed = await host.hear("changed")
    once_more = await house.enter(PATIENT)
    assert len((await once_more.hear("welcome"))["members"]) == 2
    assert not [event for event in house.events if isinstance(event, MemberLeft)]


async def test_orders_of_the_application_are_obeyed(start_house: StartHouse) -> None:
    house = await start_house()
    host, patient = await _call(house)
    await house.bus.order(RemovePerson(ROOM, "person of patient", "expired"))
    assert (await patient.hear("ended"))["reason"] == "expired"
    old_ticket = await house.enter(seat("patient", Grant.PUBLISH, lives_s=50))  # signed before, good for a minute
    assert (await old_ticket.hear("ended"))["reason"] == "expired"
    new_ticket = await house.enter(seat("patient", Grant.PUBLISH, lives_s=62))
    await new_ticket.hear("waiting")
    await house.bus.order(CloseRoom(ROOM))
    assert (await host.hear("ended"))["reason"] == "ended"
    assert (await house.told(RoomClosed))[0] == house.events[-1]


async def test_a_stopping_server_says_that_it_comes_back(start_house: StartHouse) -> None:
    house = await start_house()
    host, patient = await _call(house)
    for browser in (host, patient):
        await browser.send(type="set_consent", given=True, wording=messages.CONSENT_WORDING)
    while (await host.hear("recording"))["recording"]["state"] != "on":
        pass
    stopping = asyncio.create_task(house.runner.cleanup())
    assert (await patient.hear("ended"))["reason"] == "restarting"
    assert await patient.closed() == 1012
    await stopping
    await house.told(RecordingFinished)
    assert not [event for event in house.events if isinstance(event, RoomClosed)]


async def test_what_a_crash_left_is_told_at_the_next_start(start_house: StartHouse) -> None:
    left = segment("another-room", "left", "2026-01-01T00:00:00+00:00")
    house = await start_house(recover_spool=lambda: [left])
    (event,) = await house.told(RecordingFinished)
    assert isinstance(event, RecordingFinished)
    assert (event.room_id, event.segment_id, event.at_ms) == ("another-room", "left", 30)


async def test_the_application_closes_the_sockets_of_somebody_who_signed_out(start_house: StartHouse) -> None:
    closers: dict[str, Callable[[], Awaitable[None]]] = {}

    async def keep_open(
        request: web.Request, seat: Seat, close: Callable[[], Awaitable[None]]
    ) -> AbstractContextManager[None]:
        closers[seat.member_id] = close
        return nullcontext()

    house = await start_house(keep_open=keep_open)
    _, patient = await _call(house)
    await closers["patient"]()
    assert (await patient.hear("ended"))["reason"] == "expired"
    assert await patient.closed() == 4003


# Several processes ---------------------------------------------------------------------------------------------------


async def test_a_web_process_passes_sockets_on_to_the_rooms_process(start_house: StartHouse) -> None:
    media, first, second = await start_house("media"), await start_house("web"), await start_house("web")
    async with asyncio.timeout(WITHIN_S):
        host = await first.enter(HOST)
        await host.hear("welcome")
        patient = await second.enter(PATIENT)
        await host.hear("knock")
        await host.send(type="admit", member_id="patient")
        await patient.hear("welcome")
        await patient.ws.send_bytes(b"x")
        assert (await patient.hear("error"))["code"] == "message.malformed"
        await host.send(type="end")
        assert (await patient.hear("ended"))["reason"] == "ended"
    assert await patient.closed() == 1000
    assert media.hub is not None
    assert media.hub.holds(ROOM)


async def test_a_web_process_with_rooms_passes_on_what_another_holds(start_house: StartHouse) -> None:
    one, other = await start_house(), await start_house()
    host = await one.enter(HOST)
    await host.hear("welcome")
    patient = await other.enter(PATIENT)
    assert (await patient.hear("waiting"))["host_present"]
    assert other.hub is not None
    assert other.hub.room_count == 0


async def test_a_media_process_takes_no_browsers(start_house: StartHouse) -> None:
    media = await start_house("media")
    for headers in ({"Origin": media.url}, {endpoint.PASSED_ON_HEADER: f"{int(time.time())}.{'0' * 64}"}):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await media.client.ws_connect(f"{media.url}/socket", headers=headers)
        assert refused.value.status == 403
    async with media.client.get(f"{media.url}/healthz") as response:
        assert response.status == 200


async def test_without_a_media_process_the_browser_is_asked_to_come_back(
    start_house: StartHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "FIND_S", 0.3)
    browser = await (await start_house("web")).enter(HOST)
    assert (await browser.hear("error"))["code"] == "room.elsewhere"
    assert await browser.closed() == 4004


async def test_when_the_rooms_process_dies_the_browser_comes_back(start_house: StartHouse) -> None:
    media, house = await start_house("media"), await start_house("web")
    host = await house.enter(HOST)
    await host.hear("welcome")
    await media.runner.cleanup()
    assert await host.closed() == 1012


async def test_a_browser_that_comes_before_any_media_process_waits_for_one(start_house: StartHouse) -> None:
    house = await start_house("web")
    browser = await house.enter(HOST)
    await asyncio.sleep(0.5)
    media = await start_house("media")
    await browser.hear("welcome")
    assert media.hub is not None
    assert media.hub.holds(ROOM)


async def test_a_room_whose_process_is_gone_opens_in_another_before_its_lease_lapses(start_house: StartHouse) -> None:
    dead, house = f"http://127.0.0.1:{free_port()}", await start_house("web")
    assert await house.directory.claim(ROOM, dead) == dead
    await house.directory.announce(dead)
    keeping = asyncio.create_task(_keep_claimed(house, dead))
    try:
        media = await start_house("media")
        host = await house.enter(HOST)
        await host.hear("welcome")
        assert media.hub is not None
        assert media.hub.holds(ROOM)
        assert await house.directory.nodes() == [media.url]
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def _keep_claimed(house: House, node: str) -> None:
    """As a lease that outlives its holder for long; once it is lost, nobody takes it again."""
    while await house.directory.renew(ROOM, node):
        await asyncio.sleep(0.05)


async def test_who_drains_keeps_its_calls_and_takes_no_others(start_house: StartHouse) -> None:
    first, house = await start_house("media"), await start_house("web")
    assert first.hub is not None
    await _until(lambda: house.directory.nodes(), [first.url])
    host, patient = await _call(house)
    draining = asyncio.create_task(first.hub.drain())
    try:
        await _until(lambda: house.directory.nodes(), [])
        second = await start_house("media")
        assert second.hub is not None
        again = await house.enter(PATIENT)
        assert len((await again.hear("welcome"))["members"]) == 2, "who reloads comes back to the call"
        assert (await patient.hear("ended"))["reason"] == "superseded"
        other = dataclasses.replace(HOST, room_id=RoomId("another room"))
        await (await house.enter(other)).hear("welcome")
        assert second.hub.holds(other.room_id)
        assert await first.status("/readyz") == 503
        assert await second.status("/readyz") == 200
        assert not draining.done()
        await host.send(type="end")
        await again.hear("ended")
        await asyncio.wait_for(draining, WITHIN_S)
    finally:
        draining.cancel()
        await asyncio.gather(draining, return_exceptions=True)


async def test_a_room_placed_where_nobody_new_is_taken_opens_elsewhere(start_house: StartHouse) -> None:
    first = await start_house("media")
    assert first.hub is not None
    await asyncio.wait_for(first.hub.drain(), WITHIN_S)
    second, house = await start_house("media"), await start_house("web")
    assert await house.directory.claim(ROOM, first.url) == first.url, "as it was a moment before"
    await (await house.enter(HOST)).hear("welcome")
    assert second.hub is not None
    assert second.hub.holds(ROOM)


async def test_a_draining_server_with_rooms_of_its_own_lets_people_back_into_their_call(
    start_house: StartHouse,
) -> None:
    house = await start_house()
    assert house.hub is not None
    host, patient = await _call(house)
    draining = asyncio.create_task(house.hub.drain())
    try:
        await patient.ws.close()
        patient = await house.enter(PATIENT)
        await patient.hear("welcome")
        stranger = await house.enter(dataclasses.replace(HOST, room_id=RoomId("another room")))
        assert (await stranger.hear("error"))["code"] == "room.elsewhere"
        assert await stranger.closed() == 4004
        assert not draining.done()
        await host.send(type="end")
        await asyncio.wait_for(draining, WITHIN_S)
    finally:
        draining.cancel()
        await asyncio.gather(draining, return_exceptions=True)


async def test_a_room_that_everybody_left_does_not_hold_up_the_end(
    start_house: StartHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "UNUSED_S", 0.5)
    house = await start_house()
    assert house.hub is not None
    for browser in await _call(house):
        await browser.ws.close()
    await asyncio.wait_for(house.hub.drain(), WITHIN_S)


async def _until(ask: Callable[[], Awaitable[object]], wanted: object) -> None:
    async with asyncio.timeout(WITHIN_S):
        while await ask() != wanted:
            await asyncio.sleep(0.02)
