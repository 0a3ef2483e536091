"""The way in: `/socket` for browsers, and for web processes that pass a browser's socket on to the room's process.

The only file of this part that knows aiohttp. Owns who may open a socket (Origin, or the signature of another process
of ours), where a room is looked for, and the passing on. After the first message, `connection.py` takes over.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import UTC, datetime
from http import HTTPStatus

import aiohttp
import structlog
from aiohttp import WSMessage, WSMsgType, web

from signaling.bus import RoomDirectory
from signaling.connection import Connection, Greeting, SocketClosed, close_code, read_greeting, refuse
from signaling.errors import MessageMalformed, RoomElsewhere, SignalingError
from signaling.hub import Hub
from signaling.messages import MAX_MESSAGE_BYTES, Ended, encode
from signaling.ticket import RoomId, Seat

HEARTBEAT_S = 15.0
CLOSE_S = 2.0
CONNECT_S = 2.0
FIND_S = 5.0  # how long a browser waits here for a process to take its room; then it is asked to come back
LOOK_AGAIN_S = 0.25
MAX_REMEMBERED = 2_000  # rooms whose process we know even while the directory does not answer
PASS_ON_S = 20.0  # how long one message may take to the other side
PASSED_ON_HEADER = "X-Consult-Passed-On"
ROOM_HEADER = "X-Consult-Room"
PASSED_ON_LIFETIME_S = 30
# Somewhat more than a message may have, so that one that is too long is answered instead of cut off.
MAX_FRAME_BYTES = 4 * MAX_MESSAGE_BYTES

log = structlog.get_logger(__name__)

Closer = Callable[[], Awaitable[None]]
# Remembers an open socket, and how to close it, for as long as the returned context is entered. Raises SignalingError
# if the seat's owner is signed out already.
KeepOpen = Callable[[web.Request, Seat, Closer], Awaitable[AbstractContextManager[object]]]


class BrowserSocket:
    """A server's WebSocket as `connection.py` needs it."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._ws = web.WebSocketResponse(
            heartbeat=HEARTBEAT_S, timeout=CLOSE_S, max_msg_size=MAX_FRAME_BYTES, compress=False
        )
        self._closing = False

    async def open(self) -> web.WebSocketResponse:
        await self._ws.prepare(self._request)
        return self._ws

    async def read(self) -> str:
        message = await self._ws.receive()
        if message.type is WSMsgType.TEXT:
            text: str = message.data
            return text
        if message.type is WSMsgType.BINARY:
            raise MessageMalformed("binary")
        raise SocketClosed

    async def write(self, text: str) -> None:
        try:
            await self._ws.send_str(text)
        except (ConnectionError, RuntimeError):  # RuntimeError: it is closing already
            raise SocketClosed from None

    async def close(self, code: int) -> None:
        if self._closing:
            return
        self._closing = True
        try:
            async with asyncio.timeout(2 * CLOSE_S):
                await self._ws.close(code=code)
        except (ConnectionError, RuntimeError, TimeoutError):
            self.abort()

    async def expire(self) -> None:
        """Close because the right to be here ended."""
        with suppress(SocketClosed):
            await self.write(encode(Ended("expired")))
        await self.close(close_code("expired"))

    def abort(self) -> None:
        transport = self._request.transport
        if isinstance(transport, asyncio.Transport):
            transport.abort()


