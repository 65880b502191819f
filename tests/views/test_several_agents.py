"""Groups of agents in the layouts of VMAS and PettingZoo: whose turn it is, and films of the world they play in.

Neither library is needed: stand-ins write the entries that TorchRL's wrappers of them write.
"""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tensordict import TensorDict
from torchrl.data import Bounded, Categorical, Composite, LazyTensorStorage, TensorDictReplayBuffer, Unbounded
from torchrl.envs import EnvBase, GymEnv, SerialEnv

from course_utils import EpisodeScrubber, ReplayLens, record_episode, show, show_video

TURNS = 8
COPIES, AGENTS = 3, 2


def turns(group: str, place: int, agents: int = 1, **more) -> dict:
    """A group of `agents` of which every second step is its turn, as PettingZooWrapper(use_mask=True) writes it."""
    acts = (torch.arange(TURNS) % 2 == place)[:, None].expand(TURNS, agents)
    entries = {
        "observation": torch.rand(TURNS, agents, 3),
        "action": torch.arange(TURNS)[:, None].expand(TURNS, agents),
    }
    return {group: TensorDict({**entries, "mask": acts, **more}, [TURNS, agents])}


def game(agents: int = 1, **more) -> TensorDict:
    """Two groups that take turns; `next` holds their rewards and the ends."""
    flags = torch.zeros(TURNS, 1, dtype=torch.bool)
    ends = {"done": flags, "terminated": flags, "truncated": flags}
    groups = turns("white", 0, agents, **more) | turns("black", 1, agents, **more)
    seen = {name: TensorDict({"observation": group["observation"]}, group.batch_size) for name, group in groups.items()}
    for name in groups:
        seen[name]["reward"] = torch.ones(TURNS, agents, 1)
    return TensorDict({**groups, "next": TensorDict({**seen, **ends}, [TURNS])}, [TURNS])


def pictures(count: int) -> np.ndarray:
    return np.zeros((count, 16, 16, 3), np.uint8)


def lens_of(data: TensorDict) -> ReplayLens:
    buffer = TensorDictReplayBuffer(storage=LazyTensorStorage(100), batch_size=4)
    buffer.extend(data)
    return ReplayLens(buffer, draws=50)


class TestWhoseTurn:
    @pytest.mark.parametrize("agents", [1, 2])
    def test_what_stands_there_for_an_agent_that_does_not_act_is_not_its_action(self, agents):
        scrubber = EpisodeScrubber(game(agents), pictures(TURNS))
        assert "action white 0 0; " in scrubber.describe("episode", 0)
        assert "black 0 does not act" in scrubber.describe("episode", 0)
        assert "white 0 does not act" in scrubber.describe("episode", 1)
        assert "forbidden" not in scrubber.html and "mask" not in scrubber.text
        moment = scrubber.at(1)["episode"]
        assert moment.action["white 0"] is None and moment.action["black 0"] == 1

    @pytest.mark.parametrize("agents", [1, 2])
    def test_the_lens_counts_actions_where_they_were_taken(self, agents):
        lens = lens_of(game(agents))
        name = "white/action" if agents == 1 else "white/action[1]"
        assert re.search(rf"{re.escape(name)}: 0 +25.0 %", lens.text)  # of the four turns it had
        assert re.search(rf"{re.escape(name)}: 1 +0.0 %", lens.text)
        assert re.search(rf"{re.escape(name)}: does not act +4 of 8", lens.text)
        assert "forbids" not in lens.text
        assert lens.stored(name).isnan().tolist() == [False, True] * 4

    def test_a_mask_of_actions_beside_it_is_asked_where_the_agent_acts(self):
        allowed = torch.ones(TURNS, 1, TURNS, dtype=torch.bool)
        allowed[1::2] = False  # PettingZoo says nothing true of those who do not act
        allowed[0, 0, 0] = False
        data = game(action_mask=allowed)
        assert re.search(r"white/action: though its mask forbids it +25.0 %", lens_of(data).text)
        scrubber = EpisodeScrubber(data, pictures(TURNS))
        assert "white 0 0 (forbidden)" in scrubber.describe("episode", 0)
        assert "white 0 does not act" in scrubber.describe("episode", 1)

    def test_no_belief_is_drawn_where_no_action_was_taken(self):
        values = torch.rand(TURNS, 1, TURNS)
        scrubber = EpisodeScrubber(game(action_value=values), pictures(TURNS))
        white = scrubber.tracks["episode"].chosen()["white 0"]
        assert [step for step, _ in white] == [0, 2, 4, 6]
        assert [belief for _, belief in white] == pytest.approx([values[step, 0, step].item() for step, _ in white])
        assert "not finite" not in scrubber.html

    def test_one_that_never_acts(self):
        data = game(action_value=torch.rand(TURNS, 1, TURNS))
        data["black", "mask"] = torch.zeros(TURNS, 1, dtype=torch.bool)
        scrubber = EpisodeScrubber(data, pictures(TURNS))
        assert "black 0 never acts" in scrubber.html
        assert re.search(r"black/action: does not act +8 of 8", lens_of(data).text)

    def test_parts_of_an_action_wait_with_their_agent(self):
        data = game()
        parts = TensorDict({"move": torch.rand(TURNS, 1, 2), "say": torch.ones(TURNS, 1).long()}, [TURNS, 1])
        for name in ("white", "black"):
            data[name, "action"] = parts
        said = EpisodeScrubber(data, pictures(TURNS)).describe("episode", 1)
        assert "white 0 action move does not act; white 0 action say does not act" in said
        assert re.search(r"white/action/say: does not act +4 of 8", lens_of(data).text)

    def test_the_tree_shows_both_kinds_of_batch_size(self):
        assert "white: TensorDict · batch size [8, 2]" in show(game(2)).text


