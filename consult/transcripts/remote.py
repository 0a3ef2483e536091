"""An engine behind HTTP: any server with OpenAI's `POST /v1/audio/transcriptions` and word times.

Sound leaves in pieces of a few minutes, cut in a silence where there is one, as WAV, so that neither the server's limit
on sizes nor our memory meets a whole consultation. Only sound and the language are sent.
"""

from __future__ import annotations

import asyncio
import io
import json
import wave
from array import array
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from consult.transcripts import audio
from consult.transcripts.errors import AudioUnreadable, EngineUnavailable, SpeechTooSlow
from consult.transcripts.model import Utterance, Word

PIECE_MS = 180_000
ANSWER_LIMIT_S = 600.0
_CUT_WITHIN_MS = 20_000  # the cut is looked for in the last so many ms of a piece
_WINDOW_MS = 200
_MAX_ANSWER_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Piece:
    start_ms: int
    sound: bytes

    @property
    def end_ms(self) -> int:
        return self.start_ms + len(self.sound) // audio.BYTES_PER_MS


def cut(sounds: Iterator[bytes], *, piece_ms: int = PIECE_MS) -> Iterator[Piece]:
    """Yield the sound in pieces of at most piece_ms, each ending in the quietest moment of its last seconds."""
    held, start_ms = bytearray(), 0
    for sound in sounds:
        held += sound
        while len(held) >= piece_ms * audio.BYTES_PER_MS:
            length = _quietest(held, piece_ms)
            yield Piece(start_ms, bytes(held[:length]))
            start_ms += length // audio.BYTES_PER_MS
            del held[:length]
    if held:
        yield Piece(start_ms, bytes(held))


def _quietest(held: bytearray, piece_ms: int) -> int:
    """Return where to cut, in bytes: a whole ms, in the middle of the quietest window."""
    window = _WINDOW_MS * audio.BYTES_PER_MS
    first = max(piece_ms // 2, piece_ms - _CUT_WITHIN_MS) * audio.BYTES_PER_MS
    last = piece_ms * audio.BYTES_PER_MS - window

    def loudness(place: int) -> int:
        return sum(map(abs, array("h", bytes(held[place : place + window]))))

    return min(range(first, max(first, last) + 1, window), key=loudness) + window // 2


class RemoteEngine:
    """url: the server's address with or without /v1. key: sent as a bearer token if given."""

    def __init__(self, url: str, *, model: str, key: str | None, limit_s: float = ANSWER_LIMIT_S) -> None:
        self._url = url.rstrip("/").removesuffix("/v1") + "/v1/audio/transcriptions"
        self._model = model
        self._key = key
        self._limit_s = limit_s

    @property
    def name(self) -> str:
        return f"openai {self._model}"

    def understands(self, language: str) -> bool:
        return True

    async def listen(self, path: Path, *, language: str) -> AsyncIterator[Utterance]:
        pieces = cut(audio.decode(path))
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        timeout = aiohttp.ClientTimeout(total=self._limit_s)
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
            while (piece := await asyncio.to_thread(_next_piece, pieces)) is not None:
                answer = await self._ask(session, piece, language)
                yield Utterance(_words(answer, piece), until_ms=piece.end_ms)

    async def _ask(self, session: aiohttp.ClientSession, piece: Piece, language: str) -> dict[str, Any]:
        form = aiohttp.FormData()
        form.add_field("model", self._model)
        form.add_field("language", language.partition("-")[0])
        form.add_field("response_format", "verbose_json")
        form.add_field("timestamp_granularities[]", "word")
        form.add_field("file", _wav(piece.sound), filename="sound.wav", content_type="audio/wav")
        try:
            async with session.post(self._url, data=form, allow_redirects=False) as response:
                body = await response.content.read(_MAX_ANSWER_BYTES)
                return self._read(response.status, body)
        except TimeoutError:
            raise SpeechTooSlow("the speech server") from None
        except aiohttp.ClientError as error:
            raise EngineUnavailable(f"SPEECH_URL: the server does not answer ({type(error).__name__})") from None

    def _read(self, status: int, body: bytes) -> dict[str, Any]:
        if status in (401, 403):
            raise EngineUnavailable("SPEECH_KEY: the server does not accept it")
        if status in (400, 415, 422):
            raise AudioUnreadable(f"the speech server refused a piece with {status}")
        if status != 200:
            raise EngineUnavailable(f"SPEECH_URL: the server answered {status}")
        try:
            answer = json.loads(body)
        except ValueError:
            answer = None
        if not isinstance(answer, dict) or not isinstance(answer.get("words") or [], list):
            raise EngineUnavailable("SPEECH_URL: the server's answer is not a transcription")
        return answer


def _next_piece(pieces: Iterator[Piece]) -> Piece | None:
    return next(pieces, None)


def _wav(sound: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(audio.RATE_HZ)
        writer.writeframes(sound)
    return file.getvalue()


def _words(answer: dict[str, Any], piece: Piece) -> tuple[Word, ...]:
    """The words of one answer, on the file's time. A server without word times gives its text over the whole piece."""
    words = []
    for item in answer.get("words") or []:
        text = str(item.get("word", "")).strip()
        if text:
            start_ms = piece.start_ms + round(float(item["start"]) * 1000)
            end_ms = piece.start_ms + round(float(item["end"]) * 1000)
            words.append(Word(text, start_ms, max(start_ms, end_ms), float(item.get("probability", 1.0))))
    if not words and (text := str(answer.get("text", "")).strip()):
        words.append(Word(text, piece.start_ms, piece.end_ms, 0.0))
    return tuple(words)