class RoomEndpoint:
    """The handler of `/socket`. With a hub, rooms that nobody holds open here; without one, at an announced node."""

    def __init__(
        self,
        *,
        key: bytes,
        directory: RoomDirectory,
        hub: Hub | None,
        allowed_origins: Sequence[str] = (),
        keep_open: KeepOpen | None = None,
        browsers: bool = True,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """key: signs tickets. allowed_origins: whose pages may open a socket; without any, the request's own.
        keep_open: lets the application close the sockets of somebody who signed out.
        browsers: False if only our own processes may come."""
        self._key = key
        self._passing_key = hmac.new(key, b"consult-passed-on-1", hashlib.sha256).digest()
        self._directory = directory
        self._hub = hub
        self._allowed_origins = frozenset(origin.rstrip("/") for origin in allowed_origins)
        self._keep_open = keep_open
        self._browsers = browsers
        self._now = now
        self._client: aiohttp.ClientSession | None = None
        self._nodes: OrderedDict[RoomId, str] = OrderedDict()  # where rooms were last
        self._sockets: set[BrowserSocket] = set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        passed_on = self._was_passed_on(request)
        if not passed_on and not (self._browsers and self._has_our_origin(request)):
            raise web.HTTPForbidden(text="This address is only for our own pages.\n")
        if passed_on and not self._takes(RoomId(request.headers.get(ROOM_HEADER, ""))):
            raise web.HTTPServiceUnavailable(text="This process takes no new rooms.\n")
        socket = BrowserSocket(request)
        response = await socket.open()
        self._sockets.add(socket)
        try:
            greeting = await read_greeting(socket, key=self._key, now=self._now)
            if greeting is not None and passed_on:
                await self._take_in(socket, greeting)
            elif greeting is not None:
                await self._seat(request, socket, greeting)
        finally:
            self._sockets.discard(socket)
        return response

    def _takes(self, room_id: RoomId) -> bool:
        return self._hub is not None and self._hub.takes(room_id)

    async def close(self) -> None:
        """Stop: rooms are finished and everybody comes back later. For aiohttp's on_shutdown."""
        if self._hub is not None:
            await self._hub.close()
        await asyncio.gather(*(socket.close(close_code("restarting")) for socket in list(self._sockets)))
        if self._client is not None:
            await self._client.close()

    async def _seat(self, request: web.Request, socket: BrowserSocket, greeting: Greeting) -> None:
        kept: AbstractContextManager[object] = nullcontext()
        if self._keep_open is not None:
            try:
                kept = await self._keep_open(request, greeting.seat, socket.expire)
            except SignalingError as error:
                await refuse(socket, error, of="hello")
                return
        with kept:
            await self._lead_in(socket, greeting)

    async def _lead_in(self, socket: BrowserSocket, greeting: Greeting) -> None:
        """Join a socket to its room, wherever that is or opens."""
        room_id = greeting.seat.room_id
        until_s = time.monotonic() + FIND_S
        while True:
            node = await self._find(room_id)
            if node is None and self._hub is not None:
                await self._take_in(socket, greeting)
                return
            other = await self._connect(node, greeting) if node is not None else None
            if node is not None and other is not None:
                self._remember(room_id, node)
                await _join_sockets(socket, other)
                return
            if time.monotonic() >= until_s:
                await refuse(socket, RoomElsewhere(node or "no media process is announced"), of="hello")
                return
            await asyncio.sleep(LOOK_AGAIN_S)

    async def _take_in(self, socket: BrowserSocket, greeting: Greeting) -> None:
        assert self._hub is not None
        await Connection(socket, greeting.seat).run(self._hub)

    async def _find(self, room_id: RoomId) -> str | None:
        """Return the other process that holds the room or shall; None: this one, or none at the moment."""
        if self._hub is not None and self._hub.holds(room_id):
            return None
        try:
            async with asyncio.timeout(CONNECT_S):
                find = self._directory.place if self._hub is None else self._directory.find
                node = await find(room_id)
        except Exception as error:
            log.warning("directory_failed", error=type(error).__name__)
            return self._nodes.get(room_id)
        return None if self._hub is not None and node == self._hub.node else node

    def _remember(self, room_id: RoomId, node: str) -> None:
        self._nodes[room_id] = node
        self._nodes.move_to_end(room_id)
        if len(self._nodes) > MAX_REMEMBERED:
            self._nodes.popitem(last=False)

    # Who may come --------------------------------------------------------------------------------------------------

    def _has_our_origin(self, request: web.Request) -> bool:
        origin = request.headers.get("Origin", "")
        return origin in (self._allowed_origins or {f"{request.scheme}://{request.host}"})

    def _was_passed_on(self, request: web.Request) -> bool:
        sent_at, _, signature = request.headers.get(PASSED_ON_HEADER, "").partition(".")
        if not sent_at.isascii() or not sent_at.isdigit() or len(sent_at) > 12:
            return False
        fresh = abs(time.time() - int(sent_at)) <= PASSED_ON_LIFETIME_S
        return fresh and hmac.compare_digest(signature.encode(errors="replace"), self._sign(sent_at).encode())

    def _sign(self, sent_at: str) -> str:
        return hmac.new(self._passing_key, sent_at.encode(), hashlib.sha256).hexdigest()

    # Passing on ----------------------------------------------------------------------------------------------------

    async def _connect(self, node: str, greeting: Greeting) -> aiohttp.ClientWebSocketResponse | None:
        """Return a socket to a room's process that the greeting was sent on; None if there is no way at the moment."""
        sent_at = str(int(time.time()))
        headers = {PASSED_ON_HEADER: f"{sent_at}.{self._sign(sent_at)}", ROOM_HEADER: greeting.seat.room_id}
        try:
            async with asyncio.timeout(CONNECT_S):
                other = await self._client_session().ws_connect(
                    f"{node}/socket",
                    headers=headers,
                    compress=0,
                    max_msg_size=0,
                    heartbeat=HEARTBEAT_S,
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_S),
                )
                await other.send_str(greeting.text)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            log.warning("node_unreachable", node=node, error=type(error).__name__)
            await self._give_up(node, greeting.seat.room_id, error)
            return None
        return other

    async def _give_up(self, node: str, room_id: RoomId, error: Exception) -> None:
        """Free a room whose process said that it does not take it, or is gone: nobody listens at its address.

        One that is merely silent loses the room when its lease lapses. One that lives after all claims it again.
        """
        gone = isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, ConnectionRefusedError)
        declined = isinstance(error, aiohttp.WSServerHandshakeError) and error.status == HTTPStatus.SERVICE_UNAVAILABLE
        try:
            async with asyncio.timeout(CONNECT_S):
                if gone:
                    await self._directory.withdraw(node)
                if gone or declined:
                    await self._directory.release(room_id, node)
        except Exception as failure:
            log.warning("directory_failed", error=type(failure).__name__)

    def _client_session(self) -> aiohttp.ClientSession:
        if self._client is None:
            self._client = aiohttp.ClientSession()
        return self._client


