"""Where the scripts lie that lesson 13 runs and compares."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).resolve().parent


def library_scripts() -> Path:
    """The folder of scripts that do the same task with several libraries, with their table of features."""
    installed = HERE / "libraries"  # an installed package brings it along
    return installed if installed.is_dir() else HERE.parent / "examples" / "libraries"
