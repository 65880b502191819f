"""Training that is killed, meets numbers that are none, or loses a worker: the lessons' own code, really broken."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from broken_machine import disk_full_after, random_faults

from course_utils.runs.checkpoint import CheckpointError, load_checkpoint

pytestmark = pytest.mark.slow
HERE = Path(__file__).resolve().parent


def differences(mine, theirs, place: str = "") -> list[str]:
    """Where two states differ in as much as a bit; NaN counts as equal to itself."""
    if isinstance(mine, dict):
        assert mine.keys() == theirs.keys(), place
        return [found for key in mine for found in differences(mine[key], theirs[key], f"{place}/{key}")]
    if isinstance(mine, list | tuple):
        assert len(mine) == len(theirs), place
        pairs = enumerate(zip(mine, theirs, strict=True))
        return [found for number, pair in pairs for found in differences(*pair, f"{place}/{number}")]
    if isinstance(mine, torch.Tensor):
        return [] if mine.dtype == theirs.dtype and torch.equal(mine, theirs) else [place]
    return [] if mine == theirs else [place]


def first(entries: dict, count: int) -> dict:
    return {key: first(value, count) if isinstance(value, dict) else value[:count] for key, value in entries.items()}


def as_remembered(state: dict) -> dict:
    """A checkpoint without the slots of its memory that were never written: they hold whatever was there before."""
    storage = state["buffer"]["_storage"]
    written = {**storage, "_storage": first(storage["_storage"], storage["_len"])}
    return {**state, "buffer": {**state["buffer"], "_storage": written}}


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """What happened to a run that was killed while it wrote and at random moments, and where its files are."""
    folder = tmp_path_factory.mktemp("runs")
    command = [sys.executable, HERE / "killed_training.py", folder, str(random_faults().randrange(2**32))]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    print(done.stdout)
    return folder, [json.loads(line) for line in done.stdout.splitlines()]


class TestKilled:
    def test_it_ends_bit_for_bit_as_if_nothing_had_happened(self, story):
        folder, events = story
        killed, in_peace = (load_checkpoint(folder / name) for name in ("killed.pt", "in_peace.pt"))
        assert differences(as_remembered(killed), as_remembered(in_peace)) == [], events
        assert sum(event.get("hit", False) for event in events) >= 2, "it was killed more than once"

    def test_a_kill_in_the_middle_of_writing_leaves_the_checkpoint_before(self, story):
        _, events = story
        event = next(event for event in events if event["what"] == "killed while writing")
        assert event["hit"] and event["after"] == 1_024, event

    def test_it_goes_on_where_the_last_checkpoint_was_written(self, story):
        _, events = story
        went_on = [event for event in events if event.get("began") and event["before"]]
        assert went_on and all(event["began"] == event["before"] + 256 for event in went_on), events


@pytest.fixture(scope="module")
def lesson():
    """A function that gives lesson 07's definitions with other settings."""
    from killed_training import SMALL, lesson

    torch.set_num_threads(1)
    return lambda **changes: lesson(0, **SMALL | {"warm_up": 256} | changes)


class TestCheckpointOfTheLesson:
    def test_one_of_other_settings_is_refused_in_words(self, lesson, tmp_path):
        space = lesson()
        space["train_in_legs"](0, 256, tmp_path / "run.pt")
        narrower = lesson(width=32)
        with pytest.raises(ValueError, match=r"run\.pt was made with other settings: move it away, or set them back"):
            narrower["train_in_legs"](0, 2_048, tmp_path / "run.pt")
        assert space["load"](tmp_path / "run.pt").frames == 1_024

    def test_a_damaged_one_is_not_written_over_by_a_new_run(self, lesson, tmp_path):
        (tmp_path / "run.pt").write_bytes(b"half of a checkpoint")
        with pytest.raises(CheckpointError, match="cut short"):
            lesson()["train_in_legs"](0, 256, tmp_path / "run.pt")
        assert (tmp_path / "run.pt").read_bytes() == b"half of a checkpoint"

    def test_a_disk_that_fills_up_loses_one_leg_and_not_the_run(self, lesson, tmp_path):
        space, path = lesson(), tmp_path / "run.pt"
        space["train_in_legs"](0, 1_024, path)
        with disk_full_after(10_000), pytest.raises(CheckpointError, match=r"before is still in .*run\.pt"):
            space["train_in_legs"](0, 2_048, path)
        assert space["train_in_legs"](0, 2_048, path).frames == 2_048


