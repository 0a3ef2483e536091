"""What the rest of the application may ask of transcripts.

Texts are made in `making.py`; what the case page shows of a consultation is put together in `playback.py`.
"""

from __future__ import annotations

from consult.transcripts.making import (
    TRANSCRIBE_SEGMENT,
    Desk,
    list_transcripts,
    list_turns,
    queue_transcript,
    transcribe_segment,
    try_again,
)
from consult.transcripts.playback import ConsultationPage, list_for_page, progress

__all__ = [
    "TRANSCRIBE_SEGMENT",
    "ConsultationPage",
    "Desk",
    "list_for_page",
    "list_transcripts",
    "list_turns",
    "progress",
    "queue_transcript",
    "transcribe_segment",
    "try_again",
]
