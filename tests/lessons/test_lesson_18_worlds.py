"""Lesson 18, worlds and spaces: what it says of the atlas, small worlds, Pong's frames, and actions of two parts."""

from __future__ import annotations

import tomllib

import gymnasium as gym
import pytest
import torch
from conftest import ROOT
from torchrl.envs import (
    ActionMask,
    ExplorationType,
    FinancialRegimeEnv,
    GymEnv,
    GymWrapper,
    ToyVLAEnv,
    TransformedEnv,
    check_env_specs,
    set_exploration_type,
)
from torchrl.modules import MLP, ValueOperator
from torchrl.objectives import ClipPPOLoss

from benchmarks.lesson_code import named_code, run_code
from course_utils import load_families, load_results

LESSON = "18_worlds_and_records"


def lesson(*cells: str, before: str = "") -> dict:
    return run_code("import torch\n" + before + named_code(LESSON, *(f"18-{cell}" for cell in cells)), seed=0)


@pytest.fixture(scope="module")
def newest():
    return lesson("newest")["newest"]


class TestAtlas:
    tried = {name: next(iter(runs.values())) for name, runs in load_results("18_worlds")["runs"]["worlds"].items()}

    def gain(self, name: str) -> tuple[int, float]:
        """How many copies there were, and how many times as fast they were together."""
        (_, one), (count, many) = self.tried[name]["speed"]["copies"].items()
        return int(count), many["frames_per_core_second"] / one["frames_per_core_second"]

    def test_every_family_that_was_tried_has_a_card(self):
        families = load_families()
        assert families.keys() == self.tried.keys()
        assert all({"title", "needs", "licence", "platform"} <= family.keys() for family in families.values())

    def test_an_installed_course_carries_the_table_along(self):
        settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
        assert settings["package-dir"]["course_utils.worlds"] == "examples/worlds"
        assert "course_utils.worlds" in settings["packages"]
        assert settings["package-data"]["course_utils.worlds"] == ["*.toml"]

    def test_what_stands_in_the_way_is_counted_as_on_the_slide(self):
        obstacle = lesson("obstacle")["obstacle"]
        found = [obstacle(record) for record in self.tried.values()]
        words = ["runs", "has no wheel for this Python", "installs, and stops when it starts"]
        assert [found.count(word) for word in words] == [16, 7, 3]
        for record in self.tried.values():
            if obstacle(record) == "has no wheel for this Python":
                assert "wheel" in record["error"]

    def test_copies_one_after_the_other_gain_nothing_and_rows_of_one_array_much(self):
        for name in ("atari", "minigrid", "pettingzoo"):
            assert 0.8 < self.gain(name)[1] < 1.1
        assert self.gain("vmas") == (256, pytest.approx(151, abs=1))
        count, times = self.gain("openml")
        assert times > 0.9 * count
        assert min(self.gain(name)[1] for name in ("brax", "jumanji", "mujoco_playground")) > 10

    def test_the_slowest_and_the_fastest_are_nearly_four_powers_of_ten_apart(self):
        paces = [
            found["frames_per_core_second"]
            for record in self.tried.values()
            for found in record.get("speed", {}).get("copies", {}).values()
        ]
        assert 5_000 < max(paces) / min(paces) < 10_000

    def test_two_of_the_three_cards_shown_name_the_gpl(self):
        licences = [load_families()[name]["licence"] for name in ("atari", "vmas", "safety_gymnasium")]
        assert ["GPL" in licence for licence in licences] == [True, True, False]


class TestMarket:
    """`FinancialRegimeEnv`: a trade costs coins, and earns a share."""

    @staticmethod
    def play(choice: int, days: int) -> torch.Tensor:
        def always(td):
            return td.set("action", torch.tensor([choice]))

        return FinancialRegimeEnv(seed=3).rollout(days, always)["next", "reward"]

    def test_who_does_nothing_gets_nothing_and_who_buys_pays_a_thousandth_of_the_price(self):
        assert not self.play(0, 252).any() and not self.play(2, 252).any()
        first = FinancialRegimeEnv(seed=3).rollout(1, lambda td: td.set("action", torch.tensor([1])))
        before, after = first["price_history"][0, -1], first["next", "price_history"][0, -1]
        expected = -0.001 * before + 0.1 * (after - before) / before
        torch.testing.assert_close(first["next", "reward"][0, 0], expected, atol=1e-5, rtol=1e-4)

    def test_a_year_has_252_days_and_ends_by_the_clock(self):
        year = FinancialRegimeEnv(seed=3).rollout(1_000)["next"]
        assert len(year) == 252 and year["truncated"][-1] and not year["terminated"].any()


class TestSmallWorlds:
    def test_cliff_walking_has_no_clock(self, newest):
        assert not GymEnv(newest("CliffWalking")).rollout(300)["next", "truncated"].any()

    def test_a_tuple_of_unlike_choices_is_made_and_cannot_be_reset(self, newest):
        env = GymEnv(newest("Blackjack"))
        with pytest.raises(NotImplementedError, match="placeholder"):
            env.reset()

    def test_the_toy_of_robots_knows_no_truncation(self):
        assert "truncated" not in ToyVLAEnv().rollout(2)["next"].keys(True)

    def test_a_look_uses_the_seed_up(self):
        env, starts = GymEnv("CartPole-v1"), []
        for look in (lambda: None, lambda: None, lambda: check_env_specs(env)):
            env.set_seed(0)
            look()
            starts.append(env.reset()["observation"])
        assert (starts[0] == starts[1]).all() and (starts[0] != starts[2]).any()

    def test_the_clock_is_a_wrapper(self):
        assert len(GymEnv("Pendulum-v1").rollout(500)) == 200
        assert len(GymWrapper(gym.make("Pendulum-v1").unwrapped).rollout(500)) == 500

    @pytest.mark.filterwarnings("ignore")
    def test_pictures_of_a_world_not_made_for_it_raise_something_else(self, newest):
        with pytest.raises(ValueError, match="Unsupported observation space structure"):
            GymWrapper(gym.make(newest("Taxi")), from_pixels=True)


