"""What lesson 11 says about its parts, shown on its own definitions."""

from __future__ import annotations

import importlib.util
import warnings

import pytest
import torch
from tensordict.nn import TensorDictModule
from torchrl.envs import FrameSkipTransform, GymEnv, InitTracker, Resize, ToTensorImage

from benchmarks import store
from benchmarks.groups import memory_and_pixels
from benchmarks.lesson_code import FIRST_SEED, defining_code, run_code


@pytest.fixture(scope="module")
def lesson() -> dict:
    return run_code(memory_and_pixels.code(), seed=3)


def test_next_rows_agree_with_single_steps_only_if_they_are_cut_where_the_present_ones_are(lesson):
    poles = lesson["make_cartpoles"](4, 3, lesson["memory_parts"])
    with torch.no_grad():
        rollout = poles.rollout(48, lesson["agent"], break_when_any_done=False)
    cut = lesson["cut_next_like_now"](rollout.clone())["next", "is_init"]
    assert rollout["is_init"][:, 1:].any(), "no episode ends inside a row: the comparison would show nothing"
    assert lesson["mismatch"](rollout["next"], cut) < 1e-5
    assert lesson["mismatch"](rollout["next"], rollout["next", "is_init"]) > 1e-3


def test_without_a_primer_nothing_is_raised_and_the_memory_is_not_carried(lesson):
    def second_memory(parts):
        with torch.no_grad():
            return lesson["make_cartpoles"](4, 3, parts).rollout(2, lesson["agent"])[:, 1].get("memory", None)

    assert second_memory(lambda: [InitTracker()]) is None
    assert second_memory(lesson["memory_parts"]).abs().sum() > 0


def test_without_an_init_tracker_the_module_says_what_is_missing(lesson):
    primer = [lesson["get_primers_from_module"](lesson["agent"])]
    with pytest.raises(KeyError, match="is_init"):
        lesson["make_cartpoles"](4, 3, lambda: primer).rollout(4, lesson["agent"])


def test_the_exam_s_drifts_are_those_of_games_with_the_same_seed(lesson):
    games = lesson["Catch"](50, 3)
    assert (games.reset()["pixels"] == lesson["make_catch"](50, 3, 1).rollout(1)["pixels"][:, 0]).all()


def test_every_ball_can_be_caught_by_one_who_knows_the_drift_and_not_by_one_who_sees_the_column_only(lesson):
    assert lesson["caught"](lesson["landing"]) == 1
    assert lesson["one_look_by_hand"] < 0.95


def test_the_filters_reach_the_row_of_the_paddle(lesson):
    picture = torch.rand(1, lesson["size"], lesson["size"], requires_grad=True)
    lesson["make_eyes"](1)(picture).sum().backward()
    assert picture.grad[0, -1].abs().sum() > 0


def test_a_cell_that_the_benchmark_needs_and_does_not_find_is_named():
    with pytest.raises(LookupError, match="11-nowhere"):
        defining_code("11_memory_and_pixels", "11-nowhere", to_the_end=True)


@pytest.mark.parametrize(
    ("group", "passes"), [("memory", memory_and_pixels.MEMORY_PASSES), ("pixels", memory_and_pixels.PIXELS_PASS)]
)
def test_on_seeds_that_were_not_used_for_tuning_nobody_passes_without_and_most_pass_with(group, passes):
    _, arms = store.read_group(store.RESULTS, "11_memory_and_pixels", group)
    without, with_it = arms.values()
    assert all(len(runs) >= 5 and min(map(int, runs)) >= FIRST_SEED for runs in (without, with_it))
    assert max(run["score"] for run in without.values()) < passes
    assert sum(run["score"] >= passes for run in with_it.values()) >= 0.7 * len(with_it)


SCREEN = {"from_pixels": True, "pixels_only": True, "categorical_action_encoding": True}


def test_a_screen_is_bytes_and_to_tensor_image_makes_it_four_times_as_large(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    env = GymEnv("CartPole-v1", **SCREEN)
    screen = env.reset()["pixels"]
    picture = env.append_transform(ToTensorImage()).reset()["pixels"]
    assert screen.shape == (400, 600, 3) and screen.dtype == torch.uint8
    assert picture.shape == (3, 400, 600) and picture.dtype == torch.float32 and picture.max() <= 1
    assert picture.nbytes == 4 * screen.nbytes


@pytest.mark.skipif(importlib.util.find_spec("torchvision") is not None, reason="torchvision is here")
def test_resize_needs_torchvision():
    with pytest.raises(ImportError, match="[Tt]orchvision"):
        Resize(84)


def rewards_of_pushing_right(env) -> list[float]:
    env.set_seed(100)
    right = TensorDictModule(lambda seen: torch.tensor(1), ["observation"], ["action"])
    return env.rollout(100, right)["next", "reward"].flatten().tolist()


def test_frame_skip_adds_rewards_up_and_ends_with_the_episode():
    plain, skipping = (GymEnv("CartPole-v1", frame_skip=skip, categorical_action_encoding=True) for skip in (1, 4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rewards = rewards_of_pushing_right(skipping)
    assert sum(rewards) == sum(rewards_of_pushing_right(plain)) and rewards[:2] == [4, 4] and rewards[-1] < 4


def test_the_transform_that_skips_frames_steps_on_after_the_end():
    env = GymEnv("CartPole-v1", categorical_action_encoding=True).append_transform(FrameSkipTransform(4))
    with pytest.warns(UserWarning, match="already returned terminated"):
        rewards_of_pushing_right(env)
