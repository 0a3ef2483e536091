"""What the tests of rooms share: seats, and a room whose effects are easy to ask about."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TypeVar

from signaling import messages as wire
from signaling.effects import CloseSocket, Effect, Send, SwitchRecording, Tell
from signaling.events import RoomEvent
from signaling.room import Room
from signaling.ticket import Grant, MemberId, PersonId, Role, RoomId, Seat

WALL_MS = 1_700_000_000_000
YES = wire.SetConsent(given=True, wording=wire.CONSENT_WORDING)
NO = wire.SetConsent(given=False, wording=wire.CONSENT_WORDING)

T = TypeVar("T")


def seat(
    member_id: str,
    *,
    person_id: str = "",
    grants: tuple[Grant, ...] = (Grant.PUBLISH, Grant.SHOW),
    admitted: bool = False,
    consented: bool = False,
    started_at_ms: int | None = None,
) -> Seat:
    role = Role.EXPERT if Grant.HOST in grants else Role.PATIENT
    person = PersonId(person_id or f"person of {member_id}")
    return Seat(
        RoomId("room"),
        MemberId(member_id),
        person,
        member_id.title(),
        role,
        grants,
        admitted,
        consented,
        started_at_ms,
        0,
    )


def host_seat(member_id: str = "host", *, person_id: str = "", consented: bool = False) -> Seat:
    return seat(member_id, person_id=person_id, grants=(Grant.HOST, Grant.PUBLISH, Grant.SHOW), consented=consented)


@dataclass(slots=True)
class Play:
    """A room, the time in it, and what followed from the last thing that happened."""

    room: Room = field(
        default_factory=lambda: Room(
            RoomId("room"), wall_at_zero_ms=WALL_MS, new_id=map(str, itertools.count()).__next__
        )
    )
    now_ms: int = 0
    last: list[Effect] = field(default_factory=list)
    past: list[Effect] = field(default_factory=list)

    def arrive(self, who: Seat) -> Play:
        return self._then(self.room.arrive(who, self.now_ms))

    def say(self, member_id: str, message: wire.FromBrowser) -> Play:
        return self._then(self.room.receive(member_id, message, self.now_ms))

    def lose(self, member_id: str) -> Play:
        return self._then(self.room.disconnect(member_id, self.now_ms))

    def wait(self, ms: int) -> Play:
        self.now_ms += ms
        return self._then(self.room.tick(self.now_ms))

    def close(self, reason: str) -> Play:
        return self._then(self.room.close(reason, self.now_ms))

    def remove(self, person_id: str, reason: str = "removed") -> Play:
        return self._then(self.room.remove_person(person_id, reason, self.now_ms))

    def admit(self, who: Seat, *, by: str = "host") -> Play:
        """Let somebody arrive and be admitted."""
        self.arrive(who)
        return self.say(by, wire.Admit(who.member_id))

    def sent(self, member_id: str, kind: type[T]) -> list[T]:
        """The messages of a kind that a member was sent by what happened last."""
        return [
            effect.message
            for effect in self.last
            if isinstance(effect, Send) and member_id in effect.to and isinstance(effect.message, kind)
        ]

    def told(self, kind: type[T]) -> list[T]:
        return [effect.event for effect in self.last if isinstance(effect, Tell) and isinstance(effect.event, kind)]

    def of(self, kind: type[T]) -> list[T]:
        return [effect for effect in self.last if isinstance(effect, kind)]

    def ended(self, member_id: str) -> str | None:
        return next((one.reason for one in self.of(CloseSocket) if one.member_id == member_id), None)

    @property
    def recording_on(self) -> bool:
        return next((one.on for one in reversed(self.past) if isinstance(one, SwitchRecording)), False)

    def recording(self, member_id: str = "host") -> wire.Recording:
        """The recording as a member saw it last."""
        for effect in reversed(self.past):
            if not isinstance(effect, Send) or member_id not in effect.to:
                continue
            if isinstance(effect.message, wire.RecordingChanged | wire.Welcome):
                return effect.message.recording
        raise AssertionError("nothing was said about the recording")

    def events(self) -> list[RoomEvent]:
        return [effect.event for effect in self.past if isinstance(effect, Tell)]

    def _then(self, effects: list[Effect]) -> Play:
        self.last = effects
        self.past.extend(effects)
        return self


def call(*others: str) -> Play:
    """A host and admitted others, without anybody's consent."""
    play = Play().arrive(host_seat())
    for member_id in others:
        play.admit(seat(member_id))
    return play


def recorded_call(*others: str) -> Play:
    play = call(*others)
    for member_id in ("host", *others):
        play.say(member_id, YES)
    assert play.recording_on
    return play
