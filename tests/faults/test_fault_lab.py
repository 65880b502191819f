"""`make lab` under bad circumstances: hostile settings, two at once, notebooks that cannot be read."""

from __future__ import annotations

import contextlib
import http.cookiejar
import io
import json
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import nbformat
import psutil
import pytest
from jupyter_server import serverapp
from lab_process import Lab, environment_of_a_newcomer, fresh_copy, status_of

from course_utils.machine import doctor
from tools import lab as program
from tools import workcopy

HOSTILE = """
c.ServerApp.ip = "0.0.0.0"
c.ServerApp.allow_origin = "*"
c.ServerApp.allow_origin_pat = ".*"
c.ServerApp.allow_remote_access = True
c.ServerApp.local_hostnames = ["localhost", "example.org"]
c.ServerApp.tornado_settings = {"disable_check_xsrf": True, "allow_remote_access": True}
c.ServerApp.disable_check_xsrf = True
c.ServerApp.port_retries = 0
c.ServerApp.token = ""
c.IdentityProvider.token = ""
c.PasswordIdentityProvider.token = ""
c.ServerApp.password = ""
for name in ("ConnectionFileMixin", "KernelManager", "AsyncKernelManager", "AsyncIOLoopKernelManager"):
    c[name].ip = "0.0.0.0"
c.ServerKernelManager.ip = "0.0.0.0"
c.ServerKernelManager.transport = "ipc"
c.AsyncMappingKernelManager.kernel_manager_class = "jupyter_server.services.kernels.kernelmanager.ServerKernelManager"
c.ServerApp.kernel_manager_class = "jupyter_server.services.kernels.kernelmanager.AsyncMappingKernelManager"
c.Session.key = b""
c.Session.keyfile = "HOME/no such file"
c.ServerApp.allow_external_kernels = True
c.ServerApp.external_connection_dir = "HOME/kernels"
# What is right elsewhere, and keeps this server from starting, or from showing the course.
c.ServerApp.sock = "HOME/socket"
c.ServerApp.root_dir = c.FileContentsManager.root_dir = c.ServerApp.preferred_dir = "HOME"
c.FileContentsManager.preferred_dir = "pictures"
c.ServerApp.contents_manager_class = c.ServerApp.kernel_spec_manager_class = "not.installed.Here"
"""
NO_KERNEL = "11111111-2222-3333-4444-555555555555"
PORT = 8940
SECONDS = 120
# `make lab` without its look at the machine, which takes most of its time; tests/machine/test_fresh_clone.py has it.
START = """
import sys
sys.path.append(sys.argv.pop(1))
from course_utils.machine import doctor
from tools import lab
lab.look_over = lambda: doctor.Report([])
lab.main()
"""


