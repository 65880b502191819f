"""Other Pythons of this machine, for who asks what they say of the course."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def interpreter(version: str) -> str | None:
    """A Python of that version (`3.12`) which really runs, from the PATH or from pyenv; None where there is none."""
    found = [shutil.which(f"python{version}"), *Path.home().glob(f".pyenv/versions/{version}.*/bin/python")]
    for python in map(str, filter(None, found)):
        said = subprocess.run([python, "-V"], capture_output=True, text=True).stdout
        if said.startswith(f"Python {version}."):
            return python
    return None
