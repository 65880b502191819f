"""Results on disk: what is kept, what is forgotten, and what a kill can do."""

from __future__ import annotations

import json
import math
import re

import pytest
from made_up_results import STAMP, made_up_run, text_of

from benchmarks import store


class TestStore:
    def test_what_is_stored_is_read_again_in_order_of_seeds_one_run_per_line(self, tmp_path):
        results = store.Store(tmp_path / "new" / "x.json")
        results.begin("peers", ["one", "two"], STAMP)
        results.add("peers", 101, {"one": {"frames": 2}})
        results.add("peers", 99, {"one": {"frames": 1, "curve": [[1, 2.5]]}, "two": {"frames": 3}})
        again = store.Store(results.path)
        assert again.runs == {
            "peers": {
                "one": {"99": {"frames": 1, "curve": [[1, 2.5]]}, "101": {"frames": 2}},
                "two": {"99": {"frames": 3}},
            }
        }
        assert list(again.runs["peers"]["one"]) == ["99", "101"]
        assert '    "99": {"frames": 1, "curve": [[1, 2.5]]},\n' in results.path.read_text()
        assert again.has("peers", "one", 99) and not again.has("peers", "two", 101)

    def test_the_bytes_do_not_depend_on_the_order_of_finishing(self, tmp_path):
        jobs = [("one", 1), ("two", 1), ("one", 2)]
        for name, order in [("a", jobs), ("b", jobs[::-1])]:
            results = store.Store(tmp_path / f"{name}.json")
            results.begin("peers", ["one", "two"], STAMP)
            for arm, key in order:
                results.add("peers", key, {arm: {"frames": key}})
        assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()

    def test_runs_of_other_code_are_not_mixed_with_new_ones(self, tmp_path):
        results = store.Store(tmp_path / "x.json")
        results.begin("peers", ["one", "gone"], STAMP)
        results.begin("time", ["one"], STAMP)
        results.add("peers", 1, {"one": {"frames": 1}, "gone": {"frames": 1}})
        results.add("time", 1, {"one": {"frames": 1}})
        assert store.Store(results.path).begin("peers", ["one", "gone"], STAMP | {"date": "2031-01-01"}) == 0
        assert store.Store(results.path).begin("peers", ["one"], STAMP) == 1, "an arm that is no more"
        other = store.Store(results.path)
        assert other.begin("peers", ["one", "gone"], STAMP | {"code": "def"}) == 2
        assert other.has("time", "one", 1), "another group of the same file"

    def test_a_number_that_json_does_not_know_is_refused_and_the_file_stays(self, tmp_path):
        results = store.Store(tmp_path / "x.json")
        results.begin("peers", ["one"], STAMP)
        results.add("peers", 1, {"one": {"seconds": 1.0}})
        before = results.path.read_bytes()
        with pytest.raises(ValueError):
            results.add("peers", 2, {"one": {"seconds": math.nan}})
        assert results.path.read_bytes() == before

    def test_results_without_a_stamp_of_their_own_count_as_not_measured(self, tmp_path):
        old = {"measured with": {"torch": "2.0"}, "runs": {"peers": {"one": {"1": {"frames": 1}}}}}
        (tmp_path / "x.json").write_text(json.dumps(old))
        assert store.read_group(tmp_path, "x", "peers") == ({}, {})

    def test_the_stamp_knows_versions_cpu_and_code(self):
        stamp = store.environment("x = 1", "abc", "make bench")
        assert stamp["torch"] and stamp["cpu"] and stamp["cores"] >= 1
        assert stamp["code"] != store.environment("x = 2", "abc", "make bench")["code"]
        assert store.same_conditions(stamp, stamp | {"date": "1999-01-01", "command": "x"})
        assert stamp["measured by"] == "abc"
        for fact in ("torch", "python", "code", "measured by"):
            assert not store.same_conditions(stamp, stamp | {fact: "another"}), fact
        assert store.same_conditions(stamp, stamp | {"cpu": "another"}), "frames and success are not bound to it"
        assert store.machine(stamp) != store.machine(stamp | {"cpu": "another"}), "but seconds are"

    def test_a_kill_while_writing_leaves_the_file_whole(self, tmp_path, monkeypatch):
        results = store.Store(tmp_path / "x.json")
        results.begin("peers", ["one"], STAMP)
        results.add("peers", 1, {"one": {"frames": 1}})

        def killed(descriptor):
            raise KeyboardInterrupt

        monkeypatch.setattr(store.os, "fsync", killed)
        with pytest.raises(KeyboardInterrupt):
            results.add("peers", 2, {"one": {"frames": 2}})
        assert store.Store(tmp_path / "x.json").runs == {"peers": {"one": {"1": {"frames": 1}}}}


