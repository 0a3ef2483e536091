"""Peer: one participant's connection for sound and picture.

Owns the offer's answer, the connection's life, and which packet belongs to which track. It knows nothing of rooms: the
relay attaches the publications of others to its slots.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from signaling import rtcp
from signaling.answer import LocalTransport, SentTrack, write_answer
from signaling.bandwidth import MAX_BPS, MEASURE_MS, MIN_BPS, DownwardLine, UpwardLine
from signaling.clocks import MemberClock, TrackClock
from signaling.compiled import ShortTrack
from signaling.errors import MediaError, OfferRefused
from signaling.guard import Kind, Offer, Section, read_offer
from signaling.ice import IceSettings
from signaling.port import SMALL_BYTES, SRTCP_BYTES
from signaling.publication import (
    HISTORY_AUDIO_BYTES,
    HISTORY_AUDIO_PACKETS,
    HISTORY_BYTES,
    HISTORY_PACKETS,
    Publication,
)
from signaling.rtc_compat import open_link
from signaling.rtp import AUDIO_CLOCK_HZ, VIDEO_CLOCK_HZ, unwrap_retransmission
from signaling.subscription import Subscription

logger = logging.getLogger(__name__)

CONNECT_LIMIT_S: Final = 30
CLOSE_LIMIT_S: Final = 5
MAX_PACKETS_PER_S: Final = 1_500  # sound and two pictures at their most, repetitions and feedback are half of that
TOO_MUCH_LIMIT_S: Final = 2  # a line that stood still delivers at once what it held
SILENCE_LIMIT_MS: Final = 20_000  # browsers check consent every few seconds, even when they send nothing
MAX_ROUTES: Final = 16


@dataclass(frozen=True, slots=True)
class SlotPair:
    """Where one other member's sound and picture go; either may be missing in the offer."""

    audio: Subscription | None
    video: Subscription | None

    @property
    def subscriptions(self) -> list[Subscription]:
        return [subscription for subscription in (self.audio, self.video) if subscription is not None]


@dataclass(frozen=True, slots=True)
class _Route:
    """Where the packets of one source go. repeats: they are RTX."""

    payload_type: int
    publication: Publication
    repeats: bool


