"""Two to four members in one room: everybody sees and hears everybody else, through real ICE, DTLS and SRTP."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from signaling.media import PeerLost
from tests.integration.browsers import Browser, Room, loopback, media_path, open_room, until

pytestmark = pytest.mark.usefixtures("loopback", "media_path")
__all__ = ["loopback", "media_path"]


async def test_two_members_see_and_hear_each_other(tmp_path: Path) -> None:
    patient, expert = Browser("patient", luma=60), Browser("expert", luma=180)
    async with open_room(tmp_path, patient, expert) as room:
        await room.sees(patient, expert)
        await room.sees(expert, patient)
        assert abs(patient.luma[room.mids(patient)["video", "expert"]] - 180) < 12
        assert abs(expert.luma[room.mids(expert)["video", "patient"]] - 60) < 12


async def test_a_third_and_a_fourth_member_get_slots_of_their_own(tmp_path: Path) -> None:
    browsers = [Browser(name, luma=luma) for name, luma in (("a", 40), ("b", 90), ("c", 140), ("d", 190))]
    async with open_room(tmp_path, *browsers) as room:
        for viewer in browsers:
            for source in browsers:
                if viewer is not source:
                    await room.sees(viewer, source, frames=3)
            lumas = [viewer.luma[room.mids(viewer)["video", b.member.member_id]] for b in browsers if b is not viewer]
            wanted = [luma for name, luma in (("a", 40), ("b", 90), ("c", 140), ("d", 190))
                      if name != viewer.member.member_id]  # fmt: skip
            assert all(abs(got - want) < 12 for got, want in zip(lumas, wanted, strict=True))


async def test_each_of_two_in_a_full_room_sees_and_hears_the_other_five(tmp_path: Path) -> None:
    lumas = {name: 30 + 35 * place for place, name in enumerate("abcdef")}
    # The four between them only send: decoding thirty pictures is more than a test machine does in time.
    browsers = [Browser(name, luma=luma, others=5 if name in "af" else 0) for name, luma in lumas.items()]
    async with open_room(tmp_path, *browsers) as room:
        for viewer in (browsers[0], browsers[-1]):
            for source in browsers:
                if viewer is not source:
                    await room.sees(viewer, source)
            mids = room.mids(viewer)
            for name, luma in lumas.items():
                if name != viewer.member.member_id:
                    assert abs(viewer.luma[mids["video", name]] - luma) < 12


async def test_a_slot_is_used_again_and_the_new_picture_decodes(tmp_path: Path) -> None:
    viewer, first, second = Browser("viewer"), Browser("first", luma=60), Browser("second", luma=200)
    async with open_room(tmp_path, viewer, first) as room:
        await room.sees(viewer, first)
        mid = room.mids(viewer)["video", "first"]
        await room.media.drop("first")
        await until(lambda: not room.mids(viewer))
        await second.join(room.media)
        try:
            await room.sees(viewer, second)
            assert room.mids(viewer)["video", "second"] == mid
            assert abs(viewer.luma[mid] - 200) < 12
        finally:
            await first.close()
            await second.close()


async def test_a_member_who_reconnects_keeps_the_slot(tmp_path: Path) -> None:
    viewer, before, after = Browser("viewer"), Browser("patient", luma=60), Browser("patient", luma=200)
    async with open_room(tmp_path, viewer, before) as room:
        await room.sees(viewer, before)
        mids = room.mids(viewer)
        await after.join(room.media, attempt=1)
        try:
            await room.connected(after)
            await room.sees(viewer, after)
            await room.sees(after, viewer)
            assert room.mids(viewer) == mids
            assert abs(viewer.luma[mids["video", "patient"]] - 200) < 12
            assert not any(isinstance(event, PeerLost) for event in room.events)
        finally:
            await after.close()


async def test_a_member_with_sound_alone_is_heard(tmp_path: Path) -> None:
    viewer, caller = Browser("viewer"), Browser("caller", video=False)
    async with open_room(tmp_path, viewer, caller) as room:
        await room.sees(viewer, caller, kinds="audio")
        await room.sees(caller, viewer)
        assert ("video", "caller") not in room.mids(viewer)


async def test_the_loss_of_a_connection_is_told(tmp_path: Path) -> None:
    stays, goes = Browser("stays"), Browser("goes")
    async with open_room(tmp_path, stays, goes) as room:
        await room.sees(stays, goes)
        await goes.pc.close()
        await until(lambda: PeerLost("goes", 0) in room.events)


async def test_a_room_without_anybody_closes_twice(tmp_path: Path) -> None:
    room = Room(tmp_path)
    await room.media.close()
    await room.media.close()


async def test_a_viewers_wish_for_a_keyframe_reaches_the_sender(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient, expert = Browser("patient"), Browser("expert")
    async with open_room(tmp_path, patient, expert) as room:
        await room.sees(patient, expert)
        await asyncio.sleep(1)  # what the server itself asked for at the beginning is over
        asked: list[float] = []
        sender = next(one.sender for one in expert.pc.getTransceivers() if one.kind == "video")
        monkeypatch.setattr(sender, "_send_keyframe", lambda: asked.append(time.monotonic()))
        mid = room.mids(patient)["video", "expert"]
        receiver = next(one.receiver for one in patient.pc.getTransceivers() if one.mid == mid)
        source = receiver.getSynchronizationSources()[0].source
        for _ in range(20):  # a storm of wishes
            await receiver._send_rtcp_pli(source)
        await until(lambda: len(asked) > 0)
        await asyncio.sleep(0.2)
        assert len(asked) <= 2, "a storm of wishes is passed on as one or two"
