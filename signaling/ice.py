"""Which addresses and ports the media of this process uses."""

from __future__ import annotations

import contextlib
import errno
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import ifaddr

SOCKET_BUFFER_BYTES = 4 << 20  # all links of a process share it: a quarter of a second of a hundred calls
_BUFFER_OPTIONS = (  # FORCE is Linux's, for root: past the limits of net.core.rmem_max and wmem_max
    (socket.SO_RCVBUF, getattr(socket, "SO_RCVBUFFORCE", 33)),
    (socket.SO_SNDBUF, getattr(socket, "SO_SNDBUFFORCE", 32)),
)
LOOPBACK = ("127.0.0.1",)

MediaPath = Literal["fast", "plain", "pump"]


@dataclass(frozen=True, slots=True)
class IceSettings:
    """hosts: the addresses to offer; none: this machine's own, or loopback where it has no other.

    An address that is not on this machine (a router passes packets on to us) is offered all the same.
    port_from, port_to: the UDP ports to use, both included, the first free one first; 0: any.
    path: fast: all links of the process share one port, and ordinary packets are forwarded in C (compiled.py) where
    that was built. plain: in Python alone. pump: a port each, on aiortc's own receive pump.
    """

    hosts: tuple[str, ...] = ()
    port_from: int = 0
    port_to: int = 0
    path: MediaPath = "fast"


@dataclass(frozen=True, slots=True)
class OpenSocket:
    """A bound UDP socket. host: the address to offer for it."""

    socket: socket.socket
    host: str


def open_sockets(settings: IceSettings) -> list[OpenSocket]:
    """Return one socket per address to offer. Raises OSError if none could be opened."""
    opened: list[OpenSocket] = []
    failure: OSError | None = None
    for host in settings.hosts or tuple(own_addresses()) or LOOPBACK:
        try:
            opened.append(OpenSocket(_open(host, settings), host))
        except OSError as error:
            failure = error
    if not opened:
        raise failure or OSError("no address to offer")
    return opened


def own_addresses() -> Iterator[str]:
    """The machine's addresses that others can reach: neither loopback nor link-local ones."""
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            if isinstance(ip.ip, str):
                if not ip.ip.startswith(("127.", "169.254.")):
                    yield ip.ip
            elif ip.ip[2] == 0 and ip.ip[0] != "::1" and not ip.ip[0].lower().startswith("fe80"):
                yield ip.ip[0]


def _open(host: str, settings: IceSettings) -> socket.socket:
    try:
        return _bind(host, settings)
    except OSError as error:
        if error.errno != errno.EADDRNOTAVAIL:
            raise
    return _bind("::" if ":" in host else "0.0.0.0", settings)  # noqa: S104  the router decides who reaches it


def _bind(address: str, settings: IceSettings) -> socket.socket:
    ports = range(settings.port_from, settings.port_to + 1) if settings.port_from else [0]
    for index, port in enumerate(ports):
        opened = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            opened.setblocking(False)
            _enlarge_buffers(opened)
            opened.bind((address, port))
            return opened
        except OSError as error:
            opened.close()
            if error.errno != errno.EADDRINUSE or index == len(ports) - 1:
                raise
    raise OSError("no port")


def _enlarge_buffers(opened: socket.socket) -> None:
    for option, beyond_limit in _BUFFER_OPTIONS:
        opened.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER_BYTES)
        if sys.platform == "linux":
            with contextlib.suppress(PermissionError):
                opened.setsockopt(socket.SOL_SOCKET, beyond_limit, SOCKET_BUFFER_BYTES)
