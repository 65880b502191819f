"""The faults of TorchRL that lessons warn of: each is one sentence of one lesson, and looked for by one test.

A test that fails here, or a probe that fails elsewhere, says that a release mended it: `python -m tools.faults` names
the sentence to delete.
"""

from __future__ import annotations

import re

import gymnasium
import pytest
import torch
from conftest import ROOT
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torchrl.collectors import Collector
from torchrl.data import Categorical, LazyTensorStorage, PrioritizedSampler, TensorDictReplayBuffer
from torchrl.data.replay_buffers.samplers import RandomSampler
from torchrl.envs import GymEnv, GymWrapper
from torchrl.modules import MLP, ProbabilisticActor
from torchrl.objectives import BCLoss

from tools import faults


@pytest.mark.parametrize("fault", faults.FAULTS, ids=lambda fault: fault.what)
def test_the_lesson_says_it_and_there_is_a_test_that_looks(fault):
    assert faults.words_of(fault.lesson).count(fault.sentence) == 1
    file, *names = fault.probe.split("::")
    text = (ROOT / "tests" / "lessons" / file).read_text()
    assert all(re.search(rf"(?:def|class) {name}\b", text) for name in names)


def test_every_sentence_that_names_a_release_as_the_reason_is_among_them():
    """A lesson that says "in release 0.14.1" or "in this version" says something that another release changes."""
    named = re.compile(r"TorchRL 0\.14\b|[Rr]elease 0\.14|in this (?:version|release)|\(0\.14\.1\)")
    for number in {fault.lesson for fault in faults.FAULTS} | {"07", "08", "13"}:
        known = sum(fault.lesson == number for fault in faults.FAULTS)
        assert len(named.findall(faults.words_of(number))) <= known, number


class TestTheCommand:
    FAULT = faults.Fault("it limps", "04", "It limps.", "test_x.py::test_it_limps")

    @pytest.mark.parametrize(
        ("outcomes", "words"),
        [
            ({"passed"}, "there      04  it limps"),
            ({"passed", "skipped"}, "there      04  it limps"),
            ({"skipped"}, "not tried  04  it limps"),
            (set(), "not tried  04  it limps"),
        ],
    )
    def test_nothing_to_do(self, outcomes, words):
        assert faults.told(self.FAULT, outcomes).startswith(words) and "delete" not in faults.told(self.FAULT, outcomes)

    def test_one_that_is_gone_names_the_sentence(self):
        said = faults.told(self.FAULT, {"passed", "failed"})
        assert said.startswith("GONE?") and "delete from lesson 04:" in said and said.endswith("It limps.")

    def test_it_runs_the_probes_and_says_what_came_of_each(self, monkeypatch, capsys, tmp_path):
        (tmp_path / "test_x.py").write_text(
            "import pytest\n\ndef test_it_limps(): pass\n\n"
            "@pytest.mark.parametrize('leg', [1, 2])\ndef test_mended(leg): assert leg == 1\n\n"
            "def test_absent(): pytest.skip('no extra')\n"
        )
        probes = ["test_it_limps", "test_mended", "test_absent"]
        made = [faults.Fault(name, "04", f"{name}.", f"test_x.py::{name}") for name in probes]
        monkeypatch.setattr(faults, "ROOT", tmp_path)
        (tmp_path / "tests").mkdir()
        (tmp_path / "tests" / "lessons").symlink_to(tmp_path)
        monkeypatch.setattr(faults, "FAULTS", made)
        with pytest.raises(SystemExit) as left:
            faults.main()
        said = capsys.readouterr().out
        assert left.value.code == 1 and "2 of 3 sentences" in said
        assert [line.split()[0] for line in said.splitlines() if line[:1] in "tGn" and "04" in line[:15]] == [
            "there",
            "GONE?",
            "not",
        ]


def test_a_collector_warns_of_what_it_will_do_from_the_next_release_on():
    policy = TensorDictModule(MLP(3, 1), ["observation"], ["action"])
    with pytest.warns(FutureWarning, match="auto_register_policy_transforms"):
        Collector(GymEnv("Pendulum-v1"), policy, frames_per_batch=2, total_frames=2).shutdown()


def test_prioritized_replay_of_its_own_does_not_load():
    with pytest.raises(RuntimeError):
        PrioritizedSampler(max_capacity=10, alpha=0.7, beta=0.5)


def test_priorities_for_a_sampler_of_ones_own_are_dropped_in_silence():
    told = []

    class Mine(RandomSampler):
        def update_priority(self, index, priority, **options):
            told.append(index)

    buffer = TensorDictReplayBuffer(storage=LazyTensorStorage(4), sampler=Mine(), batch_size=2)
    buffer.extend(TensorDict({"x": torch.zeros(4), "td_error": torch.ones(4)}, [4]))
    told.clear()  # of writing it is told
    buffer.update_tensordict_priority(buffer.sample())
    assert told == []


def test_a_memory_that_was_loaded_has_forgotten_its_device():
    here = torch.device("cpu")
    full, fresh = (TensorDictReplayBuffer(storage=LazyTensorStorage(4, device=here), batch_size=2) for _ in range(2))
    full.extend(TensorDict({"x": torch.zeros(2)}, [2]))
    fresh.load_state_dict(full.state_dict())
    assert full[:].device == here and fresh[:].device is None


def test_cloning_whole_number_actions_wants_logits_under_action():
    """An actor that draws whole-number actions from its logits cannot be cloned; a module of logits can."""
    frames = TensorDict({"observation": torch.randn(4, 3), "action": torch.tensor([0, 1, 1, 0])}, [4])
    network = TensorDictModule(MLP(3, 2), ["observation"], ["logits"])
    actor = ProbabilisticActor(
        network, in_keys=["logits"], distribution_class=torch.distributions.Categorical, spec=Categorical(2)
    )
    for kind in (None, "cross_entropy", "l2"):
        with pytest.raises((RuntimeError, NotImplementedError)):
            BCLoss(actor, loss_function=kind)(frames)
    logits = TensorDictModule(MLP(3, 2), ["observation"], ["action"])
    BCLoss(logits, loss_function="cross_entropy")(frames)["loss_bc"].backward()


def test_the_wrapper_does_not_take_the_cartpole_that_computes_all_copies_at_once():
    vector = gymnasium.make_vec("CartPole-v1", 2, "vector_entry_point")
    with pytest.raises(AttributeError, match="autoreset_mode"):
        GymWrapper(vector).rollout(2)
    vector.close()
