"""Copies the needed files of browser libraries from node_modules/ to static/vendor/, with licences and a manifest.

The manifest names each file's SHA-256 and the lock file they came by. Nothing is copied while it fits.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MODULES = ROOT / "node_modules"
VENDOR = ROOT / "static" / "vendor"
MANIFEST = VENDOR / "manifest.json"

# package → its folder in static/vendor/ and what of it browsers need
NEEDED = {
    "pdfjs-dist": (
        "pdfjs",
        (
            "LICENSE",
            "build/pdf.min.mjs",
            "build/pdf.worker.min.mjs",
            "cmaps/*",
            "standard_fonts/*",
            "wasm/*_nowasm_fallback.js",  # the policy of our pages allows no WebAssembly
            "wasm/LICENSE_*",
        ),
    ),
}


def main() -> None:
    lock = hashlib.sha256((ROOT / "package-lock.json").read_bytes()).hexdigest()[:32]
    if MANIFEST.exists():
        known = json.loads(MANIFEST.read_text())
        if known["lock"] == lock and all((VENDOR / name).is_file() for name in known["files"]):
            return
    shutil.rmtree(VENDOR, ignore_errors=True)
    files: dict[str, str] = {}
    versions: dict[str, str] = {}
    for package, (folder, patterns) in NEEDED.items():
        source = MODULES / package
        versions[package] = json.loads((source / "package.json").read_text())["version"]
        for pattern in patterns:
            found = sorted(path for path in source.glob(pattern) if path.is_file())
            if not found:
                raise SystemExit(f"{package} has no {pattern}; its files have moved, see scripts/vendor.py")
            for path in found:
                name = f"{folder}/{path.relative_to(source).as_posix()}"
                target = VENDOR / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
                files[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest = {"lock": lock, "versions": versions, "files": files}
    MANIFEST.write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
