"""`python -m consult.transcripts.recognise ENGINE FILE LANGUAGE [MODEL]`: listens to one file, a process of its own.

Recognition holds Python's global lock and burns a core for minutes: it runs niced, beside the server, and may be
killed at any time. Prints JSON lines: {"until_ms", "words": [[text, start_ms, end_ms, confidence], …]}. An empty
`words` tells progress. Exit codes: 0 done, 3 no sound can be decoded, 4 the engine is not there (why: the last line
of stderr).
"""

from __future__ import annotations

import json
import math
import os
import re
import resource
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from consult.transcripts import audio
from consult.transcripts.errors import AudioUnreadable, EngineUnavailable

NO_AUDIO = 3
NO_ENGINE = 4
_LONGEST_UTTERANCE_MS = 20_000
_PROGRESS_EVERY_MS = 5_000
_CPU_LIMIT_S = 6 * 3600
_VARIANT = re.compile(r"\(\d+\)$")  # the dictionary's "and(2)": another pronunciation of the same word
_FILLER = re.compile(r"^(<.*>|\[.*\]|\+\+.*\+\+)$")

Heard = list[tuple[str, int, int, float]]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A piece of sound between two silences. start_ms: in the file."""

    start_ms: int
    sound: bytes


def stretches(pieces: Iterator[bytes]) -> Iterator[Stretch | int]:
    """Yield the stretches with a voice in them and, in between, how many ms were looked through."""
    from pocketsphinx import Endpointer, Vad

    endpointer = Endpointer(vad_mode=Vad.MEDIUM_LOOSE)
    sound, start_ms, told_ms = b"", 0, 0
    for number, frame in enumerate(_frames(pieces, endpointer.frame_bytes)):
        was_in_speech = endpointer.in_speech
        whole = len(frame) == endpointer.frame_bytes
        speech = endpointer.process(frame) if whole else endpointer.end_stream(frame)
        if speech:
            if not was_in_speech and not sound:
                start_ms = round(endpointer.speech_start * 1000)
            sound += speech
        if sound and (not endpointer.in_speech or len(sound) >= _LONGEST_UTTERANCE_MS * audio.BYTES_PER_MS):
            yield Stretch(start_ms, sound)
            start_ms += len(sound) // audio.BYTES_PER_MS
            sound = b""
        at_ms = round((number + 1) * endpointer.frame_length * 1000)
        if at_ms - told_ms >= _PROGRESS_EVERY_MS and not sound:
            told_ms = at_ms
            yield at_ms
    if sound:
        yield Stretch(start_ms, sound)


def _frames(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Yield frames of `size` bytes, then a shorter one that ends the stream: a sample of silence if nothing is left."""
    rest = b""
    for piece in pieces:
        rest += piece
        whole = len(rest) - len(rest) % size
        for place in range(0, whole, size):
            yield rest[place : place + size]
        rest = rest[whole:]
    yield rest or bytes(2)  # the endpointer reads beyond an empty one


class Pocketsphinx:
    def __init__(self, model: str | None) -> None:
        try:
            from pocketsphinx import Decoder
        except ImportError:
            raise EngineUnavailable("pocketsphinx is not installed") from None
        folder = {} if model is None else _sphinx_folder(Path(model))
        # Normalised over the whole utterance: the first words of a call are understood as well as the last.
        self._decoder = Decoder(samprate=audio.RATE_HZ, cmn="batch", loglevel="FATAL", **folder)

    def understand(self, stretch: Stretch) -> Heard:
        self._decoder.start_utt()
        self._decoder.process_raw(stretch.sound, full_utt=True)
        self._decoder.end_utt()
        heard: Heard = []
        for part in self._decoder.seg() or ():
            text = _VARIANT.sub("", part.word)
            if _FILLER.match(text):
                continue
            start_ms, end_ms = stretch.start_ms + part.start_frame * 10, stretch.start_ms + (part.end_frame + 1) * 10
            confidence = part.prob if math.isfinite(part.prob) else 0.0
            heard.append((text, start_ms, end_ms, min(1.0, max(0.0, confidence))))
        return heard


def _sphinx_folder(folder: Path) -> dict[str, str]:
    """What Decoder needs from a model folder laid out like the one in the wheel."""
    dictionary, model = next(folder.glob("*.dict"), None), next(folder.glob("*.lm*"), None)
    if dictionary is None or model is None:
        raise EngineUnavailable("SPEECH_MODEL: the folder has no *.dict or no *.lm file")
    return {"hmm": str(next(folder.glob("*/mdef"), folder / "mdef").parent), "dict": str(dictionary), "lm": str(model)}


def listen_with_pocketsphinx(path: Path, model: str | None) -> Iterator[tuple[int, Heard]]:
    engine = Pocketsphinx(model)
    for found in stretches(audio.decode(path)):
        if isinstance(found, int):
            yield found, []
        else:
            yield found.start_ms + len(found.sound) // audio.BYTES_PER_MS, engine.understand(found)


def listen_with_whisper(path: Path, model: str | None, language: str) -> Iterator[tuple[int, Heard]]:
    """faster-whisper is an optional library; the model is a folder of the operator's; nothing is downloaded."""
    try:
        from faster_whisper import WhisperModel
    except ImportError:
        raise EngineUnavailable("faster-whisper is not installed: pip install faster-whisper") from None
    if model is None or not Path(model).is_dir():
        raise EngineUnavailable("SPEECH_MODEL: is not a folder with a model for faster-whisper")
    engine = WhisperModel(model, device="auto", compute_type="default", local_files_only=True)
    parts, _ = engine.transcribe(str(path), language=language.partition("-")[0], word_timestamps=True, vad_filter=True)
    for part in parts:
        yield round(part.end * 1000), _whisper_words(part.words or ())


def _whisper_words(words: Any) -> Heard:
    return [
        (word.word.strip(), round(word.start * 1000), round(word.end * 1000), float(word.probability))
        for word in words
        if word.word.strip()
    ]


def main(arguments: list[str]) -> int:
    engine, path, language = arguments[0], Path(arguments[1]), arguments[2]
    model = arguments[3] if len(arguments) > 3 else None
    os.nice(10)
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_LIMIT_S, _CPU_LIMIT_S))
    try:
        found = (
            listen_with_whisper(path, model, language)
            if engine == "faster-whisper"
            else listen_with_pocketsphinx(path, model)
        )
        for until_ms, words in found:
            sys.stdout.write(json.dumps({"until_ms": until_ms, "words": words}) + "\n")
            sys.stdout.flush()
    except AudioUnreadable:
        return NO_AUDIO
    except EngineUnavailable as error:
        sys.stderr.write(f"{error.detail}\n")
        return NO_ENGINE
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
