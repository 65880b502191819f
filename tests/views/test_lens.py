"""The lens: what it reads out of a replay buffer, what it lets the sampler draw, and that it leaves no trace."""

from __future__ import annotations

import base64
import gc
import random
import re
import threading
import weakref

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from tensordict import TensorDict, lazy_stack
from torchrl.data import (
    ImmutableDatasetWriter,
    LazyMemmapStorage,
    LazyStackStorage,
    LazyTensorStorage,
    ListStorage,
    PrioritizedSampler,
    RandomSampler,
    ReplayBuffer,
    ReplayBufferEnsemble,
    SamplerWithoutReplacement,
    SliceSampler,
    SliceSamplerWithoutReplacement,
    TensorDictMaxValueWriter,
    TensorDictReplayBuffer,
    TensorStorage,
)
from torchrl.data.replay_buffers import ConsumingSampler, Sampler
from torchrl.envs import MultiStepTransform, TicTacToeEnv

from course_utils.views import replay_lens as lens_module
from course_utils.views.display import View
from course_utils.views.replay_lens import ReplayLens


def frames(count: int = 60, start: int = 0, **entries) -> TensorDict:
    """Episodes of ten steps; the first terminates, the second is truncated, and so on. Episode e pays e + 1 a step."""
    number = torch.arange(start, start + count)
    episode, step = number // 10, number % 10
    end = step == 9
    column = lambda values: values.unsqueeze(-1)  # noqa: E731
    return TensorDict(
        {
            "number": number,
            "observation": number.float().unsqueeze(-1).expand(-1, 4).contiguous(),
            "action": (number % 3 == 0).long(),
            "collector": {"traj_ids": episode},
            "next": {
                "observation": (number + 1).float().unsqueeze(-1).expand(-1, 4).contiguous(),
                "reward": column(episode + 1.0),
                "episode_reward": column((episode + 1.0) * (step + 1)),
                "done": column(end),
                "terminated": column(end & (episode % 2 == 0)),
                "truncated": column(end & (episode % 2 == 1)),
            },
            **entries,
        },
        [count],
    )


class Multinomial(Sampler):
    """A prioritized sampler as one writes it by hand where TorchRL's own does not load."""

    reduction = "max"

    def __init__(self, size, alpha=1.0):
        self.alpha, self.priority = alpha, torch.zeros(size)

    def mark_update(self, index, *, storage=None):
        self.priority[index] = 1.0

    def update_priority(self, index, priority, *, storage=None):
        self.priority[index] = priority

    def sample(self, storage, batch_size):
        return torch.multinomial(self.priority[: len(storage)] ** self.alpha, batch_size, replacement=True), {}

    def _empty(self):
        self.priority.zero_()

    def state_dict(self):
        return {"priority": self.priority}

    def load_state_dict(self, state):
        self.priority = state["priority"]

    dumps = loads = None


PrioritizedSampler.register(Multinomial)
try:
    PrioritizedSampler(10, alpha=1.0, beta=0.5)
    HAS_NATIVE = True
except RuntimeError:
    HAS_NATIVE = False
needs_native = pytest.mark.skipif(not HAS_NATIVE, reason="TorchRL's compiled sampler does not load here")


def fill(data: TensorDict | None = None, size: int = 100, storage=None, **options) -> TensorDictReplayBuffer:
    buffer = TensorDictReplayBuffer(
        storage=LazyTensorStorage(size) if storage is None else storage,
        batch_size=options.pop("batch_size", 20),
        **options,
    )
    buffer.extend(frames() if data is None else data)
    return buffer


def prioritized(sampler=None, size: int = 100) -> TensorDictReplayBuffer:
    """Priority 1 + the frame's number."""
    buffer = fill(size=size, sampler=sampler or Multinomial(size))
    buffer.update_priority(torch.arange(60), 1.0 + torch.arange(60))
    return buffer


def slices(**options) -> SliceSampler:
    return SliceSampler(traj_key=("collector", "traj_ids"), **options)


