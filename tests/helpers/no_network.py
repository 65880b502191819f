"""A process, and all that it starts, with no network but this machine's own: what it asks for is noted, and refused.

Where the system lets anybody do so (Linux, `unshare`), there is no network at all, not even for libraries that do not
ask through Python; elsewhere Python itself refuses.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path

LOG = "COURSE_NETWORK_LOG"
# Found by every Python that starts with the folder in its path: https://docs.python.org/3/library/site.html
WATCH = f"""
import os, socket, sys

def local(host):
    host = host.decode() if isinstance(host, bytes) else str(host or "")
    return host in ("", "::", "::1", "0.0.0.0", "localhost", socket.gethostname()) or host.startswith("127.")

def watch(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else ""  # a name of a file is no network
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    else:
        return
    if not local(host):
        with open(os.environ["{LOG}"], "a") as log:
            log.write(f"{{event}} {{host}}\\n")
        raise OSError(f"there is no network here, and {{host}} was asked for")

sys.addaudithook(watch)
"""
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")


@functools.cache
def _taken_away() -> tuple[str, ...]:
    """What has to stand before a command so that it has no network but its own; empty where that is not allowed."""
    if not (shutil.which("unshare") and shutil.which("ip")):
        return ()
    prefix = ("unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
    tried = subprocess.run([*prefix, "true"], capture_output=True)
    return prefix if tried.returncode == 0 else ()


def run_without_network(
    command: list[str], folder: Path, **options
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run a command; the libraries are not told that they are offline, and find nothing that was downloaded before.

    Args:
        command: what to run.
        folder: an empty one, for what this needs.
        options: of `subprocess.run`.

    Returns:
        how it ended, and what it asked of the network, a line for each attempt.
    """
    (folder / "watch").mkdir()
    (folder / "watch" / "sitecustomize.py").write_text(WATCH)
    log = folder / "asked.txt"
    log.touch()
    env = {name: value for name, value in os.environ.items() if name not in OFFLINE}
    env |= {LOG: str(log), "PYTHONPATH": str(folder / "watch"), "HF_HOME": str(folder / "nothing downloaded")}
    done = subprocess.run([*_taken_away(), *command], env=env, capture_output=True, text=True, **options)
    return done, log.read_text().splitlines()
