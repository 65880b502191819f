"""What the notebooks need: seconds from the start of the kernel to the last cell, and the kernel's peak memory."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from benchmarks import runner
from benchmarks.dqn_cartpole import without_stderr
from benchmarks.group import Group
from benchmarks.store import ROOT

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
    found = (nbformat.read(NOTEBOOKS / f"{stem}.ipynb", as_version=4) for stem in stems())
    return "\n".join(cell.source for notebook in found for cell in notebook.cells if cell.cell_type == "code")


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


GROUP = Group(
    file="notebooks",
    jobs=lambda count: [(stem, repeat) for repeat in range(count) for stem in stems()],
    measure=lambda stem, repeat: {stem: run_alone(NOTEBOOKS / f"{stem}.ipynb")},
    arms=stems,
    code=code,
    repeats=2,
)
