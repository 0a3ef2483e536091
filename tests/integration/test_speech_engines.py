"""The engines: a server that speaks OpenAI's interface, and clear errors where one is not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from consult.transcripts import recognise
from consult.transcripts.errors import AudioUnreadable, EngineUnavailable
from consult.transcripts.local import LocalEngine
from consult.transcripts.remote import RemoteEngine, cut
from tests.speech import write_webm


async def serve(answer: Any, status: int = 200) -> tuple[TestServer, list[dict[str, Any]]]:
    asked: list[dict[str, Any]] = []

    async def transcribe(request: web.Request) -> web.Response:
        form = await request.post()
        file = form["file"]
        assert isinstance(file, web.FileField)
        asked.append({**form, "file": file.file.read()[:4], "key": request.headers.get("Authorization")})
        return web.json_response(answer, status=status)

    app = web.Application()
    app.router.add_post("/v1/audio/transcriptions", transcribe)
    server = TestServer(app)
    await server.start_server()
    return server, asked


async def test_word_times_of_a_speech_server_are_taken_over(tmp_path: Path) -> None:
    write_webm(tmp_path / "a.webm", None, seconds=2)
    server, asked = await serve({"text": "hello", "words": [{"word": " hello", "start": 0.5, "end": 0.9}]})
    engine = RemoteEngine(str(server.make_url("/v1")), model="whisper-1", key="secret")
    heard = [utterance async for utterance in engine.listen(tmp_path / "a.webm", language="en-GB")]
    await server.close()
    assert [(word.text, word.start_ms, word.end_ms) for word in heard[0].words] == [("hello", 500, 900)]
    assert asked[0]["language"] == "en"
    assert asked[0]["file"] == b"RIFF"
    assert asked[0]["key"] == "Bearer secret"


@pytest.mark.parametrize(("status", "named"), [(401, "SPEECH_KEY"), (500, "SPEECH_URL")])
async def test_a_speech_server_that_refuses_names_the_setting(tmp_path: Path, status: int, named: str) -> None:
    write_webm(tmp_path / "a.webm", None, seconds=1)
    server, _ = await serve({}, status)
    engine = RemoteEngine(str(server.make_url("/")), model="m", key=None)
    with pytest.raises(EngineUnavailable, match=named):
        _ = [utterance async for utterance in engine.listen(tmp_path / "a.webm", language="en")]
    await server.close()


def test_sound_is_cut_where_it_is_quiet() -> None:
    loud = np.full(16_000 * 10, 5000, np.int16)
    loud[16_000 * 8 : 16_000 * 8 + 8000] = 0
    pieces = list(cut(iter([loud.tobytes()]), piece_ms=9_000))
    assert b"".join(piece.sound for piece in pieces) == loud.tobytes()
    assert 8_000 <= pieces[0].end_ms <= 8_500
    assert pieces[1].start_ms == pieces[0].end_ms


async def test_a_file_without_sound_and_a_missing_engine_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "no.webm").write_bytes(b"nothing at all")
    with pytest.raises(AudioUnreadable):
        _ = [one async for one in LocalEngine("pocketsphinx", model=None).listen(tmp_path / "no.webm", language="en")]
    write_webm(tmp_path / "a.webm", None, seconds=1)
    with pytest.raises(EngineUnavailable, match="faster-whisper"):
        engine = LocalEngine("faster-whisper", model=str(tmp_path))
        _ = [one async for one in engine.listen(tmp_path / "a.webm", language="en")]


def test_pocketsphinx_understands_english_alone() -> None:
    engine = LocalEngine("pocketsphinx", model=None)
    assert engine.understands("en-GB")
    assert not engine.understands("es")


def test_a_sound_of_whole_frames_and_one_of_a_part_both_come_to_their_end() -> None:
    from pocketsphinx import Endpointer

    size = Endpointer().frame_bytes
    for length in (0, size * 100, size * 100 + 2, size * 101 - 2):
        assert not [found for found in recognise.stretches(iter([bytes(length)])) if not isinstance(found, int)]
