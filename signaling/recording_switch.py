"""Switches a room's recording on and off, and says so: effects made from the rule in consent.py, pure, no I/O.

Owns what was switched, shown and told last, so that only changes are. Off comes before anything that follows from it.
"""

from __future__ import annotations

import dataclasses

from signaling import events
from signaling import messages as wire
from signaling.announcements import to_present
from signaling.consent import RecordingControl, without_time
from signaling.effects import Effect, SwitchRecording, Tell
from signaling.room_clock import RoomClock
from signaling.roster import Attendee, Roster

RECORDS_WITHOUT_HOST_MS = 10_000  # a host's lost line is mostly back by then, and the recording needs no cut


class RecordingSwitch:
    def __init__(self, roster: Roster, clock: RoomClock) -> None:
        self.control = RecordingControl()
        self.on = False
        self._roster = roster
        self._clock = clock
        self._shown = wire.Recording(state="off")
        self._told = ("off", False)

    def assess(self, now_ms: int, *, besides: Attendee | None = None) -> list[Effect]:
        """Return what follows for the recording from who is here and what they said. besides: hears it otherwise."""
        until_ms = self.hosted_until_ms()
        # Without a host nothing begins; what was on waits a moment for theirs to come back.
        hosted = self._roster.host_present() or (self.on and until_ms is not None and now_ms < until_ms)
        recording = self.control.assess(self._roster.present(), now_ms, hosted=hosted)
        effects: list[Effect] = []
        if (recording.state == "on") is not self.on:
            self.on = recording.state == "on"
            effects.append(SwitchRecording(self.on))
        if without_time(recording) != self._shown:
            effects += self._show(recording, now_ms, besides)
        state, by_host = told = self.control.state_told(), not self.control.wanted
        if told != self._told:
            self._told = told
            effects.append(Tell(events.RecordingSwitched(**self._clock.fact(now_ms), state=state, by_host=by_host)))
        return effects

    def recall(self, on_ms: int, now_ms: int) -> list[Effect]:
        """Count on from what was recorded before this room had to open again."""
        if not self.control.recall(on_ms):
            return []
        return self._show(self.shown(now_ms), now_ms, None)

    def shown(self, now_ms: int) -> wire.Recording:
        """The recording as people see it at this moment."""
        return dataclasses.replace(self._shown, on_ms=self.control.on_ms(now_ms))

    def hosted_until_ms(self) -> int | None:
        """Until when lost hosts count as hosts for the recording, if nobody else leads the call."""
        lost = [one.lost_at_ms for one in self._roster.inside() if one.hosts and one.lost_at_ms is not None]
        if not lost or self._roster.host_present():
            return None
        return max(lost) + RECORDS_WITHOUT_HOST_MS

    def _show(self, recording: wire.Recording, now_ms: int, besides: Attendee | None) -> list[Effect]:
        self._shown = without_time(recording)
        changed = wire.RecordingChanged(recording, self._clock.at_ms(now_ms))
        return to_present(self._roster, changed, besides=besides)