async def _join_sockets(socket: BrowserSocket, other: aiohttp.ClientWebSocketResponse) -> None:
    """Carry texts both ways until one side ends; the other hears the same code. Who doesn't read, stops the writer."""

    async def inwards() -> None:
        try:
            while True:
                try:
                    text = await socket.read()
                except MessageMalformed:
                    text = ""  # the room's process counts it and answers
                async with asyncio.timeout(PASS_ON_S):
                    await other.send_str(text)
        except (SocketClosed, ConnectionError, RuntimeError, TimeoutError):
            await other.close()

    async def outwards() -> None:
        try:
            while True:
                message: WSMessage = await other.receive()
                if message.type is not WSMsgType.TEXT:
                    break
                async with asyncio.timeout(PASS_ON_S):
                    await socket.write(message.data)
        except (SocketClosed, TimeoutError):
            socket.abort()
        # Without a code, the room's process was lost: the browser comes back, to wherever the room is then.
        await socket.close(other.close_code if other.close_code not in (None, 1006) else 1012)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(inwards(), name="socket inwards")
        tasks.create_task(outwards(), name="socket outwards")


def create_media_app(*, key: bytes, directory: RoomDirectory, hub: Hub) -> web.Application:
    """Return the application of a media process: `/socket` for our web processes alone, and `/healthz`."""
    endpoint = RoomEndpoint(key=key, directory=directory, hub=hub, browsers=False)

    async def run_hub(app: web.Application) -> AsyncIterator[None]:
        await hub.start()
        yield
        await hub.close()

    async def on_shutdown(app: web.Application) -> None:
        await endpoint.close()

    async def say_healthy(request: web.Request) -> web.Response:
        return web.json_response({"rooms": hub.room_count, "sockets": hub.socket_count()})

    async def say_ready(request: web.Request) -> web.Response:
        if hub.draining:
            return web.json_response({"status": "draining"}, status=HTTPStatus.SERVICE_UNAVAILABLE)
        return web.json_response({"status": "ok"})

    app = web.Application()
    app.cleanup_ctx.append(run_hub)
    app.on_shutdown.append(on_shutdown)
    app.router.add_get("/socket", endpoint.handle)
    app.router.add_get("/healthz", say_healthy)
    app.router.add_get("/readyz", say_ready)
    return app
