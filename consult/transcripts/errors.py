"""Why a recording has no words yet.

ConsultError
└── SpeechFailed            speech.failed
    ├── AudioUnreadable     speech.audio       no sound can be decoded
    ├── EngineUnavailable   speech.engine      the engine is not installed, has no model, or does not answer
    ├── LanguageUnknown     speech.language    the engine does not understand this language
    └── SpeechTooSlow       speech.time        it took longer than any recording should
"""

from __future__ import annotations

from consult.domain.errors import ConsultError
from consult.domain.words import N_
from consult.transcripts.model import Failure


class SpeechFailed(ConsultError):
    code = "speech.failed"
    message = N_("The text of this recording could not be made. The recording itself is safe.")
    failure = Failure.ENGINE


class AudioUnreadable(SpeechFailed):
    code = "speech.audio"
    failure = Failure.AUDIO


class EngineUnavailable(SpeechFailed):
    code = "speech.engine"


class LanguageUnknown(SpeechFailed):
    code = "speech.language"
    failure = Failure.LANGUAGE


class SpeechTooSlow(SpeechFailed):
    code = "speech.time"
    failure = Failure.TIME
