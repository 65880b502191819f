"""What comes with the course for lessons to read: results that were measured once for everybody, records, scripts."""

from __future__ import annotations

import json
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def shipped(installed: str, *in_clone: str) -> Path:
    """A folder that an installed package brings along; in a clone it lies where it is written."""
    folder = PACKAGE / installed
    return folder if folder.is_dir() else PACKAGE.parent.joinpath(*in_clone)


def load_results(name: str) -> dict:
    """The stored results of one benchmark, as `make bench` wrote them.

    Args:
        name: the file's name without its ending, such as "07_dqn".

    Raises:
        FileNotFoundError: there are no results of this name; the message lists those there are.
    """
    folder = shipped("results", "benchmarks", "results")
    path = folder / f"{name}.json"
    if path.exists():
        return json.loads(path.read_text())
    there = sorted(other.stem for other in folder.glob("*.json"))
    raise FileNotFoundError(f"There are no results {name!r}; there are: {', '.join(there) or 'none'}.")


def library_scripts() -> Path:
    """The folder of scripts that do the same task with several libraries, with their table of features."""
    return shipped("libraries", "examples", "libraries")


def real_records() -> Path:
    """The folder of records of what was decided in the world, with their source and licence in its README.md."""
    return shipped("records", "examples", "records")
