"""The scrubber tells the truth of any rollout: what it says is read back and compared with the data."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensordict import TensorDict, lazy_stack

from course_utils import EpisodeScrubber
from course_utils.views.track import KEPT

EXAMPLES = 60


def pictures(count: int) -> np.ndarray:
    return np.zeros((count, 20, 30, 3), np.uint8)


def rollout(steps: int = 3, reward=None, **entries) -> TensorDict:
    flags = {name: torch.zeros(steps, 1, dtype=torch.bool) for name in ("done", "terminated")}
    following = {"reward": torch.ones(steps, 1) if reward is None else reward, **flags}
    return TensorDict({"action": torch.zeros(steps).long(), **entries, "next": following}, [steps])


def acted(scrubber: EpisodeScrubber, step: int) -> str:
    return scrubber.describe("episode", step).split(": action ")[1].split(", reward")[0]


class TestActions:
    @pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.int8, torch.float32])
    def test_all_parts_of_an_action_are_said(self, dtype):
        action = torch.tensor([[1, 0, 1, 1], [0, 0, 0, 0], [0, 1, 0, 0]]).to(dtype)
        scrubber = EpisodeScrubber(rollout(action=action), pictures(3))
        for step, parts in enumerate(action.tolist()):
            assert [float(part) for part in acted(scrubber, step).split(", ")] == [float(part) for part in parts]

    def test_one_hot_is_said_to_be_and_binary_is_not_taken_for_it(self):
        one = torch.eye(3)
        assert acted(EpisodeScrubber(rollout(action=one.long()), pictures(3)), 1) == "1 (one-hot)"
        assert acted(EpisodeScrubber(rollout(action=one.to(torch.int8)), pictures(3)), 1) == "0, 1, 0"

    def test_beliefs_that_belong_to_another_action_are_not_shown_as_its_own(self):
        parts = torch.tensor([[1, 3], [0, 2], [2, 0]])
        scrubber = EpisodeScrubber(rollout(action=parts, logits=torch.rand(3, 7)), pictures(3))
        assert scrubber.at(0)["episode"].beliefs is None and "Not shown: logits." in scrubber.html

    def test_a_dict_of_actions_is_shown_part_by_part(self):
        data = rollout(left=torch.tensor([0, 1, 1]), right=torch.tensor([[0.5], [0.25], [-1.0]])).exclude("action")
        data["seen"], data["next", "seen"] = torch.rand(3, 2), torch.rand(3, 2)
        assert acted(EpisodeScrubber(data, pictures(3)), 1) == "left 1; right 0.25"

    def test_a_forbidden_action_is_drawn_as_forbidden_and_bars_scale_by_the_others(self):
        values = torch.tensor([[-1e9, 1.0, 0.5]]).expand(3, 3)
        mask = torch.tensor([[False, True, True]]).expand(3, 3)
        scrubber = EpisodeScrubber(rollout(action=torch.tensor([1, 2, 0]), action_value=values, mask=mask), pictures(3))
        page = scrubber._moment_html("episode", 0)
        assert re.findall(r"width:(\d+)px;height:9px", page) == ["90", "45"] and page.count("forbidden") == 1
        assert acted(scrubber, 2) == "0 (forbidden)"


class TestAgents:
    def group(self, **more) -> TensorDict:
        agents = {"observation": torch.rand(3, 2, 4), "action": torch.tensor([[0, 1], [1, 1], [2, 0]]), **more}
        data = rollout()
        data["agents"] = TensorDict(agents, [3, 2])
        rewards = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])[..., None]
        data["next", "agents"] = TensorDict({"reward": rewards}, [3, 2])
        return data.exclude("action", ("next", "reward"))

    def test_each_agents_action_reward_and_beliefs_are_shown(self):
        scrubber = EpisodeScrubber(self.group(action_value=torch.rand(3, 2, 3)), pictures(3))
        assert acted(scrubber, 2) == "agents 0 2; agents 1 0"
        assert "reward 11 in all (agents 0 5; agents 1 6), 21 so far" in scrubber.describe("episode", 2)
        assert scrubber._moment_html("episode", 0).count("Q-value of agents 1") == 3
        assert [*scrubber.at(0)["episode"].beliefs] == ["agents 0", "agents 1"]

    def test_who_has_ended_is_counted(self):
        data = self.group()
        data["next"] = data["next"].exclude("done", "terminated")
        ends = torch.tensor([[False, False], [True, False], [True, True]])[..., None]
        data["next", "agents", "terminated"] = ends
        scrubber = EpisodeScrubber(data, pictures(3))
        assert "1 of 2 agents terminated" in scrubber.describe("episode", 1)
        assert scrubber.describe("episode", 2).endswith("so far, terminated")

    def test_agents_of_different_kinds_are_shown(self):
        def step(number: int) -> TensorDict:
            kinds = [
                TensorDict({"observation": torch.full((size,), float(number)), "action": torch.tensor(size)}, [])
                for size in (2, 3)
            ]
            return TensorDict({"agents": lazy_stack(kinds), "next": {"reward": torch.ones(1)}}, [])

        scrubber = EpisodeScrubber(lazy_stack([step(number) for number in range(3)]), pictures(3))
        assert acted(scrubber, 0) == "agents 0 2; agents 1 3" and len(scrubber.at(0)["episode"].observation) == 5


class TestNumbers:
    def test_what_is_not_finite_is_counted_and_bars_scale_by_the_rest(self):
        reward = torch.tensor([[1.0], [float("nan")], [float("inf")]])
        seen = torch.tensor([[1.0], [float("inf")], [0.5]])
        values = torch.tensor([[float("nan"), 2.0], [1.0, 4.0], [1.0, 1.0]])
        scrubber = EpisodeScrubber(rollout(reward=reward, observation=seen, action_value=values), pictures(3))
        for words in (
            "Of 3 rewards, 1 NaN and 1 infinite.",
            "Of 3 observed numbers, 1 infinite.",
            "Of 6 beliefs, 1 NaN.",
        ):
            assert words in scrubber.text and words in scrubber.html and words in scrubber._moment_html("episode", 0)
        assert re.findall(r"width:(\d+)px;height:9px", scrubber._moment_html("episode", 0)) == ["45", "90"]
        assert scrubber.describe("episode", 2).endswith("reward inf, nan so far")

    def test_what_is_not_shown_is_named(self):
        data = rollout(observation=torch.rand(3, 20), loc=torch.rand(3, 2))
        text = EpisodeScrubber(data, pictures(3)).text
        assert "Not shown: loc." in text and "Of 20 observed numbers, the first 8 are shown." in text

    def test_observations_of_unequal_length_leave_a_dash(self):
        steps = [
            TensorDict({"observation": torch.ones(size), "action": torch.tensor(0), "next": {"reward": torch.ones(1)}})
            for size in (1, 2)
        ]
        scrubber = EpisodeScrubber(lazy_stack(steps), pictures(2))
        assert scrubber._moment_html("episode", 0).count("–") == 1 and "–" not in scrubber._moment_html("episode", 1)


NUMBERS = st.floats(width=32, allow_nan=True, allow_infinity=True)


@st.composite
def tensors(draw, steps: int) -> torch.Tensor:
    """A tensor of any kind with `steps` rows."""
    shape = tuple(draw(st.lists(st.integers(1, 4), max_size=2)))
    size = steps * int(np.prod(shape))
    kind = draw(st.sampled_from(["float", "int", "bool", "int8", "one-hot"]))
    if kind == "one-hot":
        count = draw(st.integers(2, 5))
        picks = draw(st.lists(st.integers(0, count - 1), min_size=steps, max_size=steps))
        return torch.nn.functional.one_hot(torch.tensor(picks), count)
    elements = {"float": NUMBERS, "int": st.integers(-3, 9), "bool": st.booleans(), "int8": st.integers(0, 1)}[kind]
    dtype = {"float": torch.float32, "int": torch.int64, "bool": torch.bool, "int8": torch.int8}[kind]
    values = draw(st.lists(elements, min_size=size, max_size=size))
    return torch.tensor(values, dtype=dtype).reshape(steps, *shape)


@st.composite
def rollouts(draw) -> TensorDict:
    """A rollout of random entries: plain, nested, a group of agents, with or without beliefs, masks and ends."""
    steps = draw(st.integers(1, 4))

    def place() -> dict:
        entries = {"action": draw(tensors(steps))}
        for name in draw(st.sets(st.sampled_from(["observation", "speed", "state"]))):
            entries[name] = draw(tensors(steps))
        if draw(st.booleans()):
            entries["state of the world"] = TensorDict({"deep": draw(tensors(steps))}, [steps])
        if draw(st.booleans()):
            count = draw(st.integers(1, 5))
            values = draw(st.lists(NUMBERS, min_size=steps * count, max_size=steps * count))
            name = draw(st.sampled_from(["action_value", "logits", "probs"]))
            entries[name] = torch.tensor(values).reshape(steps, -1)
        if draw(st.booleans()):
            entries["mask"] = draw(tensors(steps))
        return entries

    data = TensorDict(place(), [steps])
    reward = st.lists(NUMBERS, min_size=steps, max_size=steps)
    data["next"] = TensorDict({"reward": torch.tensor(draw(reward))[:, None]}, [steps])
    for name in draw(st.sets(st.sampled_from(["terminated", "truncated"]))):
        data["next", name] = torch.tensor(draw(st.lists(st.booleans(), min_size=steps, max_size=steps)))[:, None]
    if draw(st.booleans()):
        agents = draw(st.integers(1, 3))
        group = torch.stack([TensorDict({"action": torch.arange(steps) + n}, [steps]) for n in range(agents)], 1)
        if draw(st.booleans()):  # PettingZoo's: who acts
            acts = draw(st.lists(st.booleans(), min_size=steps * agents, max_size=steps * agents))
            group["mask"] = torch.tensor(acts).reshape(steps, agents)
        data["agents"] = group
    return data


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=rollouts())
def test_no_rollout_raises_and_every_number_shown_is_the_datas(data):
    before = data.clone()
    scrubber = EpisodeScrubber(data, pictures(len(data) + 1))
    track = scrubber.tracks["episode"]
    acts = data.get(("agents", "mask"), None)
    for step in range(len(data)):
        if acts is not None:
            waiting = re.findall(r"agents (\d+) does not act", scrubber.describe("episode", step))
            assert [int(agent) for agent in waiting] == torch.where(~acts[step])[0].tolist()
        said = scrubber.describe("episode", step)
        flat = data["action"][step].reshape(-1)
        root = next(part for part in track.parts if part.label in ("", "action") or not part.label.startswith("agents"))
        words = scrubber._action(root, step).removeprefix(root.label).strip()
        index = root.index(step)
        if index is None:
            shown = [float(word) for word in words.split(" and ")[0].split(", ")]
            np.testing.assert_allclose(shown, flat[: len(shown)].double(), atol=0.006, rtol=1e-5)
        elif len(flat) > 1:
            assert words.startswith(f"{index}") and flat[index] == 1 and flat.sum() == 1
        else:
            assert words.startswith(f"{int(flat)}")
        reward = float(data["next", "reward"][step])
        np.testing.assert_allclose(float(re.search(r", reward (\S+?),", said)[1]), float(f"{reward:.3g}"))
        np.testing.assert_equal(scrubber.at(step)["episode"].frame, 0)
        page = scrubber._moment_html("episode", step)
        rows = re.findall(r"observation \d+( \([^)]*\))?</th><td[^>]*>([^<]*)", page)
        assert len(rows) == min(len(track.labels), 8) and len(track.labels) <= KEPT
        for number, (_, value) in enumerate(rows):
            np.testing.assert_allclose(float(value), track.observations[step][number], atol=6e-4, rtol=6e-3)
        for part in track.parts:
            if (
                part.allowed is not None
                and index is not None
                and part is root
                and not (0 <= index < len(part.allowed[step]) and part.allowed[step][index])
            ):
                assert "forbidden" in words
    bad = int((~torch.isfinite(data["next", "reward"])).sum())
    counted = re.search(r"Of [\d,]+ rewards, ([^.]*)\.", scrubber.text)
    assert sum(int(number) for number in re.findall(r"\d+", counted[1])) == bad if bad else counted is None
    assert scrubber._curves_html(1) and scrubber.html
    assert all(
        torch.equal(
            value.view(torch.uint8) if value.is_floating_point() else value,
            before[key].view(torch.uint8) if value.is_floating_point() else before[key],
        )
        for key, value in data.items(True, True)
    )  # what is looked at does not change
