"""Who is in a room, who waits in its lobby, who may come back: pure, no I/O.

Owns the places and the questions about them. What follows from a change is `room.py`'s to say.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from signaling.media import MediaMember
from signaling.messages import Member, Waiting
from signaling.ticket import Grant, Seat

MAX_INSIDE = 6  # a panel of three with a patient, an interpreter and a caregiver
MAX_WAITING = 5


class Place(StrEnum):
    LOBBY = "lobby"
    INSIDE = "inside"
    AWAY = "away"  # the seat is kept, but nobody is counted or shown


@dataclass(slots=True)
class Attendee:
    """One device that arrived at least once. lost_at_ms: since when the socket is gone, while the place is still held.

    waiting_told, knock_told: what the lobby and the hosts heard last, so that only changes are sent."""

    seat: Seat
    order: int
    admitted: bool
    place: Place = Place.AWAY
    connected: bool = False
    lost_at_ms: int | None = None
    microphone: bool = False
    camera: bool = False
    muted: bool = False  # by a host, until they unmute
    waiting_told: Waiting | None = None
    knock_told: Member | None = None

    @property
    def member_id(self) -> str:
        return self.seat.member_id

    @property
    def person_id(self) -> str:
        return self.seat.person_id

    @property
    def present(self) -> bool:
        return self.place is Place.INSIDE and self.connected

    @property
    def hosts(self) -> bool:
        return Grant.HOST in self.seat.grants

    def as_media_member(self) -> MediaMember:
        return MediaMember(self.member_id, self.person_id, self.seat.name, self.seat.role.value)


@dataclass(slots=True)
class Roster:
    attendees: dict[str, Attendee] = field(default_factory=dict)
    _arrivals: int = 0

    def take_in(self, seat: Seat) -> Attendee:
        """Return the attendee of a seat. For a known one, what was decided in this room counts more than the seat."""
        self._arrivals += 1
        known = self.attendees.get(seat.member_id)
        if known is None:
            known = Attendee(seat, self._arrivals, admitted=seat.admitted)
            self.attendees[seat.member_id] = known
        elif known.place is Place.AWAY:
            known.order = self._arrivals
        known.seat = seat
        return known

    def inside(self) -> list[Attendee]:
        """Everybody with a place in the room, the lately lost too, in order of arrival."""
        return self._at(Place.INSIDE)

    def waiting(self) -> list[Attendee]:
        return self._at(Place.LOBBY)

    def present(self) -> list[Attendee]:
        return [one for one in self.inside() if one.connected]

    def host_present(self) -> bool:
        return any(one.hosts for one in self.present())

    def anybody_connected(self) -> bool:
        return any(one.connected for one in self.attendees.values())

    def other_devices(self, attendee: Attendee) -> list[Attendee]:
        """The same person's other devices that hold a place."""
        return [
            one
            for one in self.attendees.values()
            if one.person_id == attendee.person_id and one is not attendee and one.place is not Place.AWAY
        ]

    def is_second_device(self, attendee: Attendee) -> bool:
        """Whether the person was in the room, or earlier in the lobby, on another device."""
        if attendee.place is Place.INSIDE:
            return False
        return any(one.place is Place.INSIDE or one.order < attendee.order for one in self.other_devices(attendee))

    def is_full_for(self, attendee: Attendee) -> bool:
        """Whether nobody could let this one in now; a second device takes the first one's place."""
        inside = [one for one in self.inside() if one.person_id != attendee.person_id]
        return len(inside) >= MAX_INSIDE

    def is_full(self, freed: int = 0) -> bool:
        """Whether no place is left. freed: how many of those inside go when this one comes."""
        return len(self.inside()) - freed >= MAX_INSIDE

    def knock_audience(self, attendee: Attendee) -> tuple[str, ...]:
        """Who hears a knock: hosts, and the person's first device, which can't admit but should know."""
        return tuple(
            one.member_id
            for one in self.present()
            if one is not attendee and (one.hosts or one.person_id == attendee.person_id)
        )

    def as_member(self, attendee: Attendee) -> Member:
        seat = attendee.seat
        return Member(
            member_id=seat.member_id,
            person_id=seat.person_id,
            name=seat.name,
            role=seat.role,
            grants=seat.grants,
            admitted=attendee.place is Place.INSIDE,
            connected=attendee.connected,
            microphone=attendee.microphone and not attendee.muted,
            camera=attendee.camera,
            second_device=self.is_second_device(attendee),
            muted=attendee.muted,
        )

    def _at(self, place: Place) -> list[Attendee]:
        return sorted((one for one in self.attendees.values() if one.place is place), key=lambda one: one.order)
