"""Open the course in JupyterLab: `make lab`."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from pathlib import Path

from tools import workcopy

ROOT = Path(__file__).resolve().parents[1]
FIRST = "work/00_start_here.ipynb"
ADDRESS = "127.0.0.1"


def free_port(wanted: int, tries: int = 50) -> int:
    """`wanted`, or the next port above it that nobody listens on.

    Raises:
        OSError: none of `tries` ports is free.
    """
    for port in range(wanted, wanted + tries):
        with socket.socket() as probe:
            try:
                probe.bind((ADDRESS, port))
            except OSError:
                continue
            return port
    raise OSError(f"No free port from {wanted} to {wanted + tries - 1}. Name another one: make lab PORT=9999")


def jupyter_command(port: int) -> list[str]:
    """The JupyterLab of this environment, on this machine's own address, with a token, at the first notebook.

    What is named here cannot be loosened by the user's own Jupyter settings.
    """
    options = {
        "ServerApp.ip": ADDRESS,
        "ServerApp.port": port,
        "ServerApp.port_retries": 50,  # should another server take the port in this moment
        "ServerApp.sock": "",
        "ServerApp.root_dir": ROOT,
        "LabApp.default_url": f"/lab/tree/{FIRST}",
        "ServerApp.identity_provider_class": "tools.identity.FreshToken",
        "ServerApp.allow_origin": "",
        "ServerApp.allow_origin_pat": "",
        "ServerApp.allow_remote_access": False,
        "ServerApp.disable_check_xsrf": False,
    }
    command = [sys.executable, "-m", "jupyterlab", *(f"--{name}={value}" for name, value in options.items())]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")  # containers often have no other user
    return command


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8888)
    port = parser.parse_args().port
    from course_utils.machine.doctor import diagnose

    print("Looking this machine over ...", flush=True)
    report = diagnose()
    print(report, flush=True)
    if report.exit_code:
        sys.exit(report.exit_code)
    try:
        for change in workcopy.update(ROOT / "notebooks", ROOT / "work"):
            print(f"{change.path.relative_to(ROOT)} {change.words}.")
        command = jupyter_command(free_port(port))
    except PermissionError as error:
        sys.exit(f"No permission to write {error.filename}. Make work/ your own: sudo chown -R $(id -u) work")
    except OSError as error:
        sys.exit(str(error))
    print("Starting JupyterLab. If no browser opens, copy the address with ?token= below. Ctrl+C twice ends it.")
    sys.stdout.flush()
    os.chdir(ROOT)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
