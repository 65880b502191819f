"""The real record of lesson 10 is what its README says, and the lesson says of it what is true."""

from __future__ import annotations

import contextlib
import csv
import io

import pytest
import torch
from conftest import ROOT

from benchmarks.lesson_code import code_cells
from course_utils import real_records
from course_utils.runs import shipped
from tools import lock

FOLDER = ROOT / "examples" / "records"


@pytest.fixture(scope="module")
def section():
    """The cells of the lesson that deal with the record, run one after the other, and what they printed."""
    cells = [cell.source for cell in code_cells("10_offline_rl")]
    first = next(number for number, source in enumerate(cells) if "real_records" in source)
    last = next(number for number, source in enumerate(cells) if "chance_actor" in source)
    lines, printed = "import torch\nfrom tensordict import TensorDict\nfrom tensordict.nn import TensorDictModule\n", {}
    lines += "import matplotlib.pyplot as plt\nfrom course_utils import show_figure\n"
    lines += "from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer\n"
    lines += "from torchrl.modules import ProbabilisticActor\n"
    space: dict = {}
    exec(lines, space)
    for source in cells[first : last + 1]:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(source, space)
        printed[source] = out.getvalue()
    return space | {"printed": "".join(printed.values())}


def rows(name):
    with (FOLDER / f"shop_by_{name}.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(("name", "clicks"), [("chance", 46), ("bandit", 69)])
def test_the_files_hold_what_their_readme_says(name, clicks):
    found = rows(name)
    assert len(found) == 10_000 and sum(int(row["click"]) for row in found) == clicks
    assert {int(row["item"]) for row in found} == set(range(34)) and {row["place"] for row in found} == {"0", "1", "2"}
    seconds = [int(row["second"]) for row in found]
    assert seconds == sorted(seconds) and 6 * 86_400 < seconds[-1] < 7 * 86_400 and 0 <= seconds[0] < 600
    propensities = {float(row["propensity"]) for row in found}
    assert max(propensities) < 1 and min(propensities) > 0
    assert (propensities == {round(1 / 34, 7)}) == (name == "chance")
    told = (FOLDER / "README.md").read_text()
    assert all(f"`{column}`" in told or column.startswith("user_") for column in found[0])
    assert "Apache License" in (FOLDER / "LICENSE").read_text() and "ZOZO Technologies" in told


def test_the_bandit_is_judged_within_its_error_from_chances_record_and_chance_not_from_the_bandits(section):
    value, error, real = section["estimates"]["bandit"]
    assert abs(value - real) < error
    value, error, real = section["estimates"]["chance"]
    assert value < real - 2 * error and value < 0.7 * real, "too small, and surer than it ought to be"


def test_what_is_said_of_the_weights_is_so(section):
    weights, clicked = section["weights"], section["shop"]["bandit"]["click"] > 0
    effective = weights.sum() ** 2 / (weights**2).sum()
    assert effective < 1_000 and 0.9 < weights.mean() < 0.97 and weights.max() > 100
    assert weights[clicked].max() < 5, "not one click fell on a display with a large weight"
    assert weights.max() / len(weights) > 3 * section["estimates"]["chance"][0], "one click would have changed it all"
    assert section["shown"]["bandit"].min() < 30 and section["shown"]["chance"].min() > 200


def test_clip_ppo_loss_tells_the_same_numbers(section):
    weights, readings = section["weights"], section["readings"]
    assert readings["mean_ratio"].item() == pytest.approx(weights.mean().item(), rel=1e-3)
    assert readings["max_ratio"].item() == pytest.approx(weights.max().item(), rel=1e-3)
    effective = (weights.sum() ** 2 / (weights**2).sum()).item()
    assert readings["ESS"].item() * len(weights) == pytest.approx(effective, rel=1e-3)
    assert readings["clip_fraction"] > 0.9


def test_the_item_that_one_half_likes_best_is_worth_less_in_the_other(section):
    chosen, other = (section["judge_from"](half, section["always"])[1] for half in section["halves"].values())
    assert 2 < chosen / other < 4, "it promises three times what the other half finds"


def test_an_unclicked_click_counts_nothing_and_the_own_policy_changes_nothing(section):
    chance = section["shop"]["chance"]
    weights, value, _ = section["judge_from"](chance, section["policies"]["chance"])
    assert torch.allclose(weights, torch.ones(len(weights)), atol=1e-3) and value == pytest.approx(0.0046, abs=1e-5)


def test_the_record_is_found_in_a_clone_and_in_an_installed_package(tmp_path, monkeypatch):
    assert real_records() == FOLDER
    monkeypatch.setattr(shipped, "PACKAGE", tmp_path)
    (tmp_path / "records").mkdir()
    assert real_records() == tmp_path / "records"


def test_an_installed_package_brings_it_along_with_its_licence():
    settings = lock.pyproject()["tool"]["setuptools"]
    assert settings["package-dir"]["course_utils.records"] == "examples/records"
    assert "course_utils.records" in settings["packages"]
    assert {"*.csv", "*.md", "LICENSE"} <= set(settings["package-data"]["course_utils.records"])
    assert "examples/records/LICENSE" in lock.pyproject()["project"]["license-files"]
