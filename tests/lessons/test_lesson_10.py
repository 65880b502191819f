"""Lesson 10 writes records and reads them back as they were, and says of TorchRL's own reader what is true."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
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
        found["settings"] = replace(found["settings"], part_frames=300, updates=3)
        yield found


@pytest.fixture(scope="module")
def records(space):
    torch.manual_seed(0)
    players = [space["make_value_agent"]() for _ in range(3)]
    return space["make_records"](players, players[0], seed=0)


def test_a_record_is_whole_episodes_that_end_once(records):
    assert sum(map(len, records["mixed"])) == 600 and sum(map(len, records["good"])) == 300
    for episode in [*records["mixed"], *records["good"]]:
        assert episode["next", "done"].flatten().tolist() == [False] * (len(episode) - 1) + [True]
        assert torch.equal(episode["next", "observation"][:-1], episode["observation"][1:])


def test_what_is_written_to_minari_is_read_back_unchanged(space, records):
    pytest.importorskip("minari", reason=extras.extra_install("minari"))
    dataset = space["store"]("cartpole/mixed-v0", records["mixed"])
    assert (space["folder"] / "minari" / "cartpole" / "mixed-v0").is_dir()
    read = [space["from_minari"](episode) for episode in dataset]
    assert len(read) == len(records["mixed"])
    for ours, theirs in zip(records["mixed"], read, strict=True):
        assert (ours.cpu() == theirs).all() and ours.batch_size == theirs.batch_size


def test_storing_a_record_again_replaces_it(space, records):
    pytest.importorskip("minari", reason=extras.extra_install("minari"))
    for episodes in (records["mixed"][:4], records["mixed"][:2]):
        assert space["store"]("cartpole/again-v0", episodes).total_episodes == len(episodes)


@pytest.mark.parametrize(
    "options", [{"download": False, "load_from_local_minari": True}, {"download": True}], ids=["local", "downloaded"]
)
def test_torchrls_own_reader_still_hands_out_zeros(space, records, monkeypatch, tmp_path, options):
    """If this fails, TorchRL was mended: let the lesson use `MinariExperienceReplay` and drop its warning."""
    minari = pytest.importorskip("minari", reason=extras.extra_install("minari"))
    from torchrl.data.datasets import MinariExperienceReplay

    space["store"]("cartpole/zeros-v0", records["mixed"])
    ours = space["folder"] / "minari" / "cartpole" / "zeros-v0"

    def fetch(dataset_id):  # the network's part: a dataset arrives in the folder of the moment
        shutil.copytree(ours, Path(os.environ["MINARI_DATASETS_PATH"]) / dataset_id)

    monkeypatch.setattr(minari, "download_dataset", fetch)
    with contextlib.redirect_stderr(io.StringIO()):
        read = MinariExperienceReplay("cartpole/zeros-v0", 4, root=tmp_path, **options)
    assert len(read) == 600
    assert torch.cat(records["mixed"])["observation"].abs().sum() > 0 and read[:]["observation"].abs().sum() == 0


def test_learning_sees_a_fall_as_minus_one_and_a_clock_as_nothing(space, records):
    data = space["for_learning"](records["mixed"])
    assert torch.equal(data["next", "reward"], -data["next", "terminated"].float())
    assert -1 in data["next", "reward"] and data["next", "done"].sum() > data["next", "terminated"].sum()


def test_every_method_learns_from_the_same_buffer_and_its_agent_acts(space, records):
    data = space["for_learning"](records["mixed"])
    for method in space["methods"]:
        agent = space["learn"](method, data, seed=0)
        assert space["evaluate"](agent, 2, seed=5).min() >= 1, method


def test_cqls_second_term_is_the_cloning_loss_of_its_values(space, records):
    student = space["conservative_dqn"]()
    batch = space["for_learning"](records["mixed"])[:32]
    values = student.agent(batch.select("observation"))["action_value"]
    cloning = torch.nn.functional.cross_entropy(values, batch["action"])
    torch.testing.assert_close(student.loss(batch)["loss_cql"], cloning)


def test_torchrls_cql_still_takes_its_targets_from_the_network_in_training(space, records):
    """If this fails, TorchRL was mended: measure lesson 10 anew and drop its sentence about CQL's target network."""
    batch = space["for_learning"](records["mixed"])[:32]
    moved = {}
    for name, term in {"plain_dqn": "loss", "conservative_dqn": "loss_qvalue"}.items():
        loss = space[name]().loss
        before = loss(batch.clone())[term].item()
        loss.target_value_network_params.apply(lambda weights: weights.data.fill_(1.0))
        moved[name] = loss(batch.clone())[term].item() != before
    assert moved == {"plain_dqn": True, "conservative_dqn": False}


@pytest.mark.parametrize("batches", [1, 8], ids=["a player that is good early", "a player trained to the end"])
def test_the_players_collector_is_shut_down_however_far_they_train(space, monkeypatch, batches):
    shut = []

    class Watched(space["Collector"]):
        def shutdown(self, *arguments, **options):
            shut.append(sys._getframe(1).f_code.co_name)
            super().shutdown(*arguments, **options)

    monkeypatch.setitem(space, "Collector", Watched)
    monkeypatch.setitem(space, "settings", replace(space["settings"], player_frames=1_280))
    training = space["train_online"](space["make_value_agent"](), seed=0)
    for _ in range(batches):
        next(training, None)
    training.close()
    assert "train_online" in shut


def test_every_arm_of_the_benchmark_names_a_method_of_the_lesson(space):
    assert {method for _, _, method in offline.ARMS.values()} == set(space["methods"])


def test_an_absent_extra_is_asked_for_with_its_command(monkeypatch, capsys):
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda name: None)
    assert extras.ask_for_extra("minari", "nothing is stored") is False
    said = capsys.readouterr().out
    assert "minari is not installed: nothing is stored." in said
    assert extras.extra_install("minari") in said
    finding = doctor.check_extras()
    assert finding.status == "ok" and "absent: minari" in finding.text and not finding.fix


def test_an_extra_that_is_there_is_used_and_an_unknown_one_is_named(monkeypatch, capsys):
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda name: object())
    assert extras.ask_for_extra("minari", "") is True and "minari is here" in capsys.readouterr().out
    assert "minari" in doctor.check_extras().text and "absent" not in doctor.check_extras().text
    with pytest.raises(ValueError, match="no optional extra 'minary'"):
        extras.ask_for_extra("minary", "")


def test_every_optional_extra_is_one_that_the_package_offers():
    import importlib.metadata

    assert set(extras.EXTRAS) <= set(importlib.metadata.metadata("torchrl-course").get_all("Provides-Extra"))
