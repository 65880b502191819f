"""What the notebooks need: seconds from the start of the kernel to the last cell, and the kernel's peak memory."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
from matplotlib.figure import Figure
from nbclient import NotebookClient

from benchmarks import runner
from benchmarks.figures import heights
from benchmarks.group import Group
from benchmarks.lesson_code import without_stderr
from benchmarks.section import Arms, Section, counted, table
from benchmarks.store import ROOT
from course_utils.views.plotting import PALETTE, use_course_style

NOTEBOOKS = ROOT / "notebooks"
TIMEOUT = 600  # seconds for one cell
PEAK = """
import sys
try:
    import resource
    bench_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
except ImportError:  # Windows
    import psutil
    bench_peak = psutil.Process().memory_info().peak_wset
print("PEAK", bench_peak)
"""


def stems() -> list[str]:
    return [path.stem for path in sorted(NOTEBOOKS.glob("*.ipynb"))]


def code() -> str:
    """What all notebooks run, but for their set-up, in which publishing writes an address."""
    found = (nbformat.read(NOTEBOOKS / f"{stem}.ipynb", as_version=4) for stem in stems())
    cells = [cell for notebook in found for cell in notebook.cells if cell.cell_type == "code"]
    return "\n".join(cell.source for cell in cells if cell.id != "setup")


def run_alone(path: Path) -> dict:
    """Execute one notebook as a learner would, with nothing beside it.

    Returns:
        `seconds` from the start of the kernel to its end, `peak_mb`: the most memory the kernel's process held, in MB.
    """
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(PEAK))
    environment = {name: value for name, value in os.environ.items() if name not in runner.ENVIRONMENT}
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook, timeout=TIMEOUT, resources={"metadata": {"path": folder}}, store_widget_state=False
        )
        start = time.perf_counter()
        with without_stderr():
            client.execute(env=environment)
        seconds = time.perf_counter() - start
    output = "".join(output.get("text", "") for output in notebook.cells[-1].outputs)
    return {"seconds": round(seconds, 2), "peak_mb": round(int(output.split("PEAK ")[1]) / 1e6)}


def measure(stem: str, repeat: int) -> dict[str, dict]:
    return {stem: run_alone(NOTEBOOKS / f"{stem}.ipynb")}


# What is said and drawn


def notebooks_figure(arms: Arms) -> tuple[Figure, str]:
    """Seconds and peak memory of each notebook, every repeat a dot."""
    use_course_style()
    figure, grid = plt.subplots(1, 2, figsize=(10, 1.2 + 0.36 * len(arms)), sharey=True)
    for axes, fact, label in zip(grid, ("seconds", "peak_mb"), ("seconds", "peak memory (MB)"), strict=True):
        values = [[run[fact] for run in runs.values()] for runs in arms.values()]
        bars = axes.barh(list(arms), [statistics.median(repeats) for repeats in values], color=PALETTE["sky"])
        axes.bar_label(bars, fmt="{:.0f}", padding=8)
        for row, repeats in enumerate(values):
            axes.scatter(repeats, heights(row, len(repeats)), color="black", s=9, zorder=3)
        axes.set(xlabel=label, xlim=(0, 1.2 * max(map(max, values))))
        axes.grid(axis="y", visible=False)
    grid[0].invert_yaxis()
    words = "; ".join(
        f"{stem} {median_of(runs, 'seconds'):.0f} s, {median_of(runs, 'peak_mb'):.0f} MB" for stem, runs in arms.items()
    )
    return figure, f"Bars. Median seconds and peak memory of each notebook: {words}."


def median_of(runs: Mapping[str, dict], fact: str) -> float:
    return statistics.median(run[fact] for run in runs.values())


def tell(section: Section, arms: Arms) -> None:
    section.show("notebooks", notebooks_figure(arms))
    whole = sum(median_of(runs, "seconds") for runs in arms.values())
    slowest = max(arms, key=lambda stem: median_of(arms[stem], "seconds"))
    largest = max(arms, key=lambda stem: median_of(arms[stem], "peak_mb"))
    section.answer(
        f"The {len(arms)} notebooks together run in {whole:.0f} s. The slowest is {slowest} with "
        f"{median_of(arms[slowest], 'seconds'):.0f} s; the most memory is held by {largest}, "
        f"{median_of(arms[largest], 'peak_mb'):,.0f} MB."
    )
    rows = [
        [stem, f"{median_of(runs, 'seconds'):.1f}", f"{median_of(runs, 'peak_mb'):,.0f}"] for stem, runs in arms.items()
    ]
    course = ["the whole course", f"{whole:.1f}", f"{median_of(arms[largest], 'peak_mb'):,.0f}"]
    section.say(table(["notebook", "seconds", "peak memory (MB)"], [*rows, course]))
    section.measured(
        "Each notebook alone in an empty folder, from the start of its kernel to its end, with the threads a learner "
        f"would have; median of {counted(min(map(len, arms.values())), 'repeat')} (all are drawn). Memory is the "
        "largest resident size of the kernel's process."
    )
    section.limits(
        "Memory of processes that a notebook starts (`ParallelEnv`), of JupyterLab and of the browser comes on top."
    )


GROUP = Group(
    name="notebooks",
    order=170,
    question="What does a notebook need?",
    tell=tell,
    file="notebooks",
    jobs=lambda count: [(stem, repeat) for repeat in range(count) for stem in stems()],
    measure=measure,
    arms=stems,
    code=code,
    repeats=2,
    only_seconds=True,
)
