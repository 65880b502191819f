"""What lesson 16 says of Dreamer's parts in TorchRL, of its small Catch, and of the weights that it loads is so."""

from __future__ import annotations

import math
import statistics

import pytest
import torch
from torchrl.objectives import DreamerV3ModelLoss
from torchrl.objectives.dreamer_v3 import categorical_kl_balanced, categorical_kl_terms

from benchmarks import store
from benchmarks.groups import dreamer
from benchmarks.lesson_code import FIRST_SEED, run_code
from course_utils import load_weights

STATE, BELIEF = 64, 96


@pytest.fixture(scope="module")
def lesson():
    return run_code(dreamer.code(), 0)


@pytest.fixture(scope="module")
def games(lesson):
    return lesson["play_catch"](32, 0)


@pytest.fixture
def parts(lesson):
    torch.manual_seed(0)
    return lesson["make_parts"]()


def stored_runs(arm: str) -> dict:
    return store.read_group(store.RESULTS, "16_dreamer", "dreamer")[1][arm]


class TestCatch:
    def test_a_game_is_nine_pictures_and_ends_with_a_reward(self, games):
        assert games.shape == (32, 9) and games["next", "pixels"].shape == (32, 9, 9, 9)
        assert (games["next", "reward"][:, :-1] == 0).all() and (games["next", "reward"][:, -1].abs() == 1).all()
        assert games["next", "done"][:, -1].all() and not games["next", "done"][:, :-1].any()
        assert games["is_init"][:, 0].all() and not games["is_init"][:, 1:].any()

    def test_the_first_picture_comes_of_no_action_and_the_others_of_one(self, games):
        assert (games["action"][:, 0] == 0).all() and (games["action"][:, 1:].sum(-1) == 1).all()

    def test_the_paddle_follows_the_action_under_which_its_picture_stands(self, games):
        rows = games["next", "pixels"][:, :-1, -1]  # in the last picture the ball may lie beside the paddle
        paddle = (rows * torch.arange(9)).sum(-1) / 3
        moved = games["action"][:, 1:-1].argmax(-1) - 1
        assert torch.equal(paddle[:, 1:], (paddle[:, :-1] + moved).clamp(1, 7))

    def test_a_catch_is_seen_in_the_last_picture(self, games):
        """Caught, the ball lies on the paddle: three pixels are white, and else four."""
        white = games["next", "pixels"][:, -1, -1].sum(-1)
        assert torch.equal(white == 3, games["next", "reward"][:, -1, 0] > 0)

    def test_balls_bounce(self, lesson):
        column, drift = lesson["fly"](torch.tensor([0, 1, 8, 7, 4]), torch.tensor([-2, -2, 1, 2, 1]))
        assert column.tolist() == [2, 1, 7, 7, 5] and drift.tolist() == [2, 2, -1, -2, 1]

    def test_the_same_seed_gives_the_same_games(self, lesson, games):
        assert (lesson["play_catch"](32, 0) == games).all()


class TestTheModel:
    def test_the_names_of_its_entries_are_those_of_the_fast_way(self, lesson, parts):
        assert lesson["world_model"](parts)[1]._fast_path

    def test_belief_is_not_random_and_state_is(self, parts):
        state, belief, action = torch.zeros(50, STATE), torch.zeros(50, BELIEF), torch.zeros(50, 3)
        _, thrown, remembered = parts.prior(state, belief, action)
        assert torch.allclose(remembered, remembered[:1], atol=1e-6)
        assert not torch.allclose(thrown, thrown[:1], atol=0.1)
        dice = thrown.view(50, 4, 16)
        assert torch.allclose(dice.sum(-1), torch.ones(50, 4)) and torch.allclose(dice.amax(-1), torch.ones(50, 4))

    def test_updates_make_the_pictures_better(self, lesson, parts, games):
        errors = lesson["train_model"](parts, games, updates=20)
        assert sum(errors[-5:]) < 0.5 * sum(errors[:5])

    def test_a_histogram_is_expected_of_the_reward_unless_told_otherwise(self, lesson, parts, games):
        loss = DreamerV3ModelLoss(lesson["world_model"](parts))
        with pytest.warns(DeprecationWarning, match="reward"), pytest.raises(ValueError, match="over 255 bins"):
            loss(games.clone())

    def test_the_default_lets_a_nat_of_each_of_the_dice_go_free(self):
        """Four dice, half a nat each: the default teaches the prior nothing, the lesson's mode does."""
        posterior = torch.zeros(1, 4, 16)
        posterior[..., 0] = 2.3
        apart = categorical_kl_terms(posterior, torch.zeros(1, 4, 16), free_nats=0.0, unimix=0.0)[0] / 4
        assert 0.4 < apart < 1
        slopes = []
        for kl in (
            lambda prior: categorical_kl_balanced(posterior, prior),
            lambda prior: sum(categorical_kl_terms(posterior, prior, free_nats=0.1)),
        ):
            prior = torch.zeros(1, 4, 16, requires_grad=True)
            total = kl(prior)
            slopes.append(torch.autograd.grad(total, prior, allow_unused=True)[0].abs().sum().item())
        assert slopes[0] == 0 and slopes[1] > 0.1


