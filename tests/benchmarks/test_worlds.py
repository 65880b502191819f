"""Families of worlds: what is installed for each, that it says so, and that TorchRL's wrappers run over stand-ins."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from made_up_results import arms

from benchmarks import worlds
from tools import worlds as commands

FAMILIES = worlds.families()
SCRIPTS = sorted(worlds.WORLDS.glob("*_world.py"))
STOOD_IN = [name for name, entry in FAMILIES.items() if entry.get("stand_in")]
# Habitat's stand-in needs the package gym, which the course does not have; its stored record shows that it ran.
HERE = [name for name in STOOD_IN if name != "habitat" or importlib.util.find_spec("gym")]


class TestFamilies:
    def test_every_wrapper_of_torchrl_has_a_family(self):
        folder = Path(importlib.util.find_spec("torchrl").origin).parent / "envs" / "libs"
        modules = {path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")} - {"utils", "jax_utils"}
        assert {entry["module"] for entry in FAMILIES.values()} == modules

    def test_every_public_name_of_torchrl_s_wrappers_is_named(self):
        import torchrl.envs.libs as libs

        public = {name for name in libs.__all__ if name.endswith(("Env", "Wrapper"))}
        assert public == {name for entry in FAMILIES.values() for name in entry["wrappers"]}

    def test_pins_are_exact_and_never_of_what_no_family_may_replace(self):
        for name in FAMILIES:
            pins = worlds.pins_of(name)
            unresolved = pins == FAMILIES[name]["needs"] != []
            assert unresolved or all(re.fullmatch(r"[a-z0-9_.-]+==[\w.+]+", pin) for pin in pins), name
            assert not {worlds.name_of(pin) for pin in pins} & set(worlds.HELD), name

    def test_each_family_has_a_list_and_each_list_a_family(self):
        assert {path.stem for path in worlds.REQUIREMENTS.glob("*.txt")} == set(FAMILIES)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
class TestScripts:
    def test_it_is_short_and_says_in_three_sentences_what_the_family_is_for(self, script):
        text = script.read_text()
        head, _, rest = text.split('"""')[1].partition("\n\n")
        assert len(text.splitlines()) < 80 and ": " in head
        assert len(re.findall(r"\.(?:\s|$)", rest)) == 3

    def test_it_takes_the_looks(self, script):
        text = script.read_text()
        looks = [look for look in ("specs", "check", "rollout", "transform", "strip") if f"tour.{look}(" in text]
        assert len(looks) == 5 and ("tour.speed(" in text or script.stem.removesuffix("_world") in STOOD_IN)


class TestInstalling:
    def test_only_what_is_named_is_built_from_source(self):
        wheels, source = worlds.install_commands(["gym==0.26.2", "jax==1"], ["gym"])
        assert wheels == ["pip", "install", "--no-deps", "--only-binary", ":all:", "jax==1"]
        assert source == ["pip", "install", "--no-deps", "gym==0.26.2"]

    def test_nothing_is_asked_for_where_nothing_is_added(self):
        assert worlds.install_commands([], []) == []

    def test_an_environment_sees_the_course_s_packages_behind_its_own(self, tmp_path):
        python = worlds.make_venv(tmp_path / "venv")
        (worlds.site_of(tmp_path / "venv") / "tqdm.py").write_text("own = True")
        code = "import tqdm, importlib.util; print(tqdm.own, bool(importlib.util.find_spec('torch')))"
        said = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout
        assert said.split() == ["True", "True"]

    def test_the_first_error_stands_on_one_line_without_folders(self):
        said = "Using Python\n × No solution found when resolving dependencies:\n ╰─▶ Because a is not in /root/x/\n"
        assert worlds.shortened(said) == "Because a is not in"
        assert len(worlds.shortened("word " * 200)) <= worlds.LONGEST

    def test_the_error_of_a_script_is_its_tracebacks_last(self):
        said = "Traceback\n  File '/a/b.py'\nModuleNotFoundError: No module named 'gym'\nwarned: bye\n"
        assert worlds.last_error(said) == "ModuleNotFoundError: No module named 'gym'"


