"""Set-up under somebody's own settings of Python and pip, after an interruption, and twice at once."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

import pytest
from broken_machine import disk_full_after
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from small_course import PIPES, SmallCourse, make_source, make_wheel

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="asks for the folders of a POSIX virtual environment"),
]
WHOLE = {"demo", "jupyterlab", "small", "torch"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    course = SmallCourse(tmp_path_factory.mktemp("a small course é, 'of' $HOME & 100%20"))
    done = course.setup()
    assert done.returncode == 0 and set(course.installed()) >= WHOLE, done.stdout
    shutil.copytree(course.venv, course.folder / "whole", symlinks=True)
    return course


@pytest.fixture
def course(installed):
    """Whole at the start of each test; to copy that takes a tenth of the time in which it is installed."""
    shutil.rmtree(installed.venv)
    shutil.copytree(installed.folder / "whole", installed.venv, symlinks=True)
    return installed


def listing(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def somebodys_packages(folder: Path, **names: str) -> Path:
    """Unpacked as `pip install --target` does, without a list of its files, which makes them look half-installed."""
    for name, version in {"mine": "1.0", **names}.items():
        shutil.unpack_archive(make_wheel(folder / "wheels", name, version), folder, "zip")
        (folder / f"{name}-{version}.dist-info" / "RECORD").unlink()
    (folder / "other.egg-info").mkdir()
    return folder


class TestPackagesOfOthers:
    def test_they_are_neither_deleted_nor_taken_for_the_courses(self, course, tmp_path):
        version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        on_path = somebodys_packages(tmp_path / "mine", torch="1.0", demo="1.0")
        somebodys_packages(tmp_path / "lib" / version / "site-packages", torch="1.0", demo="1.0")
        before = listing(tmp_path)
        course.lose("torch", "demo")
        done = course.setup(PYTHONPATH=str(on_path), PYTHONUSERBASE=str(tmp_path))
        assert done.returncode == 0, done.stdout
        assert listing(tmp_path) == before and set(course.installed()) >= WHOLE

    def test_a_venv_that_leads_elsewhere_is_named_and_left_alone(self, tmp_path):
        course = SmallCourse(tmp_path)
        (tmp_path / "ml").mkdir()
        (tmp_path / "ml" / "essay.txt").write_text("mine")
        course.venv.symlink_to(tmp_path / "ml")
        done = course.setup()
        assert done.returncode == 1 and "is a link to" in done.stdout and "mv " in done.stdout
        assert [path.name for path in (tmp_path / "ml").iterdir()] == ["essay.txt"]

    def test_one_that_the_course_did_not_make_is_not_emptied(self, tmp_path):
        course = SmallCourse(tmp_path)
        venv.create(course.venv)  # without pip, as other programs make them
        (course.venv / "essay.txt").write_text("mine")
        before = listing(course.venv)
        done = course.setup()
        assert done.returncode == 1 and "the course did not make it" in done.stdout and "mv " in done.stdout
        assert listing(course.venv) == before

    def test_one_that_shows_other_packages_is_named(self, tmp_path):
        course = SmallCourse(tmp_path)
        venv.create(course.venv, system_site_packages=True)
        done = course.setup()
        assert done.returncode == 1 and "packages that lie outside" in done.stdout


def test_a_folder_whose_name_no_environment_can_have_is_named(tmp_path):
    course = SmallCourse(tmp_path / f"my{os.pathsep}course")
    done = course.setup()
    assert done.returncode == 1 and "Give the folder another name" in done.stdout and not course.venv.exists()


class TestSettingsOfTheUser:
    def test_those_that_lead_elsewhere_have_no_effect(self, course, tmp_path):
        """All at once; files of settings count for where packages come from, and for nothing else."""
        home = tmp_path / "home"
        (home / ".pip").mkdir(parents=True)
        (home / ".pip" / "pip.conf").write_text(f"[install]\ntarget = {tmp_path}/target\n[global]\ndry-run = true\n")
        (tmp_path / "zipfile.py").write_text("raise SystemExit('somebody else took the name of a module')")
        (tmp_path / "pip.conf").write_text(
            f"[global]\nfind-links = {course.wheels.as_uri()}\nno-index = true\nconstraint = {tmp_path}/none.txt\n"
            f"[install]\nuser = true\ntarget = {tmp_path}/target\nno-binary = :all:\n"
        )
        here = str(tmp_path)
        theirs = {"PYTHONHOME": here, "PYTHONPATH": here, "PYTHONWARNINGS": "error", "VIRTUAL_ENV": f"{here}/v"}
        theirs |= {"PIP_USER": "1", "PIP_TARGET": f"{here}/t", "PIP_PREFIX": f"{here}/p", "PIP_ROOT": f"{here}/r"}
        theirs |= {"PIP_REQUIRE_VIRTUALENV": "1", "PIP_PYTHON": "/usr/bin/python3", "PIP_NO_BINARY": ":all:"}
        theirs |= {"PIP_CONSTRAINT": f"{here}/none.txt", "PIP_DRY_RUN": "1", "PIP_LOG": f"{here}/none/log"}
        theirs |= {"PIP_CONFIG_FILE": f"{here}/pip.conf", "PIP_NO_INDEX": "", "PIP_FIND_LINKS": "", "HOME": str(home)}
        before = listing(tmp_path)
        course.lose("torch", "demo")
        done = course.setup(**theirs)
        assert done.returncode == 0, done.stdout
        shutil.rmtree(home / ".cache", ignore_errors=True)
        # Hidden folders are what programs that pip asks for their version leave in a new home.
        after = {
            name: content for name, content in listing(tmp_path).items() if name in before or "/home/." not in name
        }
        assert after == before and not (home / ".local").exists() and set(course.installed()) >= WHOLE

    def test_a_file_that_pip_cannot_read_is_named(self, course, tmp_path):
        (tmp_path / "pip.conf").write_text("no section\n")
        course.lose("torch")
        done = course.setup(PIP_CONFIG_FILE=str(tmp_path / "pip.conf"))
        assert done.returncode == 1 and "pip cannot read your settings" in done.stdout
        assert str(tmp_path / "pip.conf") in done.stdout.splitlines()[-1], done.stdout

    @pytest.mark.parametrize("package", ["torch", "demo"])
    def test_code_of_a_source_distribution_is_not_run(self, course, tmp_path, package):
        """It would run before its hash is compared."""
        trace = tmp_path / "the code ran"
        make_source(tmp_path / "links", package, "1.0", trace)
        course.lose(package)
        done = course.setup(PIP_FIND_LINKS=str(tmp_path / "links"), PIP_NO_CACHE_DIR="1")
        assert done.returncode == 1 and not trace.exists(), done.stdout
        assert "goes on where it stopped" in done.stdout

    @pytest.mark.parametrize("package", ["torch", "demo"])
    def test_a_wheel_of_another_hash_is_refused(self, course, tmp_path, package):
        make_wheel(tmp_path / "links", package, "1.0", **{f"{package}_of_others": ""})
        course.lose(package)
        done = course.setup(PIP_FIND_LINKS=str(tmp_path / "links"), PIP_NO_CACHE_DIR="1")
        assert done.returncode == 1 and "goes on where it stopped" in done.stdout, done.stdout
        assert package not in course.installed() and not (course.site() / f"{package}_of_others.py").exists()


class TestWhoInstalls:
    """uv, which fetches many packages at once; pip where uv cannot be told what the user asks for, or does not run."""

    @staticmethod
    def installer(course: SmallCourse, **environment: str) -> str:
        done = course.setup(**environment)
        assert done.returncode == 0 and set(course.installed()) >= WHOLE, done.stdout
        found = {(course.site() / f"{name}-1.0.dist-info" / "INSTALLER").read_text().strip() for name in WHOLE}
        assert len(found) == 1
        return found.pop()

    def test_uv_does(self, tmp_path):
        assert self.installer(SmallCourse(tmp_path)) == "uv"

    def test_its_own_settings_are_not_heard(self, tmp_path):
        (tmp_path / "uv.toml").write_text("offline = true")
        strange = {"UV_CONFIG_FILE": str(tmp_path / "uv.toml"), "UV_TARGET": str(tmp_path / "x"), "UV_NO_BINARY": "1"}
        assert self.installer(SmallCourse(tmp_path), **strange) == "uv" and not (tmp_path / "x").exists()

    @pytest.mark.parametrize(
        ("setting", "compiled"),
        [({"PIP_COMPILE": "true"}, True), ({"PYTHONDONTWRITEBYTECODE": "1"}, True), ({"PIP_NO_COMPILE": "1"}, False)],
    )
    def test_it_compiles_where_pip_is_asked_to_or_no_kernel_would(self, tmp_path, setting, compiled):
        course = SmallCourse(tmp_path)
        assert self.installer(course, **setting) == "uv"
        assert any(course.site().glob("__pycache__/demo.*.pyc")) == compiled

    def test_pip_does_what_uv_cannot_be_told(self, tmp_path):
        assert self.installer(SmallCourse(tmp_path), PIP_TRUSTED_HOST="packages.example") == "pip"

    def test_pip_does_where_uv_does_not_run(self, tmp_path):
        assert self.installer(SmallCourse(tmp_path, uv_runs=False)) == "pip"

    def test_what_is_damaged_later_does_not_damage_what_uv_keeps(self, tmp_path):
        """It keeps what it fetched; an installed file that a full disk left empty is whole after the next call."""
        course = SmallCourse(tmp_path)
        cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
        assert self.installer(course, **cache) == "uv" and any((tmp_path / "cache" / "uv").rglob("*"))
        file = course.site() / "demo.py"
        before = file.read_text()
        file.write_text("")
        course.lose()
        assert course.setup(**cache).returncode == 0 and file.read_text() == before


class TestInterrupted:
    def test_what_did_not_all_arrive_heals(self, course):
        """A torch wheel copied halfway, a package without a file, one without its list; with no mark of all that."""
        wheel = course.wheels / "torch-1.0-py3-none-any.whl"
        course.lose("torch")
        (course.venv / "course-unfinished").unlink()
        (course.venv / "torch-wheel").mkdir()
        (course.venv / "torch-wheel" / wheel.name).write_bytes(wheel.read_bytes()[:100])
        (course.site() / "demo.py").unlink()
        (course.site() / "jupyterlab-1.0.dist-info" / "RECORD").unlink()
        done = course.setup()
        assert done.returncode == 0 and "torch" in course.installed(), done.stdout
        assert (course.site() / "demo.py").exists() and (course.site() / "jupyterlab-1.0.dist-info/RECORD").exists()
        assert not (course.venv / "torch-wheel").exists()

    def test_a_venv_that_was_made_halfway_is_made_anew(self, tmp_path):
        """Killed as soon as its first files are there, again and again."""
        course = SmallCourse(tmp_path)
        for name in ("pyvenv.cfg", "bin", "lib"):
            process = subprocess.Popen(
                [sys.executable, *course.command()],
                env=course.environment(),
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
            while not (course.venv / name).exists() and process.poll() is None:
                time.sleep(0.005)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        done = course.setup()
        assert done.returncode == 0 and set(course.installed()) >= WHOLE, done.stdout

    def test_a_full_disk_is_said_and_the_next_call_heals(self, course):
        """First while it installs, then while it makes .venv; no file can grow beyond a few bytes."""
        course.lose()
        with disk_full_after(45):
            done = course.setup()
        assert done.returncode == 1 and "goes on where it stopped" in done.stdout.splitlines()[-1], done.stdout
        done = course.setup()
        assert done.returncode == 0 and set(course.installed()) >= WHOLE, done.stdout
        shutil.rmtree(course.venv)
        with disk_full_after(1000):
            done = course.setup()
        assert done.returncode == 1 and "could not make .venv" in done.stdout.splitlines()[-1], done.stdout

    def test_two_at_once_both_succeed_and_one_says_that_it_waits(self, tmp_path):
        course = SmallCourse(tmp_path)
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        command = [sys.executable, *course.command()]
        both = [subprocess.Popen(command, env=course.environment(), **pipes) for _ in range(2)]
        said = [process.communicate(timeout=200)[0] for process in both]
        assert [process.returncode for process in both] == [0, 0], said
        assert sum("Another set-up of this folder is running; waiting" in words for words in said) == 1
        assert sum("Making the virtual environment" in words for words in said) == 1


def test_a_wheelhouse_is_all_that_is_asked(course, tmp_path):
    """The user's index, whatever it is, is not asked."""
    course.lose("torch", "demo")
    assert " " in str(course.wheels), "for pip, a space ends a path"
    elsewhere = {"PIP_NO_INDEX": "", "PIP_FIND_LINKS": str(tmp_path), "PIP_INDEX_URL": "http://127.0.0.1:9/simple"}
    done = course.setup("--wheelhouse", str(course.wheels), **elsewhere)
    assert done.returncode == 0 and "127.0.0.1:9" not in done.stdout, done.stdout