BUFFERS = {
    "uniform": lambda: fill(),
    "uniform, full and overwritten": lambda: fill(size=40),
    "own generator": lambda: fill(generator=torch.Generator().manual_seed(5)),
    "deck": lambda: fill(sampler=SamplerWithoutReplacement()),
    "deck, drop_last": lambda: fill(sampler=SamplerWithoutReplacement(drop_last=True), batch_size=25),
    "deck, own generator": lambda: fill(
        sampler=SamplerWithoutReplacement(), generator=torch.Generator().manual_seed(5)
    ),
    "slices": lambda: fill(sampler=slices(slice_len=5)),
    "slices, cached": lambda: fill(sampler=slices(num_slices=4, cache_values=True)),
    "slices without replacement": lambda: fill(
        sampler=SliceSamplerWithoutReplacement(slice_len=5, traj_key=("collector", "traj_ids"))
    ),
    "prioritized": lambda: prioritized(),
    "n-step": lambda: fill(transform=MultiStepTransform(n_steps=3, gamma=0.9, done_keys=[])),
    "list": lambda: fill(storage=ListStorage(100)),
    "memmap": lambda: fill(storage=LazyMemmapStorage(100)),
    "two dimensions": lambda: fill(frames().reshape(2, 30), storage=LazyTensorStorage(100, ndim=2)),
    "two dimensions, deck": lambda: fill(
        frames().reshape(2, 30), storage=LazyTensorStorage(100, ndim=2), sampler=SamplerWithoutReplacement()
    ),
    "consuming": lambda: fill(sampler=ConsumingSampler(3)),
    "best frames": lambda: fill(size=40, writer=TensorDictMaxValueWriter(rank_key=("next", "reward"))),
    "native": lambda: prioritized(PrioritizedSampler(100, alpha=1.0, beta=0.5)),
}
buffers = pytest.mark.parametrize(
    "make",
    [pytest.param(make, id=name, marks=needs_native if name == "native" else ()) for name, make in BUFFERS.items()],
)


@pytest.fixture
def no_picture(monkeypatch):
    """Drawing takes longer than all that these tests are about."""
    monkeypatch.setattr(lens_module, "_figure", lambda *_: View("", ""))


@pytest.mark.usefixtures("no_picture")
class TestStored:
    def test_age_counts_the_frames_written_since(self):
        buffer = fill(size=40)
        assert torch.equal(ReplayLens(buffer).stored("age"), 59.0 - buffer[:]["number"])

    def test_age_while_the_buffer_still_has_room(self):
        buffer = fill()
        buffer.extend(frames(10, start=60))
        assert torch.equal(ReplayLens(buffer).stored("age"), 69.0 - torch.arange(70))

    def test_age_where_rows_are_written_at_once(self):
        buffer = BUFFERS["two dimensions"]()
        step = buffer.storage[:]["number"].flatten() % 30
        assert torch.equal(ReplayLens(buffer).stored("age"), 2.0 * (29 - step))

    @pytest.mark.parametrize(
        "buffer",
        [
            BUFFERS["best frames"](),
            TensorDictReplayBuffer(storage=TensorStorage(frames()), writer=ImmutableDatasetWriter(), batch_size=20),
        ],
    )
    def test_age_is_unknown_where_the_writer_keeps_no_order(self, buffer):
        lens = ReplayLens(buffer)
        assert "age" not in lens.quantities
        assert type(buffer.writer).__name__ in lens.missing["age"] and lens.missing["age"] in lens.text
        with pytest.raises(ValueError, match=r"no 'age' \(.*order it wrote\); there is done, action, return"):
            lens.stored("age")

    def test_ends_are_told_apart(self):
        lens = ReplayLens(fill())
        assert torch.bincount(lens.stored("done").long()).tolist() == [54, 3, 3]
        assert re.search(r"done: terminated +5.0 %", lens.text) and re.search(r"done: truncated +5.0 %", lens.text)

    def test_ends_without_their_reason(self):
        lens = ReplayLens(fill(frames().exclude(("next", "terminated"))))
        assert torch.bincount(lens.stored("done").long()).tolist() == [54, 6]
        assert re.search(r"done: either way +10.0 %", lens.text)

    def test_actions_as_index_and_one_hot_are_the_same(self):
        index = frames()["action"]
        one_hot = torch.nn.functional.one_hot(index, 3)
        for action in (index, index.unsqueeze(-1), one_hot, one_hot.bool(), one_hot.float()):
            lens = ReplayLens(fill(frames(action=action)))
            assert torch.equal(lens.stored("action"), index.double())
            assert re.search(r"action: 1 +33.3 %", lens.text)
            assert ("action: 2" in lens.text) == (action.ndim > 1 and action.shape[1] == 3)  # never taken, but there

    @pytest.mark.parametrize("action", [torch.randn(60, 8), torch.randint(0, 4, (60, 8))])
    def test_of_an_action_with_many_values_all_are_there_and_some_drawn(self, action):
        lens = ReplayLens(fill(frames(action=action)))
        assert [name for name in lens.quantities if "action" in name] == [f"action[{place}]" for place in range(8)]
        for place in range(8):
            assert torch.equal(lens.stored(f"action[{place}]"), action[:, place].double())
            assert f"action[{place}]" in lens.text
        assert "The picture leaves out 2 quantities of many; the numbers have all." in lens.text

    def test_returns_stand_where_an_episode_ends(self):
        lens = ReplayLens(fill())
        known = ~lens.stored("return").isnan()
        assert known.nonzero().flatten().tolist() == [9, 19, 29, 39, 49, 59]
        assert lens.stored("return")[known].tolist() == [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]
        assert re.search(r"mean return +35.00", lens.text)

    @pytest.mark.parametrize("data", [frames(9), frames().exclude(("next", "episode_reward"))])
    def test_without_returns_it_shows_rewards_and_says_so(self, data):
        lens = ReplayLens(fill(data))
        assert torch.equal(lens.stored("reward"), data["next", "reward"].flatten().double())
        assert "return" not in lens.quantities and "Rewards stand in for returns" in lens.text

    def test_n_step_transitions_are_named(self):
        assert "n-step" in ReplayLens(BUFFERS["n-step"]()).text
        assert "n-step" not in ReplayLens(fill()).text

    @pytest.mark.parametrize("alpha", [1.0, 0.5])
    def test_priorities_of_a_hand_written_sampler(self, alpha):
        lens = ReplayLens(prioritized(Multinomial(100, alpha)))
        assert torch.equal(lens.stored("priority"), 1.0 + torch.arange(60))

    @needs_native
    @pytest.mark.parametrize("alpha", [1.0, 0.5])
    def test_priorities_of_torchrls_own_sampler(self, alpha):
        lens = ReplayLens(prioritized(PrioritizedSampler(100, alpha=alpha, beta=0.5)))
        torch.testing.assert_close(lens.stored("priority"), 1.0 + torch.arange(60).double(), rtol=1e-4, atol=1e-4)

    def test_what_is_missing_is_said(self):
        lens = ReplayLens(fill(TensorDict({"x": torch.arange(7)}, [7])))
        assert lens.quantities == ["age"]
        assert set(lens.missing) == {"done", "action", "return", "priority"}
        assert "No action: the frames have no entry 'action'." in lens.text
        assert "RandomSampler has none" in lens.html


