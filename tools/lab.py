"""Open the course in JupyterLab: `make lab`."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import re
import socket
import sys
import sysconfig
import tempfile
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from course_utils.machine.doctor import Report
    from tools import workcopy

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))
# `jsonschema` imports this to check a kind of text that no schema of Jupyter's holds, and goes on without it. It builds
# 38 parsers, a third of the time in which a JupyterLab starts, and here it would twice.
SLOW = "rfc3987_syntax"
sys.modules.setdefault(SLOW, None)
# Our folder is the last place where modules are looked for: a learner's random.py in it hides no library's.
START = (
    f"import sys; sys.modules[{SLOW!r}] = None; sys.path.append({str(ROOT)!r}); from tools.server import main; main()"
)
FIRST = "work/00_start_here.ipynb"
LOOKED = ROOT / "build" / "looked"  # with which packages all was well when this machine was last looked over
ADDRESS = "127.0.0.1"


def port_number(word: str) -> int:
    if not word.isascii() or not word.isdecimal() or not 1 <= int(word) <= 65_535:
        raise argparse.ArgumentTypeError(f"a port is a number from 1 to 65535, not {word!r}: make lab PORT=8888")
    return int(word)


def free_port(wanted: int, tries: int = 50) -> int:
    """`wanted`, or the next port above it that nobody listens on.

    Raises:
        OSError: none of `tries` ports is free.
    """
    last = min(wanted + tries - 1, 65_535)
    for port in range(wanted, last + 1):
        with socket.socket() as probe:
            if os.name == "posix":  # as the server does; else the port of one that has just ended looks taken
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((ADDRESS, port))
            except OSError:
                continue
            return port
    raise OSError(f"No free port from {wanted} to {last}. Name another one: make lab PORT=9999")


def already_open() -> str | None:
    """The address of a JupyterLab of this user that shows this course already."""
    from jupyter_server.serverapp import list_running_servers

    with suppress(OSError, ValueError):  # files of servers, which a kill can leave behind or cut short
        for server in list_running_servers():
            try:
                if Path(server["root_dir"]).resolve() == ROOT:
                    socket.create_connection((ADDRESS, server["port"]), timeout=2).close()
                    return f"{server['url']}lab?token={server['token']}"
            except (KeyError, TypeError, OSError):
                continue
    return None


def jupyter_command(port: int) -> list[str]:
    """The JupyterLab of this environment, on this machine's own address, with a token, at the first notebook.

    What is named here cannot be loosened by the user's own Jupyter settings.
    """
    options = {
        "ServerApp.ip": ADDRESS,
        "ServerApp.port": port,
        "ServerApp.port_retries": 50,  # should another server take the port in this moment
        "ServerApp.sock": "",
        "ServerApp.log_level": "WARN",
        "LabApp.log_level": "WARN",
        "ServerApp.contents_manager_class": "jupyter_server.services.contents.largefilemanager.AsyncLargeFileManager",
        "ServerApp.kernel_spec_manager_class": "jupyter_client.kernelspec.KernelSpecManager",
        "ServerApp.root_dir": ROOT,
        "FileContentsManager.root_dir": ROOT,
        "FileContentsManager.preferred_dir": "",  # one outside of root_dir, under either of its names, ends the server
        "LabApp.default_url": f"/lab/tree/{FIRST}",
        "ServerApp.identity_provider_class": "tools.identity.FreshToken",
        "ServerApp.kernel_manager_class": "tools.kernels.LocalKernels",
        "Session.keyfile": "",
        "ServerApp.allow_external_kernels": False,
        "ServerApp.allow_origin": "",
        "ServerApp.allow_origin_pat": "",
        "ServerApp.allow_remote_access": False,
        "ServerApp.local_hostnames": "localhost",
        "ServerApp.disable_check_xsrf": False,
        "ServerApp.tornado_settings": "{}",  # they come after all others, and would take any of them back
    }
    command = [sys.executable, "-P", "-c", START, *(f"--{name}={value}" for name, value in options.items())]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")  # containers often have no other user
    return command


def lacking() -> list[str]:
    """What of the course this Python lacks: packages that it needs, and the course itself, installed."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = [re.match(r"[\w-]+", line).group() for line in project["dependencies"]]
    there = {re.sub(r"[-_.]+", "-", name.lower()) for name in names_installed()}
    return [name for name in [*needed, project["name"]] if name not in there]


def names_installed() -> list[str]:
    return [found.metadata["Name"] or "" for found in importlib.metadata.distributions()]


