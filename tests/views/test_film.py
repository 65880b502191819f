"""The film shows the world the agent learned in, whatever that is made of, and frames of every common kind."""

from __future__ import annotations

import re

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensordict.nn import TensorDictModule, TensorDictSequential
from torchrl.data import Categorical
from torchrl.envs import (
    ActionScaling,
    Compose,
    DTypeCastTransform,
    GymEnv,
    GymWrapper,
    InitTracker,
    ObservationNorm,
    PendulumEnv,
    TicTacToeEnv,
    ToTensorImage,
    TransformedEnv,
)
from torchrl.envs.utils import ExplorationType, set_exploration_type
from torchrl.modules import MLP, Actor, LSTMModule, ProbabilisticActor, QValueActor, TanhNormal

from course_utils import record_episode, show_video
from course_utils.views.frames import film_of

EXAMPLES = 30
BOX = spaces.Box(-1, 1, (3,), np.float32)


class Toy(gym.Env):
    """Five steps in any spaces; it refuses what is no action, and remembers what it was given."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(self, seen=BOX, acts=None, picture=None):
        self.observation_space, self.action_space = seen, acts or spaces.Discrete(2)
        self.render_mode, self.picture, self.given = "rgb_array", picture, []

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        self.time = 0
        return self.observation_space.sample(), {}

    def step(self, action):
        assert self.action_space.contains(action), f"not an action: {action!r}"
        self.given.append(action)
        self.time += 1
        return self.observation_space.sample(), 1.0, self.time >= 5, False, {}

    def render(self):
        return np.full((20, 30, 3), 10 * self.time, np.uint8) if self.picture is None else self.picture


def policy(function, reads=("observation",)) -> TensorDictModule:
    return TensorDictModule(function, in_keys=list(reads), out_keys=["action"])


def learned_return(env, agent, seed: int) -> float:
    """What the agent gets where it learned."""
    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        start = env.reset(seed=seed)
        return env.rollout(1000, agent, auto_reset=False, tensordict=start)["next", "reward"].sum().item()


class TestWorld:
    def test_actions_are_scaled_as_where_it_learned(self):
        torch.manual_seed(0)
        env = TransformedEnv(GymEnv("Pendulum-v1"), ActionScaling())
        agent = Actor(MLP(in_features=3, out_features=1, num_cells=[8]), spec=env.action_spec)
        episode = record_episode(env, agent, seed=1)
        assert episode.total == pytest.approx(learned_return(env, agent, 1), rel=1e-5)
        assert len(episode.frames) == 201 and episode.name == "Pendulum-v1"
        plain = GymEnv("Pendulum-v1")
        assert record_episode(plain, agent, seed=1).total != pytest.approx(episode.total, rel=1e-3)

    def test_observations_are_normalised_as_where_it_learned(self):
        norm = ObservationNorm(in_keys=["observation"], loc=0.5, scale=2.0, standard_normal=True)
        env = TransformedEnv(GymEnv("Pendulum-v1"), norm)
        agent = policy(lambda observation: observation[:1].clamp(-2, 2))
        episode = record_episode(env, agent, seed=1)
        assert episode.total == pytest.approx(learned_return(env, agent, 1), rel=1e-5)
        assert torch.equal(episode.rollout["action"], episode.rollout["observation"][:, :1].clamp(-2, 2))

    @pytest.mark.parametrize(
        ("agent", "words"),
        [
            (policy(lambda normal: normal[:1], reads=["normal"]), "reads 'normal', which Pendulum-v1 does not"),
            (policy(lambda observation: observation[:2]), r"shape \[2\], Pendulum-v1 takes \[1\]"),
            (policy(lambda observation: torch.nn.Linear(7, 1)(observation)), r"observation \(float32 \[3\]\)"),
        ],
    )
    def test_a_name_that_cannot_be_the_agents_world_is_refused_with_the_fix(self, agent, words):
        with pytest.raises(ValueError, match=words) as caught:
            record_episode("Pendulum-v1", agent)
        assert "Give `record_episode` the environment the agent learned in" in str(caught.value)

    @pytest.mark.parametrize("kind", ["spec", "distribution"])
    def test_an_agent_of_other_actions_is_refused_by_name_and_filmed_in_its_own_world(self, kind):
        env = TransformedEnv(GymEnv("Pendulum-v1"), ActionScaling())
        if kind == "spec":
            agent = Actor(torch.nn.Linear(3, 1), spec=env.action_spec)
        else:
            body = TensorDictModule(lambda seen: (seen[:1], seen[1:2].exp()), ["observation"], ["loc", "scale"])
            agent = ProbabilisticActor(body, in_keys=["loc", "scale"], distribution_class=TanhNormal)
        with pytest.raises(ValueError, match="from -1 to 1, those of Pendulum-v1 from -2 to 2"):
            record_episode("Pendulum-v1", agent)
        assert len(record_episode(env, agent, max_steps=3).rewards) == 3

    def test_the_environment_is_given_back_as_it_was(self):
        env = GymEnv("CartPole-v1")
        before, state = env._env.unwrapped.render_mode, torch.get_rng_state()
        assert len(record_episode(env, max_steps=3).frames) == 4
        assert env._env.unwrapped.render_mode == before and torch.equal(torch.get_rng_state(), state)
        env.rollout(3)

    def test_a_world_that_does_not_draw_is_played_and_says_so(self):
        for env in (PendulumEnv(), TicTacToeEnv()):
            episode = record_episode(env, max_steps=3)
            assert len(episode.rewards) == 3 and "does not draw" in episode.problem
            assert "No picture: " in show_video(episode).text and "pygame" not in show_video(episode).text

    def test_masked_actions_are_never_taken_by_chance(self):
        rollout = record_episode(TicTacToeEnv(), seed=3).rollout
        allowed = rollout["mask"].gather(-1, rollout["action"].reshape(-1, 1))
        assert allowed.all()

    def test_pixels_and_their_transforms_do_not_change_the_film(self):
        env = TransformedEnv(GymEnv("CartPole-v1", from_pixels=True), ToTensorImage())
        episode = record_episode(env, seed=1, max_steps=3)
        plain = record_episode("CartPole-v1", policy(lambda seen: torch.tensor(0)), seed=1, max_steps=0)
        assert np.array_equal(episode.frames[0], plain.frames[0])

    def test_of_several_copies_the_first_is_filmed(self):
        same_step = {"autoreset_mode": gym.vector.AutoresetMode.SAME_STEP}
        copies = gym.make_vec("CartPole-v1", 3, "sync", vector_kwargs=same_step, render_mode="rgb_array")
        episode = record_episode(GymWrapper(copies), max_steps=40)
        assert len(episode.frames) == len(episode.rewards) + 1 and episode.rollout.batch_size == (len(episode.rewards),)

    def test_no_step_is_a_film_of_one_frame(self):
        episode = record_episode("CartPole-v1", max_steps=0)
        assert len(episode.frames) == 1 and len(episode.rewards) == len(episode.rollout) == 0
        assert "0 steps, return 0, cut off" in show_video(episode).text
        with pytest.raises(ValueError, match="0 steps or more"):
            record_episode("CartPole-v1", max_steps=-1)

    @pytest.mark.parametrize("env", [3, None, torch.nn.Linear(1, 1)])
    def test_what_is_no_environment_is_refused(self, env):
        with pytest.raises(TypeError, match="An environment is a name"):
            record_episode(env)


class TestPolicies:
    @pytest.mark.parametrize(
        "right",
        [
            lambda td: td.set("action", torch.tensor(1)),
            lambda td: _in_place(td),
            lambda td: 1,
            lambda td: np.array([1]),
            policy(lambda seen: torch.tensor([1])),
            policy(lambda seen: torch.tensor([0.0, 1.0])),
        ],
    )
    def test_functions_indices_and_one_hot_vectors_are_understood(self, right):
        toy = Toy()
        assert len(record_episode(toy, right).rewards) == 5
        assert [int(action) for action in toy.given] == [1] * 5

    def test_one_made_for_one_hot_actions_gets_its_own_encoding(self):
        lake = TransformedEnv(
            GymEnv("FrozenLake-v1"), DTypeCastTransform(torch.int64, torch.float32, in_keys=["observation"])
        )
        agent = QValueActor(torch.nn.Linear(16, 4), in_keys=["observation"], spec=lake.action_spec)
        assert record_episode(lake, agent).rollout["observation"].shape[1:] == (16,)
        with pytest.raises(ValueError, match=r"observation \(int64 \[16\]\)"):
            record_episode("FrozenLake-v1", agent)
        reads_index = QValueActor(torch.nn.Embedding(16, 4), in_keys=["observation"], spec=Categorical(4))
        assert record_episode("FrozenLake-v1", reads_index).rollout["observation"].shape[1:] == ()

    @pytest.mark.parametrize("by_name", [True, False])
    def test_an_agent_with_a_memory_gets_its_states(self, by_name):
        torch.manual_seed(0)
        lstm = LSTMModule(4, 8, in_keys=["observation", "h", "c"], out_keys=["e", ("next", "h"), ("next", "c")])
        head = QValueActor(torch.nn.Linear(8, 2), in_keys=["e"], spec=Categorical(2))
        agent = TensorDictSequential(lstm, head)
        world = GymEnv("CartPole-v1", categorical_action_encoding=True)
        env = TransformedEnv(world, Compose(InitTracker(), lstm.make_tensordict_primer()))
        rollout = record_episode("CartPole-v1" if by_name else env, agent, seed=1, max_steps=5).rollout
        assert rollout["is_init"].flatten().tolist() == [True, False, False, False, False]
        assert torch.equal(rollout["h"][1:], rollout["next", "h"][:-1]) and rollout["h"][1:].abs().sum() > 0

    def test_its_own_error_is_its_own(self):
        with pytest.raises(ZeroDivisionError):
            record_episode("CartPole-v1", lambda td: 1 / 0)


def _in_place(td) -> None:
    td.set("action", torch.tensor([False, True]))


SPACES = {
    "Dict": spaces.Dict(position=BOX, speed=BOX),
    "nested": spaces.Dict(a=spaces.Dict(b=BOX), c=spaces.Discrete(3)),
    "one part": spaces.Dict(left=spaces.Discrete(2)),
    "Tuple": spaces.Tuple((BOX, spaces.Discrete(3))),
    "Tuple in a Dict": spaces.Dict(a=spaces.Tuple((BOX, spaces.MultiBinary(2)))),
    "Discrete": spaces.Discrete(4),
    "from 1": spaces.Discrete(3, start=1),
    "MultiDiscrete": spaces.MultiDiscrete([5, 5]),
    "a grid": spaces.MultiDiscrete([[3, 4], [2, 2]]),
    "MultiBinary": spaces.MultiBinary(4),
    "whole numbers": spaces.Box(0, 5, (2, 2), np.int64),
    "doubles": spaces.Box(-1, 1, (2,), np.float64),
}


@pytest.mark.parametrize("name", SPACES)
def test_every_space_is_seen_and_acted_in(name):
    assert len(record_episode(Toy(seen=SPACES[name])).rewards) == 5
    toy = Toy(acts=SPACES[name])
    assert len(record_episode(toy).frames) == 6 and len(toy.given) == 5


def test_the_spaces_of_several_parts_hold_what_was_played():
    toy = Toy(acts=spaces.MultiDiscrete([5, 5]))
    rollout = record_episode(toy, seed=3).rollout
    assert rollout["action"].tolist() == [list(action) for action in toy.given]


NOISE = np.random.default_rng(0)
COLOURS = NOISE.integers(0, 256, (20, 30, 3), dtype=np.uint8)


class TestFrames:
    @pytest.mark.parametrize(
        "picture",
        [
            COLOURS,
            COLOURS.astype(np.int64),
            COLOURS.astype(np.float32),
            COLOURS / 255,
            np.moveaxis(COLOURS, -1, 0),
            torch.as_tensor(COLOURS).permute(2, 0, 1) / 255,
            np.concatenate([COLOURS, np.full((20, 30, 1), 255, np.uint8)], -1),
        ],
    )
    def test_the_same_picture_in_every_common_form_is_the_same_frame(self, picture):
        toy = Toy(picture=picture)
        episode = record_episode(toy)
        assert not episode.problem
        np.testing.assert_array_equal(episode.frames[2], COLOURS)

    @pytest.mark.parametrize("grey", [COLOURS[..., 0], COLOURS[..., :1], COLOURS[None, ..., 0], COLOURS[..., 0] / 255])
    def test_grey_is_grey(self, grey):
        np.testing.assert_array_equal(film_of([grey])[0], COLOURS[..., :1].repeat(3, -1))

    def test_the_whole_film_decides_what_white_is(self):
        dark, light = np.full((20, 30), 0.5), np.full((20, 30), 200.0)
        assert film_of([dark, light])[0].max() <= 1 and film_of([dark])[0].max() == 128

    def test_opacity_is_laid_on_white(self):
        clear = np.zeros((20, 30, 4), np.uint8)
        assert (film_of([clear])[0] == 255).all()

    @pytest.mark.parametrize(
        ("picture", "words"),
        [
            (COLOURS / 127.5 - 1, "from -1 to 1 .*cannot be told"),
            (COLOURS * 257.0, "cannot be told"),
            (np.full((20, 30), 3.0), "cannot be told"),
            (np.where(COLOURS > 9, 1, 0), "cannot be told"),
            (np.full((20, 30, 3), np.nan), "10800 numbers of the pictures are NaN"),
            (COLOURS[:3, :5], "either side could be the channels"),
            (NOISE.random((7, 20, 30)), "1, 3 or 4 channels"),
            (None, "gave nothing"),
            ("a lake", "gave text"),
            (np.array([["a"]]), "array of numbers"),
        ],
    )
    def test_what_cannot_be_told_is_named_and_not_shown_black(self, picture, words):
        toy = Toy(picture=picture)
        toy.render = lambda: picture
        episode = record_episode(toy)
        assert len(episode.frames) == 0 and len(episode.rewards) == 5
        assert re.search(words, episode.problem)
        assert "No picture: " in show_video(episode).text

    def test_pictures_that_change_their_size_are_named(self):
        with pytest.raises(ValueError, match="differ in size"):
            film_of([COLOURS, COLOURS[:10]])

    @pytest.mark.parametrize("size", [(21, 33), (1, 9), (9, 1), (2, 2)])
    def test_odd_sizes_are_encoded(self, size):
        picture = NOISE.integers(0, 256, (*size, 3), dtype=np.uint8)
        toy = Toy(picture=picture)
        toy.render = lambda: picture
        view = show_video(record_episode(toy))
        assert "no video" not in view.text and ("<video" in view.html or "either side" in view.text)

    @pytest.mark.parametrize("width", ['1" onclick="alert(1)', "100%", 0, -3, 1.5, True, None])
    def test_a_width_that_is_none_is_refused(self, width):
        with pytest.raises(ValueError, match="whole number of pixels"):
            show_video(record_episode(Toy()), width=width)


LEAVES = st.sampled_from([space for space in SPACES.values() if not isinstance(space, spaces.Dict | spaces.Tuple)])
NAMES = st.sampled_from(["left", "right", "speed", "a"])
COMPOSED = st.recursive(
    LEAVES,
    lambda parts: (
        st.dictionaries(NAMES, parts, min_size=1, max_size=3).map(spaces.Dict)
        | st.lists(parts, min_size=1, max_size=3).map(tuple).map(spaces.Tuple)
    ),
    max_leaves=5,
)


def numbers(value) -> list[float]:
    """All numbers of a value of any space, in order."""
    if isinstance(value, dict):
        return [number for part in value.values() for number in numbers(part)]
    if isinstance(value, tuple):
        return [number for part in value for number in numbers(part)]
    return np.asarray(value, float).reshape(-1).tolist()


def starts(space) -> list[float]:
    """What each number of a space counts from, where TorchRL counts from 0."""
    if isinstance(space, spaces.Dict):
        return [number for part in space.spaces.values() for number in starts(part)]
    if isinstance(space, spaces.Tuple):
        return [number for part in space.spaces for number in starts(part)]
    start = float(getattr(space, "start", 0)) if isinstance(space, spaces.Discrete) else 0.0
    return [start] * (1 if isinstance(space, spaces.Discrete) else int(np.prod(space.shape)))


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(seen=COMPOSED, acts=COMPOSED, seed=st.integers(0, 99))
def test_composed_spaces_are_played_and_the_record_is_what_was_played(seen, acts, seed):
    toy = Toy(seen, acts)
    if isinstance(seen, spaces.Dict) and isinstance(acts, spaces.Dict) and set(seen) & set(acts):
        with pytest.raises(ValueError, match="both called"):
            record_episode(toy)
        return
    toy.render = lambda: np.full((20, 30, 3), 10 * toy.time, np.uint8)
    episode = record_episode(toy, seed=seed)
    assert len(toy.given) == len(episode.rollout) == 5
    assert [int(frame[0, 0, 0]) for frame in episode.frames] == [0, 10, 20, 30, 40, 50]
    after = {key for key in episode.rollout["next"].keys(True, True)}
    written = [key for key in episode.rollout.exclude("next").keys(True, True) if key not in after]
    for step, given_action in zip(episode.rollout, toy.given, strict=True):
        recorded = [number for key in written for number in step[key].double().reshape(-1).tolist()]
        shift = starts(acts)
        played = [number - start for number, start in zip(numbers(given_action), shift, strict=True)]
        np.testing.assert_allclose(sorted(recorded), sorted(played), rtol=1e-6)
