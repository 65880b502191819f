"""Run notebooks from top to bottom in the Python that runs this, and say of each what came of it.

Needs no more than the course's core (nbclient), so that it can run in any environment the course is installed in.
Nothing is written into the notebooks.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError
from nbformat import NotebookNode

AT_ONCE = 2
TIMEOUT = 600  # seconds for one cell
ANNOUNCED = r"^(.+\.py):\d+: (?:PendingDeprecation|Deprecation|Future)Warning: (.+)$"


@dataclass(frozen=True)
class Outcome:
    """What came of one notebook.

    Attributes:
        lesson: the notebook's name without its ending.
        error: the last line of what stopped it; empty where it ran to its end.
        cell: the id of the cell that stopped it; empty where none did.
        announced: the changes that libraries warned of, each as "package: message".
    """

    lesson: str
    error: str = ""
    cell: str = ""
    announced: list[str] = field(default_factory=list)


def last_line(text: str) -> str:
    lines = [line.strip() for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines() if line.strip()]
    return lines[-1] if lines else ""


def announcements(notebook: NotebookNode) -> list[str]:
    """The deprecation and future warnings in the cells' outputs, each once."""
    found = []
    for cell in notebook.cells:
        outputs = [output for output in cell.get("outputs", []) if output.get("name") == "stderr"]
        for place, message in re.findall(ANNOUNCED, "".join(output.text for output in outputs), flags=re.MULTILINE):
            inside = place.replace("\\", "/").rpartition("site-packages/")[2]
            package = "a cell" if "ipykernel_" in place else inside.split("/")[0]
            found.append(f"{package}: {message}")
    return list(dict.fromkeys(found))


async def run(path: Path, timeout: int) -> Outcome:
    """Run one notebook in a fresh kernel and an empty folder; whatever happens to it is in the outcome."""
    notebook = nbformat.read(path, as_version=4)
    started: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(notebook, timeout=timeout, resources={"metadata": {"path": folder}})
        client.on_cell_start = lambda cell, **_: started.append(cell.get("id", ""))
        error = cell = ""
        try:
            await client.async_execute()
        except CellTimeoutError:
            error = f"not finished after {timeout} seconds"
        except CellExecutionError as failure:
            error = last_line(f"{failure.ename}: {failure.evalue}".splitlines()[0])
        except Exception as failure:  # the kernel died, or never came up
            error = last_line(f"{type(failure).__name__}: {failure}")
        if error and started:
            cell = started[-1]
    return Outcome(path.stem, error, cell, announcements(notebook))


async def run_all(paths: list[Path], timeout: int = TIMEOUT) -> list[Outcome]:
    turn = asyncio.Semaphore(AT_ONCE)

    async def in_turn(path: Path) -> Outcome:
        async with turn:
            outcome = await run(path, timeout)
        print(f"{'broken' if outcome.error else 'ok':7}{outcome.lesson} {outcome.error}".rstrip(), flush=True)
        return outcome

    return await asyncio.gather(*map(in_turn, paths))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="+", type=Path)
    parser.add_argument("--json", type=Path, help="where to write the outcomes")
    arguments = parser.parse_args()
    outcomes = asyncio.run(run_all(arguments.notebooks))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=1))
    sys.exit(int(any(outcome.error for outcome in outcomes)))


if __name__ == "__main__":
    main()
