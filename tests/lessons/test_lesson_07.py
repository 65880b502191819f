"""Facts about TorchRL and torch that lesson 07 tells."""

from __future__ import annotations

import pickle
import zipfile
from types import SimpleNamespace

import pytest
import torch
from tensordict import TensorDict
from torchrl.checkpoint import Checkpoint, GlobalRNGState
from torchrl.data import Categorical, LazyTensorStorage, TensorDictReplayBuffer
from torchrl.modules import EGreedyModule, QValueActor
from torchrl.objectives import DQNLoss, HardUpdate

from course_utils import load_checkpoint, save_checkpoint
from course_utils.runs.checkpoint import CheckpointError


def transitions(count: int) -> TensorDict:
    ends = torch.zeros(count, 1, dtype=torch.bool)
    after = {"observation": torch.randn(count, 4), "reward": torch.ones(count, 1), "done": ends, "terminated": ends}
    return TensorDict(
        {"observation": torch.randn(count, 4), "action": torch.randint(2, (count,)), "next": after}, [count]
    )


def small_run(seed: int) -> SimpleNamespace:
    """The parts of the lesson's run, a small network."""
    torch.manual_seed(seed)
    actor = QValueActor(torch.nn.Linear(4, 2), in_keys=["observation"], spec=Categorical(2))
    run = SimpleNamespace(egreedy=EGreedyModule(Categorical(2), annealing_num_steps=100))
    run.buffer = TensorDictReplayBuffer(storage=LazyTensorStorage(50), batch_size=8)
    run.loss = DQNLoss(actor, loss_function="l2", delay_value=True)
    run.loss.make_value_estimator(gamma=0.95)
    run.target = HardUpdate(run.loss, value_network_update_interval=3)
    run.optimiser = torch.optim.Adam(run.loss.parameters(), lr=1e-2)
    return run


def learn(run: SimpleNamespace, updates: int) -> None:
    for _ in range(updates):
        loss = run.loss(run.buffer.sample())["loss"]
        run.optimiser.zero_grad()
        loss.backward()
        run.optimiser.step()
        run.target.step()
    run.egreedy.step(updates)


@pytest.fixture
def run():
    trained = small_run(seed=0)
    trained.buffer.extend(transitions(60))  # more than there is room for
    learn(trained, 5)
    return trained


def checkpoint_of(run: SimpleNamespace) -> Checkpoint:
    return Checkpoint(**vars(run), random=GlobalRNGState())


def equal(one: dict, other: dict) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


