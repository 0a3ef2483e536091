"""RoomMedia: sound and picture of one room. Packets are forwarded as they are, never transcoded.

Owns the members' connections, who is seen in which slot of whom, and when the recorder listens. The recorder is a
member like any other, except that it writes what it hears (recorder.py).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from signaling.beat import Beat, join_beat
from signaling.errors import MediaError
from signaling.ice import IceSettings
from signaling.media import MediaEvent, MediaMember, PeerConnected, PeerLost, SlotsChanged
from signaling.messages import Slot
from signaling.peer import Peer, SlotPair
from signaling.recorder import Recorder, Segment
from signaling.subscription import Subscription

REPORT_MS: Final = 1_000  # at a turn of Peer's measuring, for which all is counted
NTP_EPOCH_S: Final = 2_208_988_800  # from 1900 to 1970


class _Seated:
    """A member with a connection. shown: whom they see, one member id (or None) per slot. screen_segment: of the
    recording of their screen, beside that of their sound and picture."""

    def __init__(self, member: MediaMember, peer: Peer, attempt: int) -> None:
        self.member = member
        self.peer = peer
        self.attempt = attempt
        self.shown: list[str | None] = [None] * len(peer.slots)
        self.segment: Segment | None = None
        self.screen_segment: Segment | None = None


class RoomMedia:
    """The Media (media.py) of a room in this process.

    clock: ms on the room's clock. spool: folder for recordings. tell: gets events, on the event loop.
    started_at: the consultation's start, ISO 8601, for the recordings' descriptions.
    """

    def __init__(
        self,
        room_id: str,
        *,
        clock: Callable[[], int],
        spool: Path,
        ice: IceSettings,
        tell: Callable[[MediaEvent], None],
        started_at: str,
    ) -> None:
        self._room_id = room_id
        self._ice = ice
        self._tell = tell
        self._clock_offset_ms = clock() - time.monotonic() * 1000
        self._ntp_offset_ms = (time.time() + NTP_EPOCH_S) * 1000 - self._now_ms()
        self._seated: dict[str, _Seated] = {}
        self._recorder = Recorder(room_id, spool=spool, started_at=started_at, tell=self._tell_soon)
        self._recording = False
        self._silent: set[str] = set()
        self._screen: str | None = None
        self._beat: Beat | None = None
        self._reported = -1
        self._closed = False

    async def accept_offer(self, member: MediaMember, sdp: str, attempt: int) -> str:
        """Return the answer SDP; the member's earlier connection, if any, is replaced. Raises MediaError.

        A refused offer leaves the earlier connection as it is.
        """
        peer = Peer(
            sdp,
            name=f"{self._room_id}/{member.member_id}/{attempt}",
            ice=self._ice,
            now_ms=self._now_ms,
            on_connected=lambda: self._note_connected(member.member_id, attempt, peer),
            on_lost=lambda: self._note_lost(member.member_id, attempt, peer),
        )
        try:
            answer = await peer.answer()
        except BaseException:
            await peer.close()
            raise
        if self._closed:
            await peer.close()
            raise MediaError("the room is closed")
        before = self._seated.get(member.member_id)
        seated = _Seated(member, peer, attempt)
        self._seated[member.member_id] = seated
        if before is not None:
            self._finish_segment(before)
            self._leave_slots(member.member_id, keep=True)
        self._apply_silence(seated)
        if self._recording:
            self._begin_segment(seated)
        self._fill_slots()
        self._fill_screen_slots()
        self._tell_slots(seated)
        if self._beat is None:
            self._beat = join_beat(self._tick)
        if before is not None:
            await before.peer.close()
        return answer

    def resume(self, member_id: str) -> int | None:
        """Return the attempt of a member's connection that stands, and tell its slots again; None if there is none."""
        seated = self._seated.get(member_id)
        if seated is None or not seated.peer.connected:
            return None
        self._tell_slots(seated)
        return seated.attempt

    async def drop(self, member_id: str) -> None:
        """Close a member's connection; none of their packets is forwarded or recorded after it returns."""
        seated = self._seated.pop(member_id, None)
        if seated is None:
            return
        self._silent.discard(member_id)
        self._finish_segment(seated)
        self._leave_slots(member_id, keep=False)
        self._fill_slots()
        self._fill_screen_slots()
        await seated.peer.close()

    def silence(self, member_id: str, on: bool) -> None:
        """From now on none of their sound is forwarded or recorded, on this connection and the next; or again."""
        (self._silent.add if on else self._silent.discard)(member_id)
        seated = self._seated.get(member_id)
        if seated is not None:
            self._apply_silence(seated)

    def share_screen(self, member_id: str | None) -> None:
        """Everybody gets this member's screen, and it is recorded with the rest; None: nobody's."""
        before = self._seated.get(self._screen) if self._screen is not None else None
        self._screen = member_id
        if before is not None:
            self._finish_screen_segment(before)
        sharer = self._seated.get(member_id) if member_id is not None else None
        if self._recording and sharer is not None:
            self._begin_screen_segment(sharer)
        self._fill_screen_slots()
        for viewer in self._seated.values():
            self._tell_slots(viewer)

    def set_recording(self, on: bool) -> None:
        """Cut exactly here: packets that arrived before belong to the segments, later ones do not."""
        if on == self._recording:
            return
        self._recording = on
        for seated in self._seated.values():
            if on:
                self._begin_segment(seated)
            else:
                self._finish_segment(seated)

    async def close(self) -> None:
        """Finish the segments and tell them, close all connections."""
        if self._closed:
            return
        self._closed = True
        self._recording = False
        for member_id in list(self._seated):
            await self.drop(member_id)
        if self._beat is not None:
            self._beat.leave(self._tick)
        await self._recorder.close()

    def _now_ms(self) -> float:
        return time.monotonic() * 1000 + self._clock_offset_ms

    def _tick(self) -> None:
        now_ms = self._now_ms()
        turn = int(now_ms) // REPORT_MS
        reports, self._reported = turn != self._reported, turn
        for seated in list(self._seated.values()):
            seated.peer.tick(now_ms)
            if reports:
                seated.peer.report(now_ms, self._ntp(now_ms))
        self._recorder.tick(now_ms)

    def _ntp(self, now_ms: float) -> int:
        """The same instant in seconds since 1900, 32.32 fixed point."""
        return int((now_ms + self._ntp_offset_ms) / 1000 * (1 << 32))

    # Slots

    def _fill_slots(self) -> None:
        """Give every member a free slot for everyone they do not see yet, longest seated first, and tell them."""
        for viewer_id, viewer in self._seated.items():
            changed = False
            for member_id, seated in self._seated.items():
                if member_id == viewer_id:
                    continue
                if member_id not in viewer.shown:
                    if None not in viewer.shown:
                        continue
                    viewer.shown[viewer.shown.index(None)] = member_id
                    changed = True
                self._attach(viewer.peer.slots[viewer.shown.index(member_id)], seated.peer)
            if changed:
                self._tell_slots(viewer)

    def _attach(self, slot: SlotPair, source: Peer) -> None:
        for subscription in slot.subscriptions:
            publication = source.publications.get(subscription.kind)
            if publication is not None and subscription.publication is not publication:
                subscription.attach(publication, self._now_ms())
            elif publication is None:
                subscription.detach()

    def _leave_slots(self, member_id: str, *, keep: bool) -> None:
        """Nobody gets this member's packets any more. keep: their slots wait for their new connection."""
        for viewer in self._seated.values():
            if member_id in viewer.shown:
                index = viewer.shown.index(member_id)
                for subscription in viewer.peer.slots[index].subscriptions:
                    subscription.detach()
                if not keep:
                    viewer.shown[index] = None
                    self._tell_slots(viewer)

    def _fill_screen_slots(self) -> None:
        """Carry the shared screen to everybody but the one who shows it."""
        sharer = self._seated.get(self._screen) if self._screen is not None else None
        for viewer in self._seated.values():
            slot = viewer.peer.screen_slot
            if slot is None:
                continue
            screen = sharer.peer.screen if sharer is not None and sharer is not viewer else None
            if screen is not None and slot.takes(screen):
                if slot.publication is not screen:
                    slot.attach(screen, self._now_ms())
            else:
                slot.detach()

    def _apply_silence(self, seated: _Seated) -> None:
        sound = seated.peer.publications.get("audio")
        if sound is not None:
            sound.silence(seated.member.member_id in self._silent)

    def _tell_slots(self, viewer: _Seated) -> None:
        if self._closed:
            return
        screen = viewer.peer.screen_slot
        slots = tuple(
            Slot(subscription.mid, subscription.kind, self._shown_in(subscription, member_id))
            for slot, member_id in zip(viewer.peer.slots, viewer.shown, strict=True)
            for subscription in slot.subscriptions
        )
        if screen is not None:
            slots += (Slot(screen.mid, "video", self._screen if screen.publication is not None else None, "screen"),)
        self._tell_soon(SlotsChanged(viewer.member.member_id, viewer.attempt, slots))

    def _shown_in(self, subscription: Subscription, member_id: str | None) -> str | None:
        source = self._seated.get(member_id) if member_id is not None else None
        publication = source.peer.publications.get(subscription.kind) if source is not None else None
        return member_id if publication is not None and subscription.takes(publication) else None

    # Recording

    def _begin_segment(self, seated: _Seated) -> None:
        seated.segment = self._recorder.begin(seated.member, seated.peer.publications, self._now_ms())
        if seated.member.member_id == self._screen:
            self._begin_screen_segment(seated)

    def _begin_screen_segment(self, seated: _Seated) -> None:
        screen = seated.peer.screen
        if screen is not None and seated.screen_segment is None:
            now_ms = self._now_ms()
            seated.screen_segment = self._recorder.begin(seated.member, {"video": screen}, now_ms, source="screen")

    def _finish_segment(self, seated: _Seated) -> None:
        self._finish_screen_segment(seated)
        segment, seated.segment = seated.segment, None
        if segment is not None:
            self._recorder.finish(segment)

    def _finish_screen_segment(self, seated: _Seated) -> None:
        segment, seated.screen_segment = seated.screen_segment, None
        if segment is not None:
            self._recorder.finish(segment)

    # Events

    def _note_connected(self, member_id: str, attempt: int, peer: Peer) -> None:
        if self._is_current(member_id, peer):
            now_ms = self._now_ms()
            for slot in peer.slots:
                for subscription in slot.subscriptions:
                    subscription.begin_anew()
                    subscription.request_keyframe(now_ms)
            self._tell(PeerConnected(member_id, attempt))

    def _note_lost(self, member_id: str, attempt: int, peer: Peer) -> None:
        """The connection is gone; the member keeps the slots for their next one."""
        if self._is_current(member_id, peer):
            self._finish_segment(self._seated[member_id])
            self._tell(PeerLost(member_id, attempt))

    def _is_current(self, member_id: str, peer: Peer) -> bool:
        seated = self._seated.get(member_id)
        return seated is not None and seated.peer is peer

    def _tell_soon(self, event: MediaEvent) -> None:
        """After the caller has gone on: an answer is sent before the slots that it makes sense of."""
        asyncio.get_running_loop().call_soon(self._tell, event)
