"""The workflows for those who fork: valid, pinned, with the least permissions, and all work is the Makefile's."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import yaml
from conftest import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
PINNED = r"uses: [\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+"


def read(text: str) -> dict:
    return yaml.load(text, Loader=yaml.BaseLoader)  # else YAML 1.1 makes True of the key `on`


def is_valid(path) -> bool:
    """By the schema of GitHub workflows that check-jsonschema brings along; asks no network."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(path)]
    return subprocess.run(command, capture_output=True).returncode == 0


def unknown_targets(text: str) -> set[str]:
    """What a workflow asks `make` for that the Makefile does not have."""
    steps = [step for job in read(text)["jobs"].values() for step in job["steps"]]
    return set(re.findall(r"\bmake ([^\s;&|]+)", "\n".join(step.get("run", "") for step in steps))) - TARGETS


def unpinned(text: str) -> list[str]:
    """The lines that use an action without its commit and, beside it, the release a reader knows."""
    return [line.strip() for line in text.splitlines() if "uses:" in line and not re.search(PINNED + "$", line)]


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.name)
def workflow(request):
    return request.param


def test_there_is_one_for_changes_and_one_for_drift():
    assert [path.name for path in WORKFLOWS] == ["canary.yml", "course.yml"]


def test_it_is_valid(workflow):
    assert is_valid(workflow)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("runs-on: ubuntu-24.04", "run-on: ubuntu-24.04"), ("contents: read", "contents: maybe"), ("jobs:", "jobz:")],
)
def test_a_broken_one_is_refused(tmp_path, right, wrong):
    text = WORKFLOWS[0].read_text()
    assert right in text
    broken = tmp_path / "broken.yml"
    broken.write_text(text.replace(right, wrong, 1))
    assert not is_valid(broken)


def test_every_make_target_it_names_is_in_the_makefile(workflow):
    assert "make " in workflow.read_text() and not unknown_targets(workflow.read_text())


def test_a_make_target_that_is_not_there_is_found(workflow):
    before = unknown_targets(workflow.read_text())
    text = re.sub(r"run: make \w+", "run: make nothing", workflow.read_text(), count=1)
    assert unknown_targets(text) - before == {"nothing"}


def test_the_real_work_is_the_makefiles(workflow):
    commands = [
        step["run"] for job in read(workflow.read_text())["jobs"].values() for step in job["steps"] if "run" in step
    ]
    assert not [command for command in commands if not command.startswith(("make ", "cat build/"))]


def test_changes_run_the_checks_the_tests_the_coverage_and_the_site():
    assert set(re.findall(r"run: make (\w+)", WORKFLOWS[1].read_text())) == {"check", "test", "coverage", "site"}


def test_every_action_is_pinned_to_a_commit_and_to_the_same_one_everywhere(workflow):
    assert not unpinned(workflow.read_text())
    used = re.findall(r"uses: ([\w/-]+)@(.+)", "\n".join(path.read_text() for path in WORKFLOWS))
    assert len({name for name, _ in used}) == len(set(used))


@pytest.mark.parametrize("loose", ["actions/checkout@v6", "actions/checkout@main", "actions/checkout@" + "0" * 40])
def test_an_action_that_is_not_pinned_is_found(loose):
    assert unpinned(f"      - uses: {loose}\n") == [f"- uses: {loose}"]


def test_it_may_read_the_code_and_nothing_else_but_for_the_job_that_publishes(workflow):
    content = read(workflow.read_text())
    assert content["permissions"] == {"contents": "read"}
    more = {name: job["permissions"] for name, job in content["jobs"].items() if "permissions" in job}
    assert more in ({}, {"publish": {"pages": "write", "id-token": "write"}})
    checkouts = [
        step for job in content["jobs"].values() for step in job["steps"] if "checkout" in step.get("uses", "")
    ]
    assert all(step["with"] == {"persist-credentials": "false"} for step in checkouts)


def test_every_job_ends_and_only_one_run_for_a_branch_goes_on(workflow):
    content = read(workflow.read_text())
    assert "${{ github.ref }}" in content["concurrency"]["group"]
    assert all("timeout-minutes" in job for job in content["jobs"].values())


def test_it_takes_the_python_the_course_is_pinned_for(workflow):
    python = re.search(r"python=([\d.]+)", (ROOT / "environment.yml").read_text())[1]
    assert set(re.findall(r'python-version: "(.+)"', workflow.read_text())) == {python}
