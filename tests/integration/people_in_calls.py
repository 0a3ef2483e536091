"""People in a call on an installation of real processes, without Chromium: their sockets go through `web`, their sound
and picture are aiortc's. They do what the page does: come back when the line breaks, and make a new connection when the
room has none of theirs.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from signaling import messages as wire
from signaling.media import MediaMember
from tests.browser.call_page import Arranged
from tests.integration.browsers import Browser, until

COME_BACK_S = 0.3
WITHIN_S = 60.0  # generous: the machine may be busy with other things


class PersonInCall:
    """heard: every message of the room, of all sockets. welcomes: how often they came in. media: their connection."""

    def __init__(self, url: str, client: aiohttp.ClientSession, *, page: str, seat: str, luma: int) -> None:
        self.heard: list[dict[str, Any]] = []
        self.welcomes = 0
        self.media: Browser | None = None
        self.attempt = 0
        self._url = url
        self._client = client
        self._page = page
        self._seat = seat
        self._luma = luma
        self._proof = ""
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._slots: list[dict[str, Any]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._joining = asyncio.Lock()

    # What a person does --------------------------------------------------------------------------------------------

    async def come(self) -> None:
        async with self._client.get(self._page) as page:
            found = re.search('name="csrf" content="([^"]+)"', await page.text())
        assert found, f"{self._page} shows no proof"
        self._proof = found[1]
        self._start(self._stay(), "socket")

    async def say(self, **fields: Any) -> None:
        assert self._socket is not None
        await self._socket.send_json(fields)

    async def consent(self) -> None:
        await self.say(type="set_consent", given=True, wording=wire.CONSENT_WORDING)

    async def go(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._socket is not None:
            await self._socket.close()
        if self.media is not None:
            await self.media.close()

    # What a person notices -----------------------------------------------------------------------------------------

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.heard if message["type"] == kind]

    async def hears(self, kind: str, *, after: int = 0) -> dict[str, Any]:
        """The latest message of a kind, once there are more than `after`."""
        await until(lambda: len(self.of(kind)) > after, WITHIN_S)
        return self.of(kind)[-1]

    async def is_recorded(self) -> None:
        await until(lambda: self._recording() == "on", WITHIN_S)

    def _recording(self) -> str:
        told = [one["recording"]["state"] for one in self.heard if one["type"] in ("welcome", "recording")]
        return str(told[-1]) if told else ""

    def frames(self, kind: str) -> int:
        """How many frames of the others were decoded on the present connection."""
        mids = [slot["mid"] for slot in self._slots if slot["kind"] == kind and slot["member_id"]]
        return sum(self.media.frames.get(mid, 0) for mid in mids) if self.media is not None else 0

    async def perceives(self, kind: str = "audio", frames: int = 10) -> float:
        """Wait for some more frames of the others; return when they were there, monotonic s."""
        before, media = self.frames(kind), self.media
        await until(lambda: self.frames(kind) >= frames + (before if self.media is media else 0), WITHIN_S)
        return time.monotonic()

    # Behind it -----------------------------------------------------------------------------------------------------

    async def _stay(self) -> None:
        while True:
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                await self._sit()
            await asyncio.sleep(COME_BACK_S)

    async def _sit(self) -> None:
        headers = {"X-CSRF": self._proof, "Accept": "application/json"}
        async with asyncio.timeout(10), self._client.post(self._seat, headers=headers) as answer:
            seat = await answer.json()
        self._socket = await self._client.ws_connect(self._url + seat["socket"], headers={"Origin": self._url})
        await self.say(type="hello", version=wire.VERSION, ticket=seat["ticket"])
        async for text in self._socket:
            message = json.loads(text.data)
            self.heard.append(message)
            if message["type"] == "slots" and message["attempt"] == self.attempt:
                self._slots = message["slots"]
            elif message["type"] == "welcome":
                self.welcomes += 1
                if self.media is None or message["media_attempt"] != self.attempt:
                    self._start(self._connect(), "media")

    async def _connect(self) -> None:
        async with self._joining:
            if self.media is not None:
                await self.media.close()
            self.attempt += 1
            self._slots = []
            self.media = Browser(self._seat, luma=self._luma)
            with contextlib.suppress(ConnectionError):
                await self.media.join(self, attempt=self.attempt)  # type: ignore[arg-type]

    async def accept_offer(self, member: MediaMember, sdp: str, attempt: int) -> str:
        """As the media of a stand-in browser: the offer goes over the socket."""
        await self.say(type="offer", sdp=sdp, attempt=attempt)
        await until(lambda: any(one["attempt"] == attempt for one in self.of("answer")), WITHIN_S)
        return str(next(one["sdp"] for one in self.of("answer") if one["attempt"] == attempt))

    def _start(self, work: Any, name: str) -> None:
        task = asyncio.create_task(work, name=f"{name} of {self._seat}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


@contextlib.asynccontextmanager
async def call_of_two(url: str, call: Arranged) -> AsyncIterator[tuple[PersonInCall, PersonInCall]]:
    """Expert and patient, both in, hearing and seeing each other, recorded with their consent."""
    async with contextlib.AsyncExitStack() as stack:
        people = []
        for cookie, token, page, seat, luma in (
            ("consult_staff", call.expert_token, "call", "seat", 60),
            ("consult_visit", call.visit_token, "/visit/call", "/visit/seat", 180),
        ):
            jar = aiohttp.CookieJar(unsafe=True)
            jar.update_cookies({cookie: token})
            client = await stack.enter_async_context(aiohttp.ClientSession(url, cookie_jar=jar))
            start = "" if page.startswith("/") else f"/appointments/{call.appointment_id}/"
            person = PersonInCall(url, client, page=start + page, seat=start + seat, luma=luma)
            stack.push_async_callback(person.go)
            people.append(person)
        expert, patient = people
        await expert.come()
        await expert.hears("welcome")
        await patient.come()
        knock = await expert.hears("knock")
        await expert.say(type="admit", member_id=knock["member"]["member_id"])
        await patient.hears("welcome")
        for person in people:
            await person.perceives()
            await person.consent()
        for person in people:
            await person.is_recorded()
        yield expert, patient
