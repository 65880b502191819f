"""Records of all kinds: no dataset class is left out, and what the page says of each still comes true."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import pytest
from made_up_results import arms, told

from benchmarks import weigh
from benchmarks.groups import records

# What a script imports that a machine may lack.
IMPORTS = {
    "minari": ["minari", "h5py", "huggingface_hub"],
    "d4rl": ["h5py"],
    "vd4rl": ["h5py", "huggingface_hub"],
    "gen_dgrl": ["requests"],
    "roboset": ["h5py", "huggingface_hub"],
    "openml": ["sklearn", "pandas"],
    "atari_dqn": [],
    "lerobot": ["datasets", "huggingface_hub", "pyarrow"],
}


def stored(family: str) -> dict:
    return arms("records")[family]["0"]


def test_every_dataset_class_has_a_script_and_ran():
    import torchrl.data.datasets as library

    classes = {name for name in library.__all__ if name.endswith("ExperienceReplay")} - {"BaseDatasetExperienceReplay"}
    assert {family.cls for family in records.FAMILIES.values()} == classes
    assert [family for family in records.FAMILIES if not stored(family)["ran"]] == []


def test_whatever_was_loaded_was_compared():
    for family in records.FAMILIES:
        found = stored(family)
        assert len(found["equal"]) >= 2 and found["keys"] and found["slices"] and found["transform"], family


@pytest.mark.parametrize("family", records.FAMILIES)
def test_every_trap_of_the_page_is_still_there(family):
    """If this fails, TorchRL was mended: drop the trap from the script, and what the group says of living with it."""
    found = stored(family)
    assert found["faults"] and all(found["faults"].values())


@pytest.mark.slow
@pytest.mark.parametrize("family", IMPORTS)
def test_a_script_says_today_what_is_stored(family):
    """If traps differ, TorchRL was mended or broke anew: measure again."""
    lacking = [name for name in IMPORTS[family] if importlib.util.find_spec(name) is None]
    if lacking:
        pytest.skip(f"needs {', '.join(lacking)}")
    says = json.loads(records.run([sys.executable, records.SCRIPTS / f"read_{family}.py"]))
    assert says == {key: stored(family)[key] for key in says}


def test_a_script_that_stops_is_told_by_its_last_word(monkeypatch):
    monkeypatch.setattr(records, "SCRIPTS", records.ROOT / "nowhere")
    found = records.measure("atari_dqn", 0)["atari_dqn"]
    assert not found["ran"] and "No such file" in found["error"]


def test_an_environment_that_cannot_be_made_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(records, "ENVIRONMENTS", tmp_path)

    def fails(command, **_):
        raise subprocess.CalledProcessError(1, command, stderr="first\nno network\n")

    monkeypatch.setattr(records.subprocess, "run", fails)
    assert records.measure("openml", 0) == {"openml": {"ran": False, "error": "no network"}}


def test_the_guide_shows_one_that_did_not_run(tmp_path):
    d4rl = stored("d4rl")
    page = told(tmp_path, "records", {"d4rl": {"0": d4rl}, "openx": {"0": {"ran": False, "error": "no word"}}})
    assert f"1 of 2 families ran; {sum(d4rl['faults'].values())} traps met." in page
    assert "| Open X-Embodiment | no word |" in page
    guide = records.guide({"d4rl": d4rl, "openx": {"ran": False, "error": "no word"}}, {"torchrl": "1.0"})
    assert "**It did not run here.** no word" in guide and "the last step of the file is left out" in guide


def test_what_the_course_has_weighs_nothing():
    assert "torch" in weigh.course_has() and weigh.needed(["torch"], weigh.course_has()) == {}
    assert set(weigh.needed(["packaging"], set())) == {"packaging"} and weigh.megabytes(["packaging"]) > 0.1
