"""Lesson 15, two players: what it says of `TicTacToeEnv`, of masks and of `DQNLoss`, and its exam, minimax and Elo."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict
from torchrl.envs import TicTacToeEnv
from torchrl.objectives import DQNLoss

from benchmarks.lesson_code import named_code, run_code
from course_utils import load_results

CELLS = "game network players match target all-moves exam never-loses minimax perfect score tournament elo"


@pytest.fixture(scope="module")
def space():
    """The lesson's definitions, with an untrained player."""
    before, after = CELLS.split(" perfect ")
    code = named_code("15_many_agents", *(f"15-{name}" for name in before.split()))
    code += "\n\nworth((-1,) * 9)\nbeginner = player(Network())\n\n"
    return run_code(code + named_code("15_many_agents", *(f"15-{name}" for name in f"perfect {after}".split())), seed=0)


def moves(*cells: int) -> TensorDict:
    """An environment's tensordict after these moves."""
    env = TicTacToeEnv()
    td = env.reset()
    for cell in cells:
        td = env.step(td.set("action", torch.tensor(cell)))["next"]
    return td


def in_order(sign: int):
    """Values that prefer the first cells, or with the sign -1 the last ones."""
    return lambda board: -sign * torch.arange(9.0).expand(*board.shape[:-2], 9)


class TestTicTacToe:
    def test_the_board_is_seen_by_who_moves(self):
        assert moves(4)["board"].flatten().tolist() == [-1] * 4 + [0] + [-1] * 4
        assert moves(4, 0)["board"].flatten().tolist() == [0, -1, -1, -1, 1, -1, -1, -1, -1]

    def test_a_forbidden_move_raises_nothing_and_takes_the_stone_away(self):
        after = moves(4, 4)
        assert after["mask"].sum() == 8 and after["board"][1, 1] == 0 and not after["done"]
        # The first player has 3 and 5, takes 4 from the second one, and wins.
        assert moves(3, 1, 5, 4, 4)["player0", "reward"] == 1

    def test_the_loser_gets_nothing(self):
        after = moves(0, 3, 1, 4, 2)
        assert after["done"] and after["player0", "reward"] == 1 and after["player1", "reward"] == 0

    def test_an_unmasked_policy_can_play_for_ever(self):
        env = TicTacToeEnv()
        stubborn = env.rollout(100, lambda td: td.set("action", torch.tensor(0)))
        assert len(stubborn) == 100 and not stubborn["next", "done"].any()


class TestMatch:
    def test_nine_moves_finish_one_game_in_each_row(self, space):
        torch.manual_seed(0)
        bold = space["exploring"](space["beginner"], eps=1.0)
        played = space["match"](bold, bold, space["empty_boards"](500))
        assert (played["next", "done"].sum(1) == 1).all()

    def test_nobody_plays_on_a_taken_cell(self, space):
        torch.manual_seed(0)
        for eps in (0.0, 0.5, 1.0):
            each = space["exploring"](space["beginner"], eps=eps)
            played = space["match"](each, each, space["empty_boards"](100))
            assert played["mask"].gather(-1, played["action"].unsqueeze(-1)).all()

    def test_turn_says_whose_move_counts(self, space):
        low, high = (space["player"](in_order(sign)) for sign in (1, -1))
        played = space["match"](low, high, space["empty_boards"](1))
        assert played["action"][0, :4].tolist() == [0, 8, 1, 7]


def test_gamma_minus_one_makes_lesson_07s_loss_a_negamax(space):
    torch.manual_seed(0)
    network = space["Network"]()
    actor = space["player"](network)
    bold = space["exploring"](actor, eps=1.0)
    batch = space["match"](bold, bold, space["empty_boards"](300)).reshape(-1)
    assert (~batch["next", "mask"].any(-1)).any(), "some boards are full"
    batch["next", "reward"] = batch["next", "player0", "reward"] + batch["next", "player1", "reward"]
    loss = DQNLoss(actor, delay_value=False, loss_function="l2")
    loss.make_value_estimator(gamma=-1.0)
    with torch.no_grad():
        wanted = space["negamax"](batch, network(batch["next", "board"]))
        value = network(batch["board"]).gather(-1, batch["action"].unsqueeze(-1))
    assert torch.isfinite(wanted).all()
    assert torch.isclose(loss(batch)["loss"], (value - wanted).square().mean(), rtol=1e-4)


class TestExam:
    def test_a_perfect_player_never_loses(self, space):
        torch.manual_seed(0)
        assert space["never_loses"](space["perfect"])

    def test_each_reply_is_tried(self, space):
        """Counted again, one game after the other, against a player that takes the first free cell."""
        env, first_free = TicTacToeEnv(), space["player"](in_order(1))

        def count(td, side):
            if td["done"]:
                return 1, int(td[f"player{1 - side}", "reward"])
            free = td["mask"].nonzero().flatten().tolist()
            chosen = free[:1] if td["turn"] == side else free
            found = [count(env.step(td.clone().set("action", torch.tensor(cell)))["next"], side) for cell in chosen]
            return sum(games for games, _ in found), sum(lost for _, lost in found)

        ended = space["exam"](first_free, 1)
        games, lost = count(env.reset(), 1)
        assert (sum(ended.values()), ended["lost"]) == (games, lost) and lost > 0


def test_minimax_knows_every_position_and_that_the_game_is_a_draw(space):
    exact = space["exact"]
    assert sum(bool(moves) for moves in exact.values()) == 4520
    assert set(exact[(-1,) * 9].values()) == {0}


class TestElo:
    def test_there_are_72_openings(self, space):
        assert len(space["openings"]()) == 72

    def test_ratings_are_found_again_from_the_results_they_lead_to(self, space):
        true = torch.tensor([0.0, 150.0, 420.0, 400.0])
        shares = 1 / (1 + 10 ** ((true - true.unsqueeze(1)) / 400))
        found = space["elo"](shares)
        assert (found - found[0] - true).abs().max() < 5

    def test_400_points_are_ten_to_one(self, space):
        found = space["elo"](torch.tensor([[0.5, 1 / 11], [10 / 11, 0.5]]))
        assert found[1] - found[0] == pytest.approx(400, abs=2)

    def test_points_of_both_make_a_game(self, space):
        torch.manual_seed(0)
        points, games = space["score"](space["perfect"], space["beginner"], space["openings"]())
        assert games == 72 and 36 <= points <= 72


def test_what_the_lesson_says_of_the_measured_runs():
    runs = load_results("15_selfplay")["runs"]["selfplay"]
    never = {name: [sum(run["lost"]) == 0 for run in arm.values()] for name, arm in runs.items()}
    assert len(never["with past selves"]) == 10 and sum(never["with past selves"]) >= 9
    assert not any(never["sign kept"]) and not any(never["mask forgotten"])
