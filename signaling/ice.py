"""Which addresses and ports the media of this process uses."""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import ifaddr

SOCKET_BUFFER_BYTES = 1 << 20
LOOPBACK = ("127.0.0.1",)


@dataclass(frozen=True, slots=True)
class IceSettings:
    """hosts: the addresses to offer; none: this machine's own, or loopback where it has no other.

    An address that is not on this machine (a router passes packets on to us) is offered all the same.
    port_from, port_to: the UDP ports to use, both included; 0: any.
    """

    hosts: tuple[str, ...] = ()
    port_from: int = 0
    port_to: int = 0


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
    ports = list(range(settings.port_from, settings.port_to + 1)) if settings.port_from else [0]
    random.shuffle(ports)
    for index, port in enumerate(ports):
        opened = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            opened.setblocking(False)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER_BYTES)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER_BYTES)
            opened.bind((address, port))
            return opened
        except OSError as error:
            opened.close()
            if error.errno != errno.EADDRINUSE or index == len(ports) - 1:
                raise
    raise OSError("no port")