class TestTheDream:
    def test_it_takes_the_actions_that_were_taken(self, lesson, parts, games):
        seen = lesson["believe"](parts, games)
        assert lesson["dream_on"](parts, seen, games["action"], 5).shape == (32, 3)
        assert lesson["dream_on"](parts, seen, games["action"], 0)["pixels"].shape == (32, 8, 9, 9)

    def test_nothing_ends_in_it(self, lesson, parts):
        start = {"state": torch.zeros(4, STATE), "belief": torch.zeros(4, BELIEF)}
        inside = lesson["make_dream_env"](parts)
        steps = inside.rollout(20, tensordict=lesson["TensorDict"](start, [4]), auto_reset=False)
        assert steps.shape == (4, 20) and not steps["next", "done"].any() and "pixels" not in steps

    def test_neither_loss_moves_the_model(self, lesson, parts, games):
        actor, value, actor_loss, value_loss = lesson["make_actor_critic"](parts)
        optimiser = torch.optim.Adam([*actor.parameters(), *value.parameters()], 1e-3)
        before = [weight.clone() for weight in actor.parameters()]
        lesson["dream_update"](parts, actor_loss, value_loss, optimiser, games)
        assert all(weight.grad is None for part in vars(parts).values() for weight in part.parameters())
        assert any(not torch.equal(old, new) for old, new in zip(before, actor.parameters(), strict=True))

    def test_a_dreamer_plays_whole_games(self, lesson, parts):
        actor, *_ = lesson["make_actor_critic"](parts)
        played = lesson["play_catch"](8, 0, lesson["make_player"](parts, actor))
        assert played.shape == (8, 9) and (played["action"][:, 1:].sum(-1) == 1).all()


class TestTheWeights:
    def test_they_are_small(self):
        assert (store.RESULTS / dreamer.WEIGHTS).stat().st_size < 300_000

    def test_names_that_are_not_there_are_told(self):
        with pytest.raises(FileNotFoundError, match="no weights '99_nothing'; there are: .*16_dreamer"):
            load_weights("99_nothing")

    def test_they_are_those_that_were_measured(self, lesson, parts):
        for name, weights in load_weights("16_dreamer").items():
            getattr(parts, name).load_state_dict(weights)
        measured = stored_runs("model")[str(FIRST_SEED)]
        for found, stored in zip(lesson["judge_dreams"](parts), (measured["judged"], measured["drawn"]), strict=True):
            assert {str(ahead): share for ahead, share in found.items()} == pytest.approx(stored, abs=0.01)


class TestTheResults:
    def test_models_dream_rightly_once_three_pictures_were_seen_and_hardly_before(self):
        for run in stored_runs("model").values():
            assert min(run["judged"][str(ahead)] for ahead in range(1, 7)) > 0.9 > 0.85 > run["judged"]["7"]

    def test_the_first_picture_is_as_surprising_as_it_has_to_be(self):
        for run in stored_runs("model").values():
            assert run["surprise"][0] == pytest.approx(math.log(63), abs=0.5)

    def test_policies_trained_in_dreams_play_mostly_a_little_worse_than_lesson_11s(self):
        others = store.read_group(store.RESULTS, "11_memory_and_pixels", "pixels")[1]["two looks"].values()
        caught = [run["caught"] for run in stored_runs("policy").values()]
        worst = min(run["score"] for run in others)
        assert min(caught) > 85 and worst - 10 < statistics.median(caught) < worst
