"""The set-up cell where nothing but a notebook arrives: what it installs, what it leaves alone, what it says."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import tomllib
import types
import zipfile

import nbformat
import pytest
from claims import NOTEBOOKS, with_claims
from conftest import ROOT
from lab_process import fresh_copy
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from test_doctor import versions
from test_fresh_clone import INSTALL_SECONDS

from course_utils import install_missing
from course_utils.machine import doctor, install
from tools import copies, setup
from tools import notebooks as builder

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RANGES = {requirement.name: requirement.specifier for requirement in map(Requirement, PROJECT["dependencies"])}
# All but those that train longest and hardly use a helper that others do not; nbval runs them as well.
LONG = {"08_ppo", "09_continuous_control", "11_memory_and_pixels"}
TRIED = [path for path in NOTEBOOKS if path.stem not in LONG]
# Nothing listens there, and no other source of packages is left: what people without a network have.
NO_NETWORK = {
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
    "PIP_FIND_LINKS": "",
    "PIP_RETRIES": "1",
}
READY = "The course is ready.\n"


@pytest.fixture
def asked(monkeypatch):
    """What pip was asked for: (requirements, versions that must stay); nothing is installed."""
    calls = []
    monkeypatch.setattr(install, "pip_install", lambda wanted, stay: calls.append((wanted, stay)))
    monkeypatch.setattr(install, "check_loads", lambda torch: None)
    return calls


class TestTable:
    def test_it_spans_the_torch_releases_of_pyproject(self):
        first, last = install.PAIRS[0], install.PAIRS[-1]
        assert SpecifierSet(f">={first.torch_from},<{last.torch_before}") == RANGES["torch"]

    def test_its_rows_follow_one_another_without_a_gap(self):
        for row, following in zip(install.PAIRS, install.PAIRS[1:], strict=False):
            assert row.torch_before == following.torch_from

    def test_its_newest_row_is_what_pyproject_asks_for(self):
        newest = install.PAIRS[-1]
        assert SpecifierSet(newest.torchrl) == RANGES["torchrl"]
        assert SpecifierSet(newest.tensordict) == RANGES["tensordict"]

    @pytest.mark.parametrize("torch", ["2.13.0", "2.13.0+cpu", "2.13.0a0+nv", "2.15.1+cu130"])
    def test_builds_of_a_release_are_that_release(self, torch):
        assert install.pair_for(torch) == install.PAIRS[0] and not install.is_newer_than_tried(torch)

    def test_a_torch_between_two_rows_gets_the_older_one(self, monkeypatch):
        rows = [install.Pair("2.13", "2.16", ">=0.14", ">=0.14"), install.Pair("2.16", "2.18", ">=0.15", ">=0.15")]
        monkeypatch.setattr(install, "PAIRS", rows)
        assert [install.pair_for(torch) for torch in ("2.15.9", "2.16.0", "2.30.0")] == [rows[0], rows[1], rows[1]]


class TestWhereAllIsThere:
    def test_nothing_is_installed_and_the_same_words_stand_everywhere(self, asked, capsys):
        install_missing()
        assert (asked, capsys.readouterr().out) == ([], READY)

    @pytest.mark.parametrize("found", [{"ipywidgets": "7.7.1"}, {"matplotlib": "3.7.1"}])
    def test_what_belongs_to_the_page_stays_even_if_it_is_old(self, monkeypatch, asked, capsys, found):
        versions(monkeypatch, **found)
        install_missing()
        assert (asked, capsys.readouterr().out) == ([], READY)

    def test_no_second_interface_is_installed(self, monkeypatch, asked):
        versions(monkeypatch, jupyterlab=None)
        install_missing()
        assert asked == []


class TestWhatIsInstalled:
    def test_only_what_is_missing_with_all_else_held_where_it_is(self, monkeypatch, asked):
        versions(monkeypatch, av=None)
        install_missing()
        [(wanted, stay)] = asked
        assert [Requirement(line) for line in wanted] == [Requirement(f"av{RANGES['av']}")]
        assert "av" not in stay
        for name in ("torch", "matplotlib", "ipywidgets", "numpy", "torchrl", "typing-extensions"):
            assert stay[name] == importlib.metadata.version(name)

    def test_torchrl_and_tensordict_that_do_not_go_with_this_torch_are_replaced_by_those_that_do(
        self, monkeypatch, asked
    ):
        versions(monkeypatch, torchrl="0.9.0", tensordict="0.9.0")
        install_missing()
        [(wanted, stay)] = asked
        pair = install.PAIRS[-1]
        assert {Requirement(line) for line in wanted} == {
            Requirement(f"torchrl{pair.torchrl}"),
            Requirement(f"tensordict{pair.tensordict}"),
        }
        assert not {"torchrl", "tensordict"} & stay.keys() and "torch" in stay

    def test_a_package_of_an_extra_counts(self, monkeypatch, asked):
        versions(monkeypatch, **{"pygame-ce": None})
        install_missing()
        [(wanted, stay)] = asked
        assert wanted[0].startswith("gymnasium[classic-control]") and len(wanted) == 1
        assert "gymnasium" in stay and "pygame-ce" not in stay

    def test_a_new_torch_gets_the_newest_pair_and_a_word_of_warning(self, monkeypatch, asked, capsys):
        versions(monkeypatch, torch="2.99.0", torchrl=None)
        install_missing()
        assert asked[0][0] == [str(Requirement(f"torchrl{install.PAIRS[-1].torchrl}"))]
        said = capsys.readouterr().out
        assert "The course is ready, though torch 2.99.0 is newer than any it was tried with." in said
        assert f"Should a lesson fail: {install.torch_command()}, then restart the kernel" in said

    def test_the_doctor_warns_of_a_new_torch_and_calls_it_no_problem(self, monkeypatch):
        versions(monkeypatch, torch="2.99.0")
        finding = doctor.check_pairing()
        assert finding.status == "warning" and "not yet tried with this torch" in finding.text

    def test_it_is_said_what_was_installed(self, monkeypatch, asked, capsys):
        versions(monkeypatch, av=None)
        before = {**install.installed()}
        found = [{name: version for name, version in before.items() if name != "av"}, before]
        monkeypatch.setattr(install, "installed", lambda: found.pop(0))
        install_missing()
        said = capsys.readouterr().out
        assert said == f"Installing av ...\nInstalled av {before['av']}.\n{READY}"


class TestSentences:
    @pytest.mark.parametrize(
        ("found", "words"),
        [
            (
                {"torch": None},
                r"torch is missing, and this cell never installs it.*%pip install \"torch>=2\.13,<2\.16\"",
            ),
            (
                {"torch": "2.9.1+cu128"},
                r"torch 2\.9\.1\+cu128 is too old: the course needs 2\.13 or newer.*Runtime > Change runtime type > "
                r"Runtime version\..*%pip install \"torch>=2\.13,<2\.16\", then restart the kernel",
            ),
            (
                {"matplotlib": None},
                r"matplotlib is missing, and this cell never installs it.*%pip install \"matplotlib",
            ),
            (
                {"ipywidgets": None},
                r"ipywidgets is missing, and this cell never installs it.*%pip install \"ipywidgets",
            ),
            ({"torchrl-course": None}, r"not installed\. In the folder that holds its pyproject\.toml: make lab"),
        ],
    )
    def test_a_thing_that_this_cell_must_not_mend(self, monkeypatch, asked, found, words):
        versions(monkeypatch, **found)
        with pytest.raises(install.CannotSetUp, match=words):
            install_missing()
        assert asked == []

    @pytest.mark.parametrize("python", ["3.10.12", "3.14.0"])
    def test_a_python_that_does_not_fit(self, monkeypatch, asked, python):
        monkeypatch.setattr(install.platform, "python_version", lambda: python)
        with pytest.raises(
            install.CannotSetUp, match=rf"This is Python {python}; the course needs .*3\.11.*Runtime version"
        ):
            install_missing()
        assert asked == []

    def test_a_package_in_use_that_was_replaced_needs_a_restart(self, monkeypatch, asked):
        import gymnasium  # noqa: F401

        versions(monkeypatch, gymnasium="0.29.1")
        now = install.installed()
        found = [{**now, "gymnasium": "0.29.1"}, now]
        monkeypatch.setattr(install, "installed", lambda: found.pop(0))
        with pytest.raises(
            install.CannotSetUp, match=r"still uses the old gymnasium: restart the kernel \(Colab: Runtime >"
        ):
            install_missing()

    def test_a_package_not_yet_in_use_needs_none(self, monkeypatch, asked, capsys):
        versions(monkeypatch, gymnasium="0.29.1")
        now = install.installed()
        found = [{**now, "gymnasium": "0.29.1"}, now]
        monkeypatch.setattr(install, "installed", lambda: found.pop(0))
        monkeypatch.setattr(install, "imported", lambda: set())
        install_missing()
        assert capsys.readouterr().out.endswith(READY)

    def test_a_torchrl_that_does_not_load(self, monkeypatch, tmp_path):
        (tmp_path / "tensordict.py").write_text("raise ImportError('libtorch.so: undefined symbol: _ZN3c10')\n")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        with pytest.raises(
            install.CannotSetUp, match=r"does not load with torch 2\.99\.0 .*undefined symbol.*Runtime version"
        ):
            install.check_loads("2.99.0")

    def test_ipython_shows_the_sentence_and_no_traceback(self):
        code = "from course_utils.machine.install import CannotSetUp\nraise CannotSetUp('Mend it so.')"
        done = subprocess.run([sys.executable, "-m", "IPython", "-c", code], capture_output=True, text=True, cwd=ROOT)
        said = done.stdout + done.stderr
        assert "The course cannot run here yet. Mend it so." in said and "Traceback" not in said

    def test_the_cell_names_the_pythons_of_pyproject(self):
        assert f"Python {PROJECT['requires-python']}." in builder.setup_cell()


def wheel(folder, name: str, version: str, needs: str = "") -> None:
    """A wheel that holds nothing."""
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"] + [f"Requires-Dist: {needs}"] * bool(
            needs
        )
        archive.writestr(f"{info}/METADATA", "\n".join(lines) + "\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


class TestPip:
    """The real pip, told to change nothing (PIP_DRY_RUN)."""

    @pytest.fixture(autouse=True)
    def without_a_network(self, monkeypatch):
        for name, value in {**NO_NETWORK, "PIP_DRY_RUN": "1"}.items():
            monkeypatch.setenv(name, value)

    def test_no_network(self):
        with pytest.raises(install.CannotSetUp, match="cannot reach the package index. Mend the network"):
            install.pip_install(["a-package-of-the-course"], {})

    def test_it_refuses_rather_than_replaces_what_must_stay(self, monkeypatch, tmp_path):
        wheel(tmp_path, "newcomer", "1.0", needs="torch==99.0")
        wheel(tmp_path, "torch", "99.0")
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
        install.pip_install(["newcomer"], {})  # left to itself, pip would take the other torch
        with pytest.raises(install.CannotSetUp, match=r"could not install what is missing: .*newcomer.*delete runtime"):
            install.pip_install(["newcomer"], {"torch": importlib.metadata.version("torch")})

    def test_no_pip(self, monkeypatch):
        done = types.SimpleNamespace(returncode=1, stdout="", stderr="/usr/bin/python: No module named pip\n")
        monkeypatch.setattr(install.subprocess, "run", lambda *_, **__: done)
        with pytest.raises(install.CannotSetUp, match=r"could not install.*No module named pip.*%pip install \"av\""):
            install.pip_install(["av"], {})


# What a Colab machine has before the first cell, in Colab's own versions as far as they matter: its IPython, its
# ipywidgets and its numpy are much older than the course's pins. ipywidgets 7 would bring JupyterLab along, which Colab
# does not have, so it comes alone with what its kernel side imports.
PREINSTALLED = [setup.torch_pin(), "numpy==2.0.2", "matplotlib==3.10.0", "ipython==7.34.0", "ipykernel==6.17.1"]
ALONE = ["ipywidgets==7.7.1", "ipython-genutils==0.2.0"]
GOOGLE_COLAB = {
    "__init__": "from google.colab import data_table, drive, files, output, userdata",
    "output": "def enable_custom_widget_manager(): pass\ndef clear(*_, **__): pass",
    "drive": "def mount(path, *_, **__): pass",
    "files": "def upload(): return {}\ndef download(path): pass",
    "userdata": "def get(name): raise KeyError(name)",
    "data_table": "def enable_dataframe_formatter(): pass",
}
LIST = """
import importlib.metadata, json
print(json.dumps({found.metadata["Name"]: found.version for found in importlib.metadata.distributions()}))
"""


def run_in_colab(path) -> nbformat.NotebookNode | Exception:
    """Run a notebook, as a class gets it, with the kernel named colab in an empty folder; and at its end its claims."""
    notebook = copies.for_students(with_claims(path))
    notebook.metadata["kernelspec"]["name"] = "colab"
    try:
        builder.execute(notebook, path.stem)
    except builder.LessonError as error:
        return error
    return notebook


@pytest.fixture(scope="module")
def colab_machine(tmp_path_factory):
    """Runs notebooks on a machine like Colab's, one after the other; the first one installs for all of them.

    Gives what came of each notebook, of a set-up cell that cannot fetch the course, and the packages before and after.
    """
    folder = tmp_path_factory.mktemp("colab")
    course, python = fresh_copy(folder / "course"), folder / "venv" / "bin" / "python"

    def pip(*arguments, by=python):
        subprocess.run([by, "-m", "pip", *map(str, arguments)], check=True, timeout=INSTALL_SECONDS, stdout=sys.stderr)

    pip("wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, course, by=sys.executable)
    subprocess.run(["python3", "-m", "venv", python.parents[1]], check=True)
    pip("install", "--quiet", "--no-compile", *PREINSTALLED)
    pip("install", "--quiet", "--no-compile", "--no-deps", *ALONE)

    # google is a namespace that others (protobuf) put packages into as well: it must not get an __init__.py.
    (folder / "colab" / "google" / "colab").mkdir(parents=True)
    for name, text in GOOGLE_COLAB.items():
        (folder / "colab" / "google" / "colab" / f"{name}.py").write_text(text + "\n")
    kernel = folder / "kernels" / "colab"
    kernel.mkdir(parents=True)
    command = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    command += ["--IPKernelApp.exec_lines=import google.colab"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": command, "display_name": "Colab", "language": "python"}))

    def packages():
        return json.loads(subprocess.run([python, "-c", LIST], check=True, capture_output=True, text=True).stdout)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(folder))
        patch.setenv("PYTHONPATH", str(folder / "colab"))
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)  # else all of torch is compiled at every start
        before = packages()
        patch.setenv("COURSE_SOURCE", str(folder / "nothing-is-here.whl"))
        unreachable = run_in_colab(TRIED[0])
        patch.setenv("COURSE_SOURCE", str(next(folder.glob("*.whl"))))
        outcomes = {path.stem: run_in_colab(path) for path in TRIED}
        after = packages()
    return types.SimpleNamespace(
        outcomes=outcomes,
        unreachable=unreachable,
        before=before,
        after=after,
    )


def said_by_setup(notebook) -> str:
    cell = next(cell for cell in notebook.cells if cell.id == "setup")
    return "".join(output.get("text", "") for output in cell.outputs)


@pytest.mark.slow
class TestColab:
    @pytest.mark.parametrize("path", TRIED, ids=lambda path: path.stem)
    def test_a_lone_notebook_runs_with_its_exercises_open_and_reaches_what_it_says(self, colab_machine, path):
        outcome = colab_machine.outcomes[path.stem]
        assert not isinstance(outcome, Exception), outcome
        assert all(cell.execution_count for cell in outcome.cells if cell.cell_type == "code")

    def test_the_machine_passes_for_colab(self, colab_machine):
        assert "Google Colab" in json.dumps(colab_machine.outcomes["00_start_here"])
        assert "torchrl" not in colab_machine.before and "jupyterlab" not in colab_machine.before

    def test_what_was_there_is_there_in_the_same_version(self, colab_machine):
        before = colab_machine.before
        assert {"torch", "numpy", "matplotlib", "ipywidgets", "ipykernel"} <= before.keys()
        assert {name: colab_machine.after.get(name) for name in before} == before

    def test_the_course_came_and_no_second_interface(self, colab_machine):
        assert {"torchrl-course", "torchrl", "tensordict", "gymnasium", "av"} <= colab_machine.after.keys()
        assert "jupyterlab" not in colab_machine.after

    def test_the_first_set_up_cell_says_what_it_installed_and_the_others_that_all_is_there(self, colab_machine):
        first, *others = colab_machine.outcomes.values()
        assert f"torchrl {colab_machine.after['torchrl']}" in said_by_setup(first).split("\nInstalled ")[1]
        assert said_by_setup(first).endswith(READY)
        assert [said_by_setup(notebook) for notebook in others] == [READY] * len(others)

    def test_a_course_that_cannot_be_fetched_stops_the_notebook_with_a_sentence(self, colab_machine):
        words = "pip's lines above say why. The course needs a network and Python"
        assert isinstance(colab_machine.unreachable, builder.LessonError) and words in str(colab_machine.unreachable)