@pytest.mark.usefixtures("no_picture")
class TestDrawn:
    @buffers
    def test_every_kind_of_buffer(self, make):
        buffer = make()
        lens = ReplayLens(buffer, draws=100)
        assert lens.draw_counts.shape == lens.stored("done").shape == (len(buffer.storage),)
        assert lens.draw_counts.sum() == 100 and "draws" not in lens.missing
        mean = (lens.stored("done") * lens.draw_counts).sum() / 100
        torch.testing.assert_close(lens.drawn("done").mean(), mean)

    def test_a_uniform_sampler_needs_no_uniform_draws_beside_it(self):
        assert "drawn uniformly" not in ReplayLens(fill()).text
        assert "drawn uniformly" in ReplayLens(prioritized()).text

    def test_prioritized_draws_follow_the_priorities(self):
        lens = ReplayLens(prioritized(), draws=60_000)
        expected = 60_000 * (1.0 + torch.arange(60)) / (61 * 30)
        # Five standard deviations of a binomial count.
        assert ((lens.draw_counts - expected).abs() < 5 * expected.sqrt()).all()
        assert lens.drawn("age").mean() < lens.stored("age").mean() - 5

    def test_a_deck_deals_each_frame_equally_often(self):
        lens = ReplayLens(BUFFERS["deck"](), draws=600)
        assert lens.draw_counts.tolist() == [10] * 60
        assert re.search(r"most draws of one frame +– +10 ", lens.text)

    def test_slices_are_runs_within_a_trajectory(self):
        age = ReplayLens(BUFFERS["slices"](), draws=500).drawn("age").reshape(100, 5)
        assert (age.diff(dim=1) == -1).all()
        number = 59 - age
        assert (number[:, 0] // 10 == number[:, -1] // 10).all()

    def test_slices_of_trajectories_given_to_the_sampler(self):
        halves = torch.arange(60) // 30
        sampler = SliceSampler(slice_len=20, trajectories=halves, cache_values=True)
        buffer = TensorDictReplayBuffer(storage=TensorStorage(frames()), sampler=sampler, batch_size=40)
        assert ReplayLens(buffer, draws=400).draw_counts.sum() == 400  # no trajectory that ends with done has 20 frames

    def test_two_dimensions_are_counted_row_by_row(self):
        buffer = BUFFERS["two dimensions"]()
        buffer.set_sampler(slices(slice_len=10))
        number = buffer.storage[:]["number"].flatten()
        lens = ReplayLens(buffer, draws=400)
        action = (number % 3 == 0).double()
        assert torch.equal(lens.stored("action"), action)
        assert lens.draw_counts[number % 10 == 0].sum() == 40  # a slice of ten is one whole episode

    def test_the_seed_decides(self):
        buffer = fill()
        first, same, other = (ReplayLens(buffer, seed=seed).draw_counts for seed in (1, 1, 2))
        assert torch.equal(first, same) and not torch.equal(first, other)

    def test_a_sampler_that_runs_out_draws_what_it_has(self):
        buffer = BUFFERS["consuming"]()
        assert ReplayLens(buffer, draws=1_000).draw_counts.tolist() == [3] * 60
        assert len(buffer) == 60

    @pytest.mark.parametrize(
        ("sampler", "why"),
        [
            (slices(slice_len=20), "SliceSampler does not draw"),
            (slices(slice_len=7), "divisible by the slice length"),
            (SamplerWithoutReplacement(drop_last=True), "greater than the storage"),
        ],
    )
    def test_a_sampler_that_cannot_draw_is_named_and_the_rest_shown(self, sampler, why):
        lens = ReplayLens(fill(sampler=sampler, batch_size=80))
        assert why in lens.missing["draws"] and "No draws: " in lens.text
        assert lens.stored("age").shape == (60,) and "drawn" not in lens.text
        with pytest.raises(ValueError, match="Nothing was drawn"):
            lens.drawn("age")
        with pytest.raises(ValueError, match="Nothing was drawn"):
            lens.draw_counts  # noqa: B018

    def test_without_a_batch_size(self):
        lens = ReplayLens(fill(batch_size=None))
        assert lens.draw_counts.sum() == 10_000 and "batch size not set" in lens.text


def agents(count: int = 60, copies: int = 3, **entries) -> TensorDict:
    """As VMAS lays out its groups: actions and rewards for each agent, one done for all."""
    data = frames(count).exclude("action", ("next", "reward"), ("next", "episode_reward"), ("next", "truncated"))
    action = torch.arange(count * copies).reshape(count, copies) % 5
    data["agents"] = TensorDict({"action": action, **entries}, [count, copies])
    data["next", "agents"] = TensorDict({"reward": torch.randn(count, copies, 1)}, [count, copies])
    return data


@pytest.mark.usefixtures("no_picture")
class TestLayouts:
    def test_a_group_has_a_quantity_for_each_agent(self):
        data = agents()
        lens = ReplayLens(fill(data))
        assert lens.quantities == [
            "age", "done", *(f"agents/action[{n}]" for n in range(3)), *(f"agents/reward[{n}]" for n in range(3))
        ]  # fmt: skip
        for number in range(3):
            assert torch.equal(lens.stored(f"agents/action[{number}]"), data["agents", "action"][:, number].double())
            mean = data["next", "agents", "reward"][:, number].mean().item()
            shown = re.search(rf"mean agents/reward\[{number}\] +(\S+)", lens.text)[1]
            assert float(shown) == pytest.approx(mean, abs=0.005)
        assert "('next', 'agents', 'episode_reward')" in lens.text

    def test_actions_of_several_values_and_one_hot_ones_of_each_agent(self):
        data = agents(action=torch.randn(60, 3, 2))
        lens = ReplayLens(fill(data))
        assert torch.equal(lens.stored("agents/action[2, 1]"), data["agents", "action"][:, 2, 1].double())
        index = torch.arange(180).reshape(60, 3) % 4
        lens = ReplayLens(fill(agents(action=torch.nn.functional.one_hot(index, 4))))
        assert torch.equal(lens.stored("agents/action[1]"), index[:, 1].double())

    def test_two_agents_of_which_always_one_acts_are_not_read_as_one_hot(self):
        acting = torch.tensor([[0, 1], [1, 0]]).repeat(30, 1)
        lens = ReplayLens(fill(agents(copies=2, action=acting)))
        assert torch.equal(lens.stored("agents/action[1]"), acting[:, 1].double())

    def test_groups_that_end_by_themselves(self):
        """As PettingZoo lays them out: done, terminated and truncated for each agent, and for all."""
        data = frames()
        ends = torch.zeros(60, 2, 1, dtype=torch.bool)
        ends[5, 0] = ends[7:9, 1] = True
        group = {"done": ends, "terminated": ends, "truncated": ends & False}
        data["next", "wolf"] = TensorDict(group, [60, 2])
        lens = ReplayLens(fill(data))
        assert lens.stored("wolf/done[0]").nonzero().flatten().tolist() == [5]
        assert lens.stored("wolf/done[1]").nonzero().flatten().tolist() == [7, 8]
        assert lens.stored("done").count_nonzero() == 6

    def test_agents_that_share_their_end_have_one_line(self):
        data = frames()
        for name in ("done", "terminated", "truncated"):
            data["next", name] = data["next", name].unsqueeze(1).expand(60, 3, 1)
        assert [name for name in ReplayLens(fill(data)).quantities if "done" in name] == ["done"]

    def test_returns_of_each_agent_at_its_end(self):
        data = agents()
        total = torch.randn(60, 3, 1)
        data["next", "agents", "episode_reward"] = total
        lens = ReplayLens(fill(data))
        known = ~lens.stored("agents/return[1]").isnan()
        assert torch.equal(known, data["next", "done"].squeeze(-1))
        assert torch.equal(lens.stored("agents/return[1]")[known], total[known, 1, 0].double())

    def test_rewards_of_several_are_never_averaged(self):
        data = frames().exclude(("next", "episode_reward"))
        data["next", "reward"] = torch.stack([torch.ones(60), 3 * torch.ones(60)], 1)
        lens = ReplayLens(fill(data))
        assert {name for name in lens.quantities if "reward" in name} == {"reward[0]", "reward[1]"}
        assert lens.stored("reward[1]").unique().tolist() == [3.0]

    def test_dict_actions(self):
        left, right = torch.arange(60) % 2, torch.randn(60, 2)
        lens = ReplayLens(fill(frames(action=TensorDict({"left": left, "right": right}, [60]))))
        assert torch.equal(lens.stored("action/left"), left.double())
        assert torch.equal(lens.stored("action/right[1]"), right[:, 1].double())

    def test_multi_binary_actions_show_all_parts(self):
        switches = torch.randint(0, 2, (60, 4), generator=torch.Generator().manual_seed(0)).bool()
        lens = ReplayLens(fill(frames(action=switches)))
        for place in range(4):
            share = 100 * switches[:, place].double().mean()
            assert re.search(rf"action\[{place}\]: 1 +{share:.1f} %", lens.text)

    def test_a_one_hot_reading_that_may_be_wrong_is_said(self):
        action = torch.tensor([[0, 1, 0], [1, 0, 0]]).repeat(30, 1)
        assert (
            "so it is read as one-hot (1 of the 3 choices never taken)" in ReplayLens(fill(frames(action=action))).text
        )
        every = torch.eye(3, dtype=torch.int64).repeat(20, 1)
        assert "read as one-hot" not in ReplayLens(fill(frames(action=every))).text

    def test_what_is_not_compared_is_named(self):
        observation = TensorDict({"camera": torch.zeros(60, 8, 8, dtype=torch.uint8), "speed": torch.zeros(60)}, [60])
        text = ReplayLens(fill(frames(observation=observation))).text
        assert "not compared: number [], observation/camera [8, 8], observation/speed [], next/observation [4]." in text

    @pytest.mark.parametrize("name", ["action_mask", "mask"])
    def test_masks_forbid(self, name):
        mask = torch.ones(60, 3, dtype=torch.bool)
        mask[:, 2] = False
        mask[:30, 1] = False
        lens = ReplayLens(fill(frames(action=torch.arange(60) % 2, **{name: mask})))
        assert re.search(r"action: though its mask forbids it +25.0 %", lens.text)  # 1 in every second of the first 30
        assert re.search(r"action: 2 \(forbidden\) +0.0 %", lens.text) and "action: 1 (forbidden)" not in lens.text
        assert "forbid" not in ReplayLens(fill()).text

    def test_in_torchrls_own_game_no_action_is_forbidden(self):
        lens = ReplayLens(fill(TicTacToeEnv().rollout(60, break_when_any_done=False)))
        assert re.search(r"action: though its mask forbids it +0.0 %", lens.text) and "action: 8 " in lens.text
        assert {"player0/reward", "player1/reward"} < set(lens.quantities) and "not compared: board [3, 3]" in lens.text

    def test_masks_of_each_agent(self):
        mask = torch.ones(60, 3, 5, dtype=torch.bool)
        mask[:, 1, 0] = False
        lens = ReplayLens(fill(agents(action_mask=mask)))
        assert "agents/action[1]: 0 (forbidden)" in lens.text and "agents/action[0]: 0 (forbidden)" not in lens.text
        assert re.search(r"agents/action\[1\]: though its mask forbids it +20.0 %", lens.text)

    def uneven(self) -> list[TensorDict]:
        """Frame i has i % 3 + 1 values in its action, and every second an observation."""
        items = [frames(1, start=number)[0] for number in range(60)]
        for number, item in enumerate(items):
            item["action"] = torch.arange(number % 3 + 1.0)
            if number % 2:
                del item["observation"]
        return items

    @pytest.mark.parametrize("lazy", [False, True])
    def test_frames_that_differ(self, lazy):
        if lazy:
            buffer = fill(lazy_stack(self.uneven()), storage=LazyStackStorage(100))
        else:
            buffer = ReplayBuffer(storage=ListStorage(100), batch_size=20)
            buffer.extend(self.uneven())
        lens = ReplayLens(buffer)
        assert lens.stored("action[1]").isnan().tolist() == [number % 3 == 0 for number in range(60)]
        assert re.search(r"action\[2\]: not in the frame +40 of 60", lens.text)
        assert "action[0]: not in the frame" not in lens.text and re.search(r"mean action\[2\] +2.00", lens.text)

    def test_agents_that_differ(self):
        items = []
        for number in range(60):
            item = frames(1, start=number)[0].exclude("action")
            item["agents"] = lazy_stack([TensorDict({"action": torch.full((n + 1,), float(n))}) for n in range(3)])
            items.append(item)
        lens = ReplayLens(fill(lazy_stack(items), storage=LazyStackStorage(100)))
        names = [name for name in lens.quantities if "action" in name]
        assert names == ["agents/action[0]"] + [f"agents/action[{a}, {n}]" for a in (1, 2) for n in range(a + 1)]
        assert lens.stored("agents/action[2, 2]").unique().tolist() == [2.0]

    def test_values_of_shape_nothing(self):
        data = frames(action=torch.rand(60))
        data["next", "reward"], data["next", "done"] = data["next", "reward"][:, 0], data["next", "done"][:, 0]
        lens = ReplayLens(fill(data))
        assert torch.equal(lens.stored("action"), data["action"].double())

    def test_an_entry_without_numbers_is_said(self):
        lens = ReplayLens(fill(frames(action=torch.zeros(60, 2, dtype=torch.complex64))))
        assert "action holds no numbers to show." in lens.text and "action" in lens.missing


class TestNotFinite:
    """What is NaN or infinite is counted; everything else is as without it."""

    def broken(self, value: float, key=("next", "reward"), slots=slice(10, 40)) -> TensorDict:
        data = frames(action=torch.linspace(-1, 1, 60).unsqueeze(-1)).exclude(("next", "episode_reward"))
        data[key][slots] = value
        return data

    @pytest.mark.usefixtures("no_picture")
    @pytest.mark.parametrize("key", ["action", ("next", "reward")])
    @pytest.mark.parametrize(("value", "name"), [(float("nan"), "NaN"), (-float("inf"), "inf")])
    @pytest.mark.parametrize("slots", [slice(3, 4), slice(10, 40), slice(None)])
    def test_it_is_counted_and_the_mean_is_of_the_others(self, key, value, name, slots):
        data = self.broken(value, key, slots)
        lens = ReplayLens(fill(data), draws=300)
        label, values = ("action", data["action"]) if key == "action" else ("reward", data["next", "reward"])
        finite = values[values.isfinite()]
        assert re.search(rf"{label}: {name} +{60 - len(finite)} of 60", lens.text)
        shown = re.search(rf"mean {label} +(\S+)", lens.text)[1]
        assert shown == "–" if len(finite) == 0 else float(shown) == pytest.approx(finite.mean().item(), abs=0.005)
        assert f"{60 - len(finite)} of 60 {name}. Means and pictures are of the finite values." in lens.html
        drawn = lens.drawn(label)
        assert f"{(~drawn.isfinite()).sum()} of 300" in lens.text
        assert torch.equal(lens.stored(label).isfinite(), values.flatten().isfinite())

    @pytest.mark.parametrize(
        ("slots", "words"), [(slice(10, 40), "left out: 30 of 60 NaN"), (slice(None), "no finite value")]
    )
    def test_the_picture_says_so_too(self, slots, words):
        figure, axes = plt.subplots()
        lens_module._draw_panel(axes, ReplayLens(fill(self.broken(float("nan"), "action", slots)))._look, "action")
        assert words in [axes.get_title(), *(text.get_text() for text in axes.texts)]
        plt.close(figure)

    @pytest.mark.usefixtures("no_picture")
    def test_where_all_is_well_nothing_is_said(self):
        text = ReplayLens(fill()).text
        assert not re.search("NaN|inf|FINITE", text)

    @pytest.mark.usefixtures("no_picture")
    def test_entries_that_are_not_compared_are_searched_too(self):
        data = frames()
        data["next", "observation"][3:5, 1] = float("nan")
        assert "NOT FINITE: next/observation: 2 of 240 NaN." in ReplayLens(fill(data)).text

    def test_priorities(self):
        sampler = Multinomial(100)
        buffer = prioritized(sampler)
        sampler.priority[7] = float("nan")
        lens = ReplayLens(buffer)
        assert re.search(r"priority: NaN +1 of 60", lens.text) and "does not draw" in lens.missing["draws"]

    def test_names_are_no_mathematics(self):
        lens = ReplayLens(fill(frames(action=TensorDict({r"$\frac$": torch.rand(60)}, [60]))))
        assert r"mean action/$\frac$" in lens.text

    @pytest.mark.parametrize("scale", [1e-11, 1e-300, 1e300, 1.7e308])
    def test_the_smallest_and_largest_values_are_drawn(self, scale):
        data = frames(action=torch.linspace(-1, 1, 60, dtype=torch.float64).mul(scale).unsqueeze(-1))
        mean = re.search(r"mean action +(\S+) +(\S+)", ReplayLens(fill(data)).text)[2]
        assert 0 < abs(float(mean)) < scale

    def test_a_share_that_is_not_nothing_is_not_rounded_to_it(self):
        data = frames(4_000)
        data["next", "terminated"][:] = False
        data["next", "terminated"][7] = True
        assert re.search(r"done: terminated +<0.1 %", ReplayLens(fill(data, size=4_000)).text)


@pytest.mark.usefixtures("no_picture")
class TestLimits:
    def test_draws_without_end_come_to_one(self):
        lens = ReplayLens(fill(), draws=10**7)
        assert lens.draw_counts.sum() == 200_000 and "Drawn are 200,000 frames, not 10,000,000" in lens.text

    def test_a_slow_sampler_is_left_in_time(self, monkeypatch):
        clock = iter(range(10**6))  # each look at it is a second later
        monkeypatch.setattr(lens_module.time, "monotonic", lambda: next(clock))
        lens = ReplayLens(fill(batch_size=60), draws=60_000)
        assert lens.draw_counts.sum() == 240 and "240 frames; then it ran out, or 5 seconds were over." in lens.text

    @pytest.mark.parametrize("seed", [-1, 2**32])
    def test_a_seed_that_is_refused_leaves_all_random_numbers_alone(self, seed):
        before = random.getstate(), torch.get_rng_state()
        with pytest.raises(ValueError, match="seed from 0 to 4,294,967,295; seed is"):
            ReplayLens(fill(), seed=seed)
        assert random.getstate() == before[0] and torch.equal(torch.get_rng_state(), before[1])

    def test_an_action_of_thousands_of_values(self):
        lens = ReplayLens(fill(frames(action=torch.randn(60, 2_000))))
        assert sum("action" in name for name in lens.quantities) == 100
        assert "action has more than 100 values in a frame; the first 100 are looked at." in lens.text


class TestMemory:
    def test_a_lens_that_was_shown_keeps_no_buffer(self):
        buffer = fill()
        lens = ReplayLens(buffer, draws=100)
        again = lens.widget.children[0].children[2]
        storage = weakref.ref(buffer.storage)
        del buffer
        gc.collect()
        assert storage() is None
        again.click()
        assert "The buffer is gone" in lens.widget.children[1].value

    def test_it_shares_no_memory_with_the_buffer(self):
        buffer = fill(frames(action=torch.zeros(60, dtype=torch.float64)))
        lens = ReplayLens(buffer)
        buffer.storage[:]["action"].fill_(7)
        assert lens.stored("action").unique().tolist() == [0.0]


class TestNoTrace:
    """What comes after is compared with and without a lens in between."""

    def after(self, make, look: bool, extend: bool = True):
        random.seed(3)
        np.random.seed(3)
        torch.manual_seed(3)
        buffer = make()
        seen = [buffer.sample().clone()]
        if look:
            buttons = ReplayLens(buffer, draws=300).widget.children[0].children
            buttons[2].click()
        seen += [buffer.sample().clone() for _ in range(3)]
        if extend:
            buffer.extend(frames(30, start=60) if buffer.storage.ndim == 1 else frames(30, start=60).reshape(2, 15))
            seen += [buffer[:] if isinstance(buffer[:], TensorDict) else torch.stack(list(buffer[:])), buffer.sample()]
        return seen, str(buffer.writer), (torch.rand(1).item(), np.random.rand(), random.random())

    @buffers
    def test_the_buffer_goes_on_as_if_nobody_had_looked(self, make):
        plain, looked = self.after(make, look=False), self.after(make, look=True)
        for before, after in zip(plain[0], looked[0], strict=True):
            assert set(before.keys(True, True)) == set(after.keys(True, True))
            assert (before == after).all()
        assert plain[1:] == looked[1:]

    @pytest.mark.parametrize("generator", [True, False])
    def test_batches_fetched_ahead(self, generator):
        def make():
            own = torch.Generator().manual_seed(5) if generator else None
            # One ahead, so one thread: two of them draw in an order that differs from run to run, looked at or not.
            return fill(sampler=SamplerWithoutReplacement(), prefetch=1, generator=own, batch_size=5)

        plain, looked = (self.after(make, look, extend=False)[0] for look in (False, True))
        assert [batch["number"].tolist() for batch in plain] == [batch["number"].tolist() for batch in looked]

    def test_while_it_draws_nobody_else_does(self):
        """A thread that fetches ahead would take its random numbers from the lens's."""
        entered = []

        class Nosy(RandomSampler):
            def sample(self, storage, batch_size):
                thread = threading.Thread(target=lambda: entered.append(buffer._replay_lock.acquire(blocking=False)))
                thread.start()
                thread.join()
                return super().sample(storage, batch_size)

        buffer = fill(sampler=Nosy())
        ReplayLens(buffer, draws=10)
        assert entered == [False]

    def test_contents_and_the_state_of_the_sampler(self):
        buffer = BUFFERS["deck"]()
        buffer.sample()
        contents, deck = buffer.storage[:].clone(), buffer.sampler.state_dict()["_sample_list"].clone()
        ReplayLens(buffer)
        assert (buffer.storage[:] == contents).all()
        assert torch.equal(buffer.sampler.state_dict()["_sample_list"], deck)


class TestErrors:
    def test_an_empty_buffer(self):
        for empty in (LazyTensorStorage(10), ListStorage(10)):
            with pytest.raises(ValueError, match=r"empty: fill it first, for example with buffer.extend"):
                ReplayLens(TensorDictReplayBuffer(storage=empty))

    def test_items_that_are_no_tensordicts(self):
        notes = ReplayBuffer(storage=ListStorage(10), batch_size=2, collate_fn=list)
        notes.extend(["fell left", "fell right"])
        with pytest.raises(TypeError, match="an item of this one is a str. Fill a TensorDictReplayBuffer"):
            ReplayLens(notes)
        tensors = ReplayBuffer(storage=LazyTensorStorage(10), batch_size=2)
        tensors.extend(torch.arange(5))
        with pytest.raises(TypeError, match="is a Tensor"):
            ReplayLens(tensors)

    @pytest.mark.parametrize("storage", [LazyTensorStorage(10), ListStorage(10)])
    def test_items_that_are_stacks_of_frames(self, storage):
        with pytest.raises(ValueError, match=r"stack of \[30\] frames.*reshape\(-1\)"):
            ReplayLens(fill(frames().reshape(2, 30), storage=storage))

    def test_what_is_no_buffer_or_several(self):
        with pytest.raises(TypeError, match="this is a TensorDict"):
            ReplayLens(frames())
        with pytest.raises(TypeError, match="one ReplayBuffer at a time"):
            ReplayLens(ReplayBufferEnsemble(fill(), fill(), batch_size=20))

    def test_nothing_to_compare(self):
        buffer = fill(frames().select("number"), writer=TensorDictMaxValueWriter(rank_key="number"))
        with pytest.raises(ValueError, match="nothing to compare.*order it wrote.*no entry 'action'"):
            ReplayLens(buffer)

    def test_fewer_than_one_draw(self):
        with pytest.raises(ValueError, match="at least one frame; draws is 0"):
            ReplayLens(fill(), draws=0)

    def test_an_unknown_quantity_lists_those_there_are(self):
        with pytest.raises(ValueError, match="no 'colour'; there is age, done, action, return"):
            ReplayLens(fill()).drawn("colour")


class TestView:
    def test_the_facts_are_in_all_forms(self):
        lens = ReplayLens(prioritized())
        for form in (lens.text, lens.html, lens.widget.children[1].value):
            assert "60 of 100 frames stored" in form
            assert "Multinomial: more often the higher the priority" in form and "batch size 20" in form

    def test_the_alternative_text_has_the_numbers(self):
        lens = ReplayLens(prioritized())
        [alt] = re.findall('alt="(.*?)"', lens.html)
        drawn = lens.drawn("age").mean()
        assert f"mean age: 29.50 stored, {drawn:.2f} drawn by Multinomial" in alt
        assert f"most draws of one frame: {lens.draw_counts.max()} drawn by Multinomial" in alt

    def test_the_picture_is_small(self):
        [picture] = re.findall('base64,(.*?)"', ReplayLens(prioritized()).html)
        assert len(base64.b64decode(picture)) < 60_000


class TestWidget:
    @pytest.fixture
    def buffer(self):
        return prioritized()

    @pytest.fixture
    def parts(self, buffer):
        controls, picture = ReplayLens(buffer).widget.children
        return *controls.children, picture

    def test_every_control_says_what_it_is_for(self, parts):
        assert [control.description for control in parts[:3]] == ["Quantity", "Frames to draw", "Draw again"]

    def test_each_quantity_brings_its_own_picture_and_numbers(self, parts):
        what, *_, picture = parts
        assert what.options == ("age", "done", "action", "return", "priority", "times drawn")
        lines = {"age": "mean age", "done": "done: terminated", "times drawn": "frames never drawn"}
        for name, line in lines.items():
            what.value = name
            assert f'alt="Shares of frames by {name}.' in picture.value and f">{line}</th>" in picture.value
            assert not any(other in picture.value for other in lines.values() if other != line)

    def cell(self, picture, line: str, column: int) -> str:
        return re.findall("<td.*?>(.*?)</td>", picture.value.split(f">{line}</th>")[1])[column]

    def test_fewer_draws_leave_more_frames_out(self, parts):
        what, many, _, picture = parts
        what.value = "times drawn"
        most = {}
        for size in (256, 1_000, 10_000):
            many.value = size
            most[size] = int(self.cell(picture, "most draws of one frame", 1))
        assert most[256] < most[1_000] < most[10_000]

    def test_drawing_again_draws_others(self, parts):
        what, many, again, picture = parts
        many.value = 256
        seen = set()
        for _ in range(3):
            again.click()
            seen.add(self.cell(picture, "mean age", 1))
            assert self.cell(picture, "mean age", 0) == "29.50"  # what is stored stays
        assert len(seen) > 1

    def test_drawing_again_looks_at_what_the_buffer_holds_then(self, buffer, parts):
        *_, again, picture = parts
        buffer.extend(frames(20, start=60))
        again.click()
        assert "80 of 100 frames" in picture.value and self.cell(picture, "mean age", 0) == "39.50"

    def test_quantities_may_come_and_the_choice_stays(self):
        buffer = fill(frames(9))
        what, _, again, picture = (lambda box: (*box.children[0].children, box.children[1]))(ReplayLens(buffer).widget)
        what.value = "action"
        buffer.extend(frames(11, start=9))
        again.click()
        assert "return" in what.options and "reward" not in what.options
        assert what.value == "action" and "Shares of frames by action." in picture.value

    def test_a_buffer_emptied_in_the_meantime(self, buffer, parts):
        *_, again, picture = parts
        buffer.empty()
        again.click()
        assert "The buffer is empty" in picture.value
