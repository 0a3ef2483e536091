"""Fuzz one target with coverage, for as long as you like: `make fuzz-offer`, or `python -m tests.fuzz offer [options]`.

Begins with the corpus; what leads to new code is kept in build/fuzz/NAME. A finding ends it: put the file it names into
tests/fuzz/corpus/NAME, under a name that says what it is, and mend the code. Options are libFuzzer's
(-max_total_time=600).
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

USAGE = "python -m tests.fuzz NAME [libFuzzer options]; NAME is one of:"


def main() -> None:
    try:
        import atheris
    except ImportError:
        sys.exit(
            "atheris is not here: it exists for Linux on x86_64. make fuzz-NAME installs it where it does;"
            " the same targets run under hypothesis in make test."
        )
    with atheris.instrument_imports(include=["signaling"]):
        from tests.fuzz.targets import CORPUS, TARGETS
    name, *options = sys.argv[1:] or [""]
    if name not in TARGETS:
        sys.exit(f"{USAGE} {', '.join(TARGETS)}")
    found = Path("build/fuzz") / name
    found.mkdir(parents=True, exist_ok=True)
    logging.disable(logging.CRITICAL)
    arguments = [sys.argv[0], f"-artifact_prefix={found.parent}/{name}-", "-max_len=16384", *options]
    atheris.Setup([*arguments, str(found), str(CORPUS / name)], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