@pytest.mark.parametrize("make", ["make", "bmake"])
def test_every_make_hands_the_wheelhouse_over(make, tmp_path):
    if not shutil.which(make):
        pytest.skip(f"there is no {make}")
    shutil.copy(Path(__file__).parents[2] / "Makefile", tmp_path)
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "setup.py").write_text("import sys; print(sys.argv[1:])")
    words = [make, "setup", f"PYTHON={sys.executable}"]
    # Where `make test` runs this, its own make is not the one that is tested.
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    for wheelhouse in ("", "my wheels"):
        done = subprocess.run([*words, f"WHEELHOUSE={wheelhouse}"], cwd=tmp_path, env=outside, **PIPES)
        assert done.stdout.strip() == str(["--wheelhouse", wheelhouse])


@pytest.mark.parametrize("make", ["make", "bmake"])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["extras", "NAME=minari"], "['minari']"),
        (["extras", "NAME=minari ray"], "['minari', 'ray']"),
        (["notebooks"], "tools.notebooks []"),
        (["notebooks", "FORCE=1"], "tools.notebooks ['--force']"),
        (["lock"], "tools.lock []"),
        (["lock", "UPGRADE=1"], "tools.lock ['--upgrade']"),
        (["colab"], "tools.colab []"),
        (["colab", "LIST=my list.txt"], "tools.colab ['--list', 'my list.txt']"),
        (["canary"], "tools.drift ['newest']"),
        (["canary", "TORCH=2.13.0"], "tools.drift ['newest', '--torch', '2.13.0']"),
    ],
)
def test_every_make_hands_over_what_is_asked_for(make, words, said, tmp_path):
    done = with_small_tools(make, words, tmp_path)
    assert done.returncode == 0 and done.stdout.strip().splitlines()[-1] == said, done.stdout


