"""What lesson 15 says of TorchRL's parts for many agents, of its world, and of its results is so."""

from __future__ import annotations

import hashlib
import warnings

import pytest
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torchrl.envs import (
    ExplorationType,
    PettingZooWrapper,
    StepCounter,
    TransformedEnv,
    check_env_specs,
    set_exploration_type,
)
from torchrl.envs.utils import MarlGroupMapType
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.multiagent import IPPOLoss, MAPPOLoss
from torchrl.objectives.value import GAE, MultiAgentGAE

from benchmarks import store
from benchmarks.groups import multiagent, rewards, vmas
from benchmarks.lesson_code import FIRST_SEED

KEYS = {"value": ("agents", "state_value"), "reward": ("agents", "reward")}


@pytest.fixture(scope="module")
def lesson():
    return multiagent.definitions()


@pytest.fixture(scope="module")
def arms():
    return store.read_group(store.RESULTS, "15_many_agents", "multiagent")[1]


@pytest.fixture
def parts(lesson):
    torch.manual_seed(0)
    return lesson["make_actor"](True), lesson["make_critic"](True)


@pytest.fixture
def batch(lesson, parts):
    world = TransformedEnv(lesson["Posts"](8), StepCounter(lesson["STEPS"]))
    with torch.no_grad(), set_exploration_type(ExplorationType.RANDOM):
        return world.rollout(lesson["STEPS"], parts[0])


class TestTheWorld:
    @pytest.mark.parametrize("team_reward", [True, False])
    @pytest.mark.parametrize("sight", [True, False])
    def test_its_specs_hold(self, lesson, team_reward, sight):
        check_env_specs(TransformedEnv(lesson["Posts"](4, team_reward, sight), StepCounter(5)))

    def test_rewards_are_the_agents_and_flags_are_the_teams(self, batch):
        assert batch["next", "agents", "reward"].shape == (8, 25, 3, 1)
        for flag in ("done", "terminated", "truncated"):
            assert batch["next", flag].shape == (8, 25, 1)
        assert batch["next", "truncated"][:, -1].all() and not batch["next", "terminated"].any()

    def test_a_rover_sees_its_place_and_the_way_to_its_mates(self, lesson):
        place = torch.tensor([[[0.0, 0.5], [0.5, 0.5], [0.0, -0.5]]])
        seen = lesson["look"](place)["agents", "observation"]
        assert seen[0, 0].tolist() == [0, 0.5, 0.5, 0, 0, -1]
        assert not lesson["look"](place, sight=False)["agents", "observation"][..., 2:].any()

    def test_the_team_is_paid_for_posts_and_a_rover_for_itself(self, lesson):
        gathered = lesson["POSTS"][:1].expand(1, 3, 2)
        assert lesson["pay"](gathered, False).abs().max() < 1e-6, "own rewards: all at one post is as good as it gets"
        assert lesson["pay"](gathered, True).max() < -0.5
        assert lesson["pay"](lesson["POSTS"][None], True).abs().max() < 1e-6


class TestTheNetwork:
    @pytest.mark.parametrize(("central", "pairs"), [(False, 3), (True, 9)])
    @pytest.mark.parametrize("shared", [True, False])
    def test_outputs_depend_on_ones_own_input_or_on_all(self, lesson, central, shared, pairs):
        given = torch.randn(3, 6, requires_grad=True)
        outputs = lesson["network"](1, central, shared)(given)
        rows = [torch.autograd.grad(row.sum(), given, retain_graph=True)[0] for row in outputs]
        assert (torch.stack(rows).abs().sum(-1) > 0).sum() == pairs

    def test_own_weights_are_three_times_as_many_and_a_shared_central_one_says_the_same_to_all(self, lesson):
        count = {shared: sum(p.numel() for p in lesson["network"](1, False, shared).parameters()) for shared in (0, 1)}
        assert count[0] == 3 * count[1]
        values = lesson["network"](1, True, True)(torch.randn(3, 6))
        assert torch.equal(values[0], values[1]) and torch.equal(values[1], values[2])


