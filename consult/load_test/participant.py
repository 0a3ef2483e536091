"""Participant: somebody in a room, from the browser's side of docs/protocol.md.

Says hello with a ticket, consents if the call shall be recorded, offers a connection, and listens to whoever is shown.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import aiohttp

from consult.load_test.caller import Caller
from consult.load_test.sdp import Kind, Section, read_description, write_offer
from consult.load_test.streams import Sent

WORDING: Final = "recording-1"  # the sentence that is consented to
SLOTS: Final = 5  # a room holds six
ANSWER_LIMIT_S: Final = 15.0
CONNECT_LIMIT_S: Final = 20.0
LEAVE_LIMIT_S: Final = 5.0
ERRORS: Final = {"ticket.invalid": "the server does not know our key: SECRET_KEY should be the installation's"}

# What somebody sends: Sent of a member's stream of a kind, None while they are not there.
FindSource = Callable[[str, Kind], Sent | None]


class JoinFailed(Exception):
    """Somebody could not come in. The text says why, for the operator."""


class Participant:
    """joined_s: how long it took from opening the socket to the connection for sound and picture."""

    def __init__(self, caller: Caller, member_id: str, *, find_source: FindSource, record: bool) -> None:
        self.caller = caller
        self.member_id = member_id
        self.joined_s = 0.0
        self.recorded = False
        self._find_source = find_source
        self._record = record
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._reader: asyncio.Task[None] | None = None
        self._ssrcs: Mapping[str, tuple[Kind, int]] = {}  # of the answer's sections
        self._answered: asyncio.Future[str] | None = None

    async def join(self, http: aiohttp.ClientSession, url: str, *, origin: str, ticket: str) -> None:
        """Come in. url: of the socket, http or https. Raises JoinFailed."""
        began_s = time.monotonic()
        try:
            self._socket = await http.ws_connect(url, origin=origin, compress=0, heartbeat=15)
        except aiohttp.WSServerHandshakeError as error:
            raise JoinFailed(f"the socket was refused with status {error.status}") from None
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise JoinFailed(f"no socket could be opened: {type(error).__name__}") from None
        self._answered = asyncio.get_running_loop().create_future()
        await self._say("hello", version=1, ticket=ticket)
        self._reader = asyncio.create_task(self._read(self._socket), name=f"reader of {self.member_id}")
        try:
            async with asyncio.timeout(ANSWER_LIMIT_S):
                answer = await self._answered
            async with asyncio.timeout(CONNECT_LIMIT_S):
                await self.caller.transport.connect(read_description(answer))
        except TimeoutError:
            raise JoinFailed("no answer, or no connection over UDP, within the time limit") from None
        except (ConnectionError, ValueError) as error:
            raise JoinFailed(f"no connection: {error}") from None
        self.joined_s = time.monotonic() - began_s

    async def leave(self, *, end: bool) -> None:
        """Go. end: the host ends the call for everybody."""
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(LEAVE_LIMIT_S):
                await self._say("end" if end else "leave")
                if self._reader is not None:
                    await self._reader
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        if self._socket is not None:
            await self._socket.close()
        await self.caller.close()

    async def _say(self, kind: str, **fields: Any) -> None:
        if self._socket is not None and not self._socket.closed:
            await self._socket.send_str(json.dumps({"type": kind, **fields}))

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                await self._hear(json.loads(message.data))
        self._fail("the socket was closed")

    async def _hear(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "welcome":
                await self._say("offer", sdp=self._offer(), attempt=1)
                self._note_recording(message["recording"])
                if self._record:
                    await self._say("set_consent", given=True, wording=message["recording"]["wording"])
                await self._say("set_devices", microphone=True, camera=True)
            case "answer":
                answer = read_description(message["sdp"])
                self._ssrcs = {
                    section.mid: (section.kind, section.ssrc) for section in answer.sections if section.ssrc is not None
                }
                if self._answered is not None and not self._answered.done():
                    self._answered.set_result(message["sdp"])
            case "slots":
                self._listen(message["slots"])
            case "recording":
                self._note_recording(message["recording"])
            case "waiting":
                self._fail("we were sent to the lobby")
            case "ended":
                self._fail(f"the call ended: {message['reason']}")
            case "error":
                code = message["code"]
                self._fail(ERRORS.get(code, f"the server said {code}"))

    def _offer(self) -> str:
        sections = [Section(kind, kind, "sendonly", stream.ssrc) for kind, stream in self.caller.outgoing.items()]
        kinds: tuple[Kind, ...] = ("audio", "video")
        sections += [Section(f"{kind}-{slot}", kind, "recvonly") for slot in range(SLOTS) for kind in kinds]
        return write_offer(self.caller.transport.local, sections)

    def _listen(self, slots: list[dict[str, Any]]) -> None:
        for slot in slots:
            kind, ssrc = self._ssrcs.get(slot["mid"], (None, None))
            if kind is None or ssrc is None:
                continue
            source = self._find_source(slot["member_id"], kind) if slot["member_id"] is not None else None
            if source is None:
                self.caller.incoming.pop(ssrc, None)
            else:
                self.caller.listen(kind, ssrc, source)

    def _note_recording(self, recording: dict[str, Any]) -> None:
        self.recorded = self.recorded or recording["state"] == "on"

    def _fail(self, why: str) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(JoinFailed(why))


def new_member_id() -> str:
    return f"load-{secrets.token_hex(6)}"
