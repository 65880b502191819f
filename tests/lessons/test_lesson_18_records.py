"""What lesson 18 says of records and of its road of pixels is so."""

from __future__ import annotations

import statistics

import pytest
import torch
from tensordict import TensorDict
from torchrl.envs.utils import check_env_specs

from benchmarks import store
from benchmarks.groups import pixel_game
from benchmarks.lesson_code import FIRST_SEED, named_code, run_code
from course_utils import load_weights

LESSON = "18_worlds_and_records"
RECORDS = ["record", "pack", "load", "differences", "compare", "filled", "jumps"]


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("records"))
        return run_code("import torch\n" + named_code(LESSON, *(f"18-{name}" for name in RECORDS)), 0)


@pytest.fixture(scope="module")
def road():
    return run_code("import torch\n" + pixel_game.code() + "\n" + named_code(LESSON, "18-best"), 0)


def stored(arm: str) -> dict:
    return store.read_group(store.RESULTS, pixel_game.GROUP.file, "pixel_game")[1][arm]


class TestRecords:
    def test_what_was_written_comes_out_but_for_the_traps_that_the_text_names(self, records):
        written, loaded = records["written"], records["data"][:].select(*records["written"].keys(True, True))
        assert records["differences"](written, loaded[:21]) == {
            ("next", "reward"): "torch.float32 [21, 1] became torch.float32 [21]"
        }
        assert not any(value[21:].any() for value in loaded.values(True, True))
        assert len(records["differences"](written, loaded)) == len([*written.keys(True, True)])

    def test_every_end_is_called_terminated(self, records):
        after = records["filled"]["next"]
        assert torch.equal(after["terminated"], after["done"]) and not after["truncated"].any()

    def test_differences_names_what_is_missing_other_or_unequal(self, records):
        one = TensorDict({"a": torch.arange(4), "b": torch.zeros(4), "c": torch.ones(4)}, [4])
        other = TensorDict({"a": torch.arange(4).roll(1), "b": torch.zeros(4).half(), "d": torch.ones(4)}, [4])
        assert records["differences"](one, one.clone()) == {}
        assert records["differences"](one, other) == {
            "a": "4 of 4 values",
            "b": "torch.float32 [4] became torch.float16 [4]",
            "c": "only written",
            "d": "only loaded",
        }

    def test_slices_jump_where_an_end_counts_to_the_next_episode_and_only_there(self, records):
        from torchrl.data import SliceSampler

        done = records["filled"]["next", "done"].flatten()
        right = SliceSampler(slice_len=4, trajectories=done.cumsum(0) - done.long(), cache_values=True)
        wrong = SliceSampler(slice_len=4, trajectories=done.cumsum(0), cache_values=True)
        assert records["jumps"](right)[0] == "0 of 100 slices jump"
        assert int(records["jumps"](wrong)[0].split()[0]) > 10

    def test_the_transform_works_when_sampled(self, records):
        assert records["filled"]["next", "reward"].shape == (21,)
        assert records["batch"]["next", "reward"].shape == (8, 1)

    def test_memmap_like_copies_shapes_and_no_values(self, tmp_path):
        """If this fails, TorchRL's loader of Minari may read values, too: see the traps of examples/datasets."""
        filled = TensorDict({"a": torch.ones(3)}, [3])
        assert not filled.memmap_like(tmp_path / "like")["a"].any() and filled.memmap(tmp_path / "same")["a"].all()


class TestRoad:
    def test_it_keeps_its_specs_and_ends_after_fifty_steps(self, road):
        check_env_specs(road["make_road"](4, 0, 4))
        rollout = road["make_road"](3, 0, 4).rollout(60)
        assert rollout.shape == (3, 50) and rollout["next", "truncated"][:, -1].all()
        assert not rollout["next", "terminated"].any()

    def test_a_hit_throws_back_three_rows_and_across_begins_anew(self, road):
        world = road["Road"](1)
        world.reset()
        up = TensorDict({"action": torch.tensor([2])}, [1])
        for row in range(road["LANES"] + 1):
            world.row[:] = row
            reward = world._step(up.clone())["reward"].item()
            free = not road["cars"](world)[0, row + 1, road["MIDDLE"]]
            assert reward == (1 if free else max(row + 1 - 3, 0) - row)
        assert reward == 1 and world.row.item() == 0

    def test_three_frames_hold_how_a_lane_moves_and_two_do_not(self, road):
        """A lane's next picture follows from its last three; after two alike pictures it may go either way."""
        world, lanes = road["Road"](400, seed=3), []
        world.reset()
        for _ in range(12):
            lanes.append(road["cars"](world)[:, 1:-1].flatten(0, 1))
            world.time += 1

        def ambiguous(frames: int) -> int:
            follows = {}
            for at in range(frames, len(lanes)):
                for before, after in zip(torch.stack(lanes[at - frames : at], 1), lanes[at], strict=True):
                    follows.setdefault(tuple(before.flatten().tolist()), set()).add(tuple(after.tolist()))
            return sum(len(found) > 1 for found in follows.values())

        assert ambiguous(1) > 0 and ambiguous(2) > 0 and ambiguous(3) == 0

    def test_nobody_gains_more_than_the_best_possible(self, road):
        best = road["best_possible"](road["Road"](pixel_game.GAMES, seed=pixel_game.EXAM_SEED))
        played = [run["exam"] for arm in pixel_game.LOOKS for run in stored(arm).values()]
        assert best > max(played) and best <= 50

    def test_hiding_a_frame_repeats_its_neighbour(self, road):
        frames = torch.arange(4.0).view(1, 4, 1, 1)
        hidden = [road["hide"](frames, age).flatten().tolist() for age in range(4)]
        assert hidden == [[0, 1, 2, 2], [0, 1, 3, 3], [0, 2, 2, 3], [1, 1, 2, 3]]

    def test_a_hen_learns_something_in_a_few_updates(self, road):
        torch.manual_seed(0)
        hen, seen = road["make_hen"](4), []
        before = [weights.clone() for weights in hen.parameters()]
        road["learn"](hen, 4, 4, 0, watch=seen.append)
        assert not any(torch.equal(old, new) for old, new in zip(before, hen.parameters(), strict=True))


class TestStored:
    def test_the_rule_of_the_text(self):
        exams = {arm: [run["exam"] for run in stored(arm).values()] for arm in pixel_game.LOOKS}
        assert min(map(len, exams.values())) >= 3
        assert min(exams["four frames"]) >= max(exams["one frame"]) + 5

    @pytest.mark.parametrize("looks", [1, 4])
    def test_the_weights_play_as_is_stored(self, road, looks):
        hen = road["make_hen"](looks)
        arm = {number: name for name, number in pixel_game.LOOKS.items()}[looks]
        run = stored(arm)[str(FIRST_SEED)]
        hen.load_state_dict(load_weights(f"18_pixels_{looks}")["trained"])
        rows = road["rows_gained"](road["play_road"](hen, looks, pixel_game.GAMES, pixel_game.EXAM_SEED))
        assert abs(rows - run["exam"]) < 0.5  # the file holds 16-bit numbers

    def test_atari_takes_days(self):
        (costs,) = stored("Atari").values()
        assert pixel_game.ATARI_UPDATES * costs["update"] / 3600 > 48

    def test_hidden_frames_are_stored_for_every_seed(self):
        hidden = [run["hidden"] for run in stored("four frames").values()]
        assert all(len(row) == 4 for row in hidden) and statistics.mean(row[0] for row in hidden) > 0
