"""Errors of the application, each with a stable code, an HTTP status and a calm sentence.

    ConsultError                    consult.failed           500
    ├── NotFound                    not_found                404
    ├── NotAllowed                  not_allowed              403
    │   └── ProofMissing            csrf.missing             403
    │       └── ProofOld            csrf.missing             403
    ├── SignInNeeded                sign_in.needed           401
    │   └── SignInFailed            sign_in.failed           401
    ├── VisitNeeded                 visit.needed             401
    │   └── LinkNotUsable           link.not_usable          410
    ├── OfferNotOpen                offer.not_open           410
    ├── TooEarly                    visit.too_early          403
    ├── InvalidInput                input.invalid            422
    ├── SlotTaken                   slot.taken               409
    ├── SlotInPast                  slot.in_past             422
    ├── SlotOutsideHours            slot.outside_hours       422
    ├── RoomsFull                   slot.rooms_full          409
    ├── HoldExpired                 hold.expired             409
    ├── MovedMeanwhile              appointment.moved        409
    ├── AppointmentStarted          appointment.started      409
    ├── ChangesClosed               appointment.closed       409
    ├── TooManyTries                tries.too_many           429
    ├── StillWorking                form.still_working       409
    ├── BodyRefused                 body.refused             400
    │   ├── BodyTooLarge            body.too_large           413
    │   └── BodyTooSlow             body.too_slow            408
    └── FileRefused                 file.refused             422
        ├── FileTooLarge            file.too_large           413
        ├── FileTypeRefused         file.type                415
        ├── FileBroken              file.broken              422
        └── QuotaReached            file.quota               413

`message` is an English key for gettext that says what to do next; the edge translates it and fills in `values`.
"""

from __future__ import annotations

from collections.abc import Mapping

from consult.domain.words import N_


class ConsultError(Exception):
    code = "consult.failed"
    status = 500
    message = N_("Something went wrong on our side. Nothing you wrote is lost.")

    def __init__(self, detail: str = "", *, message: str | None = None, **values: object) -> None:
        """detail: for the log alone; ids and limits, never names, tokens or clinical text.

        message: another sentence for the reader, an English key; values: what its {placeholders} stand for.
        """
        super().__init__(detail or self.code)
        self.detail = detail
        self.values: Mapping[str, object] = values
        if message is not None:
            self.message = message


class NotFound(ConsultError):
    code = "not_found"
    status = 404
    message = N_("There is nothing at this address. It may have been moved or removed.")


class NotAllowed(ConsultError):
    code = "not_allowed"
    status = 403
    message = N_("Your account cannot open this. Ask the person who looks after Consult at your clinic.")


class ProofMissing(NotAllowed):
    code = "csrf.missing"
    message = N_("This page was open for too long. Go back, reload the page and try again.")


class ProofOld(ProofMissing):
    """Our own page may have sent it, but not one of this browser's present session."""


class SignInNeeded(ConsultError):
    code = "sign_in.needed"
    status = 401
    message = N_("Please sign in first.")


class SignInFailed(SignInNeeded):
    code = "sign_in.failed"
    message = N_("E-mail address and password do not fit together. Check both and try again.")


class VisitNeeded(ConsultError):
    code = "visit.needed"
    status = 401
    message = N_("Please open the link from your invitation first.")


class LinkNotUsable(VisitNeeded):
    """Expired, revoked and unknown links are told apart nowhere."""

    code = "link.not_usable"
    status = 410
    message = N_("This link cannot be used any more. Ask for a new one; it goes to the address we have on file.")


class OfferNotOpen(ConsultError):
    """Expired, withdrawn and unknown offers are told apart nowhere."""

    code = "offer.not_open"
    status = 410
    message = N_(
        "This time is no longer kept. Who is on our wait list stays on it, and we write to you about the next one."
    )


class TooEarly(ConsultError):
    code = "visit.too_early"
    status = 403
    message = N_("The call opens 30 minutes before your appointment. Everything you prepared is kept.")


class InvalidInput(ConsultError):
    """fields: the name of each wrong field and what to do about it, as an English key."""

    code = "input.invalid"
    status = 422
    message = N_("Something is missing or does not fit. Please look at the marked fields.")

    def __init__(self, fields: Mapping[str, str] | None = None, detail: str = "", **values: object) -> None:
        super().__init__(detail or ",".join(sorted(fields or {})))
        self.values = values
        self.fields: dict[str, str] = dict(fields or {})


class SlotTaken(ConsultError):
    code = "slot.taken"
    status = 409
    message = N_("Somebody else has just booked this time. Please choose another one.")


class SlotInPast(ConsultError):
    code = "slot.in_past"
    status = 422
    message = N_("This time has passed already. Please choose a later one.")


class SlotOutsideHours(ConsultError):
    code = "slot.outside_hours"
    status = 422
    message = N_("The expert does not work at this time. Please choose one of the free times.")


class RoomsFull(ConsultError):
    """values["nearest"]: list[Slot], as of SlotTaken."""

    code = "slot.rooms_full"
    status = 409
    message = N_("All rooms are in use at this time. Please choose another one.")


class HoldExpired(ConsultError):
    code = "hold.expired"
    status = 409
    message = N_("This time was kept for a while and is free for others again. Please choose a time once more.")


class MovedMeanwhile(ConsultError):
    """values["starts_at"], values["sequence"]: as they are now."""

    code = "appointment.moved"
    status = 409
    message = N_(
        "Somebody else changed this appointment meanwhile. Look at its time now, and change it again if needed."
    )


class AppointmentStarted(ConsultError):
    code = "appointment.started"
    status = 409
    message = N_("This appointment has begun already, so it stays where it is. Book another time instead.")


class ChangesClosed(ConsultError):
    """Too close to its start for its patient to move or cancel it alone."""

    code = "appointment.closed"
    status = 409
    message = N_("It is too late to change this appointment here. Please call or write to the clinic.")


class TooManyTries(ConsultError):
    code = "tries.too_many"
    status = 429
    message = N_("That was tried too often. Please wait a few minutes and try again.")


class StillWorking(ConsultError):
    code = "form.still_working"
    status = 409
    message = N_(
        "What you sent is still being worked on. Wait a minute, then look whether it is done before you send it again."
    )


class BodyRefused(ConsultError):
    code = "body.refused"
    status = 400
    message = N_("The server could not read what was sent. Go back, reload the page and try again.")


class BodyTooLarge(BodyRefused):
    code = "body.too_large"
    status = 413
    message = N_("That is too much at once. Please shorten it and send it again.")


class BodyTooSlow(BodyRefused):
    """What was sent stopped in the middle, or came in drops."""

    code = "body.too_slow"
    status = 408


class FileRefused(ConsultError):
    code = "file.refused"
    status = 422
    message = N_("This file cannot be used. Please choose another one.")


class FileTooLarge(FileRefused):
    code = "file.too_large"
    status = 413
    message = N_("This file is too large. Please choose a smaller one or split it.")


class FileTypeRefused(FileRefused):
    code = "file.type"
    status = 415
    message = N_("This kind of file cannot be used. PDF, PNG, JPEG and WebP can.")


class FileBroken(FileRefused):
    code = "file.broken"
    message = N_("This file is damaged or incomplete. Please save it again and upload the new one.")


class QuotaReached(FileRefused):
    code = "file.quota"
    status = 413
    message = N_("This case has as many files as it can hold. Remove one you do not need, or ask the clinic.")
