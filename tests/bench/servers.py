"""The servers that are measured: `python -m tests.bench.servers consult|naive FOLDER`. Prints its port and serves.

consult: RoomMedia, recording. naive: the same room on aiortc's MediaRelay and MediaRecorder, which decode and encode.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aioice.ice
import uvloop
from aiohttp import web
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaRecorder, MediaRelay

from signaling.ice import IceSettings
from signaling.media import MediaMember
from signaling.relay import RoomMedia

Accept = Callable[[str, str, str], Awaitable[str]]


class ConsultServer:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rooms: dict[str, RoomMedia] = {}

    async def accept(self, room_id: str, name: str, sdp: str) -> str:
        room = self._rooms.get(room_id)
        if room is None:
            started_s = time.monotonic()
            room = self._rooms[room_id] = RoomMedia(
                room_id,
                clock=lambda: int((time.monotonic() - started_s) * 1000),
                spool=self._folder,
                ice=IceSettings(hosts=("127.0.0.1",)),
                tell=lambda event: None,
                started_at="2026-01-01T00:00:00+00:00",
            )
            room.set_recording(True)
        return await room.accept_offer(MediaMember(name, name, name, "patient"), sdp, 0)

    async def close(self) -> None:
        for room in self._rooms.values():
            await room.close()


class NaiveServer:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rooms: dict[str, dict[str, dict[str, Any]]] = {}
        aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]

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

    async def close(self) -> None:
        for room in self._rooms.values():
            for me in room.values():
                await me["recorder"].stop()
                await me["peer"].close()


async def serve(server: ConsultServer | NaiveServer) -> None:
    async def offer(request: web.Request) -> web.Response:
        wanted = await request.json()
        return web.json_response({"sdp": await server.accept(wanted["room"], wanted["name"], wanted["sdp"])})

    stopped = asyncio.Event()

    async def stop(request: web.Request) -> web.Response:
        await server.close()
        stopped.set()
        return web.Response()

    app = web.Application()
    app.add_routes([web.post("/offer", offer), web.post("/stop", stop)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await stopped.wait()
    await runner.cleanup()


if __name__ == "__main__":
    kinds: dict[str, type[ConsultServer] | type[NaiveServer]] = {"consult": ConsultServer, "naive": NaiveServer}
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop_runner:
        loop_runner.run(serve(kinds[sys.argv[1]](Path(sys.argv[2]))))