class TestTheKeys:
    def test_gae_without_keys_fails_and_does_not_name_what_is_missing(self, parts, batch):
        with pytest.raises(AttributeError, match="NoneType"):
            GAE(gamma=0.9, lmbda=0.9, value_network=parts[1])(batch)

    def test_with_keys_it_asks_for_flags_of_the_same_shape(self, parts, batch):
        advantages = GAE(gamma=0.9, lmbda=0.9, value_network=parts[1])
        advantages.set_keys(**KEYS)
        with pytest.raises(RuntimeError, match="must share a unique shape"):
            advantages(batch)

    def test_multi_agent_gae_copies_the_flags_and_computes_what_gae_does(self, parts, batch):
        both = [kind(gamma=0.9, lmbda=0.9, value_network=parts[1]) for kind in (GAE, MultiAgentGAE)]
        spread = batch.clone()
        for flag in ("done", "terminated"):
            spread["next", "agents", flag] = batch["next", flag].unsqueeze(-2).expand(8, 25, 3, 1).clone()
        flags = {flag: ("agents", flag) for flag in ("done", "terminated")}
        both[0].set_keys(**KEYS, **flags)
        both[1].set_keys(**KEYS)
        with torch.no_grad():
            by_hand, theirs = both[0](spread)["advantage"], both[1](batch.clone())["advantage"]
        assert theirs.shape == (8, 25, 3, 1)
        torch.testing.assert_close(by_hand, theirs)

    def test_the_loss_asks_its_actor_for_two_keys_and_hands_all_on(self, parts):
        loss = MAPPOLoss(*parts)
        loss.set_keys(**KEYS)
        loss.make_value_estimator(gamma=0.9, lmbda=0.9)
        assert loss.tensor_keys.action == ("agents", "action")
        assert loss.tensor_keys.sample_log_prob == ("agents", "action_log_prob")
        assert isinstance(loss.value_estimator, MultiAgentGAE)
        assert loss.value_estimator.tensor_keys.reward == ("agents", "reward")
        assert (loss.tensor_keys.done, loss.tensor_keys.advantage) == ("done", "advantage")

    def test_a_loss_that_finds_no_advantage_computes_its_own_from_shuffled_frames(self, parts, batch):
        loss = MAPPOLoss(*parts, entropy_coeff=0.0)
        loss.set_keys(**KEYS)
        loss.make_value_estimator(gamma=0.9, lmbda=0.9)
        shuffled = batch.reshape(-1)[torch.randperm(200)]
        with torch.no_grad():
            inside = loss.value_estimator(shuffled.copy())
        slopes = []
        for frames in (shuffled, inside):
            loss.zero_grad()
            loss(frames.copy())["loss_objective"].backward()
            slopes.append(torch.cat([p.grad.flatten() for p in parts[0].parameters()]))
        torch.testing.assert_close(*slopes)
        assert slopes[0].any()

    def test_mappo_and_ippo_differ_in_the_critic_they_are_given_alone(self, parts, batch):
        assert issubclass(MAPPOLoss, ClipPPOLoss)
        found = []
        for kind in (MAPPOLoss, IPPOLoss):
            loss = kind(*parts, entropy_coeff=0.0)
            loss.set_keys(**KEYS)
            loss.make_value_estimator(gamma=0.9, lmbda=0.9)
            frames = batch.clone()
            with torch.no_grad():
                loss.value_estimator(frames)
            found.append(loss(frames.reshape(-1)))
        for name in ("loss_objective", "loss_critic"):
            assert torch.equal(found[0][name], found[1][name])


@pytest.fixture(scope="module")
def space():
    return vmas.definitions() | {name: rewards.definitions()[name] for name in ("missed", "ByCredit")}