class TestPong:
    @pytest.fixture
    def pong(self):
        ale_py = pytest.importorskip("ale_py")
        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
        gym.register_envs(ale_py)
        return "ALE/Pong-v5"

    def test_how_many_frames_a_step_has_depends_on_who_makes_the_game(self, pong):
        def frames(env):
            env.rollout(10)
            return env.unwrapped.ale.getEpisodeFrameNumber()

        assert frames(GymWrapper(gym.make(pong))) == 40
        assert frames(GymEnv(pong)) == frames(GymEnv(pong, frameskip=4)) == 10
        assert frames(GymEnv(pong, frame_skip=4)) == 40
        assert frames(GymWrapper(gym.make(pong), frame_skip=4)) == 160

    def test_the_joystick_sticks(self, pong):
        assert gym.make(pong).spec.kwargs["repeat_action_probability"] == 0.25

    def test_shrinking_keeps_spec_and_picture_together(self, pong):
        space = lesson("shrink")
        steps = space["Compose"](space["ToTensorImage"](), space["GrayScale"](), space["Shrink"](84))
        env = TransformedEnv(GymEnv(pong, frame_skip=4), steps)
        check_env_specs(env)
        assert env.reset()["pixels"].shape == (1, 84, 84)


class TestArm:
    @pytest.fixture
    def played(self):
        space = lesson("arm-imports", "arm", "arm-actor-imports", "arm-actor")
        arms, actor = space["Arm"](16), space["make_arm_actor"]()
        arms.set_seed(0)
        with torch.no_grad(), set_exploration_type(ExplorationType.RANDOM):
            return actor, arms.rollout(1, actor).reshape(-1)

    def test_each_part_has_a_log_probability_and_the_loss_finds_both_by_itself(self, played):
        actor, frames = played
        loss = ClipPPOLoss(actor, ValueOperator(MLP(3, 1, num_cells=[4]), in_keys=["observation"]))
        assert loss.tensor_keys.action == ["joint", "gripper"]
        assert loss.tensor_keys.sample_log_prob == ["joint_log_prob", "gripper_log_prob"]
        assert frames["joint_log_prob"].shape == frames["gripper_log_prob"].shape == (16,)

    def test_the_ratio_is_of_their_sum(self, played):
        """With old log-probabilities that are off by a and b, PPO sees a ratio of exp(a + b)."""
        actor, frames = played
        loss = ClipPPOLoss(actor, ValueOperator(MLP(3, 1, num_cells=[4]), in_keys=["observation"]), clip_epsilon=0.9)
        frames["joint_log_prob"] -= 0.2
        frames["gripper_log_prob"] -= 0.3
        frames["advantage"], frames["value_target"] = torch.ones(16, 1), torch.zeros(16, 1)
        assert loss(frames)["loss_objective"].item() == pytest.approx(-torch.tensor(0.5).exp().item(), rel=1e-4)

    def test_both_heads_get_a_gradient(self, played):
        actor, frames = played
        loss = ClipPPOLoss(actor, ValueOperator(MLP(3, 1, num_cells=[4]), in_keys=["observation"]))
        frames["advantage"], frames["value_target"] = torch.randn(16, 1), torch.zeros(16, 1)
        loss(frames)["loss_objective"].backward()
        assert all(weights.grad.abs().sum() > 0 for weights in loss.actor_network_params.flatten_keys().values())


class TestMask:
    def test_one_entry_that_nobody_wants_stops_the_reading_of_all(self, newest):
        with pytest.raises(AttributeError, match="'float' object has no attribute 'dtype'"):
            GymWrapper(gym.make(newest("Taxi"))).auto_register_info_dict()

    def test_what_is_drawn_at_random_is_allowed_and_a_policy_is_not_held_back(self, newest):
        taxi = newest("Taxi")
        space = lesson("allowed", "driver", before=named_imports(taxi))
        masked = TransformedEnv(space["drives"], ActionMask())

        def kept(policy=None):
            torch.manual_seed(0)
            with torch.no_grad(), set_exploration_type(ExplorationType.RANDOM):
                trip = masked.rollout(100, policy)
            return trip["action_mask"].gather(1, trip["action"].unsqueeze(1)).float().mean()

        assert kept() == kept(space["drivers"]["reads the mask"]) == 1
        assert kept(space["drivers"]["does not"]) < 0.8


def named_imports(taxi: str) -> str:
    """What the cells on masks take from those before them."""
    return (
        "import gymnasium as gym\nfrom torchrl.envs import GymWrapper, check_env_specs\n"
        "from tensordict.nn import TensorDictModule\nfrom torchrl.modules import ProbabilisticActor\n"
        f"taxi = {taxi!r}\n"
    )
