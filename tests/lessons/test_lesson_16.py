"""What lesson 16 says of TorchRL's parts for world models, of its model and planner, and of its results is so."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torchrl.data import Bounded, Composite, Unbounded
from torchrl.envs import GymEnv, ModelBasedEnvBase
from torchrl.modules import CEMPlanner, MPPIPlanner, WorldModelWrapper

from benchmarks import store
from benchmarks.groups import dream_sac
from benchmarks.lesson_code import FIRST_SEED, run_code

SEARCH = {"planning_horizon": 4, "optim_steps": 2, "num_candidates": 30, "top_k": 5}


@pytest.fixture(scope="module")
def lesson():
    return run_code(dream_sac.code(), 0)


@pytest.fixture(scope="module")
def model(lesson):
    torch.manual_seed(0)
    return lesson["make_model"]()


@pytest.fixture(scope="module")
def arms():
    return store.read_group(store.RESULTS, "16_world_models", "world_model")[1]


class Line(ModelBasedEnvBase):
    """A number that an action is added to; what it is paid is said by the second module."""

    def __init__(self, pays, ends=None, limit=9.0):
        moves = TensorDictModule(torch.add, ["observation", "action"], ["observation"])
        if ends is not None:
            moves = TensorDictModule(
                lambda seen, push: (seen + push, ends(seen)), ["observation", "action"], ["observation", "done"]
            )
        super().__init__(WorldModelWrapper(moves, TensorDictModule(pays, ["observation"], ["reward"])))
        self.observation_spec = Composite(observation=Unbounded(1))
        self.state_spec = self.observation_spec.clone()
        self.action_spec, self.reward_spec = Bounded(-limit, limit, (1,)), Unbounded(1)

    def _reset(self, tensordict):
        shape = [] if tensordict is None else tensordict.shape  # a planner's, where a candidate is done
        return TensorDict({"observation": torch.zeros(*shape, 1)}, shape)


class TestTheModel:
    def test_the_formula_of_the_reward_is_pendulums(self, lesson):
        torch.manual_seed(0)
        played = lesson["play"](None, 3, 5)
        told = lesson["pay"](played["observation"], played["action"])
        assert (told - played["next", "reward"].squeeze(-1)).abs().max() < 1e-3

    def test_members_have_weights_and_inputs_of_their_own(self, lesson, model):
        state = torch.randn(2, 5, 3)
        said = lesson["changes"](model, state, torch.zeros(2, 5, 1))
        assert (said.std(1) > 0).all()
        state[:, 0] += 1
        moved = lesson["changes"](model, state, torch.zeros(2, 5, 1)) - said
        assert moved[:, 0].abs().max() > 0 and not moved[:, 1:].any()

    def test_predictions_stay_on_the_circle(self, lesson, model):
        state = lesson["predict"](model, torch.randn(7, 5, 3), torch.randn(7, 5, 1))
        assert (state[..., :2].norm(dim=-1) - 1).abs().max() < 1e-5 and state[..., 2].abs().max() <= 8

    def test_a_plan_is_imagined_from_its_own_states(self, lesson, model):
        state, actions = torch.randn(5, 3), torch.randn(5, 6)
        states, rewards = lesson["imagine"](model, state, actions)
        assert states.shape == (5, 6, 3) and rewards.shape == (5, 6)
        again, _ = lesson["imagine"](model, states[:, 2], actions[:, 3:])
        assert (again - states[:, 3:]).abs().max() < 1e-5

    def test_each_candidate_is_dreamed_by_one_member_in_turn(self, lesson, model):
        actions = torch.randn(1, 1, 20).expand(2, 10, 20)
        value = lesson["by_turns"](model, torch.zeros(2, 3), actions)
        first, second = value[0].reshape(2, 5)
        assert value.shape == (2, 10) and torch.allclose(first, second)
        assert torch.pdist(first[:, None]).min() > 0.1, "five members dream five futures"
        assert torch.allclose(value[:, :5], value[:, 5:])

    def test_a_warm_plan_moves_on_by_a_step(self, lesson, model):
        planner = lesson["Planner"](model)
        acted = planner(TensorDict({"observation": torch.randn(3, 3)}, [3]))
        assert acted["action"].shape == (3, 1) and planner.plan.shape == (3, 20)
        assert not planner.plan[:, -1].any() and planner.plan[:, 0].all()


class TestDreams:
    def test_the_second_module_sees_the_state_after_the_step(self):
        line = Line(lambda seen: seen)
        dreamt = line.rollout(3, lambda td: td.set("action", torch.ones(1)))
        assert dreamt["observation"].flatten().tolist() == [0, 1, 2]
        assert dreamt["next", "reward"].flatten().tolist() == [1, 2, 3]

    def test_done_is_false_where_the_model_says_nothing(self):
        assert not Line(lambda seen: seen).rollout(3)["next", "done"].any()

    def test_ours_pays_for_the_state_before(self, lesson, model):
        with torch.no_grad():
            dreamt = lesson["make_dream"](model).rollout(5)
        paid = lesson["pay"](dreamt["observation"], dreamt["action"])
        assert torch.allclose(dreamt["next", "reward"].squeeze(-1), paid, atol=1e-5)

    def test_a_price_makes_doubts_cost(self, lesson, model):
        start = TensorDict({"observation": torch.randn(9, 3), "action": torch.zeros(9, 1)}, [9])
        free, dear = (lesson["make_dream"](model, price).step(start.clone())["next", "reward"] for price in (0.0, 10.0))
        assert (dear < free).all()

    def test_branches_begin_in_real_states_and_never_end(self, lesson):
        frames = lesson["play"](None, 1, 0)[0]
        actor, _ = lesson["sac"]()
        found = lesson["branches"](lesson["make_dream"](lesson["make_model"]()), actor, frames, count=6, steps=4)
        firsts = found["observation"].reshape(6, 4, 3)[:, 0]
        assert len(found) == 24 and not found["next", "done"].any()
        assert (torch.cdist(firsts, frames["observation"]).amin(1) < 1e-4).all()


class TestPlannersOfTheLibrary:
    def test_a_batch_locked_world_is_refused(self):
        with pytest.raises(ValueError, match="batch_locked"):
            CEMPlanner(GymEnv("Pendulum-v1"), **SEARCH)

    def test_a_search_starts_at_nothing_and_remembers_nothing(self):
        far = CEMPlanner(Line(lambda seen: seen), **SEARCH | {"optim_steps": 1, "top_k": 2})
        torch.manual_seed(0)
        first, second = (far.planning(TensorDict({"observation": torch.zeros(1)}, [])).item() for _ in range(2))
        torch.manual_seed(0)
        again = far.planning(TensorDict({"observation": torch.zeros(1)}, [])).item()
        assert first == again and max(first, second) < 5, "the best push is 9, and a spread of 1 does not get there"

    def test_a_batch_of_states_is_planned_for_at_once(self):
        planner = CEMPlanner(Line(lambda seen: -(seen**2)), **SEARCH)
        td = planner(TensorDict({"observation": torch.tensor([[1.0], [-1.0], [0.0]])}, [3]))
        assert td["action"].shape == (3, 1) and td["action"][0] < td["action"][1]

    @pytest.mark.parametrize("over", [True, False])
    def test_what_comes_after_done_does_not_count(self, over):
        """A step down is paid a little at once; two steps up are paid a lot, if the first one was not the end."""
        pays = lambda seen: torch.where(seen > 1.2, 50.0, -seen)  # noqa: E731
        world = Line(pays, ends=lambda seen: torch.full_like(seen, over, dtype=torch.bool), limit=1.0)
        planner = CEMPlanner(world, **SEARCH | {"optim_steps": 4, "num_candidates": 200})
        torch.manual_seed(0)
        pushed = planner.planning(TensorDict({"observation": torch.zeros(1)}, [])).item()
        assert pushed < -0.5 if over else pushed > 0

    @pytest.mark.parametrize(("subtract", "finite"), [(True, True), (False, False)])
    def test_mppi_needs_advantages_near_zero(self, lesson, subtract, finite):
        class Sum(torch.nn.Module):
            def forward(self, td):
                value = td["next", "reward"].sum(-2, keepdim=True)
                return td.set("advantage", value.expand_as(td["next", "reward"]))

        line = Line(lambda seen: -200 - seen**2)
        planner = MPPIPlanner(line, lesson["Better"]() if subtract else Sum(), temperature=1.0, **SEARCH)
        action = planner.planning(TensorDict({"observation": torch.ones(1)}, []))
        assert action.isfinite().all().item() is finite


class TestResults:
    def test_seeds_chose_nothing(self, arms):
        assert min(int(seed) for runs in arms.values() for seed in runs) >= FIRST_SEED

    def test_planning_is_solved_in_nine_of_ten_seeds_within_a_thousand_frames(self, arms):
        runs = arms["planner"].values()
        assert all(run["exams"][-1][0] <= 1_000 for run in runs)
        assert sum(run["exams"][-1][1] >= -200 for run in runs) >= 0.9 * len(runs)
