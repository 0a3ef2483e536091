"""Engines on this machine, each in a spawned process (recognise.py) that is killed when it is no longer wanted."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

from consult.transcripts import recognise
from consult.transcripts.errors import AudioUnreadable, EngineUnavailable, SpeechFailed, SpeechTooSlow
from consult.transcripts.model import Utterance, Word

SILENCE_LIMIT_S = 900.0  # no sign of life for so long: the process is stuck
_MAX_LINE_BYTES = 1 << 20


class LocalEngine:
    """Pocketsphinx or faster-whisper. model: a folder; pocketsphinx has an English one of its own."""

    def __init__(
        self, engine: Literal["pocketsphinx", "faster-whisper"], *, model: str | None, limit_s: float = SILENCE_LIMIT_S
    ) -> None:
        self._engine = engine
        self._model = model
        self._limit_s = limit_s

    @property
    def name(self) -> str:
        model = Path(self._model).name if self._model else "en-us"
        return f"{self._engine} {model}"

    def understands(self, language: str) -> bool:
        """Pocketsphinx hears the language of its model: English, or what the operator put there."""
        if self._engine == "faster-whisper" or self._model is not None:
            return True
        return language.partition("-")[0].lower() == "en"

    async def listen(self, path: Path, *, language: str) -> AsyncIterator[Utterance]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "consult.transcripts.recognise", self._engine, str(path), language,
            *([self._model] if self._model else []),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            limit=_MAX_LINE_BYTES,
            start_new_session=True,  # Ctrl-C is for us; we end it ourselves
        )  # fmt: skip
        assert process.stdout is not None and process.stderr is not None
        complaint = asyncio.create_task(_last_line(process.stderr), name="speech-complaint")
        try:
            while line := await self._next_line(process.stdout):
                yield _utterance(line)
            code = await process.wait()
            if code != 0:
                raise _failure(code, await complaint)
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
            complaint.cancel()
            with suppress(asyncio.CancelledError):
                await complaint

    async def _next_line(self, output: asyncio.StreamReader) -> bytes:
        try:
            async with asyncio.timeout(self._limit_s):
                return await output.readline()
        except TimeoutError:
            raise SpeechTooSlow(self._engine) from None


async def _last_line(stream: asyncio.StreamReader) -> str:
    last = b""
    while chunk := await stream.read(4096):
        last = (last + chunk)[-1000:]
    return last.decode(errors="replace").strip().rpartition("\n")[2]


def _failure(code: int, complaint: str) -> SpeechFailed:
    if code == recognise.NO_AUDIO:
        return AudioUnreadable("no sound can be decoded")
    if code == recognise.NO_ENGINE:
        return EngineUnavailable(complaint)
    return SpeechFailed(f"exit code {code}")


def _utterance(line: bytes) -> Utterance:
    fields = json.loads(line)
    return Utterance(tuple(Word(*word) for word in fields["words"]), until_ms=fields["until_ms"])
