"""The kinds of consultation, and how long each usually lasts."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum


class ConsultationKind(StrEnum):
    """PANEL: several experts at once, one of them leads."""

    FIRST_REVIEW = "first_review"
    FOLLOW_UP = "follow_up"
    PANEL = "panel"


USUAL_LENGTHS = {
    ConsultationKind.FIRST_REVIEW: timedelta(minutes=45),
    ConsultationKind.FOLLOW_UP: timedelta(minutes=30),
    ConsultationKind.PANEL: timedelta(minutes=60),
}
SHORTEST = timedelta(minutes=10)
LONGEST = timedelta(hours=3)
