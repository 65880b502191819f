"""Turn stored results into the tables that lessons show."""

from __future__ import annotations

import statistics

SOLVED = 475


def summarise(runs: dict[str, dict]) -> dict:
    """One arm, {seed: result}, in a few numbers.

    Returns:
        `seeds`, `solved`, medians of `frames` and `seconds`, and `slowest`, the largest seconds; `training`, the median
        of seconds without validation, where that was recorded. Runs that were added on another CPU have no seconds; the
        last three are left out where no run has any.
    """
    timed = [run for run in runs.values() if "seconds" in run]
    found = {
        "seeds": len(runs),
        "solved": sum(run["test_return"] >= SOLVED for run in runs.values()),
        "frames": statistics.median(run["frames"] for run in runs.values()),
    }
    if timed:
        seconds = [run["seconds"] for run in timed]
        found |= {"seconds": statistics.median(seconds), "slowest": max(seconds)}
    if timed and all("validation_seconds" in run for run in timed):
        found["training"] = statistics.median(run["seconds"] - run["validation_seconds"] for run in timed)
    return found


def table(arms: dict[str, dict]) -> str:
    """The arms of one group as a Markdown table; with a column for training alone where all arms recorded it."""
    found = {name: summarise(runs) for name, runs in arms.items()}
    apart = all("training" in arm for arm in found.values())
    rows = ["| | solved | frames, median | seconds, median (worst) |", "|---|---|---|---|"]
    if apart:
        rows = [rows[0] + " without validation |", rows[1] + "---|"]
    for name, arm in found.items():
        seconds = f"{arm['seconds']:.1f} ({arm['slowest']:.1f})" if "seconds" in arm else "not measured"
        row = f"| {name} | {arm['solved']} of {arm['seeds']} | {arm['frames']:,.0f} | {seconds} |"
        rows.append(row + f" {arm['training']:.1f} |" if apart else row)
    return "\n".join(rows)
