"""What the exercises draw: sizes that change from draw to draw, and rollouts and batches like real ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictSequential
from torchrl.collectors import Collector
from torchrl.data import Categorical
from torchrl.envs import GymEnv, RewardSum, StepCounter, TransformedEnv
from torchrl.modules import MLP, EGreedyModule, QValueActor

from course_utils.exercises.catalogue import exercises_of
from course_utils.exercises.drawn import endings, mixed, rollout, whole
from course_utils.exercises.exercise import Draw, Exercise
from course_utils.exercises.grids import COPIES, play
from course_utils.exercises.probing import numbers, tensors

DRAWN = [
    exercise
    for number in range(8)
    for exercise in exercises_of(f"{number:02}").values()
    if isinstance(exercise, Exercise) and exercise.draw and exercise.draw(Draw(0))
]
# Sizes that the text or the environment fixes, by exercise.
CARTPOLE = {2: "its actions, and their values", 4: "its observation"}
FIXED = {
    "1.2": CARTPOLE,
    "2.1": CARTPOLE,
    "2.3": CARTPOLE,
    "2.4": CARTPOLE,
    "2.5": {2: "a goal in the plane", 3: "the colours", 4: "height and width of a picture"},
    "4.6": CARTPOLE,
    "6.2": CARTPOLE,
    "6.3": {4: "what goes into the first layer"},
    "6.5": CARTPOLE,
}


def shapes(value: Any, name: str = "") -> Iterator[tuple[str, torch.Size]]:
    """Every tensor in an input, with its shape."""
    if isinstance(value, torch.Tensor):
        yield name, value.shape
    elif isinstance(value, TensorDictBase):
        for key in value.keys(True, True):
            yield f"{name}, {key}", value[key].shape
    elif isinstance(value, (list, tuple)):
        for place, entry in enumerate(value):
            yield from shapes(entry, f"{name}, {place}")


@pytest.mark.parametrize("exercise", DRAWN, ids=lambda exercise: exercise.number)
def test_no_size_is_always_the_same(exercise):
    """Else an answer may hold this size as a number."""
    seen = defaultdict(set)
    for seed in range(60):
        for argument, value in exercise.draw(Draw(seed)).items():
            for name, shape in shapes(value, argument):
                for dimension, size in enumerate(shape):
                    seen[name, dimension].add(size)
    fixed = FIXED.get(exercise.number, {})
    assert not {place: sizes for place, sizes in seen.items() if len(sizes) == 1 and not sizes <= {1, *fixed}}, (
        "draw other sizes, too"
    )


def keys_of(td: TensorDictBase) -> dict[Any, tuple[torch.dtype, int]]:
    return {key: (td[key].dtype, td[key].ndim) for key in td.keys(True, True)}


class TestRollout:
    def test_it_has_the_entries_of_a_real_one(self):
        real = GymEnv("CartPole-v1").rollout(5)
        assert keys_of(rollout(Draw(0), 5)) == keys_of(real)
        assert rollout(Draw(0), 3, 5).batch_size == torch.Size([3, 5])

    @pytest.mark.parametrize("batch", [(12,), (3, 7)])
    def test_a_root_is_the_next_before_it_until_an_episode_ends(self, batch):
        td = rollout(Draw(1), *batch)
        after, root = td["next", "observation"][..., :-1, :], td["observation"][..., 1:, :]
        goes_on = ~td["next", "done"][..., :-1, 0]
        assert goes_on.any() and not goes_on.all()
        assert torch.equal(after[goes_on], root[goes_on]) and not (after[~goes_on] == root[~goes_on]).any()
        assert not any(td[flag].any() for flag in ("done", "terminated", "truncated"))

    def test_each_thing_that_can_happen_happens(self):
        for seed in range(20):
            terminated, truncated = (flags.flatten().tolist() for flags in endings(Draw(seed), 6))
            assert len(set(zip(terminated, truncated, strict=True))) == 4


def test_the_batch_of_the_return_to_log_has_the_entries_of_a_collectors():
    env = TransformedEnv(GymEnv("CartPole-v1", categorical_action_encoding=True), RewardSum())
    env.append_transform(StepCounter())
    actions = Categorical(2)
    agent = QValueActor(MLP(in_features=4, out_features=2, num_cells=[8]), in_keys=["observation"], spec=actions)
    explorer = TensorDictSequential(agent, EGreedyModule(actions))
    options = {"frames_per_batch": 20, "total_frames": 20, "auto_register_policy_transforms": True}
    collector = Collector(env, explorer, **options)
    real = next(iter(collector))
    collector.shutdown()
    drawn = exercises_of("06")["6.2"].draw(Draw(0))["batch"]
    assert {key: dtype for key, (dtype, _) in keys_of(drawn).items()} == {
        key: dtype for key, (dtype, _) in keys_of(real).items()
    }


def test_whole_numbers_reach_both_ends_and_an_order_holds_each_once():
    draw = Draw(0)
    assert {whole(draw, 2, 4) for _ in range(60)} == {2, 3, 4}
    assert sorted(mixed(draw, 7)) == list(range(7)) and mixed(draw, 7) != mixed(draw, 7)


class TestProbes:
    def test_a_list_is_no_tensor_where_one_is_asked_for(self):
        right = torch.zeros(2)
        assert tensors(right, {}) is right and tensors((right, right), {}) == (right, right)
        for wrong in ([0.0, 0.0], (right, [0.0]), [right]):
            with pytest.raises(TypeError, match=r"torch\.stack"):
                tensors(wrong, {})

    @pytest.mark.parametrize(
        "value", [[1.0, 2.0], (1.0, 2.0), np.array([1.0, 2.0]), [torch.tensor(1.0), 2.0], torch.tensor([1.0, 2.0])]
    )
    def test_numbers_may_be_held_together_in_any_way(self, value):
        assert numbers(value, {}).tolist() == [1.0, 2.0]

    def test_what_holds_no_numbers_is_refused(self):
        for nothing in (None, object()):
            with pytest.raises((TypeError, RuntimeError)):
                numbers(nothing, {})


@pytest.mark.parametrize("copies", [1, COPIES])
def test_whoever_plays_a_grid_reaches_its_goal(copies):
    """By chance alone a single copy may never get there, and a right grid would be told that it does not end."""
    grid = exercises_of("01")["1.6"].reference
    homes = [int(play(grid(copies, 5), Draw(seed)).terminated.any(0).sum()) for seed in range(100)]
    assert min(homes) >= 1
