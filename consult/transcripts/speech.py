"""SpeechToText: what an engine must do, and which one the operator chose.

Pocketsphinx is a demonstration default: it is here without a download and understands clear English. The two others are
for real use: faster-whisper with a model folder, or any server that speaks OpenAI's /v1/audio/transcriptions.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

from consult.settings import Settings
from consult.transcripts.model import Utterance


class SpeechToText(Protocol):
    @property
    def name(self) -> str:
        """The engine and its model, as kept beside every transcript."""

    def understands(self, language: str) -> bool:
        """Whether a transcript in this language (BCP 47) is worth trying."""

    def listen(self, path: Path, *, language: str) -> AsyncIterator[Utterance]:
        """What is said in a file with one sound track, as it is understood; times in ms from the file's time zero.

        An utterance without words tells progress alone. Raises AudioUnreadable, EngineUnavailable, LanguageUnknown or
        SpeechTooSlow. Leaves no process behind, when cancelled neither.
        """


def choose_engine(settings: Settings) -> SpeechToText:
    """Return the engine of SPEECH_ENGINE. What it needs is looked for only when it listens."""
    from consult.transcripts.local import LocalEngine
    from consult.transcripts.remote import RemoteEngine

    if settings.speech_engine == "openai" and settings.speech_url is not None:
        return RemoteEngine(settings.speech_url, model=settings.speech_model or "whisper-1", key=settings.speech_key)
    if settings.speech_engine == "faster-whisper":
        return LocalEngine("faster-whisper", model=settings.speech_model)
    return LocalEngine("pocketsphinx", model=settings.speech_model)
