"""Turn stored results into the tables that lessons show."""

from __future__ import annotations

import statistics

SOLVED = 475


def summarise(runs: dict[str, dict]) -> dict:
    """Solved runs, median frames and median and largest seconds of one arm, {seed: result}."""
    seconds = [run["seconds"] for run in runs.values()]
    return {
        "seeds": len(runs),
        "solved": sum(run["test_return"] >= SOLVED for run in runs.values()),
        "frames": statistics.median(run["frames"] for run in runs.values()),
        "seconds": statistics.median(seconds),
        "slowest": max(seconds),
    }


def table(arms: dict[str, dict]) -> str:
    """The arms of one group as a Markdown table."""
    rows = ["| | solved | frames, median | seconds, median (worst) |", "|---|---|---|---|"]
    for name, runs in arms.items():
        found = summarise(runs)
        rows.append(
            f"| {name} | {found['solved']} of {found['seeds']} | {found['frames']:,.0f} | "
            f"{found['seconds']:.1f} ({found['slowest']:.1f}) |"
        )
    return "\n".join(rows)
