"""Entries that few rollouts have: nothing raises, and what cannot be shown is said to be left out."""

from __future__ import annotations

import re

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from tensordict import NonTensorData, NonTensorStack, TensorDict, lazy_stack
from tensordict.nn import TensorDictModule
from torchrl.data import ListStorage, ReplayBuffer

from course_utils import EpisodeScrubber, ReplayLens, flow, record_episode, show
from course_utils.views import key_flow

T = 5
BOX = spaces.Box(-1, 1, (3,), np.float32)


class Toy(gym.Env):
    """Five steps; it refuses what is no action, and remembers what it was given."""

    metadata = {"render_modes": ["rgb_array"]}
    render_mode = "rgb_array"

    def __init__(self, seen=BOX, acts=BOX) -> None:
        self.observation_space, self.action_space, self.given = seen, acts, []

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        assert self.action_space.contains(action), f"not an action: {action!r}"
        self.given.append(action)
        return self.observation_space.sample(), 1.0, len(self.given) == T, False, {}

    def render(self):
        return np.zeros((20, 30, 3), np.uint8)


def rollout(after: dict | None = None, **entries) -> TensorDict:
    following = {"reward": torch.ones(T, 1), "done": torch.zeros(T, 1, dtype=torch.bool), **(after or {})}
    return TensorDict({"action": torch.zeros(T).long(), **entries, "next": following}, [T])


def scrubber(data) -> EpisodeScrubber:
    """Looked at in every way, step by step."""
    made = EpisodeScrubber(data, np.zeros((len(data), 16, 16, 3), np.uint8))
    for step in range(len(data)):
        made.describe("episode", step)
        made._moment_html("episode", step)
    made._curves_html(1)
    return made


def lens(items: list[TensorDict]) -> ReplayLens:
    buffer = ReplayBuffer(storage=ListStorage(100), batch_size=2)
    buffer.extend(items)
    made = ReplayLens(buffer, draws=20)
    assert made.widget
    return made


def meta():
    return torch.empty(2, device="meta")


def sparse():
    return torch.eye(2).to_sparse()


def quantized():
    return torch.quantize_per_tensor(torch.rand(2), 0.1, 0, torch.qint8)


UNREADABLE = pytest.mark.parametrize("make", [meta, sparse, quantized])


class TestWithoutValuesToRead:
    @UNREADABLE
    @pytest.mark.parametrize("name", ["observation", "action"])
    def test_the_scrubber_names_what_it_leaves_out(self, make, name):
        steps = [TensorDict({name: make(), "next": {"reward": torch.ones(1)}}) for _ in range(T)]
        made = scrubber(lazy_stack(steps))
        assert f"Not shown: {name}." in made.text and "return" not in made.text
        assert ("action not shown" if name == "action" else "action not recorded") in made.describe("episode", 0)

    @UNREADABLE
    def test_the_lens_names_what_it_does_not_read(self, make):
        steps = [TensorDict({"action": make(), "x": make(), "next": {"reward": torch.ones(1)}}) for _ in range(T)]
        made = lens(steps)
        assert "Without values to read (meta, sparse or quantized): action, x." in made.text
        assert "action holds no numbers to show." in made.text and "reward" in made.quantities

    @pytest.mark.parametrize("dtype", [torch.uint16, torch.uint32, torch.uint64, torch.float8_e4m3fn, torch.bfloat16])
    def test_dtypes_that_torch_can_hardly_reckon_with(self, dtype):
        data = rollout(action=(torch.arange(T) % 3).to(dtype), observation=torch.ones(T, 2).to(dtype))
        assert scrubber(data).at(2)["episode"].action == 2
        assert lens(list(data.unbind(0))).stored("action").tolist() == [0, 1, 2, 0, 1]

    def test_complex_numbers_are_said_to_be_shown_by_their_size(self):
        made = scrubber(rollout(observation=torch.full((T, 1), 3 + 4j)))
        assert "Complex numbers, shown by their size: observation." in made.text
        assert made.at(0)["episode"].observation.tolist() == [5.0]
        made = scrubber(rollout({"reward": torch.full((T, 1), 3 + 4j)}))
        assert "Complex numbers, shown by their size: reward." in made.text


