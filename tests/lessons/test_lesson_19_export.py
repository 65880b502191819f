"""What lesson 19 says of exporting an agent is so, of TorchRL, of torch, and of the stored results."""

from __future__ import annotations

from statistics import median

import pytest
import torch
from made_up_results import arms, told
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torchrl.data import Bounded
from torchrl.envs import ExplorationType, GymEnv, TransformedEnv, VecNormV2, set_exploration_type
from torchrl.modules import MLP, NormalParamExtractor, ProbabilisticActor, TanhNormal

from benchmarks.groups import export
from benchmarks.lesson_code import run_code
from course_utils.exercises import export_19
from course_utils.machine.extras import has_extra


@pytest.fixture(scope="module")
def lesson():
    return run_code(export.code(), 0)


@pytest.fixture(scope="module")
def agent(lesson):
    """Untrained: its episodes end early, at different steps."""
    torch.manual_seed(3)
    return lesson["make_agent"]()


@pytest.fixture(scope="module")
def program(lesson, agent):
    return lesson["make_program"](lesson["make_portable"](agent))


def test_both_exams_play_the_same_episodes(lesson, agent):
    at_home = lesson["exam"](agent, 20, 7)
    abroad = lesson["exam_anywhere"](lesson["decide_by"](lesson["make_portable"](agent)), 20, 7)
    assert torch.equal(at_home, abroad) and at_home.unique().numel() > 1


def test_a_program_takes_any_batch_and_an_example_of_one_does_not_give_it(lesson, agent, program):
    portable, batch = lesson["make_portable"](agent), torch.export.Dim("batch")
    for size in (1, 2, 300):
        assert torch.equal(program.module()(torch.ones(size, 4)), portable(torch.ones(size, 4)))
    with pytest.raises(Exception, match="specialized it to be a constant"):
        torch.export.export(portable, (torch.zeros(1, 4),), dynamic_shapes={"observation": {0: batch}})
    silent = torch.export.export(portable, (torch.zeros(1, 4),)).module()
    with pytest.raises(AssertionError, match="Guard failed"):
        silent(torch.zeros(5, 4))


def test_selecting_keys_changes_the_actor_itself(lesson):
    own = lesson["make_agent"]()
    lesson["OneTensor"](own, "action")
    assert own.out_keys == ["action", "action_value", "chosen_action_value"], "the lesson's copy keeps it whole"
    assert own.select_out_keys("action") is own and own.out_keys == ["action"]


def test_a_wrong_name_loads_nothing_without_strict(lesson, agent):
    layers = lesson["make_portable"](agent).layers
    found = layers.load_state_dict(agent.state_dict(), strict=False)
    assert len(found.missing_keys) == len(found.unexpected_keys) == 6
    with pytest.raises(RuntimeError, match="Missing key"):
        layers.load_state_dict(agent.state_dict())


@pytest.fixture(scope="module")
def drawing():
    torch.manual_seed(0)
    body = torch.nn.Sequential(MLP(in_features=3, out_features=2, num_cells=[8]), NormalParamExtractor())
    return ProbabilisticActor(
        TensorDictModule(body, ["observation"], ["loc", "scale"]),
        in_keys=["loc", "scale"],
        spec=Bounded(-1.0, 3.0, (1,)),
        distribution_class=TanhNormal,
        distribution_kwargs={"low": -1.0, "high": 3.0},
    )


def test_exploration_is_frozen_at_the_export(lesson, drawing):
    for kind, alike in ((ExplorationType.RANDOM, False), (ExplorationType.DETERMINISTIC, True)):
        with set_exploration_type(kind):
            policy = torch.export.export(lesson["OneTensor"](drawing, "action"), (torch.ones(2, 3),)).module()
        with set_exploration_type(ExplorationType.DETERMINISTIC):
            assert torch.equal(policy(torch.ones(2, 3)), policy(torch.ones(2, 3))) is alike


def test_the_exercise_is_what_torchrl_does(drawing):
    seen = torch.randn(9, 3)
    raw = drawing.module[0].module[0](seen)
    with set_exploration_type(ExplorationType.DETERMINISTIC):
        action = drawing(TensorDict({"observation": seen}, [9]))["action"]
    mine = export_19._action(raw, torch.tensor([-1.0]), torch.tensor([3.0]))
    torch.testing.assert_close(mine, action)


def test_a_frozen_norm_stands_still(lesson):
    env = TransformedEnv(GymEnv("CartPole-v1"), VecNormV2(in_keys=["observation"]))
    env.rollout(20)
    frozen = env.transform.to_observation_norm()
    before = frozen.loc.clone()
    env.rollout(20)
    assert torch.equal(frozen.loc, before)
    assert not torch.equal(env.transform.to_observation_norm().loc, before)


@pytest.mark.skipif(not has_extra("deploy"), reason="needs the extra deploy")
def test_onnx_says_what_the_network_says_and_refuses_other_inputs(lesson, agent, program, tmp_path):
    path = str(tmp_path / "agent.onnx")
    lesson["save_onnx"](program, path)
    values, states = lesson["open_onnx"](path), torch.randn(1_000, 4)
    for size in (1, 1_000):
        right = lesson["make_portable"](agent)(states[:size]).detach()
        torch.testing.assert_close(torch.tensor(values(states[:size].numpy())), right, rtol=1e-4, atol=1e-5)
    for wrong in (states.double(), states[:, :3]):
        with pytest.raises(Exception, match="INVALID_ARGUMENT"):
            values(wrong.numpy())


def test_torchscript_is_deprecated_and_does_not_take_an_actor(agent):
    with pytest.warns(DeprecationWarning, match="torch.jit.script"):
        torch.jit.script(torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.ReLU()))
    with pytest.raises(ValueError, match="ModuleList"), pytest.warns(DeprecationWarning):
        torch.jit.script(agent)


class TestTheResults:
    def test_every_export_decides_alike_with_agents_that_fall_too(self):
        runs = [run for way in arms("export").values() for run in way.values()]
        assert not any(run["returns_that_differ"] for run in runs)
        assert max(run["largest_difference"] for run in runs) < 1e-4
        assert min(run["test_return"] for run in runs) < 475 < max(run["test_return"] for run in runs)

    def test_one_state_is_machinery_and_many_are_arithmetic(self):
        found = arms("export")
        gain = {way: [export.times_as_quick(found, way, size) for size in export.BATCHES] for way in found}
        assert min(gain["onnxruntime"][0], gain["NumPy"][0]) > max(
            gain[way][0] for way in gain if way not in ("onnxruntime", "NumPy")
        )
        assert max(many for _, many in gain.values()) < 2
        cost = {way: median(run["microseconds_1"] for run in runs.values()) for way, runs in found.items()}
        assert cost["torch.export"] > cost["plain PyTorch"], "a format, not an accelerator"
        assert cost["torch.compile"] > cost["plain PyTorch"], "compiling this one for acting does not pay"

    def test_answers_are_computed(self, tmp_path):
        def made_up(cost, differ):
            facts = {"ready_after_seconds": 0.5, "largest_difference": 1e-6, "test_return": 400.0}
            return {"100": facts | {"microseconds_1": cost, "microseconds_256": cost, "returns_that_differ": differ}}

        text = told(tmp_path, "export", {export.ORIGINAL: made_up(100.0, 0), "NumPy": made_up(20.0, 3)})
        assert "For one state NumPy is 5.0 times as quick" in text and "Of 50 episodes" in text
        assert " 3 differ from the original's" in text