class TestTorchRLsCheckpoint:
    def test_a_run_goes_on_from_it_exactly(self, run, tmp_path):
        checkpoint_of(run).save(tmp_path / "saved")
        learn(run, 5)
        other = small_run(seed=1)
        checkpoint_of(other).load(tmp_path / "saved")
        assert other.target.counter != run.target.counter, "HardUpdate's count is saved, too"
        learn(other, 5)
        assert equal(run.loss.state_dict(), other.loss.state_dict())
        assert run.target.counter == other.target.counter and run.egreedy.eps == other.egreedy.eps
        assert str(run.buffer.writer) == str(other.buffer.writer)

    def test_it_says_how_each_part_is_saved_and_by_which_versions(self, run, tmp_path):
        manifest = Checkpoint.manifest(checkpoint_of(run).register("progress", {"frames": 5}).save(tmp_path / "saved"))
        adapters = {name: part["adapter"] for name, part in manifest["components"].items()}
        assert adapters["loss"] == adapters["optimiser"] == adapters["target"] == "torchrl.state_dict"
        assert (adapters["buffer"], adapters["progress"]) == ("torchrl.dump_load", "torchrl.json")
        assert manifest["versions"]["torch"] == torch.__version__

    def test_only_what_is_named_is_loaded(self, run, tmp_path):
        checkpoint_of(run).register("progress", {"frames": 5}).save(tmp_path / "saved")
        other, progress = small_run(seed=1), {}
        before = {name: weight.clone() for name, weight in other.loss.state_dict().items()}
        loaded = Checkpoint(buffer=other.buffer, progress=progress).load(tmp_path / "saved")
        assert loaded.loaded == {"buffer", "progress"} and "loss" in loaded.unrequested
        assert progress == {"frames": 5} and equal(before, other.loss.state_dict())

    def test_a_save_that_fails_leaves_the_one_before(self, run, tmp_path):
        class Broken:
            def state_dict(self):
                raise OSError("no space left")

            def load_state_dict(self, state):
                """Never reached."""

        checkpoint_of(run).save(tmp_path / "saved")
        with pytest.raises(OSError, match="no space"):
            checkpoint_of(run).register("z", Broken()).save(tmp_path / "saved")
        other = small_run(seed=1)
        assert "buffer" in checkpoint_of(other).load(tmp_path / "saved").loaded
        assert [path.name for path in tmp_path.iterdir()] == ["saved"], "nothing half written is left"

    def test_a_folder_does_not_notice_a_damaged_file(self, run, tmp_path):
        saved = Checkpoint(buffer=run.buffer).save(tmp_path / "saved")
        (file,) = saved.rglob("next/reward.memmap")
        file.write_bytes(file.read_bytes()[:20])
        other = small_run(seed=1)
        Checkpoint(buffer=other.buffer).load(saved)
        assert (run.buffer[:]["next", "reward"] == 1).all() and (other.buffer[:]["next", "reward"] == 0).any()

    def test_an_archive_does(self, run, tmp_path):
        saved = Checkpoint(buffer=run.buffer).save(tmp_path / "saved.zip", format="archive")
        raw = bytearray(saved.read_bytes())
        place = raw.index(run.buffer[:]["observation"].numpy().tobytes()[:64])
        raw[place] ^= 1
        saved.write_bytes(raw)
        with pytest.raises(zipfile.BadZipFile):
            Checkpoint(buffer=small_run(seed=1).buffer).load(saved)

    def test_a_strangers_buffer_runs_code_and_the_courses_checkpoint_does_not(self, run, tmp_path):
        trace = tmp_path / "trace"
        saved = Checkpoint(buffer=run.buffer).save(tmp_path / "saved")
        (file,) = saved.rglob("prefetch.pkl")
        file.write_bytes(pickle.dumps(Touch(trace)))
        Checkpoint(buffer=small_run(seed=1).buffer).load(saved)
        assert trace.exists()
        trace.unlink()
        torch.save({"buffer": Touch(trace)}, tmp_path / "stranger.pt")
        with pytest.raises(CheckpointError, match="run code"):
            load_checkpoint(tmp_path / "stranger.pt")
        assert not trace.exists()

    def test_what_the_course_saves_of_a_buffer_is_whole_or_refused(self, run, tmp_path):
        file = tmp_path / "buffer.pt"
        save_checkpoint(run.buffer.state_dict(), file)
        file.write_bytes(file.read_bytes()[:-20])
        with pytest.raises(CheckpointError, match="cut short"):
            load_checkpoint(file)


class Touch:
    """Unpickled, it makes a file."""

    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        from pathlib import Path

        return Path.touch, (self.path,)


class TestCompiling:
    @pytest.fixture(autouse=True)
    def forgetful(self):
        torch.compiler.reset()
        yield
        torch.compiler.reset()

    def test_another_shape_is_compiled_anew_once_for_all_sizes(self, run):
        from torch._dynamo.testing import CompileCounter

        counter = CompileCounter()
        compiled = torch.compile(run.loss, backend=counter)
        seen = []
        for size in (8, 8, 6, 5, 7):
            compiled(transitions(size))
            seen.append(counter.frame_count)
        assert seen[0] == seen[1] < seen[2] == seen[3] == seen[4]

    def test_without_a_compiler_it_is_a_runtime_error_that_says_so(self):
        with (
            torch._inductor.config.patch({"cpp.cxx": (None, "/nowhere/g++")}),
            pytest.raises(RuntimeError, match="No working C\\+\\+ compiler"),
        ):
            torch.compile(lambda x: (x * 2).relu().sum(), backend="inductor")(torch.randn(7))
