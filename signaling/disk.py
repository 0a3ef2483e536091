"""How much room the spool's disk has: warns the operator early, and ends a recording before the last byte is gone.

The last bytes are for finishing what was recorded, and for the database that may lie on the same disk.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import structlog

WARN_BELOW_BYTES: Final = 1 << 30
KEEP_FREE_BYTES: Final = 64 << 20
LOOK_EVERY_MS: Final = 1_000
FULL: Final = "the disk is full"

log = structlog.get_logger(__name__)


def free_bytes(folder: Path) -> int:
    """Return the room left where a folder lies, or would lie."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


class DiskWatch:
    """Looks once a second. keep_free_bytes: below it, nothing more is recorded."""

    def __init__(
        self, spool: Path, *, keep_free_bytes: int = KEEP_FREE_BYTES, warn_below_bytes: int = WARN_BELOW_BYTES
    ) -> None:
        self._spool = spool
        self._keep_free_bytes = keep_free_bytes
        self._warn_below_bytes = warn_below_bytes
        self._looked_ms = float("-inf")
        self._full = False
        self._warned = False

    def is_full(self, now_ms: float) -> bool:
        """Whether to stop. now_ms: monotonic. What cannot be asked counts as free: writing will tell."""
        if now_ms - self._looked_ms < LOOK_EVERY_MS:
            return self._full
        self._looked_ms = now_ms
        try:
            free = free_bytes(self._spool)
        except OSError:
            return False
        self._full = free < self._keep_free_bytes
        if free >= self._warn_below_bytes:
            self._warned = False
        elif not self._warned:
            self._warned = True
            log.warning("spool_low", free_bytes=free)
        return self._full
