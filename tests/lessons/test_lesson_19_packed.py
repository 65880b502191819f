"""What part four of lesson 19 says of TorchRL's trainers is so, and its loop is lesson 07's."""

from __future__ import annotations

import inspect
import warnings

import pytest
import torch
from torchrl.checkpoint import Checkpoint
from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer
from torchrl.envs import ExplorationType
from torchrl.trainers import EarlyStopping, LogValidationReward, ReplayBufferTrainer, Trainer, algorithms

from benchmarks.lesson_code import defining_code, named_code, run_code
from course_utils.exercises.packed_19 import EXERCISES

SEED = 3
CELLS = ["start", "cartpoles", "loop-parts", "loop", "packed", "hooks", "dqn-trainer"]
IMPORTS = """
from types import SimpleNamespace

import gymnasium as gym
from gymnasium.vector import AutoresetMode
from tensordict.nn import TensorDictSequential
from torchrl.collectors import Collector
from torchrl.data import Categorical, LazyTensorStorage, TensorDictReplayBuffer
from torchrl.envs import GymWrapper
from torchrl.modules import MLP, EGreedyModule, QValueActor
from torchrl.objectives import DQNLoss, HardUpdate
"""


@pytest.fixture(scope="module")
def lesson():
    return run_code(IMPORTS + named_code("19_take_it_along", *(f"19-{cell}" for cell in CELLS)), SEED)


@pytest.fixture(scope="module")
def loop(lesson):
    run = lesson["make_parts"](SEED, 1_536)
    lesson["written_out"](run)
    return run


def weights(run) -> list[torch.Tensor]:
    """Of the network and of its target, in their order; names differ between lessons."""
    target = run.loss.target_value_network_params.flatten_keys(".").items()
    return [*run.loss.parameters(), *(weight for name, weight in target if "factors" not in name)]


def equal(one, other) -> bool:
    return len(weights(one)) == len(weights(other)) == 12 and all(map(torch.equal, weights(one), weights(other)))


def test_the_loop_is_lesson_07s(loop):
    """Its frames and weights, with one draw of 4,096 there and 32 of 128 here; validation aside."""
    seventh = run_code(defining_code("07_dqn", "07-train"), SEED)
    seventh["validate"] = lambda run: 0.0
    run = seventh["build"](SEED)
    seventh["train"](run, 1_536)
    assert torch.equal(run.buffer[:]["observation"], loop.memory[:]["observation"])
    assert equal(run, loop)


def test_packed_it_is_the_same_loop_and_counts_three_updates_too_many(lesson, loop):
    run = lesson["make_parts"](SEED, 1_536)
    trainer = lesson["packed"](run)
    trainer.train()
    assert torch.equal(run.memory[:]["observation"], loop.memory[:]["observation"])
    assert equal(run, loop)
    assert trainer._optim_count == 3 * 32 + 3


def test_an_exam_that_disturbs_nothing_leaves_it_the_same_loop(lesson, loop):
    run = lesson["make_parts"](SEED, 1_536)
    trainer = lesson["packed"](run)
    reference = EXERCISES[1].reference
    exam = reference(run.agent, lambda agent: torch.rand(1).item(), every=512, stop_at=2.0)
    exam.register(trainer)
    trainer.train()
    assert [frames for frames, _ in exam.scores] == [512, 1024, 1536]
    assert equal(run, loop)


