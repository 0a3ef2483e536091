"""What an operator reads after a load test: a table, what went wrong, and one sentence of judgement."""

from __future__ import annotations

from consult.load_test.plan import Plan
from consult.load_test.run import Outcome
from consult.load_test.traffic import percentile

MOST_LOST_PERCENT = 0.5
MOST_LATE_MS = 50.0  # of what we send ourselves: beyond it, this machine is what is measured
MOST_P99_MS = 50.0  # on top of the way there and back, which the half of frames stands for


def table(plan: Plan, outcome: Outcome) -> str:
    """Return the figures, a line each."""
    count = outcome.count
    rows = [("joined", f"{outcome.rooms} of {plan.consultations} consultations, {plan.participants} people each")]
    if outcome.joined_s:
        rows.append(
            (
                "time to join",
                f"p50 {percentile(outcome.joined_s, 0.5):.2f} s, p95 {percentile(outcome.joined_s, 0.95):.2f} s",
            )
        )
    if plan.record:
        rows.append(("recorded", f"{outcome.recorded} consultations; the recordings are thrown away"))
    if count is not None:
        rows += [
            (
                "sent",
                f"{count.packets_sent} packets in {count.seconds:.0f} s ({count.packets_sent / count.seconds:.0f}/s)",
            ),
            ("received", f"{count.expected - count.lost} of {count.expected} frames, bit by bit as they were sent"),
            ("lost", f"{count.lost_percent:.3f} %"),
            (
                "latency",
                f"p50 {percentile(count.latencies_ms, 0.5):.1f} ms, p99 {percentile(count.latencies_ms, 0.99):.1f} ms",
            ),
            ("sent late", f"p99 {count.late_ms:.1f} ms (by this machine)"),
        ]
    lines = [f"  {name:13}{value}" for name, value in rows]
    lines += [f"  not joined   {number} × {why}" for why, number in outcome.failures.most_common()]
    return "\n".join(lines)


def verdict(plan: Plan, outcome: Outcome) -> tuple[bool, str]:
    """Return whether the installation carried the load, and a sentence that says so."""
    count = outcome.count
    if count is None:
        return False, "Nobody could join."
    latency_ms = percentile(count.latencies_ms, 0.99) - percentile(count.latencies_ms, 0.5)
    if outcome.rooms < plan.consultations:
        return False, f"{plan.consultations - outcome.rooms} of {plan.consultations} consultations could not be joined."
    if count.late_ms > MOST_LATE_MS:
        return False, (
            "This machine could not send the load in time, so the figures say little about the installation."
            " Run it from another machine, or with fewer consultations."
        )
    if count.lost_percent > MOST_LOST_PERCENT:
        return False, f"Too much: {count.lost_percent:.1f} % of sound and picture was lost."
    if latency_ms > MOST_P99_MS:
        return False, f"Too much: one frame in a hundred was held up for {latency_ms:.0f} ms or longer."
    if plan.record and outcome.recorded < outcome.rooms:
        return False, f"{outcome.rooms - outcome.recorded} consultations were not recorded."
    return True, f"This installation carries {plan.consultations} consultations at once."