class Peer:
    """publications: the member's sound and picture, at most one of each kind. slots: where others' go.

    screen: what a screen of theirs comes in on; screen_slot: where the room's one screen goes. None: not offered.

    on_connected, on_lost: called once each at most; on_lost not after close(). now_ms: the room's clock.
    """

    def __init__(
        self,
        sdp: str,
        *,
        name: str,
        ice: IceSettings,
        now_ms: Callable[[], float],
        on_connected: Callable[[], None],
        on_lost: Callable[[], None],
    ) -> None:
        """Read the offer. name: for the names of tasks. Raises OfferRefused, OfferTooLarge."""
        self._name = name
        self._now_ms = now_ms
        self._on_connected = on_connected
        self._on_lost = on_lost
        self._offer = read_offer(sdp)
        self._link = open_link(ice, on_rtp=self._receive_rtp, on_rtcp=self._receive_rtcp)
        self._ssrc = _new_ssrc()
        self._own = _own_sections(self._offer)
        self._screen_section = _screen_section(self._offer, self._own)
        clock = MemberClock()
        self.publications = {kind: self._publication(section, clock) for kind, section in self._own.items()}
        screen = self._screen_section
        self.screen = self._publication(screen, clock) if screen is not None else None
        self._sent = [(section, self.publications[kind]) for kind, section in self._own.items()]
        if screen is not None and self.screen is not None:
            self._sent.append((screen, self.screen))
        self.slots = self._make_slots()
        self.screen_slot = self._make_screen_slot()
        self._routes: dict[int, _Route] = {}
        received = [subscription for slot in self.slots for subscription in slot.subscriptions]
        received += [self.screen_slot] if self.screen_slot is not None else []
        self._by_ssrc = {subscription.track.ssrc: subscription for subscription in received}
        self._pictures = [subscription for subscription in received if subscription.kind == "video"]
        self._upward, self._downward = UpwardLine(), DownwardLine()
        self._measured = -1
        self._told_bps = MAX_BPS
        self._heard = 0
        self._heard_ms = now_ms()
        self._counted = (0, now_ms())  # packets, and when
        self._too_much_s = 0
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def connected(self) -> bool:
        return self._link.connected

    async def answer(self) -> str:
        """Return the answer and begin to connect. Raises MediaError if no socket could be opened."""
        try:
            await self._link.gather()
        except OSError as error:
            raise MediaError(f"no socket: errno {error.errno}") from None
        local = LocalTransport(
            self._link.ice_username, self._link.ice_password, self._link.candidates, self._link.fingerprint
        )
        text = write_answer(
            self._offer,
            session_id=secrets.randbits(62),
            local=local,
            receives=[section.mid for section, _ in self._sent],
            sends={subscription.mid: subscription.track for subscription in self._by_ssrc.values()},
        )
        self._task = asyncio.create_task(self._live(), name=f"peer {self._name}")
        return text

    async def close(self) -> None:
        """Stop forwarding at once, then take the connection down."""
        if self._closed:
            return
        self._closed = True
        for _, publication in self._sent:
            publication.tap = None
            for subscription in list(publication.subscriptions):
                subscription.detach()
        for subscription in self._by_ssrc.values():
            subscription.detach()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(CLOSE_LIMIT_S):
                await self._link.close()

    def tick(self, now_ms: float) -> None:
        """Every 100 ms: repeat what was asked for and not answered."""
        for _, publication in self._sent:
            publication.tick(now_ms)
        for subscription in self._by_ssrc.values():
            if subscription.publication is not None:
                subscription.tick(now_ms)
        measured = int(now_ms) // MEASURE_MS  # everybody in a room at the same tick, when all has been counted
        if measured != self._measured and self.connected:
            self._measured = measured
            self._measure(now_ms)

    def report(self, now_ms: float, ntp: int) -> None:
        """Every second: receiver reports and the bitrate limit to the sender, sender reports for the slots."""
        if not self.connected:
            return
        self._notice_silence(now_ms)
        self._notice_flood(now_ms)
        receptions = [publication.report(now_ms) for _, publication in self._sent]
        message = rtcp.write_receiver_report(self._ssrc, [block for block in receptions if block is not None])
        message += self._write_limit(self._bitrate_limit())
        for subscription in self._by_ssrc.values():
            part = subscription.write_report(now_ms, ntp)
            if (
                len(message) + len(part) > SMALL_BYTES - SRTCP_BYTES
            ):  # a larger one does not wait if the socket takes no more
                self._link.send_rtcp(message)
                message = b""
            message += part
        self._link.send_rtcp(message)

    def takes_bps(self) -> int:
        """Return what each picture sent to this member may take."""
        pictures = sum([one.publication is not None for one in self._pictures])
        return int(self._downward.limit_bps) // max(1, pictures)

    async def _live(self) -> None:
        if await self._connect():
            self._heard_ms = self._now_ms()
            self._on_connected()
            await self._link.wait_lost()
        self._on_lost()

    async def _connect(self) -> bool:
        offer = self._offer
        try:
            async with asyncio.timeout(CONNECT_LIMIT_S):
                return await self._link.connect(offer.ice_username, offer.ice_password, offer.fingerprints)
        except (TimeoutError, ConnectionError):
            return False
        except Exception:
            # Whatever a browser's packets make aiortc stumble over, it is this peer's end and nobody else's.
            logger.exception("connecting failed", extra={"peer": self._name})
            return False

    def _notice_silence(self, now_ms: float) -> None:
        if self._link.heard != self._heard:
            self._heard, self._heard_ms = self._link.heard, now_ms
        elif now_ms - self._heard_ms > SILENCE_LIMIT_MS:
            self._link.give_up()

    def _notice_flood(self, now_ms: float) -> None:
        """End the connection of somebody who sends far more than a browser does: all calls of the process pay."""
        before, at_ms = self._counted
        self._counted = (self._link.heard, now_ms)
        too_much = self._link.heard - before > MAX_PACKETS_PER_S * max(1.0, (now_ms - at_ms) / 1000)
        self._too_much_s = self._too_much_s + 1 if too_much else 0
        if self._too_much_s >= TOO_MUCH_LIMIT_S:
            logger.warning("a flood of media", extra={"peer": self._name})
            self._link.give_up()

    def _measure(self, now_ms: float) -> None:
        """Judge the line both ways; a lower limit is told at once, a higher one with the next report."""
        for publication in (*(one for _, one in self._sent), *(one.publication for one in self._by_ssrc.values())):
            if publication is not None:
                publication.catch_up()
        sound, pictures = self.publications.get("audio"), self.publications.get("video")
        self._upward.measure(
            now_ms,
            sound_lag_ms=sound.clock.lag_ms if sound else None,
            pictures_lag_ms=pictures.clock.lag_ms if pictures else None,
            sound=sound.octets if sound else 0,
            pictures=sum(one.octets for _, one in self._sent if one.kind == "video"),
        )
        for _, publication in self._sent:
            publication.jammed_ms = self._upward.jammed_ms
        self._downward.measure(now_ms, sum([one.octets for one in self._pictures]))
        limit_bps = self._bitrate_limit()
        if limit_bps < 0.95 * self._told_bps:
            # A compound packet begins with a report (RFC 3550 §6.1); this one is empty.
            self._link.send_rtcp(rtcp.write_receiver_report(self._ssrc, []) + self._write_limit(limit_bps))

    def _bitrate_limit(self) -> int:
        """What the member's pictures may take: what their line carries, and the lines of all who see them."""
        seen = [one for _, one in self._sent if one.kind == "video" and one.subscriptions]
        taken_bps = sum(min(subscription.takes_bps() for subscription in one.subscriptions) for one in seen)
        return max(MIN_BPS, min(int(self._upward.limit_bps), taken_bps if seen else MAX_BPS))

    def _write_limit(self, limit_bps: int) -> bytes:
        video = self.publications.get("video")
        if video is None or video.ssrc is None or "goog-remb" not in self._own["video"].feedback:
            return b""
        self._told_bps = limit_bps
        return rtcp.write_bitrate_limit(self._ssrc, video.ssrc, limit_bps)

    def _receive_rtp(self, second: int, sequence: int, timestamp: int, ssrc: int, payload: bytes) -> None:
        payload_type = second & 0x7F
        route = self._routes.get(ssrc)
        if route is None or route.payload_type != payload_type:
            route = self._find_route(ssrc, payload_type)
            if route is None:
                return
        if not route.repeats:
            route.publication.receive(ssrc, sequence, timestamp, second > 127, payload, self._now_ms())
            return
        source, repeated = route.publication.ssrc, unwrap_retransmission(payload)
        if repeated is not None and source is not None:
            route.publication.receive(source, repeated[0], timestamp, second > 127, repeated[1], self._now_ms())

    def _find_route(self, ssrc: int, payload_type: int) -> _Route | None:
        for section, publication in self._sent:
            repeats = payload_type == section.retransmission_type
            announced = section.retransmission_ssrcs if repeats else section.ssrcs
            if (repeats or payload_type == section.payload_type) and (not announced or ssrc in announced):
                if len(self._routes) >= MAX_ROUTES:
                    self._routes.clear()
                short = self._link.short
                if short is not None and publication.short is not None and not repeats:
                    short.route(ssrc, payload_type, publication.short)
                route = self._routes[ssrc] = _Route(payload_type, publication, repeats)
                return route
        return None

    def _receive_rtcp(self, data: bytes) -> None:
        now_ms = self._now_ms()
        for item in rtcp.read(data):
            if isinstance(item, rtcp.SenderReport):
                for _, publication in self._sent:
                    publication.take_report(item, now_ms)
            elif isinstance(item, rtcp.BitrateLimit):
                sources = (one.publication for one in self._by_ssrc.values())
                jammed_ms = max((one.jammed_ms for one in sources if one is not None), default=float("-inf"))
                self._downward.take_estimate(item.bitrate_bps, now_ms, jammed_ms=jammed_ms)
            elif (subscription := self._by_ssrc.get(item.media_ssrc)) is not None:
                if isinstance(item, rtcp.Loss):
                    source = subscription.publication  # what was lost on the way to us is missing for viewers too
                    self._downward.take_loss(item.fraction - (source.lost_fraction if source else 0), now_ms)
                elif isinstance(item, rtcp.Nack):
                    subscription.resend(item.lost)
                else:
                    subscription.request_keyframe(now_ms)

    def _publication(self, section: Section, member_clock: MemberClock) -> Publication:
        return Publication(
            section.kind,
            TrackClock(AUDIO_CLOCK_HZ if section.kind == "audio" else VIDEO_CLOCK_HZ, member_clock),
            codec=section.codecs[0].name,
            our_ssrc=self._ssrc,
            nacks="nack" in section.feedback,
            send_rtcp=self._link.send_rtcp,
            short=self._make_short_track(section.kind),
        )

    def _make_short_track(self, kind: Kind) -> ShortTrack | None:
        line = self._link.short
        if line is None:
            return None
        packets, size_bytes = (
            (HISTORY_PACKETS, HISTORY_BYTES) if kind == "video" else (HISTORY_AUDIO_PACKETS, HISTORY_AUDIO_BYTES)
        )
        offset_ms = self._now_ms() - time.monotonic() * 1000
        return line.make_track(packets=packets, size_bytes=size_bytes, offset_ms=offset_ms)

    def _make_slots(self) -> tuple[SlotPair, ...]:
        # A page that offers a place for a screen receives the first other on its own sections; an older one does not.
        screen = self._screen_section
        used = {section.mid for section in self._own.values()} if screen is None else {screen.mid}
        free = [section for section in self._offer.sections if section.receives and section.mid not in used]
        audio = [section for section in free if section.kind == "audio"]
        video = [section for section in free if section.kind == "video"]
        return tuple(
            SlotPair(
                self._subscription(audio[index], index) if index < len(audio) else None,
                self._subscription(video[index], index) if index < len(video) else None,
            )
            for index in range(max(len(audio), len(video)))
        )

    def _make_screen_slot(self) -> Subscription | None:
        section = self._screen_section
        return self._subscription(section, "screen") if section is not None and section.receives else None

    def _subscription(self, section: Section, name: int | str) -> Subscription:
        return Subscription(
            section,
            SentTrack(_new_ssrc(), _new_ssrc(), f"slot{name}"),
            send_rtp=self._link.send_rtp,
            takes_bps=self.takes_bps,
            short=self._link.short,
        )


def _own_sections(offer: Offer) -> dict[Kind, Section]:
    """The first section of each kind that the browser sends on. Audio first: it is never held up by pictures."""
    own: dict[Kind, Section] = {}
    kinds: tuple[Kind, ...] = ("audio", "video")
    for kind in kinds:
        section = next((section for section in offer.sections if section.kind == kind and section.sends), None)
        if section is not None:
            own[kind] = section
    types = [section.payload_type for section in own.values()]
    if len(set(types)) != len(types):
        raise OfferRefused("one payload type for two codecs")
    return own


def _screen_section(offer: Offer, own: dict[Kind, Section]) -> Section | None:
    """The second picture that the browser may send."""
    taken = {section.mid for section in own.values()}
    screens = (one for one in offer.sections if one.kind == "video" and one.sends and one.mid not in taken)
    return next(screens, None)


def _new_ssrc() -> int:
    return 1 + secrets.randbelow((1 << 32) - 1)