def test_dqn_trainer_learns_the_same_from_the_same(lesson):
    """No threshold of ours, and exploration counted in frames; its memory says that all steps were truncated."""
    runs = [lesson["make_parts"](SEED, 768) for _ in range(2)]
    for run in runs:
        run.egreedy.annealing_num_steps = 5_000
    by_hand, ready = runs
    torch.manual_seed(SEED)
    for batch in by_hand.collector:
        by_hand.memory.extend(batch.reshape(-1))
        for _ in range(32):
            by_hand.loss(by_hand.memory.sample())["loss"].backward()
            torch.nn.utils.clip_grad_norm_(by_hand.loss.parameters(), max_norm=10.0)
            by_hand.optimiser.step()
            by_hand.optimiser.zero_grad()
            by_hand.target.step()
        by_hand.egreedy.step(batch.numel())
    torch.manual_seed(SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lesson["with_dqn_trainer"](ready).train()
    assert equal(by_hand, ready)
    flags = ready.memory[:]["next"]
    assert flags["truncated"].all() and not by_hand.memory[:]["next", "truncated"].any()
    assert torch.equal(flags["done"], by_hand.memory[:]["next", "done"])


def test_dqn_trainer_says_that_it_is_experimental(lesson):
    with pytest.warns(UserWarning, match="experimental"), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        run = lesson["make_parts"](SEED, 256)
        algorithms.DQNTrainer(
            collector=run.collector,
            total_frames=256,
            frame_skip=1,
            optim_steps_per_batch=1,
            loss_module=run.loss,
            optimizer=run.optimiser,
            target_net_updater=run.target,
            progress_bar=False,
            enable_logging=False,
        )


def test_the_trainers_the_lesson_names_are_there():
    assert {"DQNTrainer", "PPOTrainer", "SACTrainer", "TD3Trainer"} <= set(dir(algorithms))


def test_flattening_marks_every_step_as_truncated(lesson):
    batch = lesson["make_parts"](SEED, 256).collector.rollout()
    assert batch.shape == (16, 16) and not batch["next", "truncated"].any()
    memory = TensorDictReplayBuffer(storage=LazyTensorStorage(256), batch_size=4)
    ReplayBufferTrainer(memory, flatten_tensordicts=True).extend(batch)
    assert memory[:]["next", "truncated"].all()


@pytest.mark.parametrize(("interval", "places"), [(512, [768, 1_280]), (511, [512, 1_024, 1_280])])
def test_it_saves_where_exercise_19_5_says(lesson, monkeypatch, tmp_path, interval, places):
    run, saved = lesson["make_parts"](SEED, 1_280), []
    monkeypatch.setattr(Trainer, "_save_trainer", lambda trainer: saved.append(trainer.collected_frames))
    file = tmp_path / "trainer"
    trainer = lesson["make_trainer"](run, save_trainer_file=file, save_trainer_interval=interval)
    trainer.register_op("process_optim_batch", lambda batch: batch.reshape(-1)[:8])
    trainer.train()
    assert saved == places == EXERCISES[0].reference(256, 1_280, interval)


def test_what_a_trainer_saves_and_what_it_does_not(lesson, tmp_path):
    run = lesson["make_parts"](SEED, 256)
    trainer = lesson["packed"](run, checkpoint=Checkpoint(), save_trainer_file=tmp_path / "trainer")
    trainer.train()
    kept = set(Checkpoint.manifest(tmp_path / "trainer")["components"])
    assert {"policy", "loss_module", "optimizer", "collector", "trainer_state"} <= kept
    assert not [name for name in kept if "replay" in name or "updater" in name or "rng" in name]


def test_without_a_checkpoint_object_the_path_chooses_a_format_that_goes(lesson, tmp_path):
    trainer = lesson["packed"](lesson["make_parts"](SEED, 256), save_trainer_file=tmp_path / "trainer.pt")
    with pytest.warns(FutureWarning, match="will change"), pytest.warns(DeprecationWarning, match="will be removed"):
        trainer.train()


def test_defaults_that_surprise():
    options = inspect.signature(Trainer.__init__).parameters
    assert options["log_interval"].default == options["save_trainer_interval"].default == 10_000
    exam = inspect.signature(LogValidationReward.__init__).parameters
    assert exam["exploration_type"].default == ExplorationType.RANDOM
    assert "``ExplorationType.DETERMINISTIC``. Set to" in LogValidationReward.__doc__, (
        "its documentation says otherwise"
    )
    assert inspect.signature(EarlyStopping.__init__).parameters["wait_for"].default == 1_000_000
