"""Jobs that are not done yet are run, each is stored at once, and a kill costs only the one under way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from conftest import ROOT

from benchmarks import runner, store

JOBS = '''
"""Jobs that leave a trace; each seed that has a file "<seed>.fails" raises."""
import os, pathlib, time
from dataclasses import replace
from benchmarks.group import Group

FOLDER = pathlib.Path(os.environ["TRACES"])

def measure(arm, seed):
    if (FOLDER / f"{seed}.fails").exists():
        raise ArithmeticError(f"seed {seed} is broken")
    time.sleep(float(os.environ.get("PAUSE", 0)))
    with (FOLDER / "trace").open("a") as file:
        file.write(f"{arm} {seed}\\\\n")
    return {arm: {"frames": seed, "seconds": 1.5}}

def groups():
    jobs = lambda count: [(arm, seed) for seed in range(count) for arm in ("one", "two")]
    words = {"order": 1, "question": "?", "tell": print, "file": "x"}
    alone = Group("alone", **words, jobs=jobs, measure=measure, arms=lambda: ["one", "two"], code=lambda: "", repeats=3)
    absent = replace(alone, name="absent", missing=lambda: "there is no sun")
    picky = replace(alone, name="picky", stale=lambda arm, run: arm == "two")
    timed = replace(alone, name="timed", only_seconds=True)
    return {"alone": alone, "absent": absent, "timed": timed, "picky": picky}
'''


class TestRunner:
    @pytest.fixture
    def jobs(self, tmp_path, monkeypatch):
        (tmp_path / "made_up_jobs.py").write_text(JOBS.replace("\\\\n", "\\n"))
        monkeypatch.setenv("TRACES", str(tmp_path))
        monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
        monkeypatch.syspath_prepend(tmp_path)
        import made_up_jobs

        yield made_up_jobs
        del sys.modules["made_up_jobs"]

    def traces(self, folder) -> list[str]:
        return (folder / "trace").read_text().splitlines()

    def test_finished_jobs_are_not_run_again_and_failed_ones_are(self, jobs, tmp_path, capsys):
        (tmp_path / "1.fails").touch()
        results = store.Store(tmp_path / "x.json")
        failed = runner.run(jobs.groups, "alone", results)
        assert [line.split(":")[0] for line in failed] == ["alone, one, 1", "alone, two, 1"]
        assert all("ArithmeticError: seed 1 is broken" in line for line in failed)
        assert self.traces(tmp_path) == ["one 0", "two 0", "one 2", "two 2"], "alone: in this order"
        (tmp_path / "1.fails").unlink()
        assert runner.run(jobs.groups, "alone", store.Store(tmp_path / "x.json")) == []
        assert self.traces(tmp_path)[4:] == ["one 1", "two 1"]
        assert list(store.Store(tmp_path / "x.json").runs["alone"]["two"]) == ["0", "1", "2"]
        assert "6/6" in capsys.readouterr().out

    def test_fresh_measures_anew(self, jobs, tmp_path):
        for fresh in (False, False, True):
            runner.run(jobs.groups, "alone", store.Store(tmp_path / "x.json"), 1, fresh=fresh)
        assert self.traces(tmp_path) == ["one 0", "two 0"] * 2

    def test_a_run_that_its_group_calls_stale_is_measured_again(self, jobs, tmp_path):
        for _ in range(2):
            runner.run(jobs.groups, "picky", store.Store(tmp_path / "x.json"), 1)
        assert self.traces(tmp_path) == ["one 0", "two 0", "two 0"]

    def test_another_cpu_runs_only_what_is_new_and_keeps_it_without_its_seconds(
        self, jobs, tmp_path, monkeypatch, capsys
    ):
        monkeypatch.setattr(store, "cpu_name", lambda: "the first CPU")
        runner.run(jobs.groups, "alone", store.Store(tmp_path / "x.json"), 1)
        assert "stored seconds" not in capsys.readouterr().out
        monkeypatch.setattr(store, "cpu_name", lambda: "another CPU")
        runner.run(jobs.groups, "alone", store.Store(tmp_path / "x.json"), 2)
        assert self.traces(tmp_path) == ["one 0", "two 0", "one 1", "two 1"]
        said = capsys.readouterr().out
        assert (
            "alone: the stored seconds are of the first CPU" in said and "(--fresh measures all of them here)" in said
        )
        runs = store.Store(tmp_path / "x.json").runs["alone"]["one"]
        assert runs == {"0": {"frames": 0, "seconds": 1.5}, "1": {"frames": 1}}
        runner.run(jobs.groups, "alone", store.Store(tmp_path / "x.json"), 2, fresh=True)
        stored = store.Store(tmp_path / "x.json")
        assert stored.stamps["alone"]["cpu"] == "another CPU" and store.ELSEWHERE not in stored.stamps["alone"]
        assert all(map(store.has_seconds, stored.runs["alone"]["one"].values()))

    def test_another_cpu_measures_anew_what_is_nothing_but_seconds(self, jobs, tmp_path, monkeypatch, capsys):
        for name in ("the first CPU", "another CPU"):
            monkeypatch.setattr(store, "cpu_name", lambda name=name: name)
            runner.run(jobs.groups, "timed", store.Store(tmp_path / "x.json"), 1)
        assert self.traces(tmp_path) == ["one 0", "two 0"] * 2
        assert "timed: 2 runs forgotten: made by other code, with other versions or on another CPU" in (
            capsys.readouterr().out
        )

    def test_a_group_that_cannot_be_measured_here_is_left_out_and_says_why(self, jobs, tmp_path, capsys):
        assert runner.run(jobs.groups, "absent", store.Store(tmp_path / "x.json")) == []
        assert capsys.readouterr().out == "absent: left out, there is no sun\n"
        assert not (tmp_path / "x.json").exists()

    def test_a_kill_costs_the_job_under_way_and_nothing_else(self, jobs, tmp_path, monkeypatch):
        monkeypatch.setenv("PAUSE", "0.3")
        script = textwrap.dedent("""
            import pathlib, sys, made_up_jobs
            from benchmarks import runner, store
            if __name__ == "__main__":
                runner.run(made_up_jobs.groups, "alone", store.Store(pathlib.Path(sys.argv[1])), 20)
        """)
        (tmp_path / "script.py").write_text(script)
        path = tmp_path / "x.json"
        bench = subprocess.Popen([sys.executable, tmp_path / "script.py", path], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while len(store.Store(path).runs.get("alone", {}).get("two", {})) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        bench.send_signal(signal.SIGKILL)
        bench.wait()
        done = store.Store(path).runs["alone"]
        finished = sum(map(len, done.values()))
        assert finished >= 4
        time.sleep(1)  # its worker leaves with it, at the latest after the job under way
        before = self.traces(tmp_path)
        assert finished <= len(before) <= finished + 2
        monkeypatch.setenv("PAUSE", "0")
        runner.run(jobs.groups, "alone", store.Store(path), 4)
        after = self.traces(tmp_path)[len(before) :]
        assert len(after) == 8 - finished and not set(after) & set(before[:finished])
