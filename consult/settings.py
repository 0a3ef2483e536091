"""One frozen object with everything the operator decides, read from the environment once.

Owns names, defaults and checks. Nothing else in Consult reads the environment.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

KNOWN_LANGUAGES = ("en", "es")
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")
TICKET_KEY = "ticket"  # what tickets are signed and checked with: settings.key_for(TICKET_KEY)


class SettingsWrong(Exception):
    """Some variables cannot be used. lines: one sentence for each, naming it and how to mend it."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


def _split(value: Any) -> Any:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _port_range(value: Any) -> Any:
    """Return first and last port of "50000" or "50000-50009"."""
    if not isinstance(value, str):
        return value
    first, _, last = value.partition("-")
    ports = [int(port) if port.isascii() and port.isdigit() else 0 for port in (first.strip(), (last or first).strip())]
    if not 0 < ports[0] <= ports[1] <= 65535:
        raise ValueError("should be one UDP port or a range of them, for example 50000 or 50000-50015")
    return tuple(ports)


PortRange = Annotated[tuple[int, int], NoDecode, BeforeValidator(_port_range)]
Listed = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]


def _check_scheme(value: str, schemes: tuple[str, ...], example: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in schemes:
        raise ValueError(
            f"should begin with {' or '.join(scheme + '://' for scheme in schemes)}, for example {example}"
        )
    return value


class _Environment(EnvSettingsSource):
    """The environment, without DEMO: only the demo command may open one-click sign-in."""

    def __call__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__call__().items() if name != "demo"}


