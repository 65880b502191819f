"""Says after the tests how many of the mutants nobody wrote were refused."""

from __future__ import annotations


def pytest_terminal_summary(terminalreporter):
    counts = [
        dict(report.user_properties)["generated mutants"]
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        if report.when == "call" and "generated mutants" in dict(report.user_properties)
    ]
    if counts:
        made, alive, equivalent = map(sum, zip(*counts, strict=True))
        share = (made - alive) / (made - equivalent)
        terminalreporter.write_line(
            f"{made} generated mutants: {made - alive} refused, {equivalent} equivalent by reason; "
            f"{share:.1%} of those that are wrong were refused"
        )
