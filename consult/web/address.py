"""Where a request comes from, and where a browser may be sent to."""

from __future__ import annotations

from aiohttp import web

from consult.keys import SETTINGS


def client_address(request: web.Request) -> str:
    """Return the caller's address, behind the operator's own proxies too (TRUSTED_PROXIES of them)."""
    proxies = request.app[SETTINGS].trusted_proxies
    if proxies:
        named = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",") if part.strip()]
        if len(named) >= proxies:
            return named[-proxies][:64]
    return request.remote or "unknown"


def own_path(path: str | None, otherwise: str = "/") -> str:
    """Return the path if it stays on this server, else the other one."""
    if not path or not path.startswith("/") or len(path) > 500:
        return otherwise
    if path.startswith("//") or "\\" in path or any(ord(letter) < 33 for letter in path):
        return otherwise
    return path


def wants_page(request: web.Request) -> bool:
    """Whether a person's browser asks for a page; scripts and programs get JSON."""
    return "text/html" in request.headers.get("Accept", "")
