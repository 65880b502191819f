"""Results that were measured once for everybody: what `make bench` stored."""

from __future__ import annotations

import json
from pathlib import Path

HERE = Path(__file__).resolve().parent
# An installed package brings them along; in a clone they lie where the benchmark writes them.
FOLDERS = [HERE / "results", HERE.parent / "benchmarks" / "results"]


def load_results(name: str) -> dict:
    """The stored results of one benchmark, as it wrote them.

    Args:
        name: the file's name without its ending, such as "07_dqn".

    Raises:
        FileNotFoundError: there are no results of this name; the message lists those there are.
    """
    for folder in FOLDERS:
        if (path := folder / f"{name}.json").exists():
            return json.loads(path.read_text())
    there = sorted(path.stem for folder in FOLDERS for path in folder.glob("*.json"))
    raise FileNotFoundError(f"There are no results {name!r}; there are: {', '.join(there) or 'none'}.")
