"""What comes with the course for lessons to read: results that were measured once for everybody, records, scripts."""

from __future__ import annotations

import json
import tomllib
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


def load_weights(name: str) -> dict:
    """Weights that were trained once for everybody by a benchmark, kept beside its results of the same name.

    Args:
        name: the file's name without its ending, such as "16_dreamer".

    Returns:
        For each part of the model its `state_dict`, 32-bit; the file holds them as 16-bit numbers.

    Raises:
        FileNotFoundError: there are no weights of this name; the message lists those there are.
    """
    import torch

    folder = shipped("results", "benchmarks", "results")
    path = folder / f"{name}.pt"
    if not path.exists():
        there = sorted(other.stem for other in folder.glob("*.pt"))
        raise FileNotFoundError(f"There are no weights {name!r}; there are: {', '.join(there) or 'none'}.")
    parts = torch.load(path, map_location="cpu", weights_only=True)
    return {part: {key: value.float() for key, value in weights.items()} for part, weights in parts.items()}


def load_families() -> dict[str, dict]:
    """What each family of environments needs before it runs: title, packages, licence, platform, by the family's name.

    It is the table from which `examples/worlds/` is measured; what came of it is in `load_results("18_worlds")`.
    """
    return tomllib.loads((shipped("worlds", "examples", "worlds") / "families.toml").read_text())


def library_scripts() -> Path:
    """The folder of scripts that do the same task with several libraries, with their table of features."""
    return shipped("libraries", "examples", "libraries")


def real_records() -> Path:
    """The folder of records of what was decided in the world, with their source and licence in its README.md."""
    return shipped("records", "examples", "records")
