"""The board to play on: its rules, the agent's answers, its static form, and what each click does."""

from __future__ import annotations

import itertools
import math
import re

import pytest
import torch
from tensordict import TensorDict
from torchrl.envs import TicTacToeEnv

from course_utils import Board
from course_utils.views.board import Position


def first_free(board, mask):
    return -torch.arange(float(len(mask)))


def played(*moves: int, **size: int) -> Position:
    position = Position(**size)
    for cell in moves:
        position = position.after(cell)
    return position


class TestRules:
    def test_boards_masks_and_endings_are_those_of_torchrl(self):
        env = TicTacToeEnv()
        torch.manual_seed(0)
        for _ in range(60):
            td, position = env.reset(), Position()
            while True:
                board, mask = position.seen()
                assert torch.equal(board, td["board"]) and torch.equal(mask, td["mask"])
                td = env.rand_action(td)
                position = position.after(int(td["action"]))
                td = env.step(td)["next"]
                won = bool(td["player0", "reward"] + td["player1", "reward"])
                assert (position.won, position.over) == (won, bool(td["done"]))
                if position.over:
                    break

    @pytest.mark.parametrize("cells", [(0, 1, 2, 3), (3, 8, 13, 18), (4, 8, 12, 16), (2, 7, 12, 17)])
    def test_lines_in_all_directions_on_a_larger_board(self, cells):
        others = [cell for cell in range(20) if cell not in cells]
        moves = list(itertools.chain(*zip(cells, others, strict=False)))[:7]
        assert played(*moves, rows=4, columns=5, line=4).won
        assert not played(*moves[:5], rows=4, columns=5, line=4).won

    def test_a_line_that_is_closed_in_its_middle_counts(self):
        assert played(0, 3, 2, 4, 1).won

    def test_a_line_does_not_go_round_the_edge(self):
        assert not played(2, 0, 3, 1, 4).won  # the end of the first row, and the second

    def test_it_is_written_with_signs(self):
        assert str(played(4, 0)) == "O · ·\n· X ·\n· · ·"


class TestAnswers:
    def test_it_takes_the_best_free_cell_and_the_first_of_equal_ones(self):
        board = Board(lambda board, mask: torch.tensor([0.0, 2, 2, 0, 9, 0, 0, 0, 0]))
        assert board.answer(played(4)) == 1

    def test_the_agent_sees_its_own_signs_as_ones(self):
        seen = []
        board = Board(lambda board, mask: seen.append((board.tolist(), mask.tolist())) or torch.zeros(9))
        seen.clear()
        board.values(played(8, 1, 7))
        free = [True, False, True, True, True, True, True, False, False]
        assert seen == [([[-1, 1, -1], [-1, -1, -1], [-1, 0, 0]], free)]

    def test_values_that_are_not_finite_are_named_and_never_chosen(self):
        values = torch.tensor([math.nan, math.inf, 0, -1, -1, -1, -1, -1, -1])
        board = Board(lambda board, mask: values)
        assert board.answer(Position()) == 2
        assert board.doubtful(Position()) == "Not finite: row 1, column 1 (nan), row 1, column 2 (inf)."
        assert board.doubtful(played(0, 1)) == ""

    def test_an_agent_without_a_finite_value_does_not_move(self):
        board = Board(lambda board, mask: torch.full((9,), math.nan))
        assert board.answer(Position()) is None
        assert "The agent cannot move" in board.describe(played(4), yours=0)
        assert "The agent cannot move" in board.html

    @pytest.mark.parametrize("shape", [(3, 3), (8,), (1, 9), ()])
    def test_another_shape_is_told_at_once(self, shape):
        with pytest.raises(ValueError, match=r"each of the 9 cells, of shape \[9\]; it returned shape"):
            Board(lambda board, mask: torch.zeros(shape))

    @pytest.mark.parametrize("size", [(0, 3, 1), (3, 3, 4), (3, 3, 0)])
    def test_a_line_that_does_not_fit_is_told(self, size):
        with pytest.raises(ValueError, match="does not fit on"):
            Board(first_free, *size)

    def test_lists_and_gradients_will_do(self):
        assert Board(lambda board, mask: [0.0] * 9).answer(played(0)) == 1
        weights = torch.ones(9, requires_grad=True)
        assert Board(lambda board, mask: 2 * weights).answer(played(0)) == 1


def folds(html: str):
    """The static form's folds, each as its summary, what it shows, and the folds in it."""
    stack = [("", [], [])]
    for token in re.findall(r"<details>|</details>|<summary>.*?</summary>|<pre>.*?</pre>|<p>.*?</p>", html, re.DOTALL):
        if token == "<details>":
            fold = ["", [], []]
            stack[-1][2].append(fold)
            stack.append(fold)
        elif token == "</details>":
            stack.pop()
        elif token.startswith("<summary>"):
            stack[-1][0] = token[9:-10]
        else:
            stack[-1][1].append(re.sub("<.*?>", "", token))
    assert len(stack) == 1, "each fold is closed"
    return stack[0][2]