class Arena(EnvBase):
    """Agents on a line, in copies as VMAS has them; `_env` is what a wrapper of TorchRL's would hold."""

    def __init__(self, simulator=None) -> None:
        super().__init__(batch_size=[COPIES])
        group = [COPIES, AGENTS]
        self.full_action_spec = Composite(
            agents=Composite(action=Bounded(-1, 1, (*group, 1)), shape=group), shape=[COPIES]
        )
        self.full_observation_spec = Composite(
            agents=Composite(observation=Unbounded((*group, 1)), shape=group), shape=[COPIES]
        )
        self.full_reward_spec = Composite(agents=Composite(reward=Unbounded((*group, 1)), shape=group), shape=[COPIES])
        flags = {name: Categorical(2, shape=(COPIES, 1), dtype=torch.bool) for name in ("done", "terminated")}
        self.full_done_spec = Composite(**flags, shape=[COPIES])
        self.places = torch.zeros(*group, 1)
        if simulator is not None:
            self._env = simulator(self)

    def _out(self, more: dict) -> TensorDict:
        flags = {name: torch.zeros(COPIES, 1, dtype=torch.bool) for name in ("done", "terminated")}
        group = TensorDict({"observation": self.places.clone(), **more}, [COPIES, AGENTS])
        return TensorDict({"agents": group, **flags}, [COPIES])

    def _reset(self, tensordict=None, **_):
        self.places = torch.zeros(COPIES, AGENTS, 1)
        return self._out({})

    def _step(self, tensordict):
        self.places = self.places + tensordict["agents", "action"]
        return self._out({"reward": self.places.clone()})

    def _set_seed(self, seed) -> None:
        torch.manual_seed(seed)


class Vmas:
    """It draws the copy it is asked for, as grey as its first agent is far."""

    metadata = {"render.modes": ["human", "rgb_array"]}
    world = SimpleNamespace(dt=0.1)

    def __init__(self, arena: Arena) -> None:
        self.arena = arena

    def render(self, mode="human", env_index=0):
        assert mode == "rgb_array"
        return np.full((20, 30, 3), 128 + int(10 * self.arena.places[env_index, 0]), np.uint8)


class PettingZoo(Vmas):
    """It draws in the mode it was made with, which a film may lend it."""

    metadata = {"name": "line_v0", "render_modes": ["human", "rgb_array"], "render_fps": 15}
    render_mode = None
    world = None

    @property
    def unwrapped(self):
        return self

    def render(self):
        return Vmas.render(self, self.render_mode) if self.render_mode else None


class Unlendable(PettingZoo):
    def render(self):
        raise AttributeError("no font")


class NoSuchDisplay(Exception):
    """As pyglet raises it."""


NoSuchDisplay.__module__ = "pyglet.canvas.xlib"


class WithoutADisplay(Vmas):
    def render(self, mode="human", env_index=0):
        raise NoSuchDisplay("Cannot connect to\n\n 'None'")


class TestFilm:
    @pytest.mark.parametrize("simulator", [Vmas, PettingZoo])
    def test_every_picture_is_of_the_copy_whose_episode_is_recorded(self, simulator):
        episode = record_episode(Arena(simulator), max_steps=6, seed=3)
        seen = [0.0, *episode.rollout["next", "agents", "observation"][:, 0, 0].tolist()]
        assert [int(frame[0, 0, 0]) for frame in episode.frames] == [128 + int(10 * place) for place in seen]
        assert episode.rollout.batch_size == (6,) and len(set(seen)) == 7
        assert episode.rewards == pytest.approx(episode.rollout["next", "agents", "reward"].sum((1, 2)).numpy())
        assert "agents 1" in EpisodeScrubber(episode.rollout, episode.frames).describe("episode", 2)

    def test_it_has_the_name_and_the_pace_of_its_library(self):
        arena = Arena(Vmas)
        arena.scenario_name = "line"
        vmas, zoo = record_episode(arena, max_steps=1), record_episode(Arena(PettingZoo), max_steps=1)
        assert (vmas.name, vmas.fps, zoo.name, zoo.fps) == ("line", 10, "line_v0", 15)

    def test_what_was_made_without_a_picture_is_given_back_without_one(self):
        arena = Arena(PettingZoo)
        assert len(record_episode(arena, max_steps=2).film) == 3 and arena._env.render_mode is None

    def test_one_that_cannot_be_given_a_picture_says_how_to_make_it(self):
        episode = record_episode(Arena(Unlendable), max_steps=2)
        assert episode.problem == "AttributeError: no font; make the environment with render_mode='rgb_array'"
        assert len(episode.rewards) == 2

    def test_without_opengl_it_says_what_to_install(self):
        said = show_video(record_episode(Arena(WithoutADisplay), max_steps=2)).text
        assert "pyglet's NoSuchDisplay: Cannot connect to 'None'. To see pictures: VMAS draws with pyglet" in said

    def test_a_batch_of_environments_says_to_give_one_of_them(self):
        episode = record_episode(SerialEnv(2, lambda: GymEnv("CartPole-v1")), max_steps=2)
        assert "give `record_episode` one of the environments it is made of" in episode.problem
