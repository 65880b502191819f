"""Lesson 10 writes records and reads them back as they were, and says of TorchRL's reader and CQL loss what is true."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.groups import offline
from course_utils.machine import doctor, extras


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    """The lesson's definitions, its folder of datasets in a place of its own."""
    found: dict = {"seed": 0}
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()):
        patch.chdir(tmp_path_factory.mktemp("lesson"))
        patch.setenv("MINARI_DATASETS_PATH", "set by the lesson")
        exec(offline.code(), found)
        found["settings"] = replace(found["settings"], early_runs=12, late_runs=4, updates=3)
        yield found


@pytest.fixture(scope="module")
def episodes(space):
    return space["make_record"](0)


def test_a_record_is_whole_episodes_that_end_once_and_pay_what_their_shift_is_paid(episodes):
    assert [episode["next", "reward"].sum().item() for episode in episodes] == [1.0] * 12 + [10.0] * 4
    for episode in episodes:
        assert episode["next", "done"].flatten().tolist() == [False] * (len(episode) - 1) + [True]
        assert torch.equal(episode["next", "observation"][:-1], episode["observation"][1:])


def test_the_hall_is_a_sound_environment_whose_shifts_know_their_way(space):
    from torchrl.envs import check_env_specs

    check_env_specs(space["Robots"](3, space["states_of"]("e"), 0))
    for letter, pays in (("D", 1), ("R", 10)):
        assert (space["evaluate"](space["driver"](letter), 50, seed=1) == pays).all()


def test_nobody_in_the_record_drove_from_the_west_to_the_ramp(episodes):
    for episode in episodes:
        was_in_the_west = (episode["observation"][:, 0] < 0).any()
        assert not (was_in_the_west and episode["next", "reward"].sum() == 10)


def test_what_is_written_to_minari_is_read_back_unchanged(space, episodes):
    pytest.importorskip("minari", reason=extras.extra_install("minari"))
    dataset = space["store"]("hall/shifts-v0", episodes)
    assert (space["folder"] / "minari" / "hall" / "shifts-v0").is_dir()
    read = [space["from_minari"](episode) for episode in dataset]
    assert len(read) == len(episodes)
    for ours, theirs in zip(episodes, read, strict=True):
        assert (ours.cpu() == theirs).all() and ours.batch_size == theirs.batch_size


def test_storing_a_record_again_replaces_it(space, episodes):
    pytest.importorskip("minari", reason=extras.extra_install("minari"))
    for kept in (episodes[:4], episodes[:2]):
        assert space["store"]("hall/again-v0", kept).total_episodes == len(kept)


@pytest.mark.parametrize(
    "options", [{"download": False, "load_from_local_minari": True}, {"download": True}], ids=["local", "downloaded"]
)
def test_torchrls_own_reader_still_hands_out_zeros(space, episodes, monkeypatch, tmp_path, options):
    """If this fails, TorchRL was mended: let the lesson use `MinariExperienceReplay` and drop its warning."""
    minari = pytest.importorskip("minari", reason=extras.extra_install("minari"))
    from torchrl.data.datasets import MinariExperienceReplay

    space["store"]("hall/zeros-v0", episodes)
    ours = space["folder"] / "minari" / "hall" / "zeros-v0"

    def fetch(dataset_id):  # the network's part: a dataset arrives in the folder of the moment
        shutil.copytree(ours, Path(os.environ["MINARI_DATASETS_PATH"]) / dataset_id)

    monkeypatch.setattr(minari, "download_dataset", fetch)
    with contextlib.redirect_stderr(io.StringIO()):
        read = MinariExperienceReplay("hall/zeros-v0", 4, root=tmp_path, **options)
    assert len(read) == sum(map(len, episodes))
    assert torch.cat(episodes)["observation"].abs().sum() > 0 and read[:]["observation"].abs().sum() == 0


def test_every_method_learns_from_the_same_buffer_and_its_agent_acts(space, episodes):
    for method in space["methods"]:
        agent = space["learn"](method, torch.cat(episodes), seed=0)
        assert space["evaluate"](agent, 2, seed=5).shape == (2,), method


def test_cqls_second_term_is_the_cloning_loss_of_its_values(space, episodes):
    student, batch = space["conservative_dqn"](), torch.cat(episodes)[:32]
    values = student.agent(batch.select("observation"))["action_value"]
    cloning = torch.nn.functional.cross_entropy(values, batch["action"])
    torch.testing.assert_close(student.loss(batch)["loss_cql"], cloning)


def test_without_its_weight_cql_is_dqn(space, episodes):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(space, "settings", replace(space["settings"], conservative=0.0))
        students = [space["learn"](method, torch.cat(episodes), seed=0) for method in ("DQN", "CQL")]
    for one, other in zip(*(student.parameters() for student in students), strict=True):
        assert torch.equal(one, other)


def test_torchrls_cql_still_takes_its_targets_from_the_network_in_training(space, episodes):
    """If this fails, TorchRL was mended: drop what lesson 10 says of `DiscreteCQLLoss`, and let it use that class."""
    from torchrl.objectives import DiscreteCQLLoss

    batch = torch.cat(episodes)[:32]
    library = DiscreteCQLLoss(space["make_value_agent"](), loss_function="l2", delay_value=True)
    library.make_value_estimator(gamma=0.95)
    moved = {}
    for loss, term in ((space["plain_dqn"]().loss, "loss"), (library, "loss_qvalue")):
        before = loss(batch.clone())[term].item()
        loss.target_value_network_params.apply(lambda weights: weights.data.fill_(1.0))
        moved[type(loss).__name__] = loss(batch.clone())[term].item() != before
    assert moved == {"DQNLoss": True, "DiscreteCQLLoss": False}


def test_every_arm_of_the_benchmark_names_a_method_of_the_lesson(space):
    assert {method for _, method in offline.ARMS.values()} == set(space["methods"])


def test_an_absent_extra_is_asked_for_with_its_command(monkeypatch, capsys):
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda name: None)
    assert extras.ask_for_extra("minari", "nothing is stored") is False
    said = capsys.readouterr().out
    assert "minari is not installed: nothing is stored." in said
    assert extras.extra_install("minari") in said
    finding = doctor.check_extras()
    assert finding.status == "ok" and re.search(r"absent: .*\bminari\b", finding.text) and not finding.fix


def test_an_extra_that_is_there_is_used_and_an_unknown_one_is_named(monkeypatch, capsys):
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda name: object())
    assert extras.ask_for_extra("minari", "") is True and "minari is here" in capsys.readouterr().out
    assert "minari" in doctor.check_extras().text and "absent" not in doctor.check_extras().text
    with pytest.raises(ValueError, match="no optional extra 'minary'"):
        extras.ask_for_extra("minary", "")


def test_every_optional_extra_is_one_that_the_package_offers():
    import importlib.metadata

    assert set(extras.EXTRAS) <= set(importlib.metadata.metadata("torchrl-course").get_all("Provides-Extra"))
