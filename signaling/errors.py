"""Errors of the real-time part, each with a stable code.

    SignalingError
    ├── ProtocolError            the socket's owner sent something we cannot use
    │   ├── MessageMalformed     message.malformed
    │   ├── MessageUnknown       message.unknown
    │   ├── MessageTooLarge      message.too_large
    │   ├── MessageOutOfOrder    message.out_of_order
    │   ├── VersionUnsupported   version.unsupported
    │   └── TooManyMessages      message.too_many
    ├── TicketError              the seat cannot be taken
    │   ├── TicketInvalid        ticket.invalid
    │   └── TicketExpired        ticket.expired
    ├── RoomError                the room says no
    │   ├── RoomFull             room.full
    │   ├── LobbyFull            lobby.full
    │   ├── NotGranted           grant.missing
    │   ├── MemberUnknown        member.unknown
    │   ├── ScreenTaken          screen.taken
    │   └── RoomElsewhere        room.elsewhere
    └── MediaError               the browser's offer cannot be used
        ├── OfferRefused         offer.refused
        └── OfferTooLarge        offer.too_large

`message` is a calm English sentence that says what to do next; browsers show their own words for `code`.
"""

from __future__ import annotations


class SignalingError(Exception):
    code = "signaling.failed"
    message = "Something went wrong on our side. Your seat is kept."
    closes = False  # whether the socket is closed after the error was told

    def __init__(self, detail: str = "") -> None:
        """detail: for the log alone; ids and limits, never names, tokens, SDP or clinical text."""
        super().__init__(detail or self.message)


class ProtocolError(SignalingError):
    code = "message.refused"
    message = "This page sent something that the call does not understand. Reload the page; your seat is kept."


class MessageMalformed(ProtocolError):
    code = "message.malformed"


class MessageUnknown(ProtocolError):
    code = "message.unknown"


class MessageTooLarge(ProtocolError):
    code = "message.too_large"
    message = "That message is too long. Please shorten it and send it again."


class MessageOutOfOrder(ProtocolError):
    code = "message.out_of_order"


class VersionUnsupported(ProtocolError):
    code = "version.unsupported"
    message = "This page is older than the server. Reload it; your seat is kept."
    closes = True


class TooManyMessages(ProtocolError):
    code = "message.too_many"
    message = "This page sent too much at once. Reload it; your seat is kept."
    closes = True


class TicketError(SignalingError):
    code = "ticket.refused"
    message = "Your seat could not be confirmed. Reload the page."
    closes = True


class TicketInvalid(TicketError):
    code = "ticket.invalid"


class TicketExpired(TicketError):
    code = "ticket.expired"


class RoomError(SignalingError):
    code = "room.refused"


class RoomFull(RoomError):
    code = "room.full"
    message = "Six people are in this call already. Somebody has to leave before another can be let in."


class LobbyFull(RoomError):
    code = "lobby.full"
    message = "Too many devices are waiting with this appointment. Close the call on the other devices and try again."
    closes = True


class NotGranted(RoomError):
    code = "grant.missing"
    message = "Only the person who leads the call can do this."


class MemberUnknown(RoomError):
    code = "member.unknown"
    message = "This person is no longer there."


class ScreenTaken(RoomError):
    code = "screen.taken"
    message = "Somebody else shows their screen at the moment. One screen can be shown at a time."


class RoomElsewhere(RoomError):
    code = "room.elsewhere"
    message = "We lost you for a moment. Your seat is kept."
    closes = True


class MediaError(SignalingError):
    code = "media.failed"
    message = "Sound and picture could not be connected. We try again."


class OfferRefused(MediaError):
    code = "offer.refused"


class OfferTooLarge(MediaError):
    code = "offer.too_large"
