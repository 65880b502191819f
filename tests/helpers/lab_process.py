"""A running `make lab`, or the command behind it, for the tests that start the course as a learner does."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from conftest import ROOT

INSTALL_SECONDS = 900


def files_of_a_clone() -> list[str]:
    """The paths of the files a clone would hold, uncommitted changes included."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
    return [name for name in names if name and (ROOT / name).is_file()]


def fresh_copy(folder: Path) -> Path:
    """A clone, uncommitted changes included."""
    for name in files_of_a_clone():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
        target.chmod((ROOT / name).stat().st_mode)
    return folder


def environment_of_a_newcomer(home: Path) -> dict[str, str]:
    """The environment of somebody who has never run anything here: an empty home, no browser.

    What is installed in it is not compiled beforehand, which is half of the work and nothing that tests look at.
    """
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("JUPYTER", "VIRTUAL_ENV", "BROWSER"))
    }
    return {**kept, "HOME": str(home), "BROWSER": "/bin/false", "PIP_NO_COMPILE": "1"}


class Lab:
    """A running `make lab` and what it has printed so far."""

    def __init__(self, clone: Path, env: dict[str, str], port: int, command: list[str] | None = None) -> None:
        self.log = clone / f"lab-{time.time()}.log"
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                command or ["make", "lab", f"PORT={port}"],
                cwd=clone,
                env=env,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def url(self, within: float) -> str:
        """Wait for the address with its token, and for the server to answer there."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            found = re.search(
                r"http://127\.0\.0\.1:\d+/lab/tree/work/00_start_here\.ipynb\?token=\w+", self.log.read_text()
            )
            if found:
                return found.group()
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            time.sleep(0.1)
        raise TimeoutError(self.log.read_text()[-3000:])

    def stop(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(90)  # on a busy machine a server takes long to say goodbye to its kernels


def status_of(url: str) -> int:
    for _ in range(50):
        try:
            return urllib.request.urlopen(url, timeout=5).status
        except urllib.error.HTTPError as error:
            return error.code
        except urllib.error.URLError:
            time.sleep(0.1)
    raise TimeoutError(url)
