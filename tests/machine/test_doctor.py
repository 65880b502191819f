"""The doctor's words, on this machine and on broken ones."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
import types

import pytest
from broken_machine import versions

from course_utils.machine import device, doctor
from course_utils.machine.trial import Attempt
from course_utils.views import video


def broken_module(monkeypatch, name, error):
    """Make `import name` raise `error`, whether it was imported before or not."""

    class Finder:
        def find_spec(self, wanted, path=None, target=None):
            if wanted == name:
                raise error

    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])


def test_this_machine_can_run_the_course():
    report = doctor.diagnose()
    assert report.exit_code == 0, str(report)
    assert {finding.status for finding in report.findings} <= {"ok", "warning"}
    assert "You are ready to go." in str(report) and "You are ready to go." in report.html


def test_what_needs_the_libraries_is_looked_at_in_the_process_that_tried_them(monkeypatch):
    monkeypatch.setenv("COURSE_DEVICE", "cuda:9")
    of_the_process = {finding.topic: finding.status for finding in doctor.check_libraries()}
    assert of_the_process == {
        "torch, tensordict, torchrl": "ok",
        "torchrl's compiled extension": "ok",
        "gymnasium": "ok",
        "pictures of environments": "ok",
        "video": "ok",
        "device": "problem",
    }


def test_what_libraries_print_around_it_does_no_harm(monkeypatch):
    told = '[{"topic": "gymnasium", "status": "ok", "text": "1.0", "fix": ""}]'
    said = f"Hello from a game library\n{doctor.FOUND}{told}\n[library] closed"
    monkeypatch.setattr(doctor, "attempt", lambda then: Attempt("", said))
    assert [finding.topic for finding in doctor.check_libraries()][1:] == ["gymnasium"]


def test_a_glance_says_the_rest_and_imports_no_large_library():
    glance = "import sys; from course_utils.machine.doctor import glance; glance(); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", glance], capture_output=True, text=True).stdout == "False\n"
    whole, rest = ({finding.topic for finding in look().findings} for look in (doctor.diagnose, doctor.glance))
    libraries = {finding.topic for finding in doctor.check_libraries()}
    assert rest == whole - libraries and libraries < whole


def test_the_command_line_prints_the_report():
    done = subprocess.run([sys.executable, "-m", "course_utils", "doctor"], capture_output=True, text=True)
    assert done.returncode == 0 and "✔ ok" in done.stdout and "torchrl" in done.stdout


def test_a_problem_stops_the_course_and_a_warning_does_not():
    ok, warning, problem = (doctor.Finding("x", status, "y", "z") for status in ("ok", "warning", "problem"))
    assert doctor.Report([ok, warning]).exit_code == 0
    report = doctor.Report([ok, problem])
    assert report.exit_code == 1
    assert "✘ problem x: y\n    mend it with:  z" in str(report) and "cannot run here yet" in str(report)


@pytest.fixture
def a_passing_trial(monkeypatch):
    monkeypatch.setattr(doctor, "attempt", lambda then: Attempt("", doctor.FOUND + "[]"))


@pytest.mark.parametrize("torch", ["2.13.0+cu130", "2.11.0"])
def test_any_build_of_a_torch_that_lessons_were_run_with_is_fine(monkeypatch, a_passing_trial, torch):
    versions(monkeypatch, torch=torch)
    assert doctor.check_libraries()[0].status == "ok"


@pytest.mark.parametrize("name", ["torch", "tensordict", "torchrl"])
def test_a_missing_package_is_named_with_its_command(monkeypatch, name):
    versions(monkeypatch, **{name: None})
    [finding] = doctor.check_libraries()
    assert (finding.status, finding.text) == ("problem", f"{name} is not installed")
    assert finding.fix.startswith(f'"{sys.executable}" -m pip install "{name}')


def test_libraries_that_do_not_work_get_one_cure_and_no_second(monkeypatch):
    monkeypatch.setattr(doctor, "attempt", lambda then: Attempt("ImportError: undefined symbol: _ZN3c10"))
    report = doctor.diagnose()
    [problem] = [finding for finding in report.findings if finding.status == "problem"]
    assert "undefined symbol" in problem.text and "--force-reinstall" in problem.fix and report.exit_code == 1
    assert not {"gymnasium", "pictures of environments", "device"} & {finding.topic for finding in report.findings}


@pytest.mark.parametrize("name", ["torchrl.py", "gymnasium.py", "av.py"])
def test_a_file_that_hides_a_library_is_the_one_thing_said(monkeypatch, tmp_path, name):
    """Asked in a process of its own: here the libraries are imported already."""
    (tmp_path / name).write_text("")
    done = subprocess.run(
        [sys.executable, "-m", "course_utils", "doctor"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1 and done.stdout.count("problem ") == 1
    assert f"{name} in this folder hides the library of that name" in done.stdout
    assert f'mv "{tmp_path / name}" "{tmp_path}/my_{name}"' in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="no folder that is in use can be deleted there")
def test_a_folder_that_was_deleted_is_the_one_thing_said(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    tmp_path.rmdir()
    [finding] = doctor.diagnose().findings
    assert finding.status == "problem" and "no longer there" in finding.text and finding.fix.startswith("cd ")


def test_a_folder_that_cannot_be_written_is_said(monkeypatch):
    monkeypatch.setattr(doctor.os, "access", lambda path, mode: False)
    finding = doctor.check_disk()
    assert finding.status == "warning" and "cannot be written" in finding.text and "chmod" in finding.fix


def test_an_extension_that_does_not_load_is_said_and_stops_nobody(monkeypatch):
    broken_module(monkeypatch, "torchrl._torchrl", ImportError("undefined symbol"))
    finding = doctor.check_extension()
    assert finding.status == "ok" and "does not load" in finding.text and "no lesson does" in finding.text


def test_an_extension_that_loads_is_said_so(monkeypatch):
    module = types.ModuleType("torchrl._torchrl")
    module.SumSegmentTreeFp32 = object
    monkeypatch.setitem(sys.modules, "torchrl._torchrl", module)
    assert doctor.check_extension().status == "ok"


@pytest.mark.parametrize(
    ("module", "check", "status"),
    [
        ("gymnasium", doctor.check_gymnasium, "problem"),
        ("av", doctor.check_video, "warning"),
        ("ipywidgets", doctor.check_widgets, "warning"),
    ],
)
def test_a_package_that_does_not_load_is_named_with_its_command(monkeypatch, module, check, status):
    monkeypatch.setitem(sys.modules, module, None)
    finding = check()
    assert finding.status == status and module in finding.text
    assert finding.fix.startswith(f'"{sys.executable}" -m pip install "{module}')


def test_an_environment_that_does_not_draw_is_a_warning(monkeypatch):
    from gymnasium.envs.classic_control.cartpole import CartPoleEnv

    def render(self):
        raise RuntimeError("No available video device")

    monkeypatch.setattr(CartPoleEnv, "render", render)
    finding = doctor.check_rendering()
    assert finding.status == "warning" and "No available video device" in finding.text
    assert "classic-control" in finding.fix


def test_too_old_a_python(monkeypatch):
    monkeypatch.setattr(doctor.platform, "python_version", lambda: "3.9.18")
    finding = doctor.check_python()
    assert finding.status == "problem" and "3.9.18" in finding.text and "PYTHON=" in finding.fix


def test_a_full_disk(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: types.SimpleNamespace(free=2e8))
    finding = doctor.check_disk()
    assert finding.status == "warning" and "0.2 GB free" in finding.text and finding.fix


def test_a_device_that_is_not_there(monkeypatch):
    monkeypatch.setenv("COURSE_DEVICE", "cuda:9")
    finding = doctor.check_device()
    assert finding.status == "problem" and "COURSE_DEVICE=cuda:9" in finding.text and finding.fix


def test_colab_is_recognised(monkeypatch):
    assert "not Colab" in doctor.check_place().text
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    assert doctor.check_place().text.startswith("Google Colab; the course was last run with what Colab carried on 20")


def test_outside_an_installed_course_the_doctor_still_answers(monkeypatch, a_passing_trial):
    def unknown(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", unknown)
    monkeypatch.setattr(importlib.metadata, "metadata", unknown)
    assert doctor.check_python().status == doctor.check_libraries()[0].status == "ok"


def test_every_problem_and_warning_shows_its_fix_in_the_table():
    report = doctor.Report([doctor.Finding("video", "warning", "a < b", "pip install av")])
    assert "<details" not in report.html and "a &lt; b" in report.html and "<code>pip install av</code>" in report.html


class TestBrokenMachines:
    def test_a_package_the_course_does_not_ask_for_is_installed_by_its_name(self):
        assert (
            doctor.pip_install("no-part-of-the-course") == f'"{sys.executable}" -m pip install "no-part-of-the-course"'
        )

    def test_pictures_that_cannot_be_drawn_are_a_warning(self, monkeypatch):
        def no_display(*arguments, **options):
            raise OSError("libGL is missing")

        monkeypatch.setattr(video, "record_episode", no_display)
        found = doctor.check_rendering()
        assert (found.status, found.text) == ("warning", "OSError: libGL is missing") and "gymnasium" in found.fix

    def test_devices_that_cannot_be_listed_are_a_problem(self, monkeypatch):
        def no_driver():
            raise RuntimeError("the driver is too old")

        monkeypatch.setattr(device, "available_devices", no_driver)
        found = doctor.check_device()
        assert (found.status, found.text) == ("problem", "RuntimeError: the driver is too old") and "torch" in found.fix


def test_what_is_well_is_folded_and_left_out_of_the_few_lines():
    findings = [doctor.Finding("video", "warning", "slow"), doctor.Finding("disk", "ok", "much free")]
    report = doctor.Report(findings)
    open_part, fold = report.html.split("<details>")
    assert "slow" in open_part and "You are ready to go." in open_part and "much free" not in open_part
    assert "well: 1</summary>" in fold and "much free" in fold and "slow" not in fold
    assert "slow" in report.short and "much free" not in report.short and "much free" in str(report)
    assert doctor.Report(findings[1:]).short == "You are ready to go."
