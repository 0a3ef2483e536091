"""Whether a room may be recorded at this moment: everybody's answers and the host's wish, pure, no I/O.

Consent is a person's, not a device's, and holds for this consultation until it is taken back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

from signaling.messages import Recording, RecordingState
from signaling.roster import Attendee


@dataclass(slots=True)
class RecordingControl:
    """wanted: the host did not pause. failed: the disk gave up; the host's next wish to go on tries again."""

    wanted: bool = True
    failed: bool = False
    answers: dict[str, bool] = field(default_factory=dict)  # by person
    state: RecordingState = "off"
    ever_on: bool = False
    _before_ms: int = 0  # in rooms before this one
    _on_ms: int = 0
    _on_since_ms: int | None = None

    def remember(self, attendee: Attendee) -> None:
        """Take over a consent given before this room knew of it; what was said in this room counts more."""
        if attendee.seat.consented:
            self.answers.setdefault(attendee.person_id, True)

    def want(self, wanted: bool) -> None:
        """The host pauses, or goes on; going on tries a disk again that had failed."""
        self.wanted = wanted
        self.failed = self.failed and not wanted

    def recall(self, on_ms: int) -> bool:
        """Count on from what was recorded before this room had to open again; return whether it is news."""
        if on_ms <= self._before_ms:
            return False
        self._before_ms, self.ever_on = on_ms, True
        return True

    def answer(self, person_id: str, given: bool) -> bool:
        """Keep an answer; return whether it is news."""
        news = self.answers.get(person_id) is not given
        self.answers[person_id] = given
        return news

    def has_consented(self, attendee: Attendee) -> bool:
        return self.answers.get(attendee.person_id) is True

    def assess(self, present: Sequence[Attendee], now_ms: int, *, hosted: bool) -> Recording:
        """Return the recording's state for those who are present, and count the time it is on.

        hosted: somebody leads the call, or was lost a moment ago."""
        awaiting = tuple(one.member_id for one in present if one.person_id not in self.answers)
        refused = tuple(one.member_id for one in present if self.answers.get(one.person_id) is False)
        self.state = self._state(awaiting, refused, hosted=hosted)
        self._count(now_ms)
        return Recording(state=self.state, awaiting=awaiting, refused=refused, on_ms=self.on_ms(now_ms))

    def on_ms(self, now_ms: int) -> int:
        return self._before_ms + self._on_ms + (now_ms - self._on_since_ms if self._on_since_ms is not None else 0)

    def state_told(self) -> str:
        """The state as the application hears it. Asking is off, or a pause once it was on."""
        if self.state == "asking":
            return "paused" if self.ever_on else "off"
        return self.state

    def _state(self, awaiting: tuple[str, ...], refused: tuple[str, ...], *, hosted: bool) -> RecordingState:
        if refused or not hosted:
            return "off"
        if self.failed:
            return "failed"
        if not self.wanted:
            return "paused"
        return "asking" if awaiting else "on"

    def _count(self, now_ms: int) -> None:
        if self.state == "on":
            self.ever_on = True
            if self._on_since_ms is None:
                self._on_since_ms = now_ms
        elif self._on_since_ms is not None:
            self._on_ms += now_ms - self._on_since_ms
            self._on_since_ms = None


def without_time(recording: Recording) -> Recording:
    """The recording as people see it change: on_ms grows by itself."""
    return dataclasses.replace(recording, on_ms=0)