def check_packages() -> None:
    """Raise SystemExit, with what mends it, where this Python is too old or the course is not installed in it."""
    from tools import setup

    oldest, too_new = setup.supported_pythons()
    if not oldest <= sys.version_info[:2] < too_new:
        allowed = f"{'.'.join(map(str, oldest))} or newer, and older than {'.'.join(map(str, too_new))}"
        sys.exit(f"The course needs Python {allowed}; {sys.executable} is {sys.version.split()[0]}.")
    if missing := lacking():
        has_pip = importlib.util.find_spec("pip") is not None
        pip = f'"{sys.executable}" -m pip install' if has_pip else f'uv pip install --python "{sys.executable}"'
        sys.exit(
            f"{sys.executable} lacks {', '.join(missing)}. Install the course into it, in the course's folder: "
            f"{pip} --editable . Or let the course make an environment of its own: make lab"
        )


def check_home() -> None:
    """Raise SystemExit where JupyterLab could not keep its notes: a home that is not there, or is read-only."""
    from jupyter_core.paths import jupyter_runtime_dir

    place = Path(jupyter_runtime_dir())
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=place).close()
    except OSError as error:
        sys.exit(
            f"{place} cannot be written ({error.strerror}), and JupyterLab keeps notes there of what runs. "
            "Lend it another home: HOME=$(mktemp -d) make lab"
        )


def in_few_lines(changes: list[workcopy.Change]) -> list[str]:
    """What was done in work/: a line each, but where the same was done to more than three notebooks, one for all."""
    lines = []
    for words, same in groupby(sorted(changes, key=lambda change: change.words), lambda change: change.words):
        names = [str(change.path.relative_to(ROOT)) for change in same]
        lines += [f"work/: {len(names)} notebooks {words}."] if len(names) > 3 else [f"{n} {words}." for n in names]
    return lines


def installed_now() -> str:
    """What a trial of the libraries depends on: this Python, its packages and when each came, the device asked for."""
    places = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    packages = sorted(path for place in places for path in Path(place).glob("*.dist-info"))
    came = [f"{path} {path.stat().st_mtime_ns}" for path in packages]
    return "\n".join([sys.version, os.environ.get("COURSE_DEVICE", ""), *sys.path, *came])


def look_over() -> Report:
    """Look the machine over; the seconds in which libraries are tried are spent once for the same packages."""
    from course_utils.machine import doctor

    now, before = installed_now(), ""
    with suppress(OSError, ValueError):
        before = LOOKED.read_text(encoding="utf-8")
    if now == before:
        return doctor.glance()
    report = doctor.diagnose()
    if report.findings and all(finding.status == "ok" for finding in report.findings):
        with suppress(OSError):  # the folder may be read-only
            LOOKED.parent.mkdir(exist_ok=True)
            LOOKED.write_text(now, encoding="utf-8")
    return report


def look_and_copy() -> None:
    """Look the machine over and bring work/ up to date.

    Raises:
        SystemExit: the course cannot run here; what is in the way was printed, or is the exit's message.
    """
    from tools import workcopy

    print("Looking this machine over ...", flush=True)
    report = look_over()
    print(report.short, flush=True)
    if report.exit_code:
        sys.exit(report.exit_code)
    try:
        for line in in_few_lines(workcopy.update(ROOT / "notebooks", ROOT / "work")):
            print(line)
    except workcopy.CannotCopy as error:
        sys.exit(str(error))


def prepare(wanted: int) -> list[str]:
    """Look the machine over, bring work/ up to date, and return the command that opens it.

    Raises:
        SystemExit: as `look_and_copy`, or there is no home for JupyterLab.
        OSError: no port is free.
    """
    check_home()
    look_and_copy()
    if address := already_open():
        print(
            f"The course is open already: {address}\nUse that one: what two write to one notebook, the last one "
            "keeps. A second one starts now; Ctrl+C twice ends it."
        )
    port = free_port(wanted)
    if port != wanted:
        print(f"{wanted} is taken, using {port}.")
    return jupyter_command(port)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=port_number, default=8888)
    parser.add_argument("--copy", action="store_true", help="make your copy in work/, to be opened in another program")
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # a terminal that knows no ✔ shows a question mark
    arguments = parser.parse_args()
    try:
        check_packages()
        if arguments.copy:
            return look_and_copy()
        command = prepare(arguments.port)
    except KeyboardInterrupt:
        sys.exit("\nInterrupted before JupyterLab was started. To start again: make lab")
    except OSError as error:
        sys.exit(str(error))
    print("Starting JupyterLab ...", flush=True)
    # In JupyterLab's own terminal `python` is the course's.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    os.chdir(ROOT)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