class TestMemoryThatHasBegunToOverwriteItself:
    def test_a_resumed_run_overwrites_the_same_frames(self, lesson, tmp_path):
        space, path = lesson(memory=1_500), tmp_path / "run.pt"
        run = space["train_in_legs"](0, 2_048, path)
        resumed = space["load"](path)
        for one in (run, resumed):
            torch.manual_seed(0)
            space["train"](one, 256)
        assert torch.equal(run.buffer[:]["observation"], resumed.buffer[:]["observation"])


class TestNotANumber:
    def train(self, space, frames=4_096):
        """Returns the run and the error that stopped it."""
        run = space["build"](0)
        with pytest.raises(FloatingPointError) as stopped:
            space["train"](run, frames)
        return run, str(stopped.value)

    def test_a_reward_that_is_not_a_number_stops_the_run_and_is_named(self, lesson):
        from torchrl.envs import Transform, TransformedEnv

        space = lesson()
        make_envs = space["make_envs"]

        class Sensor(Transform):
            steps = 0

            def _step(self, tensordict, next_tensordict):
                self.steps += 1
                if self.steps == 40:  # of 16 steps in a batch
                    next_tensordict["reward"][3] = float("nan")
                return next_tensordict

        space["make_envs"] = lambda *args, **options: TransformedEnv(make_envs(*args, **options), Sensor())
        # All that is remembered is in each sample, so the broken frame is found in the first block after it.
        space["settings"] = type(space["settings"])(**vars(space["settings"]) | {"batch_size": 2_048})
        run, words = self.train(space)
        assert run.frames == 768, "stopped in the block in which it came, not at the end"
        assert "Stopped at frame 768: the loss is nan" in words
        assert "('next', 'reward')" in words and "Look at the environment" in words
        assert all(weight.isfinite().all() for weight in run.loss.parameters()), "the agent is as good as it was"

    def test_a_learning_rate_that_is_far_too_large_stops_the_run_and_is_named(self, lesson):
        run, words = self.train(lesson(learning_rate=1e30))
        assert run.frames <= 512 and f"Stopped at frame {run.frames}" in words
        assert "learning rate" in words and "the environment" not in words

    def test_what_was_saved_before_is_still_good(self, lesson, tmp_path):
        """The run stops before it writes its numbers into a checkpoint."""
        space, path = lesson(), tmp_path / "run.pt"
        space["train_in_legs"](0, 1_024, path)
        space["make_envs"] = lambda *args, made=space["make_envs"], **options: poisoned(made(*args, **options))
        with pytest.raises(FloatingPointError):
            space["train_in_legs"](0, 4_096, path)
        weights = load_checkpoint(path)["loss"].values()
        assert load_checkpoint(path)["frames"] == 1_024 and all(weight.isfinite().all() for weight in weights)


def poisoned(envs):
    """Environments that see nothing but NaN."""
    from torchrl.envs import Transform, TransformedEnv

    class Blind(Transform):
        def _step(self, tensordict, next_tensordict):
            next_tensordict["observation"].fill_(float("nan"))
            return next_tensordict

    return TransformedEnv(envs, Blind())


@pytest.mark.parametrize("kind", ["MultiSyncCollector", "MultiAsyncCollector"])
def test_a_worker_that_is_killed_ends_the_loop_with_an_error_and_leaves_no_process(kind):
    """TorchRL watches its workers; should it stop doing so, lesson 05 needs a watch of its own."""
    command = [sys.executable, "-W", "ignore", HERE / "lost_worker.py", kind, "KILL"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, env=env, start_new_session=True, **pipes)
    try:
        said, errors = process.communicate(timeout=300)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # should it hang, its workers are not left to others
    assert process.returncode == 0, said + errors[-3000:]
    words = ["At least one process failed: worker 0 (exit code -9)", "Cannot close a process while it is still running"]
    words += ["EOFError:", "ConnectionResetError:"]  # it was killed while it handed a batch over
    assert any(sentence in said for sentence in words), f"{said}: the lesson names these"
    assert "left: 0" in said