@pytest.mark.parametrize("make", ["make", "bmake"])
def test_every_make_takes_a_python_whose_path_has_a_space(make, tmp_path):
    (tmp_path / "my python").symlink_to(sys.executable)
    done = with_small_tools(make, ["extras", "NAME=ray", f"PYTHON={tmp_path}/my python"], tmp_path)
    assert done.returncode == 0 and done.stdout.strip() == "['ray']", done.stdout


@pytest.mark.parametrize("make", ["make", "bmake"])
def test_every_make_starts_the_lab_whatever_the_learner_called_a_file(make, tmp_path):
    (tmp_path / "random.py").write_text("raise SystemExit('somebody took the name of a module')")
    done = with_small_tools(make, ["lab", "PORT=9000"], tmp_path)
    assert done.returncode == 0 and done.stdout.strip().splitlines()[-1] == "tools.lab ['--port', '9000']", done.stdout


@pytest.mark.parametrize("make", ["make", "bmake"])
def test_every_make_asks_for_the_extras_name(make, tmp_path):
    done = with_small_tools(make, ["extras"], tmp_path)
    assert done.returncode != 0 and "Name one: make extras NAME=minari" in done.stdout and "[]" not in done.stdout


def with_small_tools(make: str, words: list[str], folder: Path) -> subprocess.CompletedProcess:
    """Run a target of our Makefile, with tools that only say what they are given."""
    if not shutil.which(make):
        pytest.skip(f"there is no {make}")
    shutil.copy(Path(__file__).parents[2] / "Makefile", folder)
    (folder / "tools").mkdir()
    # Without these two a PYTHONPATH that leads to the real tools comes first, and `make lock` writes real pins.
    (folder / "tools" / "__init__.py").touch()
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "PYTHON"))}
    (folder / "tools" / "setup.py").write_text("import sys; print(sys.argv[1:])")
    for name in ("notebooks", "lock", "colab", "drift", "lab"):
        (folder / "tools" / f"{name}.py").write_text(f"import random, sys; print('tools.{name}', sys.argv[1:])")
    words = [make, f"PYTHON={sys.executable}", f"COURSE={sys.executable}", *words]
    return subprocess.run(words, cwd=folder, env=outside, **PIPES)


