"""A line that loses and reorders packets, in front of real connections: what is lost is asked for until it is there."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest

from signaling import rtcp
from signaling.publication import Heard, Publication
from signaling.rtp import Packet, Run
from tests.impairment import Relay, Way
from tests.integration.browsers import Browser, Room, loopback, until

pytestmark = [pytest.mark.usefixtures("loopback"), pytest.mark.timeout(240)]
__all__ = ["loopback"]

LIMIT_S = 100
LINES = [
    Way(loss=0.01, delay_ms=20),
    Way(loss=0.05, delay_ms=75),
    Way(loss=0.05, delay_ms=40, reordered=0.1, late_ms=25),
]


@pytest.mark.parametrize("way", LINES, ids=["1 %", "5 %", "5 % out of order"])
async def test_everything_from_behind_a_lossy_line_arrives(tmp_path: Path, way: Way) -> None:
    sender = Browser("sender")  # aiortc repeats its last 128 packets: with small pictures, those of some seconds
    room, line = Room(tmp_path), Relay(way, way)
    came: set[int] = set()
    try:
        await sender.join(room.media, line=line)
        publication = publication_of(room, sender)
        publication.tap = lambda heard, _: came.update(_sequences(heard))
        await until(lambda: len(came) > 150 and line.up.counts.lost > 3, LIMIT_S)
        first, last = min(came), max(came)
        await until(lambda: came >= set(range(first, last)), LIMIT_S)
    finally:
        await close(room, line, sender)


async def test_a_recording_has_no_hole_that_a_repetition_filled(tmp_path: Path) -> None:
    """Of the pictures; aiortc repeats no sound, since it does not offer to."""
    sender = Browser("sender", audio=False)
    room, line = Room(tmp_path), Relay(LINES[1], LINES[1])
    try:
        room.media.set_recording(True)
        await sender.join(room.media, line=line)
        await room.connected(sender)
        began_ms = room.now_ms()
        publication = publication_of(room, sender)
        await until(lambda: publication.octets > 0 and room.now_ms() - began_ms > 12_000, LIMIT_S)
        room.media.set_recording(False)
        await until(lambda: bool(room.segments), LIMIT_S)
    finally:
        await close(room, line, sender)
    with av.open(str(next(tmp_path.glob("*/*.webm")))) as file:
        times_ms = [round(float(frame.pts * frame.time_base) * 1000) for frame in file.decode(video=0)]
    assert line.up.counts.lost > 3
    assert len(times_ms) > 120
    gaps = [later - one for one, later in itertools.pairwise(times_ms)]
    # A picture that the sender had no time for is no hole; a lost packet costs all pictures up to the next keyframe.
    assert sum(gap > 500 for gap in gaps) == 0, gaps


async def test_a_viewer_behind_a_lossy_line_sees_everything_and_is_told_the_senders_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports: list[rtcp.Feedback] = []
    sender, viewer = Browser("sender"), Browser("viewer", video=False)
    room, line = Room(tmp_path), Relay(LINES[2], LINES[2])
    try:
        await sender.join(room.media)
        await viewer.join(room.media, line=line)
        note_reports(viewer, monkeypatch, reports)
        for kind in ("video", "audio"):
            await until(lambda: viewer.frames.get(room.mids(viewer).get((kind, "sender"), ""), 0) > 60, LIMIT_S)  # noqa: B023
        await until(lambda: len({one.ssrc for one in reports if isinstance(one, rtcp.SenderReport)}) >= 2, LIMIT_S)
    finally:
        await close(room, line, sender, viewer)


def publication_of(room: Room, browser: Browser) -> Publication:
    return room.media._seated[browser.member.member_id].peer.publications["video"]


def note_reports(browser: Browser, monkeypatch: pytest.MonkeyPatch, reports: list[rtcp.Feedback]) -> None:
    transport = browser.pc.getTransceivers()[0].receiver.transport
    real = transport._handle_rtcp_data

    async def handle(data: bytes, *more: Any) -> None:
        reports.extend(rtcp.read(data))
        await real(data, *more)

    monkeypatch.setattr(transport, "_handle_rtcp_data", handle)


async def close(room: Room, line: Relay, *browsers: Browser) -> None:
    await room.media.close()
    for browser in browsers:
        await browser.close()
    await line.close()


def _sequences(heard: Heard) -> Iterator[int]:
    for one in [heard] if isinstance(heard, Packet) else heard.runs():
        yield from range(one.sequence, one.sequence + (one.packet_count if isinstance(one, Run) else 1))