class TestWords:
    def test_an_action_in_words_is_shown(self):
        data = rollout()
        data["action"] = NonTensorStack("left", "<b>right", "left", "up", "up")
        made = scrubber(data)
        assert "action 'left', reward" in made.describe("episode", 0) and "Not shown" not in made.text
        assert "&lt;b&gt;right" in made.html and "<b>right" not in made.html

    def test_what_is_seen_in_words_is_named(self):
        data = rollout()
        data["observation"] = NonTensorStack(*"abcde")
        assert "Not shown: observation." in scrubber(data).text

    def test_values_of_a_class_that_fails(self):
        class Failing:
            __hash__ = None

            def __repr__(self):
                raise RuntimeError("no repr")

            def __eq__(self, other):
                raise RuntimeError("no eq")

        one, other = (TensorDict({"x": NonTensorData(Failing())}) for _ in range(2))
        assert "Failing instance" in show(one).text and '"x"' in show(one, other).text

    def test_a_key_longer_than_a_picture(self):
        module = TensorDictModule(torch.nn.Linear(2, 3), ["x" * 300], ["y"])
        view, drawn = flow(module), key_flow._svg(key_flow.trace(module))
        assert "x" * 300 in view.text and int(re.search(r'width="(\d+)"', drawn)[1]) < 1_000


class TestRewards:
    def test_a_step_without_one_has_none(self):
        steps = [
            TensorDict({"action": torch.ones(1), "next": {"reward": torch.ones(1)} if n else {}}) for n in range(3)
        ]
        made = scrubber(lazy_stack(steps))
        assert "no reward recorded, 0 so far" in made.describe("episode", 0)
        assert "reward 1, 1 so far" in made.describe("episode", 1)

    def test_no_number_is_no_reward(self):
        assert "no reward recorded" in scrubber(rollout({"reward": torch.zeros(T, 0)})).describe("episode", 0)

    @pytest.mark.parametrize(
        ("reward", "words"),
        [
            (torch.ones(T, 1, dtype=torch.bool), "reward 1, 1 so far"),
            (torch.full((T, 1), 255, dtype=torch.uint8), "reward 255, 510 so far"),
            (torch.full((T, 1), 2**63 - 1), "reward 9.22e\\+18, 1.8447e\\+19 so far"),
        ],
    )
    def test_sums_do_not_overflow(self, reward, words):
        step = 0 if reward.dtype == torch.bool else 1
        assert re.search(words, scrubber(rollout({"reward": reward})).describe("episode", step))


class TestWhatIsNoRollout:
    @pytest.mark.parametrize(
        ("data", "words"),
        [
            (rollout()[:0], "has no step"),
            (rollout()[0], "a single step. Stack several"),
            (rollout().unsqueeze(0), r"\[1, 5\]. Take one row"),
        ],
    )
    def test_it_is_refused_with_the_fix(self, data, words):
        with pytest.raises(ValueError, match=words):
            EpisodeScrubber(data, np.zeros((5, 16, 16, 3), np.uint8))

    def test_next_that_is_a_tensor(self):
        assert "no reward" in scrubber(TensorDict({"next": torch.ones(T), "action": torch.ones(T)}, [T])).text


class TestSpaces:
    def test_a_number_alone_and_words_reach_the_environment_as_they_should(self):
        for acts in (spaces.Box(-1, 1, (), np.float32), spaces.Text(5), spaces.Dict(a=BOX, t=spaces.Text(5))):
            toy = Toy(acts=acts)
            assert len(record_episode(toy).rewards) == len(toy.given) == T

    @pytest.mark.parametrize("name", ["next", "done", "reward", "terminated", "truncated"])
    def test_a_part_with_the_name_of_an_entry_of_torchrls_is_refused(self, name):
        for toy in (Toy(seen=spaces.Dict({name: BOX})), Toy(acts=spaces.Dict({name: BOX}))):
            with pytest.raises(ValueError, match=f"is called '{name}', as an entry that TorchRL writes itself. Rename"):
                record_episode(toy)

    @pytest.mark.parametrize("space", [spaces.Sequence(BOX), spaces.Graph(BOX, None), spaces.OneOf((BOX, BOX))])
    def test_a_space_that_torchrl_does_not_know_is_refused_with_the_fix(self, space):
        for toy in (Toy(seen=space), Toy(acts=space)):
            with pytest.raises(ValueError, match="TorchRL cannot wrap Toy.*Give it plainer spaces"):
                record_episode(toy)
