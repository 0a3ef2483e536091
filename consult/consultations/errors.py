"""What a person is told when a call cannot be entered or what was kept of it cannot be had.

ConsultError
├── CallNotOpen            call.not_open     the link is good, but it is too early
├── CallClosed             call.closed       the appointment's time is over and nobody came
├── AppointmentCancelled   call.cancelled
├── ConsultationOver       call.over         the host ended it; the case page has what was kept
└── RecordingUnreadable    recording.unreadable   a spool file that no reader can make sense of
"""

from __future__ import annotations

from consult.domain.errors import ConsultError


class CallNotOpen(ConsultError):
    code = "call.not_open"
    status = 409
    message = "It is too early for this call. It opens 30 minutes before the time of the appointment."


class CallClosed(ConsultError):
    code = "call.closed"
    status = 410
    message = "The time of this appointment is over. Ask the clinic for a new one."


class AppointmentCancelled(ConsultError):
    code = "call.cancelled"
    status = 410
    message = "This appointment was cancelled. Ask the clinic for a new one."


class ConsultationOver(ConsultError):
    code = "call.over"
    status = 410
    message = "This call is over. What was recorded is kept with the case."


class RecordingUnreadable(ConsultError):
    code = "recording.unreadable"
    status = 422
    message = "This part of the recording cannot be read. The file is kept as it is."
