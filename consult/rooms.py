"""Puts the real-time part together for a process: bus, directory, hub and the endpoint of `/socket`.

Without REDIS_URL all of it lives in the web process. With it, rooms live in `media` processes, events and commands
travel through Redis, and web processes pass sockets on.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from typing import Any

import structlog
from aiohttp import web

from consult.keys import SOCKETS
from consult.settings import TICKET_KEY, Settings
from consult.web.session import STAFF_COOKIE, VISIT_COOKIE, find_staff, find_visit, read_cookie, session_key
from signaling.bus import Bus, RoomDirectory
from signaling.endpoint import Closer, RoomEndpoint
from signaling.errors import TicketInvalid
from signaling.hub import Hub
from signaling.ice import IceSettings
from signaling.local_bus import LocalBus, LocalDirectory
from signaling.messages import IceServers
from signaling.recovery import recover_apart
from signaling.relay import RoomMedia
from signaling.ticket import Role, Seat, is_load_test

log = structlog.get_logger()

TURN_LIFETIME_S = 600
STAFF_ROLES = frozenset({Role.EXPERT, Role.SCHEDULER})


def open_bus(settings: Settings) -> Bus:
    if settings.redis_url is None:
        return LocalBus()
    from signaling.redis_bus import RedisBus  # only here: the client takes a while to import

    return RedisBus(settings.redis_url)


async def until_told(bus: Bus, consumer: str, within_s: float) -> None:
    """Wait until a consumer in this process took what the rooms told. Redis keeps it for those in other processes."""
    if isinstance(bus, LocalBus) and not await bus.until_taken(consumer, within_s):
        log.error("events.left", within_s=within_s)


def open_directory(settings: Settings) -> RoomDirectory:
    if settings.redis_url is None:
        return LocalDirectory()
    from signaling.redis_bus import RedisDirectory

    return RedisDirectory(settings.redis_url)


def make_hub(settings: Settings, bus: Bus, directory: RoomDirectory) -> Hub:
    """Return the hub of this process, not yet started."""
    settings.spool.mkdir(mode=0o700, parents=True, exist_ok=True)
    ice = IceSettings(settings.media_hosts, *settings.media_ports, path=settings.media_path)
    return Hub(
        bus=bus,
        directory=directory,
        open_media=partial(RoomMedia, spool=settings.spool, ice=ice),
        node=settings.media_node or settings.public_url,
        ice_servers=lambda member_id: ice_servers(settings, member_id, now_s=time.time()),
        recover_spool=partial(recover_apart, settings.spool),
    )


def make_endpoint(settings: Settings, directory: RoomDirectory, hub: Hub | None) -> RoomEndpoint:
    # Behind a proxy that ends TLS the request looks like plain HTTP; the browser's Origin names the public address.
    origins = [settings.public_url, *(f"http://{host}" for host in settings.allowed_hosts if settings.demo)]
    return RoomEndpoint(
        key=settings.key_for(TICKET_KEY), directory=directory, hub=hub, allowed_origins=origins, keep_open=keep_open
    )


async def keep_open(request: web.Request, seat: Seat, close: Closer) -> AbstractContextManager[object]:
    """Remember a socket under the session that its seat came from, so that signing out closes it.

    Raises TicketInvalid for a ticket that another session got, or one that ended since: a ticket alone opens nothing.
    """
    if is_load_test(seat.room_id):  # only who has our key can sign such a seat, and nobody real is in that room
        return nullcontext()
    kind, cookie = ("staff", STAFF_COOKIE) if seat.role in STAFF_ROLES else ("visit", VISIT_COOKIE)
    token = read_cookie(request, cookie)
    if token is None:
        raise TicketInvalid("no session")
    with ExitStack() as kept:
        kept.enter_context(request.app[SOCKETS].kept(session_key(kind, token), close))
        if await _person_of_session(request, kind) != seat.person_id:  # asked while an end would already be noticed
            raise TicketInvalid("not this session's")
        return kept.pop_all()


async def _person_of_session(request: web.Request, kind: str) -> str | None:
    if kind == "staff":
        staff = await find_staff(request)
        return None if staff is None else f"staff:{staff.id}"
    visit = await find_visit(request)
    return None if visit is None else f"person:{visit.person_id}"


def ice_servers(settings: Settings, member_id: str, *, now_s: float) -> IceServers:
    """Return what a browser needs to use the operator's TURN servers, for ten minutes and this member alone.

    The scheme is that of coturn's `use-auth-secret`: user "expiry:name", password HMAC-SHA-1 of it. An expired
    credential opens no new relay; one that is open goes on.
    """
    turn = [url for url in settings.turn_urls if url.startswith("turn")]
    stun = [url for url in settings.turn_urls if url.startswith("stun")]
    servers: list[dict[str, Any]] = [{"urls": stun}] if stun else []
    if turn and settings.turn_secret:
        user = f"{int(now_s) + TURN_LIFETIME_S}:{member_id}"
        mac = hmac.new(settings.turn_secret.encode(), user.encode(), hashlib.sha1).digest()
        servers.append({"urls": turn, "username": user, "credential": base64.b64encode(mac).decode()})
    return IceServers(tuple(servers), settings.ice_policy)
