"""The command `python -m consult load-test`: reads what is asked for, refuses what cannot be, and says how it went."""

from __future__ import annotations

import argparse
import ipaddress
import math
import os
import resource
import sys
from urllib.parse import urlsplit

from consult.load_test.plan import MAX_CONSULTATIONS, MAX_PARTICIPANTS, MAX_SECONDS, MIN_PARTICIPANTS, Plan
from consult.settings import TICKET_KEY, Settings, SettingsWrong, read_settings

CARRIED, NOT_CARRIED, REFUSED = 0, 1, 2  # exit codes
FILES_PER_PERSON = 2

DESCRIPTION = """\
Fill an installation with consultations of people who do not exist, and say what it carried.

Everybody opens a socket and a connection for sound and picture as a browser does, sends VP8 640 × 480 at about
1 Mbit/s and Opus, and checks every frame that comes back. Nothing of it is written to the database, and what is
recorded is thrown away when a call ends. Real calls go on meanwhile and feel the load: choose a quiet hour.

The command signs the seats itself. Give it the installation's SECRET_KEY, and its PUBLIC_URL if URL is another
address of it, in the environment, best from another machine in the same network. For `make demo`:

  SECRET_KEY=$(cat .consult/secret_key) python -m consult load-test http://localhost:8080
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description, parser.formatter_class = DESCRIPTION, argparse.RawDescriptionHelpFormatter
    parser.add_argument("url", metavar="URL", help="of the installation, such as https://consult.example.org")
    parser.add_argument(
        "--consultations", type=int, default=10, metavar="N", help=f"at once, up to {MAX_CONSULTATIONS} (default 10)"
    )
    parser.add_argument(
        "--seconds", type=float, default=30, metavar="S", help=f"to count for, up to {MAX_SECONDS} (default 30)"
    )
    parser.add_argument(
        "--participants", type=int, default=2, metavar="P", help=f"in each, up to {MAX_PARTICIPANTS} (default 2)"
    )
    parser.add_argument(
        "--record", action=argparse.BooleanOptionalAction, default=True, help="consent to being recorded (default)"
    )
    parser.add_argument("--address", help="of this machine, for media (default: whichever leads to URL)")


def load_test(given: argparse.Namespace) -> int:
    """Run one load test and return the process's exit code."""
    import uvloop  # only here: other commands need none of this, and it takes a while

    from consult.load_test.report import table, verdict
    from consult.load_test.run import NoInstallation, run

    wrong = _wrong(given)
    if wrong:
        return _refuse(wrong)
    try:
        settings, plan = _plan(given)
    except SettingsWrong as problem:
        return _refuse("These settings are needed:", *(f"  {line}" for line in problem.lines))
    files = _allow_files(plan)
    if files is not None:
        return _refuse(f"The system allows this process {files} open files, too few for so many people (ulimit -n).")
    _say(f"{plan.consultations} consultations of {plan.participants} at {plan.url}, for {plan.seconds:g} s …")
    try:
        outcome = uvloop.run(run(plan, settings.key_for(TICKET_KEY), settings.home / "load-test"))
    except NoInstallation as reason:
        return _refuse(str(reason))
    carried, sentence = verdict(plan, outcome)
    _say(table(plan, outcome))
    _say(f"Verdict: {sentence}")
    return CARRIED if carried else NOT_CARRIED


def _wrong(given: argparse.Namespace) -> str | None:
    """Return a sentence about the first argument that cannot be, None if all can."""
    parts = urlsplit(given.url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
        return "URL should be scheme and host alone, for example https://consult.example.org"
    if not 1 <= given.consultations <= MAX_CONSULTATIONS:
        return f"--consultations should be from 1 to {MAX_CONSULTATIONS}."
    if not math.isfinite(given.seconds) or not 1 <= given.seconds <= MAX_SECONDS:
        return f"--seconds should be from 1 to {MAX_SECONDS}."
    if not MIN_PARTICIPANTS <= given.participants <= MAX_PARTICIPANTS:
        return f"--participants should be from {MIN_PARTICIPANTS} to {MAX_PARTICIPANTS}."
    if given.address is not None:
        try:
            ipaddress.ip_address(given.address)
        except ValueError:
            return "--address should be an IP address of this machine."
    return None


def _plan(given: argparse.Namespace) -> tuple[Settings, Plan]:
    """Raises SettingsWrong. The database is not asked; any address will do."""
    parts = urlsplit(given.url)
    url = f"{parts.scheme}://{parts.netloc}"
    public = {} if os.environ.get("PUBLIC_URL") else {"public_url": url}
    settings = read_settings(database_url="postgresql://not-needed/here", redis_url=None, **public)
    plan = Plan(
        url=url,
        origin=settings.public_url,
        host=urlsplit(settings.public_url).netloc,
        consultations=given.consultations,
        participants=given.participants,
        seconds=given.seconds,
        record=given.record,
        address=given.address,
    )
    return settings, plan


def _allow_files(plan: Plan) -> int | None:
    """Ask for as many open files as the sockets need; return how many there may be if that is too few."""
    needed = 100 + FILES_PER_PERSON * plan.consultations * plan.participants
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return None
    if hard != resource.RLIM_INFINITY and hard < needed:
        return hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    return None


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _refuse(*lines: str) -> int:
    sys.stderr.write("".join(f"{line}\n" for line in lines))
    return REFUSED
