"""The steps before a call, four for the patient and three for a guest: their order, which are done, how each reads.

Which steps were pressed through is the device's own business: it is kept in a cookie bound to the visit and decides
nothing but where the person is led next.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from consult.domain.ids import VisitId
from consult.domain.words import N_
from consult.scheduling.model import Visit

STEPS_COOKIE = "consult_steps"
MAX_COOKIE_CHARS = 100


class Step(StrEnum):
    WHEN = "when"
    RECORDS = "records"
    DEVICES = "devices"
    RECORDING = "recording"

    @property
    def href(self) -> str:
        return f"/visit/{self.value}"


OF_PATIENTS = tuple(Step)
OF_GUESTS = (Step.WHEN, Step.DEVICES, Step.RECORDING)  # the records and questions are the patient's

NAMES = {
    Step.WHEN: N_("Who and when"),
    Step.RECORDS: N_("Records and questions"),
    Step.DEVICES: N_("Camera and sound"),
    Step.RECORDING: N_("Recording, and your yes or no"),
}
TITLES = {
    Step.WHEN: N_("Whom you meet, and when"),
    Step.RECORDS: N_("Your records and questions"),
    Step.DEVICES: N_("Can we see and hear you?"),
    Step.RECORDING: N_("May we record the call?"),
}
AHEAD = {
    Step.WHEN: N_("Less than a minute"),
    Step.RECORDS: N_("What the doctor can look at before the call"),
    Step.DEVICES: N_("About one minute"),
    Step.RECORDING: N_("Nothing is recorded before you say yes."),
}
LOOKED_AT = {Step.DEVICES: N_("You looked at this on this device."), Step.RECORDING: N_("You are asked in the call.")}


@dataclass(frozen=True, slots=True)
class StepLine:
    """One step as it stands in the line of steps, in the reader's language."""

    name: str
    number: int
    title: str
    summary: str
    href: str
    is_done: bool
    is_here: bool


def read_done(cookie: str | None, visit_id: VisitId) -> frozenset[Step]:
    """Return the steps that were done on this device for this visit; none from a cookie of another visit."""
    if not cookie or len(cookie) > MAX_COOKIE_CHARS:
        return frozenset()
    bound_to, *names = cookie.split(".")
    if bound_to != visit_id.hex[:12]:
        return frozenset()
    return frozenset(step for step in Step if step.value in names)


def write_done(done: Collection[Step], visit_id: VisitId) -> str:
    return ".".join([visit_id.hex[:12], *(step.value for step in Step if step in done)])


def steps_of(visit: Visit) -> tuple[Step, ...]:
    return OF_GUESTS if visit.is_guest else OF_PATIENTS


def first_open(steps: Sequence[Step], done: Collection[Step]) -> Step | None:
    """Return the first step that is not done, None if all are."""
    return next((step for step in steps if step not in done), None)


def lines(
    steps: Sequence[Step],
    done: Collection[Step],
    here: Step,
    say: Callable[[str], str],
    summaries: Mapping[Step, str],
) -> list[StepLine]:
    """Return the line of steps. say: gives a sentence in the reader's language; summaries: what done steps contain."""
    return [
        StepLine(
            name=step.value,
            number=number,
            title=say(NAMES[step]),
            summary=_summary(step, step in done and step is not here, say, summaries),
            href=step.href,
            is_done=step in done,
            is_here=step is here,
        )
        for number, step in enumerate(steps, start=1)
    ]


def _summary(step: Step, is_behind: bool, say: Callable[[str], str], summaries: Mapping[Step, str]) -> str:
    if not is_behind:
        return say(AHEAD[step])
    return summaries[step] if step in summaries else say(LOOKED_AT[step])
