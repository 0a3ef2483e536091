"""Hands a room's wishes to its media, one at a time per member.

Owns the order of things that take time: the latest offer of a member wins, a member who went is dropped even if their
offer was just being accepted, and recording begins only when nobody is left to drop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import structlog

from signaling.effects import AcceptOffer
from signaling.errors import MediaError, SignalingError
from signaling.media import Media

ACCEPT_S = 10
DROP_S = 10
CLOSE_S = 30

log = structlog.get_logger(__name__)

Spawn = Callable[[Coroutine[Any, Any, None], str], None]


class Counter(Protocol):
    """Who hears how an offer went."""

    def offer_answered(self, member_id: str, attempt: int, sdp: str) -> None: ...
    def offer_failed(self, member_id: str, error: SignalingError) -> None: ...
    def recording_failed(self) -> None: ...


class MediaDesk:
    def __init__(self, media: Media, *, counter: Counter, spawn: Spawn) -> None:
        """spawn: starts a named task that somebody owns."""
        self._media = media
        self._counter = counter
        self._spawn = spawn
        self._next: dict[str, AcceptOffer | None] = {}  # by member; None: drop
        self._busy: set[str] = set()
        self._dropping: set[str] = set()
        self._recording_wanted = False
        self._recording_on = False
        self._closed = False

    @property
    def closed(self) -> bool:
        return self._closed

    def accept(self, offer: AcceptOffer) -> None:
        self._queue(offer.member.member_id, offer)

    def drop(self, member_id: str) -> None:
        self._dropping.add(member_id)
        self._queue(member_id, None)

    def resume(self, member_id: str) -> int | None:
        """Return the attempt of a connection that may go on after its member's socket was lost; its slots are told."""
        if self._closed or member_id in self._busy:
            return None  # what is on its way to the media decides
        return self._media.resume(member_id)

    def switch_recording(self, on: bool) -> None:
        """Off at once; on as soon as everybody who had to go is gone."""
        self._recording_wanted = on
        self._apply_recording()

    def silence(self, member_id: str, on: bool) -> None:
        """At once: nothing more of their sound."""
        self._media.silence(member_id, on)

    def share_screen(self, member_id: str | None) -> None:
        self._media.share_screen(member_id)

    async def close(self) -> None:
        """Finish the segments and close every connection."""
        if self._closed:
            return
        self._closed = True
        self._next.clear()
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._media.close()
        except Exception:
            log.exception("media_close_failed")

    def _queue(self, member_id: str, what: AcceptOffer | None) -> None:
        if self._closed:
            return
        self._next[member_id] = what
        if member_id not in self._busy:
            self._busy.add(member_id)
            self._spawn(self._serve(member_id), f"media of {member_id}")

    async def _serve(self, member_id: str) -> None:
        try:
            while member_id in self._next:
                what = self._next.pop(member_id)
                if what is None:
                    await self._drop(member_id)
                else:
                    await self._accept(what)
        finally:
            self._busy.discard(member_id)
            self._dropping.discard(member_id)
            self._apply_recording()

    async def _accept(self, offer: AcceptOffer) -> None:
        member_id = offer.member.member_id
        try:
            async with asyncio.timeout(ACCEPT_S):
                sdp = await self._media.accept_offer(offer.member, offer.sdp, offer.attempt)
        except SignalingError as error:
            self._counter.offer_failed(member_id, error)
        except Exception:
            log.exception("offer_failed", member_id=member_id)
            self._counter.offer_failed(member_id, MediaError())
        else:
            if not self._closed:
                self._counter.offer_answered(member_id, offer.attempt, sdp)

    async def _drop(self, member_id: str) -> None:
        try:
            async with asyncio.timeout(DROP_S):
                await self._media.drop(member_id)
        except Exception:
            log.exception("drop_failed", member_id=member_id)

    def _apply_recording(self) -> None:
        on = self._recording_wanted and not self._dropping and not self._closed
        if on is self._recording_on:
            return
        self._recording_on = on
        try:
            self._media.set_recording(on)
        except Exception:
            log.exception("recording_switch_failed", on=on)
            self._recording_on = False
            if on:
                self._counter.recording_failed()
            else:
                # Better no call than a recording that somebody does not want.
                self._spawn(self.close(), "media that could not stop recording")