SECTIONS = ["global", "install", "download"]
VALUES = st.sampled_from(["1", "true", "0", ":all:", "{0}", "{0}/none", "x", "/dev/null", "\x7f", "none"])
OPTIONS = ["user", "target", "prefix", "root", "src", "require-virtualenv", "constraint", "requirement", "editable"]
OPTIONS += ["no-binary", "only-binary", "platform", "python-version", "abi", "implementation", "python", "dry-run"]
OPTIONS += ["no-deps", "upgrade", "force-reinstall", "ignore-installed", "no-clean", "report", "log", "use-feature"]
OPTIONS += ["use-deprecated", "pre", "require-hashes", "format", "debug", "exists-action", "global-option", "verbose"]
NO_FREE_TEXT = {"exists-action", "use-feature", "use-deprecated"}  # pip ends at any other word, and shows no settings
VARIABLES = ["PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "PYTHONSTARTUP", "PYTHONWARNINGS", "PYTHONOPTIMIZE"]
VARIABLES += ["PYTHONSAFEPATH", "PYTHONNOUSERSITE", "PYTHONPLATLIBDIR", "VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONINSPECT"]
VARIABLES += [f"PIP_{option.upper().replace('-', '_')}" for option in OPTIONS]


@settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", 2)),
    deadline=None,
    database=None,
    phases=[Phase.generate],  # looking for a shorter example would take hours
)
@given(
    variables=st.dictionaries(st.sampled_from(VARIABLES), VALUES, max_size=6),
    lines=st.dictionaries(st.tuples(st.sampled_from(SECTIONS), st.sampled_from(OPTIONS)), VALUES, max_size=6),
)
def test_whatever_somebody_has_set_it_installs_here_and_nowhere_else(installed, variables, lines):
    with tempfile.TemporaryDirectory() as folder:
        text = "".join(
            f"[{section}]\n"
            + "".join(f"{name} = {value}\n" for (where, name), value in lines.items() if where == section)
            for section in SECTIONS
        )
        (Path(folder) / "pip.conf").write_text(text.replace("{0}", folder))
        before = listing(Path(folder))
        installed.lose("torch", "demo")
        theirs = {name: value.format(folder) for name, value in variables.items()}
        done = installed.setup(**{"HOME": folder, "PIP_CONFIG_FILE": f"{folder}/pip.conf", **theirs})
        if NO_FREE_TEXT & {option for _, option in lines} and "invalid choice" in done.stdout:
            assert done.returncode == 1 and "pip cannot read your settings; mend the file" in done.stdout, done.stdout
            return
        assert done.returncode == 0, done.stdout
        assert set(installed.installed()) >= WHOLE
        # Hidden folders are what programs that pip asks for their version leave in a new home.
        after = {name: content for name, content in listing(Path(folder)).items() if "/." not in name}
        assert after == before
