"""What a person is told when a call cannot be entered, or when what was kept of it cannot be had.

ConsultError
├── CallClosed             call.closed       the appointment's time is over
├── AppointmentCancelled   call.cancelled
├── ConsultationOver       call.over         the host ended it; the case page has what was kept
├── EventRefused           event.refused     a room's event that does not fit what we know; for the log
└── RecordingUnreadable    recording.unreadable   a spool file that no reader can make sense of
"""

from __future__ import annotations

from consult.domain.errors import ConsultError
from consult.domain.words import N_


class CallClosed(ConsultError):
    code = "call.closed"
    status = 410
    message = N_("The time of this appointment is over. Ask the clinic for a new one.")


class AppointmentCancelled(ConsultError):
    code = "call.cancelled"
    status = 410
    message = N_("This appointment was cancelled. Ask the clinic for a new one.")


class ConsultationOver(ConsultError):
    code = "call.over"
    status = 410
    message = N_("This call is over. What was recorded is kept with the case.")


class EventRefused(ConsultError):
    code = "event.refused"


class RecordingUnreadable(ConsultError):
    code = "recording.unreadable"
    message = N_("This part of the recording cannot be read. The file is kept as it is.")
