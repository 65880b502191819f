"""Setting up: one clear sentence where it cannot be done, exact pins where it can."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
import types
import venv
from pathlib import Path

import nbformat
import pytest
import yaml
from conftest import ROOT
from packaging.requirements import Requirement
from rattler import MatchSpec

from course_utils.machine import doctor
from tools import browser, lab, lock, server, setup, workcopy
from tools.interpreters import interpreter

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def make(*arguments, **options):
    return subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True, **options)


class TestSentences:
    @pytest.mark.parametrize("version", [(3, 8, 1), (3, 10, 9), (3, 14, 0)])
    def test_a_python_that_does_not_fit(self, monkeypatch, version):
        monkeypatch.setattr(setup.sys, "version_info", version)
        with pytest.raises(setup.CannotInstall, match=r"needs Python 3\.11 or newer.*make lab PYTHON=python3\.11"):
            setup.check_python()

    def test_an_old_python_reads_the_sentence_not_a_syntax_error(self, tmp_path):
        (tmp_path / "tools").mkdir()
        for name in ("pyproject.toml", "requirements", "tools/setup.py"):
            (tmp_path / name).symlink_to(ROOT / name)
        old = [python for minor in range(6, 11) if (python := interpreter(f"3.{minor}"))]
        for python in old:
            done = subprocess.run([python, str(tmp_path / "tools" / "setup.py")], stderr=subprocess.PIPE, text=True)
            assert done.returncode == 1 and done.stderr.strip().count("\n") == 0, done.stderr
            assert done.stderr.strip().startswith("Cannot set up the course. The course needs Python 3.11")
        if not old:  # at least: what Python 3.6 cannot read does not stand there
            ast.parse((ROOT / "tools" / "setup.py").read_text(), feature_version=(3, 6))

    def test_no_venv_module(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "ensurepip", None)
        with pytest.raises(setup.CannotInstall, match=r"no ensurepip module.*apt install python3\.\d+-venv"):
            setup.check_python()

    def test_no_permission(self, monkeypatch, tmp_path):
        monkeypatch.setattr(setup.os, "access", lambda path, mode: False)
        monkeypatch.setattr(setup, "ROOT", str(tmp_path))
        with pytest.raises(setup.CannotInstall, match=f"No permission to write in .*: chmod -R u.rwX {tmp_path}"):
            setup.check_room()
        monkeypatch.setattr(setup.os, "geteuid", lambda: 12345)
        with pytest.raises(setup.CannotInstall, match=f"No permission to write in .*: sudo chown -R .* {tmp_path}"):
            setup.check_room()

    def test_no_space(self, monkeypatch, tmp_path):
        monkeypatch.setattr(setup, "STAMP", str(tmp_path / "none"))
        monkeypatch.setattr(setup.shutil, "disk_usage", lambda path: types.SimpleNamespace(free=1.5e9))
        with pytest.raises(setup.CannotInstall, match=r"needs 4 GB of free disk; .* has 1\.5 GB.*pip cache purge"):
            setup.check_room()

    def test_a_failing_step_is_one_sentence(self, monkeypatch):
        monkeypatch.setattr(setup, "VENV_PYTHON", shutil.which("false"))
        with pytest.raises(setup.CannotInstall, match="goes on where it stopped"):
            setup.run("-m", "pip")

    def test_no_news_are_asked_for_as_jupyterlabs_own_command_does_it(self, monkeypatch, tmp_path):
        monkeypatch.setattr(setup, "NEWS", "@course/none")  # the real one is locked here
        command = [sys.executable, "-m", "jupyterlab.labextensions", "disable", "--level=user", setup.NEWS]
        home = {**os.environ, "HOME": str(tmp_path), "JUPYTER_CONFIG_DIR": str(tmp_path), "JUPYTER_PLATFORM_DIRS": "0"}
        subprocess.run(command, env=home, check=True)
        monkeypatch.setattr(setup, "VENV", str(tmp_path / "venv"))
        setup.ask_for_no_news()
        theirs, ours = (place / "labconfig/page_config.json" for place in (tmp_path, tmp_path / "venv/etc/jupyter"))
        assert json.loads(ours.read_text()) == json.loads(theirs.read_text())

    def test_what_else_is_disabled_there_stays(self, monkeypatch, tmp_path):
        monkeypatch.setattr(setup, "VENV", str(tmp_path))
        place = tmp_path / "etc/jupyter/labconfig/page_config.json"
        place.parent.mkdir(parents=True)
        place.write_text('{"disabledExtensions": {"theirs": true}, "other": 1}')
        setup.ask_for_no_news()
        assert json.loads(place.read_text()) == {"disabledExtensions": {"theirs": True, setup.NEWS: True}, "other": 1}

    def test_no_python_at_all(self):
        done = make("setup", "PYTHON=no-such-python")
        assert done.returncode != 0 and "no-such-python was not found. Install Python 3.11" in done.stderr


class TestProgress:
    """The one line that tells how far pip is."""

    FETCHED = ["Collecting torch==2\n", "  Using cached torch.whl\n", "Requirement already satisfied: numpy\n"]

    def test_nothing_yet(self):
        assert setup.progress([], 40, 0, 0.4) == f"[{'.' * 30}] fetching 40 packages, 0 s"

    def test_of_uv_only_what_it_installed_can_be_counted(self):
        assert setup.progress([], 40, 10, 2) == f"[{'#' * 3}{'.' * 27}] installed 10 of 40 packages, 2 s"

    def test_fetching_fills_the_first_half(self):
        assert setup.progress(self.FETCHED, 4, 0, 7.6) == f"[{'#' * 7}{'.' * 23}] fetched 2 of 4 packages, 7 s"

    def test_installing_fills_the_second(self):
        lines = [*self.FETCHED * 2, "Installing collected packages: numpy, torch\n"]
        assert setup.progress(lines, 4, 1, 9) == f"[{'#' * 18}{'.' * 12}] installed 1 of 4 packages, 9 s"
        assert setup.progress(lines, 4, 4, 9) == f"[{'#' * 30}] installed 4 of 4 packages, 9 s"

    @pytest.mark.parametrize(("total", "installed"), [(0, 0), (1, 0), (0, 5), (3, 9)])
    def test_more_than_was_asked_for_never_leaves_the_bar(self, total, installed):
        line = setup.progress(self.FETCHED, total, installed, 1)
        bar = line[: line.index("]") + 1]
        assert len(bar) == 32 and set(bar) <= set("[#.]") and len(line) <= 78


class TestMake:
    def test_help_has_a_line_for_each_target_people_type(self):
        targets = re.findall(r"^([a-z]+):.*## (.+)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
        shown = make("help").stdout
        assert {name for name, _ in targets} >= {"lab", "test", "setup", "check", "notebooks", "help", "lock", "bench"}
        assert all(f"make {name}" in shown and words in shown for name, words in targets)
        assert "PYTHON=" in shown and "PORT=" in shown

    def test_ci_calls_the_readmes_test_command_and_nothing_else(self):
        lines = (ROOT / ".ci" / "run").read_text().splitlines()
        around = ("#", "set ", "cd ", "export CI=", "export PIP_COMPILE=", "unset PYTHONDONTWRITEBYTECODE")
        commands = [line for line in lines if line and not line.startswith(around)]
        assert commands == ["make test"] and "```bash\nmake test\n```" in (ROOT / "README.md").read_text()


class TestBrowser:
    @pytest.fixture(autouse=True)
    def nothing_here(self, monkeypatch):
        monkeypatch.delenv("COURSE_BROWSER", raising=False)
        monkeypatch.delenv("CI", raising=False)
        monkeypatch.setattr(browser.shutil, "which", lambda name: name if name == "/opt/chrome" else None)
        monkeypatch.setattr(browser, "_playwrights_own", lambda: None)

    def test_the_one_that_is_named_is_taken(self, monkeypatch):
        monkeypatch.setenv("COURSE_BROWSER", "/opt/chrome")
        assert browser.find() == "/opt/chrome"

    def test_one_that_is_named_and_not_there_is_an_error_and_nothing_is_installed(self, monkeypatch):
        monkeypatch.setenv("COURSE_BROWSER", "/nowhere")
        monkeypatch.setattr(browser, "install", lambda: pytest.fail("it installs"))
        with pytest.raises(SystemExit, match="COURSE_BROWSER names /nowhere, and there is no such program"):
            browser.main()

    @pytest.mark.parametrize(("ci", "code"), [("", 0), ("false", 0), ("true", 1)])
    def test_where_none_can_be_had_tests_are_skipped_but_not_in_ci(self, monkeypatch, capsys, ci, code):
        monkeypatch.setenv("CI", ci)
        monkeypatch.setattr(browser, "install", lambda: None)
        with pytest.raises(SystemExit) as left:
            browser.main()
        assert left.value.code == code and "apt-get install chromium" in capsys.readouterr().out

    def test_one_that_could_be_installed_is_used(self, monkeypatch, capsys):
        monkeypatch.setattr(browser, "install", lambda: monkeypatch.setenv("COURSE_BROWSER", "/opt/chrome"))
        with pytest.raises(SystemExit) as left:
            browser.main()
        assert left.value.code == 0 and "Browser tests use /opt/chrome." in capsys.readouterr().out


class TestLab:
    def test_it_listens_on_this_machine_only_and_keeps_its_token(self):
        command = lab.jupyter_command(8888)
        assert "--ServerApp.ip=127.0.0.1" in command and "--ServerApp.port=8888" in command
        assert "--ServerApp.identity_provider_class=tools.identity.FreshToken" in command
        secret = [argument for argument in command if "token=" in argument.lower() or "password" in argument.lower()]
        assert not secret, "everybody on this machine can read a command line"

    def test_what_was_done_to_many_notebooks_is_one_line(self):
        def changed(number: int, words: str) -> workcopy.Change:
            return workcopy.Change(lab.ROOT / "work" / f"{number:02}_x.ipynb", words)

        assert lab.in_few_lines([]) == []
        few = [changed(number, "copied for you") for number in range(3)]
        assert lab.in_few_lines(few) == [f"{Path('work', f'0{number}_x.ipynb')} copied for you." for number in range(3)]
        mixed = [changed(9, "is the new edition"), *few, changed(3, "copied for you")]
        assert lab.in_few_lines(mixed) == [
            "work/: 4 notebooks copied for you.",
            f"{Path('work', '09_x.ipynb')} is the new edition.",
        ]

    def test_a_python_that_has_nothing_gets_one_sentence_with_the_command(self, tmp_path):
        """As in an environment of one's own, made by venv, conda, uv or pixi, before the course is in it."""
        venv.create(tmp_path / "own", with_pip=False)
        python = tmp_path / "own" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        done = subprocess.run([python, "-m", "tools.lab"], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 1 and done.stdout == "" and done.stderr.count("\n") == 1
        assert done.stderr.startswith(f"{python} lacks torch, torchrl, ") and "torchrl-course. Install" in done.stderr
        assert f'uv pip install --python "{python}" --editable .' in done.stderr, "there is no pip in it"

    @pytest.mark.parametrize("absent", ["torch", "jupyterlab", "torchrl-course"])
    def test_what_is_absent_is_named_alone(self, monkeypatch, absent):
        there = [name.replace("-", "_").upper() for name in lab.names_installed() if name.lower() != absent]
        monkeypatch.setattr(lab, "names_installed", lambda: there)
        assert lab.lacking() == [absent]
        with pytest.raises(SystemExit, match=f"lacks {absent}. .*-m pip install --editable .") as left:
            lab.check_packages()
        assert "make lab" in str(left.value)

    def test_here_nothing_is_absent(self):
        assert lab.lacking() == []
        lab.check_packages()

    def test_a_python_that_is_too_old_is_told_so(self, monkeypatch):
        monkeypatch.setattr(setup, "supported_pythons", lambda: ((3, 20), (3, 21)))
        with pytest.raises(SystemExit, match=r"needs Python 3\.20 or newer, and older than 3\.21; .* is 3\."):
            lab.check_packages()

    def test_libraries_are_tried_once_for_the_same_packages(self, monkeypatch, tmp_path):
        well, not_well = (doctor.Report([doctor.Finding("x", status, "")]) for status in ("ok", "warning"))
        whole, glance = [not_well, well, well], doctor.Report([])
        monkeypatch.setattr(lab, "LOOKED", tmp_path / "looked")
        monkeypatch.setattr(lab.sysconfig, "get_path", lambda name: str(tmp_path))
        monkeypatch.setattr(doctor, "diagnose", lambda: whole.pop(0))
        monkeypatch.setattr(doctor, "glance", lambda: glance)
        assert lab.look_over() is not_well and lab.look_over() is well, "what is not well is looked at again"
        assert lab.look_over() is lab.look_over() is glance
        (tmp_path / "new-1.0.dist-info").mkdir()
        assert lab.look_over() is well and lab.look_over() is glance

    def test_where_nothing_can_be_written_the_machine_is_looked_over_each_time(self, monkeypatch, tmp_path):
        report = doctor.Report([doctor.Finding("x", "ok", "")])
        (tmp_path / "build").touch()
        monkeypatch.setattr(lab, "LOOKED", tmp_path / "build" / "looked")
        monkeypatch.setattr(doctor, "diagnose", lambda: report)
        assert lab.look_over() is lab.look_over() is report

    def test_a_copy_can_be_made_without_opening_anything(self, monkeypatch, tmp_path, capsys):
        (tmp_path / "notebooks").mkdir()
        nbformat.write(nbformat.v4.new_notebook(), tmp_path / "notebooks" / "01_x.ipynb")
        monkeypatch.setattr(lab, "ROOT", tmp_path)
        monkeypatch.setattr(lab, "check_packages", lambda: None)
        monkeypatch.setattr(lab, "look_over", lambda: doctor.Report([]))
        monkeypatch.setattr(lab.os, "execv", lambda *words: pytest.fail("it opens JupyterLab"))
        monkeypatch.setattr(sys, "argv", ["lab.py", "--copy"])
        monkeypatch.setattr(sys.stdout, "reconfigure", lambda **_: None, raising=False)
        monkeypatch.setattr(sys.stderr, "reconfigure", lambda **_: None, raising=False)
        lab.main()
        assert (tmp_path / "work" / "01_x.ipynb").exists()
        assert capsys.readouterr().out.splitlines()[-1] == f"{Path('work', '01_x.ipynb')} copied for you."

    def test_the_address_is_the_last_thing_it_prints(self, monkeypatch, capsys):
        """The server's own words come first; nothing of ours stands between the address and the end."""
        address = "http://127.0.0.1:8888/lab/tree/work/00_start_here.ipynb"

        class Told(server.CourseServer):
            local_url = f"{address}?token=..."
            identity_provider = types.SimpleNamespace(token="t0")

        monkeypatch.setattr(server.ServerApp, "start_app", lambda self: print("words of Jupyter"))
        Told.__new__(Told).start_app()
        lines = capsys.readouterr().out.rstrip().splitlines()
        assert lines[0] == "words of Jupyter" and lines[-1].strip() == f"{address}?token=t0"

    def test_a_taken_port_moves_it_to_the_next(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            assert port < lab.free_port(port) < port + 50

    def test_no_free_port_is_one_sentence(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            with pytest.raises(OSError, match="make lab PORT=9999"):
                lab.free_port(taken.getsockname()[1], tries=1)


class TestPins:
    FILES = ["torch", "cuda", "core", *PYPROJECT["project"]["optional-dependencies"]]

    @pytest.mark.parametrize("name", FILES)
    def test_every_pin_is_exact_and_hashed(self, name):
        pins = lock.read_requirements(name)
        assert pins
        for pin, block in pins.items():
            assert re.match(r"[a-z0-9.-]+==[^ ]+( ; .+)?$", pin), pin
            assert re.fullmatch(r".+( \\\n    --hash=sha256:[0-9a-f]{64})+", block), pin

    def test_pins_lie_in_the_ranges_of_pyproject(self):
        pinned = {
            Requirement(pin).name: Requirement(pin) for name in self.FILES for pin in lock.read_requirements(name)
        }
        ranges = PYPROJECT["project"]["dependencies"]
        ranges = ranges + [line for extra in PYPROJECT["project"]["optional-dependencies"].values() for line in extra]
        for wanted in map(Requirement, ranges):
            version = str(pinned[wanted.name].specifier).removeprefix("==")
            assert wanted.specifier.contains(version), f"{wanted} but {version} is pinned: make lock"

    def test_torch_stands_alone_and_core_needs_no_cuda(self):
        assert [pin.split("==")[0] for pin in lock.read_requirements("torch")] == ["torch"]
        assert not [pin for pin in lock.read_requirements("core") if pin.startswith((*lock.CUDA_PREFIXES, "torch=="))]
        assert PYPROJECT["tool"]["course"]["torch"] in next(iter(lock.read_requirements("torch")))

    def test_core_is_lean(self):
        core = {Requirement(pin).name for pin in lock.read_requirements("core")}
        assert not core & {
            "pytest",
            "ruff",
            "jupytext",
            "papermill",
            "playwright",
            "stable-baselines3",
            "scipy",
            "pandas",
        }

    def test_what_is_installed_here_is_what_is_pinned(self):
        from importlib.metadata import version

        for name in ("torch", "core", "dev"):
            for requirement in map(Requirement, lock.read_requirements(name)):
                if requirement.marker is None or requirement.marker.evaluate():
                    assert requirement.specifier.contains(version(requirement.name)), requirement

    def test_environment_yml_is_made_of_the_pins(self):
        pins = [*lock.read_requirements("torch"), *lock.read_requirements("core")]
        assert (ROOT / "environment.yml").read_text() == lock.environment_yml(pins)

    def test_conda_reads_every_entry_of_environment_yml(self):
        environment = yaml.safe_load((ROOT / "environment.yml").read_text())
        entries = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
        assert [MatchSpec(entry).name.normalized for entry in entries] == ["python", "pip"]
        pip = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
        for line in pip[:-1]:
            assert MatchSpec(line.split(" ;")[0]).version is not None
        assert pip[-1] == "-e ."


def test_no_registry_is_named_in_the_project():
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    hosts = re.compile(
        "|".join(re.escape(".".join(parts)) for parts in [("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org")])
    )
    texts = {name: (ROOT / name).read_text(errors="replace") for name in files if name and (ROOT / name).is_file()}
    assert texts and not [name for name, text in texts.items() if hosts.search(text)]


def test_the_stamp_changes_with_every_file_that_is_installed(monkeypatch):
    names = ["requirements/torch.txt", "requirements/core.txt"]
    stamps, real = {setup.fingerprint(names)}, setup.read
    for changed in ("pyproject.toml", *names):
        monkeypatch.setattr(
            setup, "read", lambda name, changed=changed: (b"x" if name == changed else b"") + real(name)
        )
        stamps.add(setup.fingerprint(names))
    assert len(stamps) == 4


def test_settings_of_tools_do_not_make_it_install_again(monkeypatch):
    real, before = setup.read, setup.fingerprint([])
    monkeypatch.setattr(setup, "read", lambda name: real(name) + b"[tool.new]\nx = 1\n")
    assert setup.fingerprint([]) == before


def test_packages_whose_files_did_not_all_arrive_are_installed_again(tmp_path):
    """Runs the repair on a whole package, one without its RECORD, one that lacks a file, and one with an empty one."""
    venv.create(tmp_path / "venv")
    site = next((tmp_path / "venv").glob("[Ll]ib/**/site-packages"))
    (site / "old.egg-info").mkdir()  # pip leaves none, so it is somebody else's
    for name in ("whole", "norecord", "lacking", "emptied"):
        info = site / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        if name != "norecord":
            (info / "RECORD").write_text(f"{name}.py,,4\n{name}.pyc,,\n{name}-1.0.dist-info/RECORD,,\n")
    (site / "whole.py").write_text("1+1\n")
    (site / "emptied.py").touch()
    python = tmp_path / "venv" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    command = [python, "-I", "-c", setup.FORGET_BROKEN]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert sorted(done.stdout.split("\n")) == [
        "",
        *(f"completing {name}" for name in ("emptied", "lacking", "norecord")),
    ]
    assert sorted(path.name for path in site.glob("*-info")) == ["old.egg-info", "whole-1.0.dist-info"]


def test_a_wheel_of_torch_that_is_not_whole_is_fetched_again(monkeypatch, tmp_path):
    """In a folder of wheels that was copied, too: pip would take it for what it was asked to fetch."""
    digest, fetched = hashlib.sha256(b"whole").hexdigest(), []
    monkeypatch.setattr(setup, "read", lambda name: f"torch==1.0 \\\n    --hash=sha256:{digest}\n".encode())

    def download(*words):
        fetched.append(words)
        (Path(words[words.index("--dest") + 1]) / "torch-1.0-py3-none-any.whl").write_bytes(b"whole")

    monkeypatch.setattr(setup, "pip", download)
    wheel = tmp_path / "torch-1.0-py3-none-any.whl"
    wheel.write_bytes(b"who")
    for _ in range(2):
        setup.download_torch(str(tmp_path))
        assert [path.name for path in tmp_path.iterdir()] == [wheel.name] and wheel.read_bytes() == b"whole"
        assert len(fetched) == 1
