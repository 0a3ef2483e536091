"""The settings of each of several media processes."""

from __future__ import annotations

import pytest

from consult.settings import Settings, read_settings


def settings(**given: object) -> Settings:
    known = {
        "database_url": "postgresql://x@localhost/x",
        "secret_key": "s" * 32,
        "public_url": "http://localhost:8080",
    }
    return read_settings(**(known | given))


@pytest.mark.parametrize(
    ("node", "third"),
    [
        ("http://10.0.0.5:8090", "http://10.0.0.5:8092"),
        ("http://[fd00::5]:8090", "http://[fd00::5]:8092"),
        ("http://media.example", "http://media.example:82"),
    ],
)
def test_the_third_process_answers_two_ports_further(node: str, third: str) -> None:
    one = settings(media_node=node, port=8090)
    assert one.of_media_process(0) == one
    assert (one.of_media_process(2).media_node, one.of_media_process(2).port) == (third, 8092)


def test_how_many_processes_is_a_number_or_auto(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings().media_processes == "auto"
    monkeypatch.setenv("MEDIA_PROCESSES", "3")
    assert settings().media_processes == 3
    monkeypatch.setenv("MEDIA_PROCESSES", "auto")
    assert settings().media_processes == "auto"
