"""What the operator decides, and what is said about wrong values."""

from __future__ import annotations

from typing import Any

import pytest

from consult.settings import SettingsWrong, read_settings

RIGHT: dict[str, str] = {
    "DATABASE_URL": "postgresql://consult:secret@db/consult",
    "SECRET_KEY": "k" * 40,
    "PUBLIC_URL": "https://consult.example.org",
}
WRONG = [
    ("DATABASE_URL", "mysql://db/consult"),
    ("SECRET_KEY", "short"),
    ("PUBLIC_URL", "consult.clinic.test"),
    ("PUBLIC_URL", "http://consult.example.org"),
    ("PUBLIC_URL", "https://consult.example.org/under/this"),
    ("REDIS_URL", "192.0.2.1:1"),
    ("STORAGE_URL", "/srv/files"),
    ("PORT", "eighty"),
    ("PORT", "70000"),
    ("MAIL_URL", "mail.clinic.test"),
    ("MEDIA_NODE", "192.0.2.9:1"),
    ("MEDIA_HOSTS", "not-an-address"),
    ("MEDIA_PORTS", "many"),
    ("MEDIA_PORTS", "50009-50000"),
    ("MEDIA_PORTS", "70000"),
    ("MEDIA_PATH", "faster"),
    ("TURN_URLS", "https://turn.clinic.test"),
    ("TURN_SECRET", "short"),
    ("ICE_POLICY", "sometimes"),
    ("LANGUAGES", "en,tlh"),
    ("SPEECH_ENGINE", "guessing"),
    ("TRUSTED_PROXIES", "-1"),
]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in {*RIGHT, *(name for name, _ in WRONG), "DEMO", "CONSULT_HOME", "HOST", "SPEECH_URL"}:
        monkeypatch.delenv(name, raising=False)
    for name, value in RIGHT.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_value_is_named_in_one_line_without_being_quoted(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsWrong) as caught:
        read_settings()
    assert len(caught.value.lines) == 1
    assert caught.value.lines[0].startswith(f"{name}: ")
    assert value not in caught.value.lines[0]


def test_all_wrong_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL")
    monkeypatch.setenv("PORT", "x")
    monkeypatch.setenv("TURN_URLS", "turn:turn.example.org")
    monkeypatch.setenv("SPEECH_ENGINE", "openai")
    with pytest.raises(SettingsWrong) as caught:
        read_settings()
    named = {line.partition(":")[0] for line in caught.value.lines}
    assert named == {"DATABASE_URL", "PORT", "TURN_SECRET", "SPEECH_URL"}


def test_media_through_turn_alone_needs_a_turn_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICE_POLICY", "relay")
    monkeypatch.setenv("TURN_URLS", "stun:stun.example.org")
    with pytest.raises(SettingsWrong, match="TURN_URLS"):
        read_settings()
    monkeypatch.setenv("TURN_URLS", "turn:turn.example.org")
    monkeypatch.setenv("TURN_SECRET", "s" * 16)
    assert read_settings().ice_policy == "relay"


def test_the_environment_cannot_open_the_demonstration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO", "1")
    assert not read_settings().demo


def test_secrets_are_not_shown() -> None:
    shown = repr(read_settings(redis_url="redis://:hidden@r", turn_secret="hidden" * 4))
    for secret in ("k" * 40, "secret@", "hidden"):
        assert secret not in shown


def test_keys_differ_by_purpose_and_stay_the_same() -> None:
    settings = read_settings()
    assert settings.key_for("csrf") != settings.key_for("ticket")
    assert settings.key_for("csrf") == read_settings().key_for("csrf")
    assert len(settings.key_for("csrf")) == 32


@pytest.mark.parametrize(("public_url", "secure"), [("https://a.example", True), ("http://localhost:8080", False)])
def test_cookies_are_secure_behind_tls(public_url: str, secure: bool) -> None:
    given: dict[str, Any] = {"public_url": public_url}
    assert read_settings(**given).secure is secure


@pytest.mark.parametrize(("value", "ports"), [("50000", (50000, 50000)), ("50000-50015", (50000, 50015)), ("", (0, 0))])
def test_media_ports_are_one_or_a_range(monkeypatch: pytest.MonkeyPatch, value: str, ports: tuple[int, int]) -> None:
    monkeypatch.setenv("MEDIA_PORTS", value)
    assert read_settings().media_ports == ports
