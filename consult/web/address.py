"""Where a request comes from, and where a browser may be sent to."""

from __future__ import annotations

import ipaddress

from aiohttp import web

from consult.keys import SETTINGS


def client_address(request: web.Request) -> str:
    """Return the caller's address, behind the operator's own proxies too (TRUSTED_PROXIES of them)."""
    proxies = request.app[SETTINGS].trusted_proxies
    if proxies:
        # A proxy may add a line of its own below the caller's: all lines count, the last names are the proxies'.
        lines = ",".join(request.headers.getall("X-Forwarded-For", []))
        named = [part.strip() for part in lines.split(",") if part.strip()]
        if len(named) >= proxies:
            return one_caller(named[-proxies][:64])
    return one_caller(request.remote or "unknown")


def one_caller(address: str) -> str:
    """Return what tries are counted for: an IPv6 network of 64 bits is one caller's, who may use any address of it."""
    try:
        ip = ipaddress.ip_address(address.strip("[]").partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    return str(ip.ipv4_mapped or ipaddress.ip_network((ip, 64), strict=False))


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