class Settings(BaseSettings):
    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True)

    database_url: str = Field(repr=False)
    secret_key: str = Field(repr=False, min_length=32)
    public_url: str
    redis_url: str | None = Field(default=None, repr=False)
    consult_home: Path = Path(".consult")
    storage_url: str | None = None
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    trusted_proxies: int = Field(default=0, ge=0, le=8)

    turn_urls: Listed = ()
    turn_secret: str | None = Field(default=None, repr=False, min_length=16)
    ice_policy: Literal["all", "relay"] = "all"
    media_hosts: Listed = ()
    media_ports: PortRange = (0, 0)
    media_path: Literal["fast", "plain", "pump"] = "fast"
    media_node: str | None = None
    media_processes: Annotated[int, Field(ge=1, le=256)] | Literal["auto"] = "auto"
    drain_s: float = Field(default=7200, ge=0)
    watchdog_s: float = Field(default=2, ge=0)

    room_capacity: int | None = Field(default=None, ge=1, le=10_000)
    clinic_name: str = Field(default="Consult", min_length=1, max_length=80)
    clinic_phone: str = Field(default="", max_length=40)
    clinic_email: str = Field(default="", max_length=254)
    languages: Listed = KNOWN_LANGUAGES
    mail_url: str | None = Field(default=None, repr=False)
    mail_from: str = "Consult <consult@localhost>"
    mail_bounces: str | None = None
    webhook_url: str | None = Field(default=None, repr=False)
    webhook_secret: str | None = Field(default=None, repr=False)
    webhook_private: bool = Field(default=False, validate_default=True)
    offer_h: float = Field(default=24, gt=0, le=168)

    speech_engine: Literal["pocketsphinx", "faster-whisper", "openai"] = "pocketsphinx"
    speech_model: str | None = None
    speech_url: str | None = None
    speech_key: str | None = Field(default=None, repr=False)

    log_format: Literal["json", "text"] = "json"
    demo: bool = False

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, _Environment(settings_cls)

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, value: str) -> str:
        return _check_scheme(value, ("postgresql", "postgres"), "postgresql://consult:password@db/consult")

    @field_validator("redis_url")
    @classmethod
    def _check_redis_url(cls, value: str | None) -> str | None:
        return value and _check_scheme(value, ("redis", "rediss", "unix"), "redis://localhost:6379/0")

    @field_validator("mail_url")
    @classmethod
    def _check_mail_url(cls, value: str | None) -> str | None:
        return value and _check_scheme(value, ("smtp", "smtps"), "smtp://user:password@mail.example.org:587")

    @field_validator("mail_bounces")
    @classmethod
    def _check_mail_bounces(cls, value: str | None) -> str | None:
        name, at, place = (value or "").rpartition("@")
        if value and not (name and at and place and value.isascii() and not set(value) & set(' <>,"+')):
            raise ValueError("should be an address alone, without +, for example bounces@clinic.example.org")
        return value

    @field_validator("webhook_url")
    @classmethod
    def _check_webhook_url(cls, value: str | None) -> str | None:
        if value and not urlsplit(value).hostname:
            raise ValueError("should be a whole address, for example https://gateway.example.org/hooks/consult")
        return value and _check_scheme(value, ("https", "http"), "https://gateway.example.org/hooks/consult")

    @field_validator("webhook_private")
    @classmethod
    def _check_webhook_private(cls, value: bool, info: ValidationInfo) -> bool:
        if not value and str(info.data.get("webhook_url") or "").startswith("http:"):
            raise ValueError("WEBHOOK_URL should begin with https://, or be in your own network with WEBHOOK_PRIVATE=1")
        return value

    @field_validator("webhook_secret")
    @classmethod
    def _check_webhook_secret(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            key = base64.b64decode(value.removeprefix("whsec_"), validate=True)
        except ValueError:
            key = b""
        if not value.startswith("whsec_") or not 24 <= len(key) <= 64:
            raise ValueError("should be whsec_ and 24 to 64 bytes in base64, the same as at the gateway")
        return value

    @field_validator("speech_url", "media_node")
    @classmethod
    def _check_http_url(cls, value: str | None) -> str | None:
        return value and _check_scheme(value.rstrip("/"), ("http", "https"), "http://10.0.0.5:8090")

    @field_validator("storage_url")
    @classmethod
    def _check_storage_url(cls, value: str | None) -> str | None:
        return value and _check_scheme(value, ("file", "s3", "gs", "az"), "s3://bucket/consult or file:///srv/consult")

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, value: str) -> str:
        parts = urlsplit(_check_scheme(value, ("https", "http"), "https://consult.example.org"))
        if not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment or parts.username:
            raise ValueError("should be scheme and host alone, for example https://consult.example.org")
        if parts.scheme == "http" and parts.hostname not in LOOPBACK_HOSTS:
            raise ValueError("should begin with https://; browsers give camera and microphone to safe pages only")
        return f"{parts.scheme}://{parts.netloc}"

    @field_validator("turn_urls")
    @classmethod
    def _check_turn_urls(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for url in value:
            if url.partition(":")[0] not in ("turn", "turns", "stun", "stuns"):
                raise ValueError("should be a list like turn:turn.example.org:3478,turns:turn.example.org:5349")
        return value

    @field_validator("media_hosts")
    @classmethod
    def _check_media_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for host in value:
            try:
                ipaddress.ip_address(host)
            except ValueError:
                raise ValueError("should be the addresses that browsers reach, for example 203.0.113.7") from None
        return value

    @field_validator("languages")
    @classmethod
    def _check_languages(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or any(language not in KNOWN_LANGUAGES for language in value):
            raise ValueError(f"should be a list out of {','.join(KNOWN_LANGUAGES)}")
        return value

    def of_media_process(self, place: int) -> Settings:
        """Return the settings of the media process number `place` (0, 1, …) of those that were started together.

        Its port, and the one in its address, are the given ones and `place` more.
        """
        if place == 0 or self.media_node is None:
            return self
        parts = urlsplit(self.media_node)
        port = (parts.port or (443 if parts.scheme == "https" else 80)) + place
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        node = parts._replace(netloc=f"{host}:{port}").geturl()
        return self.model_copy(update={"port": self.port + place, "media_node": node})

    def key_for(self, purpose: str) -> bytes:
        """Return 32 bytes for one purpose; they tell nothing about the secret key or about other purposes."""
        return hmac.new(self.secret_key.encode(), b"consult-key-1:" + purpose.encode(), hashlib.sha256).digest()

    @property
    def home(self) -> Path:
        return self.consult_home.absolute()

    @property
    def spool(self) -> Path:
        return self.home / "spool"

    @property
    def outbox(self) -> Path:
        return self.home / "outbox"

    @property
    def storage(self) -> str:
        """The address of the file store; a folder in CONSULT_HOME if nothing else was said."""
        return self.storage_url or (self.home / "files").as_uri()

    @property
    def secure(self) -> bool:
        """Whether pages travel over TLS; on plain-HTTP loopback cookies go without `__Host-` and Secure."""
        return self.public_url.startswith("https:")

    @property
    def allowed_hosts(self) -> frozenset[str]:
        """Values of the Host header that are answered."""
        own = urlsplit(self.public_url).netloc.lower()
        hosts = {own}
        if self.demo:  # staff and patient on two names, so that their cookies live apart in one browser
            hosts |= {f"127.0.0.1:{self.port}", f"localhost:{self.port}"}
        return frozenset(hosts)


def read_settings(**given: Any) -> Settings:
    """Return the settings from the environment. given: what a command decides itself, over the environment.

    Raises SettingsWrong with one line for each variable that is missing or cannot be used.
    """
    lines: list[str] = []
    settings = None
    try:
        settings = Settings(**given)
    except ValidationError as error:
        lines += [_line(dict(item)) for item in error.errors(include_url=False, include_input=False)]
    lines += _missing_together(_asked_for(given), named={line.partition(":")[0] for line in lines})
    if settings is None or lines:
        raise SettingsWrong(lines)
    return settings


def _asked_for(given: Mapping[str, Any]) -> dict[str, Any]:
    """What was set, checked or not: variables that need each other are told together with all that is wrong."""
    return {**_Environment(Settings)(), **{name: value for name, value in given.items() if value is not None}}


def _missing_together(asked: Mapping[str, Any], *, named: set[str]) -> list[str]:
    engine = asked.get("speech_engine")
    has_turn = any(url.startswith(("turn:", "turns:")) for url in _split(asked.get("turn_urls", "")))
    needed = {
        "turn_secret": has_turn,
        "speech_url": engine == "openai",
        "webhook_secret": bool(asked.get("webhook_url")),
        "speech_model": engine == "faster-whisper",
    }
    missing = [name.upper() for name, wanted in needed.items() if wanted and not asked.get(name)]
    if asked.get("ice_policy") == "relay" and not has_turn:
        missing.append("TURN_URLS")
    return [f"{name}: is missing; {_HELP[name]}" for name in missing if name not in named]


def _line(item: Mapping[str, Any]) -> str:
    name = ".".join(str(part) for part in item["loc"][:1]).upper()
    kind = item["type"]
    if name in _FRACTIONS and kind not in ("missing", "value_error"):
        return f"{name}: {_FRACTIONS[name]}"
    context: Mapping[str, Any] = item.get("ctx") or {}
    if kind == "missing":
        return f"{name}: is missing; {_HELP.get(name, 'set it in the environment')}"
    if kind == "string_too_short":
        return f"{name}: should have at least {context['min_length']} characters; {_HELP.get(name, 'use a longer one')}"
    if kind == "value_error":
        return f"{name}: {context['error']}"
    if kind in ("int_parsing", "greater_than_equal", "less_than_equal"):
        return f"{name}: should be a whole number{_HELP.get(name, '')}"
    if kind == "literal_error":
        return f"{name}: should be {context['expected']}"
    return f"{name}: {item['msg']}"


_HELP = {
    "DATABASE_URL": "set it to the database, for example postgresql://consult:password@db/consult",
    "SECRET_KEY": 'make one with: python3 -c "import secrets; print(secrets.token_urlsafe(48))"',
    "PUBLIC_URL": "set it to the address that people open, for example https://consult.example.org",
    "TURN_URLS": "ICE_POLICY=relay needs a TURN server, for example turn:turn.example.org:3478",
    "TURN_SECRET": "use the secret that your TURN servers share with us, of at least 16 characters",
    "WEBHOOK_SECRET": 'make one with: python3 -c "import base64, secrets; '
    "print('whsec_' + base64.b64encode(secrets.token_bytes(32)).decode())\"",
    "SPEECH_URL": "the engine openai needs the address of its server",
    "SPEECH_MODEL": "the engine faster-whisper needs a folder with a model",
    "PORT": " from 0 to 65535, for example 8080",
    "ROOM_CAPACITY": " from 1 to 10000: how many calls there may be at once",
    "TRUSTED_PROXIES": " from 0 to 8: how many of your own proxies stand before this server",
}


_FRACTIONS = {"OFFER_H": "should be a number of hours above 0 and up to 168, for example 24"}


def settings_or_exit(**given: Any) -> Settings:
    """Return the settings, or say what is wrong with them and end the process with 2."""
    try:
        return read_settings(**given)
    except SettingsWrong as wrong:
        _exit_with(wrong.lines)


def _exit_with(lines: list[str]) -> NoReturn:
    print("Consult cannot start with these settings:", file=sys.stderr)
    for line in lines:
        print(f"  {line}", file=sys.stderr)
    raise SystemExit(2)
