"""The servers that are measured: `python -m tests.bench.servers consult|naive FOLDER HOST`. Prints its port and serves.

consult: what `python -m consult media` runs (the same hub, rooms, recorder and event loop), without Redis between the
socket and the room. naive: the same room on aiortc's MediaRelay and MediaRecorder, which decode and encode.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aioice.ice
import uvloop
from aiohttp import web
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaRecorder, MediaRelay

from consult import rooms
from consult.settings import TICKET_KEY, read_settings
from consult.signals import until_signal
from signaling.endpoint import RoomEndpoint
from signaling.process import settle

SECRET_KEY = "a key for benchmarks, of more than 32 characters"
ORIGIN = "http://localhost"


class NaiveServer:
    def __init__(self, folder: Path, host: str) -> None:
        self._folder = folder
        self._rooms: dict[str, dict[str, dict[str, Any]]] = {}
        aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: [host]

    async def accept(self, room_id: str, name: str, sdp: str) -> str:
        room = self._rooms.setdefault(room_id, {})
        peer, relay = RTCPeerConnection(RTCConfiguration(iceServers=[])), MediaRelay()
        recorder = MediaRecorder(str(self._folder / f"{room_id}-{name}.mp4"))
        tracks: dict[str, Any] = {}
        me: dict[str, Any] = {"peer": peer, "relay": relay, "tracks": tracks, "recorder": recorder}

        @peer.on("track")
        def take(track: Any) -> None:
            tracks[track.kind] = track
            recorder.addTrack(relay.subscribe(track))

        await peer.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
        for transceiver in peer.getTransceivers():
            transceiver.direction = "sendrecv"
        for other in room.values():
            for viewer, source in ((me, other), (other, me)):
                for transceiver in viewer["peer"].getTransceivers():
                    track = source["tracks"][transceiver.kind]
                    transceiver.sender.replaceTrack(source["relay"].subscribe(track))
        room[name] = me
        await peer.setLocalDescription(await peer.createAnswer())
        await recorder.start()
        return str(peer.localDescription.sdp)

    async def offer(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        return web.json_response({"sdp": await self.accept(wanted["room"], wanted["name"], wanted["sdp"])})

    async def close(self) -> None:
        for room in self._rooms.values():
            for me in room.values():
                await me["recorder"].stop()
                await me["peer"].close()


@asynccontextmanager
async def naive(folder: Path, host: str) -> AsyncIterator[web.Application]:
    server = NaiveServer(folder, host)
    app = web.Application()
    app.router.add_post("/offer", server.offer)
    yield app
    await server.close()


@asynccontextmanager
async def consult(folder: Path, host: str) -> AsyncIterator[web.Application]:
    settings = read_settings(
        database_url="postgresql://nobody/nowhere",
        secret_key=SECRET_KEY,
        public_url=ORIGIN,
        redis_url=None,
        consult_home=folder,
        media_hosts=(host,),
    )
    bus, directory = rooms.open_bus(settings), rooms.open_directory(settings)
    hub = rooms.make_hub(settings, bus, directory)
    await hub.start()
    listening = asyncio.create_task(_forget_events(bus), name="events")
    endpoint = RoomEndpoint(key=settings.key_for(TICKET_KEY), directory=directory, hub=hub, allowed_origins=[ORIGIN])
    app = web.Application()
    app.router.add_get("/socket", endpoint.handle)
    yield app
    await endpoint.close()
    listening.cancel()
    await directory.close()
    await bus.close()


async def _forget_events(bus: Any) -> None:
    async for delivery in bus.deliveries("bench"):
        await delivery.acknowledge()


async def serve(kind: str, folder: Path, host: str) -> None:
    stop = until_signal()
    async with {"consult": consult, "naive": naive}[kind](folder, host) as app:
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        settle()
        sys.stdout.write(f"{runner.addresses[0][1]}\n")
        sys.stdout.flush()
        await stop.wait()
    await runner.cleanup()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