def cut_json(notebook: str) -> bytes:
    return notebook[: len(notebook) // 2].encode()


def syntax_error(notebook: str) -> bytes:
    content = nbformat.reads(notebook, as_version=4)
    content.cells[-1].source += "\ndef mine(:"
    return nbformat.writes(content).encode()


BROKEN = {
    "01_environments.ipynb": syntax_error,
    "02_tensordict.ipynb": cut_json,
    "03_modules_and_policies.ipynb": lambda notebook: b"",
    "04_losses.ipynb": lambda notebook: b"\xff\xfe\x00 no text at all",
    "05_collectors_and_buffers.ipynb": lambda notebook: b'{"nbformat": 99, "cells": 3}',
}


def broken_notebooks(work, notebooks) -> dict[str, bytes]:
    """Make some copies unreadable, each in its way; what they hold."""
    work.mkdir()
    broken = {name: spoil((notebooks / name).read_text(encoding="utf-8")) for name, spoil in BROKEN.items()}
    for name, content in broken.items():
        (work / name).write_bytes(content)
    return broken


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    clone = fresh_copy(tmp_path_factory.mktemp("learner") / "my torchrl course é")
    for name in ("random", "secrets", "socket", "types"):  # JupyterLab's file browser opens here
        (clone / f"{name}.py").write_text("raise SystemExit('somebody took the name of a module')")
    return clone


@pytest.fixture(scope="module")
def broken(clone):
    return broken_notebooks(clone / "work", clone / "notebooks")


def start(clone, port: int) -> list[str]:
    return [sys.executable, "-P", "-c", START, str(clone), "--port", str(port)]


@pytest.fixture(scope="module")
def labs(clone, broken, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    (home / ".jupyter").mkdir()
    for name in ("jupyter_config", "jupyter_server_config", "jupyter_lab_config"):
        (home / ".jupyter" / f"{name}.py").write_text(HOSTILE.replace("HOME", str(home)))
    (home / "pictures").mkdir()
    (home / "kernels").mkdir()
    ports = {f"{name}_port": 9 for name in ("shell", "iopub", "stdin", "control", "hb")}
    kernel = {
        **ports,
        "kernel_name": "laid ready",
        "ip": "127.0.0.1",
        "transport": "tcp",
        "key": "",
        "signature_scheme": "hmac-sha256",
    }
    (home / "kernels" / "kernel-1.json").write_text(json.dumps(kernel))
    for name in ("ipython_config", "ipython_kernel_config"):  # what the kernel itself reads
        (home / ".ipython" / "profile_default").mkdir(parents=True, exist_ok=True)
        settings = 'c.IPKernelApp.ip = "0.0.0.0"\nc.Session.key = b""\n'
        (home / ".ipython" / "profile_default" / f"{name}.py").write_text(settings)
    env = environment_of_a_newcomer(home)
    labs = []
    try:
        for _ in range(2):  # the second one finds the port taken
            lab = Lab(clone, env, PORT, start(clone, PORT))
            labs.append(lab)
            lab.address = lab.url(within=SECONDS)
            status_of(lab.address)
            lab.runtime = home / ".local" / "share" / "jupyter" / "runtime"
        yield labs
    finally:
        for lab in labs:
            lab.stop()


@pytest.mark.slow
class TestTwoAtOnce:
    """Really started, in the same moment, on the same port, by somebody whose Jupyter settings leave the door open."""

    def test_both_come_up_on_ports_of_their_own(self, labs):
        assert [status_of(lab.address) for lab in labs] == [200, 200]
        assert len({urlsplit(lab.address).port for lab in labs}) == 2

    def test_the_learners_copy_is_whole_and_holds_no_drafts(self, labs, clone, broken):
        work = clone / "work"
        wanted = {path.name for path in (clone / "notebooks").glob("*.ipynb")}
        for name in wanted - set(broken):
            assert workcopy.edition((work / name).read_text()) == workcopy.edition(
                workcopy.clear_outputs((clone / "notebooks" / name).read_text())
            )
        beside = {name.replace(".ipynb", ".new-edition.ipynb") for name in broken}
        assert {path.name for path in work.iterdir()} == wanted | beside | {workcopy.RECORD}
        assert json.loads((work / workcopy.RECORD).read_text())

    def test_notebooks_that_cannot_be_read_are_left_alone(self, labs, clone, broken):
        assert {name: (clone / "work" / name).read_bytes() for name in broken} == broken

    def test_without_the_token_there_is_no_entry_whatever_the_settings_say(self, labs):
        for lab in labs:
            contents = lab.address.split("?")[0].split("/lab/")[0] + "/api/contents"
            assert status_of(contents) == 403
            assert status_of(f"{contents}?token=") == 403
            token = lab.address.split("token=")[1]
            assert len(token) >= 40 and status_of(f"{contents}?token={token}") == 200
        assert len({lab.address.split("token=")[1] for lab in labs}) == 2

    def test_the_token_is_not_on_the_command_line(self, labs):
        listing = subprocess.run(["ps", "-A", "-ww", "-o", "args"], capture_output=True, text=True, check=True).stdout
        assert "tools.identity.FreshToken" in listing
        assert not [lab for lab in labs if lab.address.split("token=")[1] in listing]

    def test_only_this_machine_is_listened_to(self, labs):
        """From a public address of this machine there is no connection; from the local one there is."""
        for lab in labs:
            port = urlsplit(lab.address).port
            with socket.create_connection(("127.0.0.1", port), timeout=5):
                pass
            for address in other_addresses():
                with pytest.raises(OSError):
                    socket.create_connection((address, port), timeout=5).close()

    def test_kernels_are_for_this_machine_and_have_a_key(self, labs):
        """Read in the files that say how to reach them, and looked for among what their processes listen on."""
        base, token = parts_of(labs[0])
        start = urllib.request.Request(f"{base}/api/kernels?token={token}", data=b"{}", method="POST")
        keys = set()
        for _ in range(2):
            number = json.load(urllib.request.urlopen(start, timeout=60))["id"]
            info = json.loads((labs[0].runtime / f"kernel-{number}.json").read_text())
            assert (info["ip"], info["transport"], info["signature_scheme"]) == ("127.0.0.1", "tcp", "hmac-sha256")
            assert len(info["key"]) >= 32
            keys.add(info["key"])
            process = wait_for_kernel(number)
            listening = {at.laddr.ip for at in process.net_connections() if at.status == psutil.CONN_LISTEN}
            assert listening == {"127.0.0.1"}
        assert len(keys) == 2, "each has its own"

    def test_a_third_is_told_where_the_course_is_open_and_that_its_port_is_taken(self, labs, clone, broken):
        port = urlsplit(labs[0].address).port
        env = {**environment_of_a_newcomer(labs[0].runtime.parents[3]), "COLUMNS": "200"}
        third = Lab(clone, env, port, start(clone, port))
        try:
            assert status_of(third.url(within=SECONDS)) == 200
            said = third.log.read_text()
            offered = re.search(r"The course is open already: (\S+)", said)[1]
            assert status_of(offered) == 200 and offered.split("token=")[1] in {
                lab.address.split("token=")[1] for lab in labs
            }
            assert re.search(rf"^{port} is taken, using \d+\.$", said, re.MULTILINE)
        finally:
            third.stop()

    def test_it_shows_the_course_and_not_somebodys_own_folder(self, labs):
        base, token = parts_of(labs[0])
        found = urllib.request.urlopen(f"{base}/api/contents/?token={token}", timeout=10)
        assert {"work", "notebooks"} <= {entry["name"] for entry in json.load(found)["content"]}

    def test_a_kernel_that_somebody_laid_ready_is_not_offered(self, labs):
        base, token = parts_of(labs[0])
        listed = json.load(urllib.request.urlopen(f"{base}/api/kernels?token={token}", timeout=10))
        assert "laid ready" not in {kernel["name"] for kernel in listed}

    def test_pages_of_other_sites_may_not_read_answers(self, labs):
        base, _ = parts_of(labs[0])
        assert answer(f"{base}/api") == 200, "the version, which needs no token"
        assert answer(f"{base}/api", Origin="https://example.org") == 404

    def test_another_name_that_leads_here_is_no_way_in(self, labs):
        """A page elsewhere can let its own name lead to 127.0.0.1; then all that is here is of its own origin."""
        base, _ = parts_of(labs[0])
        port = urlsplit(base).port
        assert answer(f"{base}/api", Host=f"localhost:{port}") == 200
        assert answer(f"{base}/api", Host=f"example.org:{port}") == 403

    def test_pages_of_other_sites_cannot_use_the_cookie_of_the_learners_browser(self, labs):
        """A browser sends it along whoever asks; the second word that must come with it only our own pages can read."""
        base, token = parts_of(labs[0])
        cookies = http.cookiejar.CookieJar()
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(cookies))
        browser.open(f"{base}/lab?token={token}", timeout=30).read()
        second = next(cookie.value for cookie in cookies if cookie.name == "_xsrf")
        kernel = f"{base}/api/kernels/{NO_KERNEL}"
        assert answer(kernel, browser.open, "DELETE", **{"X-XSRFToken": second}) == 404, "asked by us: none to be ended"
        assert answer(kernel, browser.open, "DELETE") == 403


def parts_of(lab: Lab) -> tuple[str, str]:
    """Where its server answers, and its token."""
    return lab.address.split("/lab/")[0], lab.address.split("token=")[1]


def answer(address: str, opener=urllib.request.urlopen, method: str = "GET", **headers: str) -> int:
    """The status of what is answered to a request with these headers."""
    try:
        return opener(urllib.request.Request(address, headers=headers, method=method), timeout=10).status
    except urllib.error.HTTPError as error:
        return error.code


def wait_for_kernel(number: str) -> psutil.Process:
    """The process of a kernel, once it listens."""
    for _ in range(600):
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if f"kernel-{number}.json" in " ".join(process.cmdline()) and len(process.net_connections()) >= 5:
                    return process
        time.sleep(0.1)
    raise TimeoutError(number)


class TestOneSentence:
    """What goes wrong before the server starts, without a traceback."""

    @pytest.fixture
    def said(self, monkeypatch, capsys, tmp_path):
        """A function that calls `make lab`'s program, with nothing started, and returns what it printed."""
        shutil.copy(program.ROOT / "pyproject.toml", tmp_path)  # which says what the course needs
        monkeypatch.setattr(program, "ROOT", tmp_path)
        monkeypatch.setattr(program.os, "execv", lambda *command: None)
        monkeypatch.setattr(program.os, "chdir", lambda folder: None)
        monkeypatch.setattr(doctor, "diagnose", lambda: doctor.Report([]))
        monkeypatch.setattr(program, "LOOKED", tmp_path / "looked")
        (tmp_path / "notebooks").mkdir()

        def call(*words: str) -> str:
            monkeypatch.setattr(sys, "argv", ["lab", *words])
            try:
                program.main()
            except SystemExit as left:
                return capsys.readouterr().err + str(left.code)
            return capsys.readouterr().out

        return call

    @pytest.mark.parametrize("port", ["99999", "0", "-1", "8888.5", "http", "٣", ""])
    def test_a_port_that_is_none(self, said, port):
        assert "a port is a number from 1 to 65535" in said(f"--port={port}") and "PORT=8888" in said(f"--port={port}")

    def test_the_last_ports_of_all(self):
        with socket.create_server(("127.0.0.1", 65_535)), pytest.raises(OSError, match="from 65535 to 65535"):
            program.free_port(65_535)

    def test_an_interruption(self, said, monkeypatch):
        def interrupted():
            raise KeyboardInterrupt

        monkeypatch.setattr(doctor, "diagnose", interrupted)
        assert said().strip() == "Interrupted before JupyterLab was started. To start again: make lab"

    def test_a_home_that_cannot_be_written(self, said, monkeypatch, tmp_path):
        (tmp_path / "home").touch()
        monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "home" / "runtime"))
        assert "cannot be written (Not a directory)" in said() and "HOME=$(mktemp -d) make lab" in said()

    def test_work_that_is_a_file(self, said, tmp_path):
        (tmp_path / "work").write_text("mine")
        assert "work is no folder" in said() and (tmp_path / "work").read_text() == "mine"

    def test_a_conflict_in_the_lessons(self, said, tmp_path):
        (tmp_path / "notebooks" / "03_x.ipynb").write_text("<<<<<<< HEAD\n")
        words = said()
        assert "notebooks/03_x.ipynb cannot be read" in words and "git checkout HEAD -- notebooks/03_x.ipynb" in words
        assert "Starting JupyterLab" in words

    def test_a_terminal_that_does_not_know_every_letter(self, said, monkeypatch):
        monkeypatch.setattr(doctor, "diagnose", lambda: "✔ 学")
        terminal = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
        monkeypatch.setattr(sys, "stdout", terminal)
        monkeypatch.setattr(doctor, "diagnose", lambda: doctor.Report([doctor.Finding("学", "warning", "x")]))
        said()
        terminal.flush()
        assert b"warning ?: x" in terminal.buffer.getvalue()

    def test_the_port_of_a_lab_that_was_just_closed_is_free(self):
        """The system keeps the closed connection for a minute, and a probe that asks strictly calls it taken."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            with socket.create_connection(("127.0.0.1", port)) as browser:
                server.accept()[0].close()  # the server goes first
                browser.recv(1)
        assert program.free_port(port) == port

    def test_servers_of_other_folders_and_broken_notes_of_servers_are_passed_over(self, monkeypatch, tmp_path):
        with socket.create_server(("127.0.0.1", 0)) as server:
            here = {"root_dir": str(program.ROOT), "port": server.getsockname()[1], "url": "http://x/", "token": "t"}
            servers = [{}, {**here, "root_dir": str(tmp_path)}, {**here, "port": 1}, {**here, "root_dir": None}]
            monkeypatch.setattr(serverapp, "list_running_servers", lambda: servers)
            assert program.already_open() is None
            servers.append(here)
            assert program.already_open() == "http://x/lab?token=t"


def other_addresses() -> list[str]:
    """Addresses of this machine but 127.0.0.1; the whole block 127.0.0.0/8 is its own, so there is always one."""
    named = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    return sorted((named | ({"127.0.0.2"} if sys.platform == "linux" else set())) - {"127.0.0.1"})


def test_notebooks_that_cannot_be_read_get_the_lesson_beside_them(tmp_path):
    (tmp_path / "notebooks").mkdir()
    for name in BROKEN:
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1", id="a")])
        nbformat.write(notebook, tmp_path / "notebooks" / name)
    broken = broken_notebooks(tmp_path / "work", tmp_path / "notebooks")
    workcopy.update(tmp_path / "notebooks", tmp_path / "work")
    assert {name: (tmp_path / "work" / name).read_bytes() for name in broken} == broken
    for name in broken:
        beside = tmp_path / "work" / name.replace(".ipynb", ".new-edition.ipynb")
        assert nbformat.read(beside, as_version=4).cells[0].source == "1 + 1"
    assert workcopy.update(tmp_path / "notebooks", tmp_path / "work") == []


@pytest.mark.parametrize("links", [True, False], ids=["with links", "on a file system without links"])
def test_a_new_copy_is_written_once_and_replaces_nothing(tmp_path, monkeypatch, links):
    if not links:

        def no_link(source, target):
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(workcopy.os, "link", no_link)
    assert workcopy.write_new(tmp_path / "a.ipynb", "one") is True
    assert workcopy.write_new(tmp_path / "a.ipynb", "two") is False
    assert [path.read_text() for path in tmp_path.iterdir()] == ["one"]


def test_nobody_sees_half_of_a_new_copy(tmp_path):
    """Else a second `make lab`, or the next one after a power cut, takes the half for the learner's own notebook."""
    path, text, seen = tmp_path / "a.ipynb", "x" * 20_000_000, set()
    writer = threading.Thread(target=workcopy.write_new, args=(path, text))
    writer.start()
    while writer.is_alive():
        if path.exists():
            seen.add(path.stat().st_size)
    assert seen <= {len(text)} and path.stat().st_size == len(text)


def test_two_updates_at_once_lay_one_new_edition_beside_the_learners_own(tmp_path):
    """The second looks before the first has written down what it did."""
    (tmp_path / "notebooks").mkdir()
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1", id="a")])
    nbformat.write(notebook, tmp_path / "notebooks" / "01_environments.ipynb")
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "01_environments.ipynb").write_text("mine")
    for _ in range(2):
        workcopy.update(tmp_path / "notebooks", tmp_path / "work")
        (tmp_path / "work" / workcopy.RECORD).unlink()
    names = sorted(path.name for path in (tmp_path / "work").iterdir())
    assert names == ["01_environments.ipynb", "01_environments.new-edition.ipynb"]


def test_check_works_on_after_a_cell_with_a_syntax_error():
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    assert shell.run_cell("def solved(returns:\n    return", silent=True).error_before_exec
    shell.run_cell("from course_utils import check\nanswer = check('0.1', lambda returns: returns.mean() >= 475)")
    assert "correct" in str(shell.user_ns["answer"].text).lower()
