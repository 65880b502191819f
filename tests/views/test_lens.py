"""The lens: what it reads out of a replay buffer, what it lets the sampler draw, and that it leaves no trace."""

from __future__ import annotations

import base64
import random
import re
import threading

import numpy as np
import pytest
import torch
from tensordict import TensorDict
from torchrl.data import (
    ImmutableDatasetWriter,
    LazyMemmapStorage,
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
from torchrl.envs import MultiStepTransform

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
