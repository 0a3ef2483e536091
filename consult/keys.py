"""What the running application carries, by typed key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from asyncpg import Pool

    from consult.jobs import Jobs
    from consult.settings import Settings
    from consult.storage import BlobStore
    from consult.web.limits import Limiter
    from consult.web.sockets import OpenSockets
    from signaling.bus import Bus, RoomDirectory
    from signaling.endpoint import RoomEndpoint
    from signaling.hub import Hub
else:
    Settings = Pool = BlobStore = Bus = RoomDirectory = Jobs = Limiter = OpenSockets = Hub = RoomEndpoint = object

SETTINGS: web.AppKey[Settings] = web.AppKey("settings", Settings)
POOL: web.AppKey[Pool] = web.AppKey("pool", Pool)
STORE: web.AppKey[BlobStore] = web.AppKey("store", BlobStore)
HUB: web.AppKey[Hub] = web.AppKey("hub", Hub)
BUS: web.AppKey[Bus] = web.AppKey("bus", Bus)
DIRECTORY: web.AppKey[RoomDirectory] = web.AppKey("directory", RoomDirectory)
JOBS: web.AppKey[Jobs] = web.AppKey("jobs", Jobs)
LIMITER: web.AppKey[Limiter] = web.AppKey("limiter", Limiter)
ENDPOINT: web.AppKey[RoomEndpoint] = web.AppKey("endpoint", RoomEndpoint)
SOCKETS: web.AppKey[OpenSockets] = web.AppKey("sockets", OpenSockets)