class TestOtherRewardsAndWorlds:
    def test_the_difference_reward_is_what_the_team_would_have_lost(self, space):
        place = 2 * torch.rand(200, 3, 2) - 1
        distance = space["distances"](place)
        team = -distance.min(1).values.mean(1)
        for rover in range(3):
            others = [mate for mate in range(3) if mate != rover]
            without = -distance[:, others].min(1).values.mean(1)
            torch.testing.assert_close(space["missed"](place)[:, rover, 0], team - without)

    def test_its_world_pays_it(self, space):
        world = TransformedEnv(space["ByCredit"](4), StepCounter(5))
        check_env_specs(world)
        step = world.rollout(1)["next", "agents"][:, 0]
        torch.testing.assert_close(step["reward"], space["missed"](step["observation"][..., :2]))

    def test_six_numbers_are_speed_way_and_where_the_rays_hit(self, space):
        seen = torch.zeros(2, 3, 18)
        seen[..., 2:4], seen[..., 4:6] = 0.5, torch.tensor([1.0, -2.0])  # speed; place minus goal
        seen[0, 0, 6 + 3] = 0.2  # the fourth of twelve rays points up
        six = space["SixNumbers"]()._apply_transform(seen)
        torch.testing.assert_close(six[0, 0], torch.tensor([0.5, 0.5, -1, 2, 0, 0.2]))
        assert not six[1, :, 4:].any()

    def test_only_the_first_episode_of_a_copy_counts(self, space):
        done = torch.tensor([[0, 1, 0, 1], [0, 0, 0, 1]], dtype=torch.bool).unsqueeze(-1)
        played = {"done": done, "agents": {"reward": torch.ones(2, 4, 3, 1)}}
        assert space["returns"](TensorDict({"next": played}, [2, 4])).tolist() == [2, 4]

    def test_the_film_shows_the_arrival_with_most_hits_in_two_decimals(self, space):
        rollout = TensorDict({"next": {}, "agents": {"all": torch.zeros(3, 4, 3, 18)}}, [3, 4])
        done = torch.tensor([[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=torch.bool).unsqueeze(-1)
        rollout["next", "done"], rollout["next", "terminated"] = (
            done,
            done & torch.tensor([1, 1, 0]).bool()[:, None, None],
        )
        rollout["next", "agents", "reward"] = torch.full((3, 4, 3, 1), 1 / 3)
        seen = rollout["agents", "all"]
        seen[0, :, :, 6], seen[1, :, :2, 7], seen[2, :, :, 8] = 0.1, 0.1, 0.1  # 6 hits; 7; 12, but never there
        seen[1, 0, 2, 9], seen[1, 0, 0, :2] = 0.1, -0.63
        assert space["busiest"](rollout) == 1
        path = space["path_of"](rollout, 1)
        assert len(path["places"]) == 3 and path["places"][0][0] == [-0.63, -0.63]
        assert path["sees"] == [[1, 1, 1], [1, 1, 0], [1, 1, 0]] and path["rewards"] == [0.3333] * 3

    def test_vmas_keeps_its_specs_and_lets_the_clock_truncate(self, space):
        pytest.importorskip("vmas")
        world = space["navigation"](4, 0)
        check_env_specs(world)
        assert world.rollout(100)["next", "truncated"][:, -1].all()


@pytest.fixture(scope="module")
def game():
    classic = pytest.importorskip("pettingzoo.classic.connect_four_v3")
    one_group = {"use_mask": True, "group_map": MarlGroupMapType.ALL_IN_ONE_GROUP}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return PettingZooWrapper(classic.env(), **one_group).rollout(42)


class TestTurns:
    def test_in_each_step_one_acts_and_the_mask_says_who(self, game):
        turn = game["agents", "mask"]
        assert (turn.sum(1) == 1).all() and not (turn[1:] & turn[:-1]).any()

    def test_random_moves_are_legal_and_a_loser_pays(self, game):
        moves = game["agents"][game["agents", "mask"]]
        assert moves["action_mask"].gather(-1, moves["action"].unsqueeze(-1)).all()
        assert not game["next", "agents", "reward"].sum(1).any()

    def test_who_waits_sees_the_move_at_once(self, game):
        turn = game["agents", "mask"]
        after = game["next", "agents"][~turn]["observation", "observation"]
        assert (after.sum((1, 2, 3)) == torch.arange(1, len(game) + 1)).all()


class TestBrokenMates:
    @pytest.mark.parametrize("how", ["acts at random", "stands still", "takes the top post"])
    def test_only_the_broken_rover_acts_otherwise(self, lesson, parts, how):
        world = lesson["Posts"](6)
        seen = world.reset()
        with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
            sound = parts[0](seen.clone())["agents", "action"]
            broken = lesson["break_mate"](parts[0], 1, how)(seen.clone())["agents", "action"]
        assert torch.equal(sound[:, [0, 2]], broken[:, [0, 2]])
        assert not torch.equal(sound[:, 1], broken[:, 1])

    def test_a_blind_rover_sees_nobody_and_the_others_see_it(self, lesson):
        asked = []

        def policy(td):
            asked.append(td["agents", "observation"].clone())
            return td.set(("agents", "action"), torch.zeros(6, 3, 2))

        seen = lesson["Posts"](6).reset()
        lesson["break_mate"](policy, 2, "is blind")(seen)
        assert not asked[0][:, 2, 2:].any() and torch.equal(asked[0][:, :2], seen["agents", "observation"][:, :2])


def test_groups_are_one_or_one_each():
    names = ["scout_0", "scout_1", "truck_0"]
    assert MarlGroupMapType.ALL_IN_ONE_GROUP.get_group_map(names) == {"agents": names}
    assert MarlGroupMapType.ONE_GROUP_PER_AGENT.get_group_map(names) == {name: [name] for name in names}


def test_a_nested_key_is_a_path():
    td = TensorDict({"agents": TensorDict({"reward": torch.ones(2, 3, 1)}, [2, 3])}, [2])
    assert torch.equal(td["agents", "reward"], td["agents"]["reward"])
    assert isinstance(
        TensorDictModule(torch.nn.Identity(), in_keys=[("agents", "reward")], out_keys=["x"])(td), TensorDict
    )


class TestTheResults:
    def test_they_are_those_of_the_lessons_present_code(self):
        stamp, _ = store.read_group(store.RESULTS, "15_many_agents", "multiagent")
        assert stamp["code"] == hashlib.sha256(multiagent.code().encode()).hexdigest()[:12]

    def test_every_arm_ran_on_seeds_not_used_for_tuning(self, arms):
        assert list(arms) == multiagent.ARMS
        for runs in arms.values():
            assert min(map(int, runs)) >= FIRST_SEED

    def test_nine_teams_of_ten_hold_all_posts(self, arms):
        held = [run["held"] for run in arms["as in the lesson"].values()]
        assert sum(share >= multiagent.GOOD for share in held) >= 0.9 * len(held)

    def test_the_lessons_words_about_each_arm_hold(self, arms):
        held = {name: [run["held"] for run in runs.values()] for name, runs in arms.items()}
        made_up = {
            name: sum(run["broken"]["takes the top post"][0] for run in runs.values()) / len(runs)
            for name, runs in arms.items()
        }
        assert min(held["critic sees one"] + held["own policies"]) >= multiagent.GOOD
        assert min(held["blind, own policies"] + held["blind, own policies, critic sees one"]) >= multiagent.GOOD
        assert max(held["own rewards"]) < 0.5 and max(held["blind"]) < 0.2
        assert sum(held["own rewards"]) / len(held["own rewards"]) < 0.2, "a post stays empty most of the time"
        firm = [min(min(row) for row in run["roles"]) for run in arms["own policies"].values()]
        free = [min(min(row) for row in run["roles"]) for run in arms["as in the lesson"].values()]
        assert max(firm) < 0.05 and min(free) > 0.15, "posts to which a rover never goes; and none with one policy"
        assert made_up["own policies"] < made_up["as in the lesson"] - 0.1