class TestRunning:
    def run(self, tmp_path, code: str) -> dict:
        (tmp_path / "script.py").write_text(code)
        return worlds.run_script(Path(sys.executable), [tmp_path / "script.py"], {}, tmp_path)

    def test_a_script_that_stops_has_told_what_it_knew(self, tmp_path):
        code = "import sys\nopen(sys.argv[2], 'w').write('{\"title\": \"t\"}')\nraise ValueError('broken')"
        assert self.run(tmp_path, code) == {"title": "t", "error": "ValueError: broken"}

    def test_a_script_that_takes_too_long_is_stopped(self, tmp_path, monkeypatch):
        monkeypatch.setattr(worlds, "CPU_SECONDS", 1)
        assert "stopped by signal" in self.run(tmp_path, "while True: pass")["error"]


class TestNewest:
    @pytest.mark.parametrize(
        ("before", "now", "said"), [(True, False, "broken"), (False, True, "mended"), (True, True, "the same")]
    )
    def test_the_report_says_what_was_mended_and_what_broke(self, before, now, said):
        stored = {"ran": before, "pins": ["a==1", "b==2"]}
        row = commands.compare("x", stored, {"ran": now, "error": "E: e", "pins": ["a==1", "b==3"]})
        assert row[:2] == ["x", said] and row[3] == "b==3" and (row[2] == "runs") == now


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What the tours over stand-ins saw, now and in one process: {family: facts}."""
    folder = tmp_path_factory.mktemp("stand_ins")
    code = f"""
import runpy, sys, torch
sys.path.insert(0, {str(worlds.WORLDS)!r})
import importlib
names = {HERE}
for name in names:
    importlib.import_module("stand_ins." + name).install()
for name in names:
    torch.manual_seed(0)  # a cart that plays at random may be lost within the five steps of a tour
    sys.argv = [name, "--facts", {str(folder)!r} + f"/{{name}}.json", "--picture", {str(folder)!r} + f"/{{name}}.webp"]
    runpy.run_path({str(worlds.WORLDS)!r} + f"/{{name}}_world.py", run_name="__main__")
"""
    environment = worlds.environment_of({})
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=folder)
    assert done.returncode == 0, done.stderr[-2_000:]
    return {name: json.loads((folder / f"{name}.json").read_text()) for name in HERE}


def recorded(name: str) -> dict:
    """What is stored of a family."""
    (record,) = arms("worlds")[name].values()
    return record


def test_habitats_wrapper_asks_for_a_gpu_before_it_looks_at_anything():
    assert "accelerator" in recorded("habitat")["stand_in"]["error"]


@pytest.mark.parametrize("name", sorted(set(STOOD_IN) - {"habitat"}))
class TestStandIns:
    def test_specs_and_checks_are_those_that_are_stored(self, seen, name):
        record = recorded(name)
        stored = record["stand_in"]
        assert "error" not in stored and stored["check"] == "holds" and stored["picture"]
        if name in seen:
            assert seen[name]["specs"] == stored["specs"] and seen[name]["check"] == "holds"

    def test_what_breaks_is_what_is_stored(self, seen, name):
        record = recorded(name)
        if name in seen:
            assert [what for what, _ in seen[name]["breaks"]] == [what for what, _ in record["stand_in"]["breaks"]]
        assert record["stand_in"]["breaks"]


class TestTraps:
    """What the page teaches of single wrappers, seen again over their stand-ins."""

    def came(self, seen, name: str, what: str) -> str:
        (found,) = [came for tried, came in seen[name]["breaks"] if what in tried]
        return found

    def test_isaac_lab_loses_the_last_observation_and_can_set_back_one_copy(self, seen):
        ends, lost = map(int, re.findall(r"\d+", self.came(seen, "isaac_lab", "that ended an episode")))
        assert ends == lost > 0
        assert self.came(seen, "isaac_lab", "only copy 0").endswith("[0]")

    def test_genesis_resets_nothing_and_rewards_nothing(self, seen):
        assert "leaves the scene as it is" in self.came(seen, "genesis", "after a reset")
        assert self.came(seen, "genesis", "reward") == "always [0.0]"

    @pytest.mark.parametrize("name", ["smacv2", "meltingpot", "unity_mlagents"])
    def test_three_take_no_seed(self, seen, name):
        assert self.came(seen, name, "set_seed").startswith("NotImplementedError")

    def test_smac_refuses_what_the_mask_forbids(self, seen):
        assert "action_mask" in self.came(seen, "smacv2", "dead")

    def test_unity_shows_the_last_observation_of_the_episode_that_ended(self, seen):
        assert self.came(seen, "unity_mlagents", "falls off").startswith("done, reward -1.0")

    def test_isaac_gym_cannot_roll_past_an_end(self, seen):
        assert "Partial resets" in self.came(seen, "isaacgym", "past the end")