class TestWithoutAKernel:
    def test_every_game_can_be_unfolded(self):
        board = Board(first_free)
        you, agent = folds(board.html)
        assert (you[0], agent[0]) == ("You begin, with X", "The agent begins, with X")

        def follow(fold, position, yours):
            if not position.over and position.turn != yours:
                position = position.after(board.answer(position))
            assert fold[1][0] == str(position)
            if position.over:
                assert fold[1][1] == board.outcome(position, yours) and not fold[2]
                return 1
            assert [each[0] for each in fold[2]] == [position.name(cell) for cell in position.free]
            after = [position.after(cell) for cell in position.free]
            return sum(follow(each, then, yours) for each, then in zip(fold[2], after, strict=True))

        counted = [follow(fold, Position(), yours) for yours, fold in enumerate((you, agent))]
        assert f"If you begin, {counted[0]} games can be played" in board.text
        assert f"If the agent begins, {counted[1]} games can be played" in board.text

    @pytest.mark.parametrize("seed", range(5))
    def test_it_is_small_whatever_the_agent_is(self, seed):
        values = torch.randn(9, generator=torch.Generator().manual_seed(seed))
        assert len(Board(lambda board, mask: values).html) < 300_000

    def test_larger_boards_say_that_they_are_not_unfolded(self):
        board = Board(first_free, 4, 4, 4)
        assert "too many games to unfold" in board.html and "<details>" not in board.html
        assert board.text == "A board of 4 x 4 cells; 4 in a row win."


@pytest.fixture
def widget():
    """A board's widget: its cells, its line of words, and its controls."""
    box = Board(first_free).widget
    controls, grid, status, thoughts = box.children
    begins, again = controls.children
    return grid.children, status, thoughts, begins, again


class TestWidget:
    def test_a_click_plays_and_the_agent_answers(self, widget):
        cells, status, *_ = widget
        assert "Your turn, with X." in status.value
        cells[4].click()
        assert (cells[4].description, cells[0].description) == ("X", "O")
        assert "You: X at row 2, column 2. The agent: O at row 1, column 1. Your turn, with X." in status.value
        assert 'role="status"' in status.value

    def test_each_cell_says_where_it_is_and_what_it_holds(self, widget):
        cells, *_ = widget
        cells[4].click()
        told = [cell.tooltip for cell in cells]
        assert (told[0], told[4]) == ("row 1, column 1: O", "row 2, column 2: X")
        assert told[8] == "row 3, column 3: free"

    def test_a_taken_cell_stays_and_says_so(self, widget):
        cells, status, *_ = widget
        cells[4].click()
        cells[0].click()
        assert cells[0].description == "O" and "Row 1, column 1 is taken." in status.value

    def test_thoughts_stand_on_the_free_cells_on_demand(self, widget):
        cells, _, thoughts, *_ = widget
        cells[4].click()
        thoughts.value = True
        assert cells[8].description == "-8.00" and cells[4].description == "X"
        assert cells[8].tooltip == "row 3, column 3: free, -8.00"
        thoughts.value = False
        assert cells[8].description == ""

    def test_a_game_ends_and_begins_anew(self, widget):
        cells, status, _, begins, again = widget
        for cell in (4, 2, 6):  # the agent takes 0 and 1
            cells[cell].click()
        assert "You have won." in status.value
        cells[8].click()
        assert "The game is over." in status.value and cells[8].description == ""
        again.click()
        assert [cell.description for cell in cells] == [""] * 9
        begins.value = 1
        assert cells[0].description == "X" and "Your turn, with O." in status.value

    def test_an_agent_that_breaks_is_told(self):
        calls = []

        def breaks(board, mask):
            calls.append(1)
            if (board == 0).sum() == 2:
                raise RuntimeError("no idea")
            return first_free(board, mask)

        board = Board(first_free)
        box = board.widget
        board.agent = breaks
        board._known.clear()
        for cell in (4, 8):
            box.children[1].children[cell].click()
        assert "The agent could not answer: RuntimeError: no idea" in box.children[2].value


def test_a_torchrl_actor_is_an_agent():
    from torchrl.modules import QValueActor

    actor = QValueActor(
        lambda board: -torch.arange(9.0), in_keys=["board"], spec=TicTacToeEnv().action_spec, action_mask_key="mask"
    )
    board = Board(lambda board, mask: actor(TensorDict({"board": board, "mask": mask}))["action_value"])
    assert board.answer(played(0, 1)) == 2
