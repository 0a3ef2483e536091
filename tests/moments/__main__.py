"""Run tests as if it were another moment, each from its beginning on: `make test-at AT="2026-11-26 23:58"`.

`python -m tests.moments MOMENT [--zone ZONE] [pytest options]`. MOMENT is UTC; ZONE is the machine's own, for example
Pacific/Niue. All see the moment: the tests, PostgreSQL, Redis, Chromium, the processes of Consult. The ages of files do
not change. It needs Linux and a C compiler.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from tests.moments.plugin import FOLDER, WANTED

SOURCE = Path(__file__).with_name("shift.c")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.moments", allow_abbrev=False)
    parser.add_argument("moment", type=datetime.fromisoformat, help='UTC: "2026-11-26 23:58"')
    parser.add_argument("--zone", help="the machine's own: Pacific/Niue")
    given, options = parser.parse_known_args()
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if sys.platform != "linux" or compiler is None:
        parser.error("this needs Linux and a C compiler")
    with tempfile.TemporaryDirectory(prefix="consult-moment-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL may run as somebody else
        library = folder / "shift.so"
        subprocess.run([compiler, "-O2", "-fPIC", "-shared", "-o", library, SOURCE, "-ldl"], check=True)
        environment = {
            **os.environ,
            WANTED: given.moment.replace(tzinfo=given.moment.tzinfo or UTC).isoformat(),
            FOLDER: name,
            "LD_PRELOAD": str(library),
        }
        if given.zone:
            environment["TZ"] = given.zone
        command = [sys.executable, "-m", "pytest", "-p", "tests.moments.plugin", *options]
        return subprocess.run(command, check=False, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
