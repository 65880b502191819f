"""The set-up cell and what it calls: what is installed, what is left alone, what is tried, what is said."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import types
import zipfile

import pytest
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from small_course import make_source, make_wheel
from test_doctor import versions

from course_utils import install_missing
from course_utils.machine import doctor, install
from course_utils.machine.trial import Attempt
from tools import colab, course, notebooks

PROJECT = course.pyproject()["project"]
RANGES = {requirement.name: requirement.specifier for requirement in map(Requirement, PROJECT["dependencies"])}
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
    """What pip was asked for: (requirements, versions that must stay); nothing is fetched, installed or tried."""
    calls = []

    def plan(wanted, stay):
        calls.append((wanted, stay))
        return [install.Download(Requirement(line).name, "9.9", "") for line in wanted]

    monkeypatch.setattr(install, "plan", plan)
    monkeypatch.setattr(install, "megabytes", lambda downloads: 12.4)
    monkeypatch.setattr(install, "pip", lambda *_: "")
    monkeypatch.setattr(install, "trial_problem", lambda: "")
    return calls


class TestOneRange:
    """The lowest torch that is allowed stands in pyproject.toml; whoever says it has read it there."""

    LOWEST = next(part.version for part in RANGES["torch"] if part.operator == ">=")

    def test_what_colab_carries_lies_in_the_ranges_but_for_what_belongs_to_its_page(self):
        carried = colab.read_list(colab.PINS.read_text())
        named = {name: RANGES[name] for name in carried.pins if name in RANGES and name != "ipywidgets"}
        assert {"torch", "numpy", "gymnasium", "matplotlib", "tensorboard", "tqdm"} <= set(named)
        assert [name for name, allowed in named.items() if not allowed.contains(carried.pins[name])] == []
        assert SpecifierSet(PROJECT["requires-python"]).contains(f"{carried.python}.0")

    def test_the_sentences_name_it(self, monkeypatch):
        assert f">={self.LOWEST}" in install.torch_command()
        versions(monkeypatch, torch="2.1.0")
        monkeypatch.setattr(doctor, "attempt", lambda then: Attempt("", doctor.FOUND + "[]"))
        assert f">={self.LOWEST}" in doctor.check_libraries()[0].text

    def test_the_cell_names_the_pythons_of_pyproject(self):
        assert f"Python {PROJECT['requires-python']}." in notebooks.setup_cell()

    @pytest.mark.parametrize("torch", [LOWEST, f"{LOWEST}.0+cpu", f"{LOWEST}.1+cu130", "2.13.0a0+nv", "2.15.1"])
    def test_builds_of_a_release_are_that_release(self, torch):
        assert not install.is_untried(torch)

    @pytest.mark.parametrize("torch", ["2.1.0", "2.8.0+cpu", "2.16.0", "3.0"])
    def test_others_have_to_be_tried(self, torch):
        assert install.is_untried(torch)


class TestWhereAllIsThere:
    def test_nothing_is_installed_or_tried_and_the_same_words_stand_everywhere(self, monkeypatch, asked, capsys):
        monkeypatch.setattr(install, "trial_problem", lambda: pytest.fail("it was tried"))
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


class TestTrial:
    """A release that no lesson was run with is tried: what works goes on, what fails is refused."""

    @pytest.mark.parametrize("torch", ["2.1.0", "2.99.0"])
    def test_what_passes_goes_on_with_a_word(self, monkeypatch, asked, capsys, torch):
        versions(monkeypatch, torch=torch)
        install_missing()
        said = capsys.readouterr().out
        assert said.startswith(READY) and f"No lesson was ever run with torch {torch}, but a trial" in said
        assert f"Should a lesson fail: {install.torch_command()}, then restart the kernel" in said

    @pytest.mark.parametrize("torch", ["2.1.0", "2.99.0"])
    def test_what_fails_is_refused_with_the_fix(self, monkeypatch, asked, torch):
        versions(monkeypatch, torch=torch)
        monkeypatch.setattr(install, "trial_problem", lambda: "ImportError: undefined symbol: _ZN3c10")
        words = (
            rf"do not work with torch {torch} \(ImportError: undefined symbol.*Runtime version.*%pip install \"torch"
        )
        with pytest.raises(install.CannotSetUp, match=words):
            install_missing()

    def test_what_was_just_installed_is_tried_whatever_its_version(self, monkeypatch, asked):
        versions(monkeypatch, torchrl=None)
        monkeypatch.setattr(install, "trial_problem", lambda: "ImportError: x")
        with pytest.raises(install.CannotSetUp, match="ImportError: x"):
            install_missing()
        assert len(asked) == 1

    def test_the_doctor_says_the_same(self, monkeypatch):
        versions(monkeypatch, torch="2.99.0")
        monkeypatch.setattr(doctor, "attempt", lambda then: Attempt("", doctor.FOUND + "[]"))
        [finding] = doctor.check_libraries()
        assert finding.status == "warning" and "no lesson was ever run with this torch" in finding.text
        monkeypatch.setattr(doctor, "attempt", lambda then: Attempt("OSError: x"))
        [finding] = doctor.check_libraries()
        assert finding.status == "problem" and "do not work together: OSError: x" in finding.text and finding.fix


class TestWhatIsInstalled:
    def test_only_what_is_missing_with_all_else_held_where_it_is(self, monkeypatch, asked):
        versions(monkeypatch, av=None)
        install_missing()
        [(wanted, stay)] = asked
        assert [Requirement(line) for line in wanted] == [Requirement(f"av{RANGES['av']}")]
        assert "av" not in stay
        for name in ("torch", "matplotlib", "ipywidgets", "numpy", "torchrl", "typing-extensions"):
            assert stay[name] == importlib.metadata.version(name)

    def test_torchrl_and_tensordict_that_do_not_fit_are_replaced(self, monkeypatch, asked):
        versions(monkeypatch, torchrl="0.9.0", tensordict="0.9.0")
        install_missing()
        [(wanted, stay)] = asked
        names = ("torchrl", "tensordict")
        assert {Requirement(line) for line in wanted} == {Requirement(f"{name}{RANGES[name]}") for name in names}
        assert not set(names) & stay.keys() and "torch" in stay

    def test_a_package_of_an_extra_counts(self, monkeypatch, asked):
        versions(monkeypatch, **{"pygame-ce": None})
        install_missing()
        [(wanted, stay)] = asked
        assert wanted[0].startswith("gymnasium[classic-control]") and len(wanted) == 1
        assert "gymnasium" in stay and "pygame-ce" not in stay

    def test_it_is_said_what_is_fetched_how_much_and_how_long_it_took(self, monkeypatch, asked, capsys):
        versions(monkeypatch, av=None)
        without = {name: version for name, version in install.installed().items() if name != "av"}
        monkeypatch.setattr(install, "installed", lambda: without)
        install_missing()
        said = capsys.readouterr().out.splitlines()
        assert said[0] == "Installing av 9.9 (12 MB to fetch) ..."
        assert said[1].startswith("The course is ready, after ") and said[1].endswith(" seconds.")

    def test_what_does_not_fit_is_named_before_it_is_replaced(self, monkeypatch, asked, capsys):
        versions(monkeypatch, gymnasium="0.29.1")
        before = {**install.installed(), "gymnasium": "0.29.1"}
        monkeypatch.setattr(install, "installed", lambda: before)
        monkeypatch.setattr(install, "pip", lambda *_: print("pip runs"))
        install_missing()
        said = capsys.readouterr().out
        assert said.index("Replacing gymnasium 0.29.1, which does not fit, by 9.9.") < said.index("pip runs")

    def test_an_extra_brings_what_a_single_lesson_needs(self, monkeypatch, asked):
        versions(monkeypatch, minari=None)
        install_missing()
        assert asked == []
        install_missing("minari")
        [(wanted, _)] = asked
        assert [Requirement(line).name for line in wanted] == ["minari"]
        with pytest.raises(ValueError, match="no extra minary; it has .*minari"):
            install_missing("minary")


class TestSentences:
    @pytest.mark.parametrize(
        ("found", "words"),
        [
            ({"torch": None}, r"torch is missing, and this cell never installs it.*%pip install \"torch<2\.16"),
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

    def in_use(self, monkeypatch, names):
        """The old gymnasium stands in the way; these packages are imported."""
        versions(monkeypatch, gymnasium="0.29.1")
        now = install.installed()
        found = [{**now, "gymnasium": "0.29.1"}, now]
        monkeypatch.setattr(install, "installed", lambda: found.pop(0))
        monkeypatch.setattr(install, "imported", lambda: names)

    def test_a_package_in_use_that_was_replaced_needs_a_restart(self, monkeypatch, asked):
        self.in_use(monkeypatch, {"gymnasium", "numpy"})
        with pytest.raises(
            install.CannotSetUp, match=r"still uses the old gymnasium: restart the kernel \(Colab: Runtime >"
        ):
            install_missing()

    def test_a_package_not_yet_in_use_needs_none(self, monkeypatch, asked, capsys):
        self.in_use(monkeypatch, {"numpy"})
        install_missing()
        assert "The course is ready" in capsys.readouterr().out

    def test_what_this_kernel_imported_is_known(self):
        assert {"numpy", "packaging", "pytest"} <= install.imported() and "av-nothing" not in install.imported()

    def test_ipython_shows_the_sentence_and_no_traceback(self):
        code = "from course_utils.machine.install import CannotSetUp\nraise CannotSetUp('Mend it so.')"
        done = subprocess.run([sys.executable, "-m", "IPython", "-c", code], capture_output=True, text=True, cwd=ROOT)
        said = done.stdout + done.stderr
        assert "The course cannot run here yet. Mend it so." in said and "Traceback" not in said


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

    def offline(self, monkeypatch, folder):
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(folder))

    def test_no_network(self):
        with pytest.raises(install.CannotSetUp, match="cannot reach the package index. Mend the network"):
            install.plan(["a-package-of-the-course"], {})

    def test_it_refuses_rather_than_replaces_what_must_stay(self, monkeypatch, tmp_path):
        wheel(tmp_path, "newcomer", "1.0", needs="torch==99.0")
        wheel(tmp_path, "torch", "99.0")
        self.offline(monkeypatch, tmp_path)
        planned = install.plan(["newcomer"], {})  # left to itself, pip would take the other torch
        assert {(name, version) for name, version, _ in planned} == {("torch", "99.0"), ("newcomer", "1.0")}
        with pytest.raises(install.CannotSetUp, match=r"could not install what is missing: .*newcomer.*delete runtime"):
            install.plan(["newcomer"], {"torch": importlib.metadata.version("torch")})

    def test_it_is_known_how_much_would_be_fetched(self, monkeypatch, tmp_path):
        wheel(tmp_path, "newcomer", "1.0")
        self.offline(monkeypatch, tmp_path)
        [planned] = install.plan(["newcomer"], {})
        size = (tmp_path / "newcomer-1.0-py3-none-any.whl").stat().st_size
        assert install.megabytes([planned, planned]) == 2 * size / 1e6
        assert install.megabytes([planned._replace(url="http://127.0.0.1:9/x.whl")]) is None

    def test_only_wheels_are_taken(self, monkeypatch, tmp_path):
        """The code of a source distribution would run here and now, only to learn what it needs."""
        trace = tmp_path / "the code ran"
        make_source(tmp_path, "newcomer", "1.0", trace)
        self.offline(monkeypatch, tmp_path)
        with pytest.raises(install.CannotSetUp, match="newcomer"):
            install.plan(["newcomer"], {})
        assert not trace.exists()

    def test_what_was_named_is_installed_and_nothing_else(self, monkeypatch, tmp_path):
        """Even if, since pip was asked what it would fetch, a package has come to need another one."""
        for name in ("newcomer", "demo"):
            make_wheel(tmp_path / "links", name, "1.0")  # it needs demo
        self.offline(monkeypatch, tmp_path / "links")
        monkeypatch.delenv("PIP_DRY_RUN")
        monkeypatch.setenv("PIP_TARGET", str(tmp_path / "target"))
        monkeypatch.setattr(install, "plan", lambda wanted, stay: [install.Download("newcomer", "1.0", "")])
        install.install({"newcomer": {"newcomer"}})
        assert [path.name for path in (tmp_path / "target").glob("*.py")] == ["newcomer.py"]

    def test_no_pip(self, monkeypatch):
        done = types.SimpleNamespace(returncode=1, stdout="", stderr="/usr/bin/python: No module named pip\n")
        monkeypatch.setattr(install.subprocess, "run", lambda *_, **__: done)
        with pytest.raises(install.CannotSetUp, match=r"could not install.*No module named pip.*%pip install \"av\""):
            install.plan(["av"], {})