OTHER = STAMP | {"cpu": "another CPU", "cores": 8}


class TestAnotherMachine:
    """Only seconds are bound to a CPU."""

    @pytest.fixture
    def results(self, tmp_path):
        results = store.Store(tmp_path / "07_dqn.json")
        results.begin("ablations", ["one"], STAMP)
        results.add("ablations", 1, {"one": made_up_run(2)})
        return store.Store(results.path)

    def test_its_frames_and_success_are_kept_and_added_to_but_seconds_stay_those_of_the_first(self, results):
        assert results.begin("ablations", ["one"], OTHER) == 0
        results.add("ablations", 2, {"one": made_up_run(4)})
        runs = store.Store(results.path).runs["ablations"]["one"]
        assert runs["1"] == made_up_run(2)
        frames_and_success = {"test_return", "frames", "curve"}
        assert runs["2"] == {fact: value for fact, value in made_up_run(4).items() if fact in frames_and_success}

    def test_the_stamp_goes_on_saying_whose_the_seconds_are_and_what_came_from_elsewhere(self, results):
        for stamp in (OTHER, OTHER, STAMP):
            results = store.Store(results.path)
            results.begin("ablations", ["one"], stamp | {"date": "2031-01-01"})
            results.add("ablations", len(results.runs["ablations"]["one"]) + 1, {"one": made_up_run(2)})
        stamp = store.Store(results.path).stamps["ablations"]
        assert store.machine(stamp) == store.machine(STAMP) and stamp["date"] == "2031-01-01"
        assert stamp[store.ELSEWHERE] == ["another CPU (8 cores)"]
        runs = store.Store(results.path).runs["ablations"]["one"]
        assert [store.has_seconds(run) for run in runs.values()] == [True, False, False, True]

    def test_runs_that_are_nothing_but_seconds_are_forgotten(self, results):
        assert results.begin("ablations", ["one"], OTHER, only_seconds=True) == 1
        assert store.machine(results.stamps["ablations"]) == store.machine(OTHER)

    def test_other_code_is_still_forgotten_and_seconds_are_then_those_of_the_new_machine(self, results):
        assert results.begin("ablations", ["one"], OTHER | {"measured by": "else"}) == 1
        results.add("ablations", 2, {"one": made_up_run(4)})
        again = store.Store(results.path)
        assert again.runs["ablations"]["one"] == {"2": made_up_run(4)}
        assert again.stamps["ablations"] == OTHER | {"measured by": "else"}

    def test_the_page_says_it_and_mixes_no_seconds(self, results):
        alone = text_of(results.path.parent)
        results.begin("ablations", ["one"], OTHER)
        results.add("ablations", 2, {"one": made_up_run(6)})
        text = text_of(results.path.parent)
        assert "of these" not in alone and "| 2,000 | 6.0 (6.0 to 6.0) |" in alone.replace(" (2,000 to 2,000)", "")
        assert "| 4,000 (2,400 to 5,600) | 6.0 (6.0 to 6.0) |" in text, "frames of both, seconds of the first"
        assert (
            "1 of these 2 runs came later from another CPU (8 cores): they count for frames and success, and all "
            "seconds are those of a made-up CPU." in text
        )

    def test_an_arm_that_has_no_seconds_at_all_says_so(self, results):
        results.begin("ablations", ["one", "the recipe"], OTHER)
        results.add("ablations", 1, {"the recipe": made_up_run(3)})
        text = text_of(results.path.parent)
        assert re.search(r"\| the recipe \|.*\| 3,000 \(3,000 to 3,000\) \| not measured \|", text)
        assert "nan" not in text
