"""Builds our C where there is a compiler: `python -m signaling.compiling`, which set-up does too.

Standard library alone. It needs cc, and no headers but the system's.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
_NAMES: Final = ("forward", "settle", "clocks")
SOURCES: Final = tuple(FOLDER / f"{name}.c" for name in _NAMES)
HEADERS: Final = tuple(FOLDER / f"{name}.h" for name in _NAMES)
LIBRARY: Final = FOLDER / "forward.so"
FLAGS: Final = ("-O2", "-fPIC", "-shared", "-fstack-protector-strong", "-D_FORTIFY_SOURCE=2", "-Wall", "-Wextra")


def build() -> str | None:
    """Build the library, unless it is there; return why it cannot be, None if it can."""
    wanted = fingerprint()
    if LIBRARY.exists() and wanted.encode() in LIBRARY.read_bytes():
        return None
    if sys.platform != "linux":
        return "recvmmsg and sendmmsg are Linux's"
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        return "there is no C compiler"
    try:
        with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
            made = Path(folder) / LIBRARY.name
            command = [compiler, *FLAGS, f'-DBUILT_FROM="{wanted}"', "-o", str(made), *map(str, SOURCES), "-lm"]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            if done.returncode != 0:
                return f"{compiler} says: {done.stderr.strip()[:500]}"
            made.replace(LIBRARY)  # processes that have the old one loaded keep it
    except OSError as error:
        return f"{FOLDER} cannot be written: errno {error.errno}"
    return None


def fingerprint() -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in SOURCES + HEADERS)).hexdigest()


if __name__ == "__main__":
    why_not = build()
    if why_not is not None:
        sys.stderr.write(f"Calls will cost more than they need to: {why_not}.\n")
