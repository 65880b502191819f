"""Play a board game against an agent, and see what it thinks of each move."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING

from course_utils.views.display import WidgetView

if TYPE_CHECKING:
    from ipywidgets import Widget
    from torch import Tensor

SIGNS = ("X", "O")  # of who begins, and of the other
FREE = "·"
CELL = 64  # pixels
MOST_CELLS = 9  # of the static form: on three by three a few hundred games can be played against one agent
YOU, AGENT = "You", "The agent"


@dataclass(frozen=True)
class Position:
    """A game so far.

    Attributes:
        moves: the cells that were played, in order, counted along the rows from 0.
        rows, columns: the size of the board.
        line: how many signs in a row, in any direction, win.
    """

    moves: tuple[int, ...] = ()
    rows: int = 3
    columns: int = 3
    line: int = 3

    def after(self, cell: int) -> Position:
        return Position((*self.moves, cell), self.rows, self.columns, self.line)

    @property
    def cells(self) -> list[int]:
        """For each cell the player who has it, 0 for the one who began and 1 for the other; -1 where it is free."""
        cells = [-1] * (self.rows * self.columns)
        for number, cell in enumerate(self.moves):
            cells[cell] = number % 2
        return cells

    @property
    def free(self) -> list[int]:
        return [cell for cell, owner in enumerate(self.cells) if owner < 0]

    @property
    def turn(self) -> int:
        return len(self.moves) % 2

    @cached_property
    def won(self) -> bool:
        """Whether the last move has completed a line."""
        if not self.moves:
            return False
        cells, (row, column) = self.cells, divmod(self.moves[-1], self.columns)
        owner = cells[self.moves[-1]]

        def reach(down: int, right: int) -> int:
            count, r, c = 0, row + down, column + right
            while 0 <= r < self.rows and 0 <= c < self.columns and cells[r * self.columns + c] == owner:
                count, r, c = count + 1, r + down, c + right
            return count

        ways = ((0, 1), (1, 0), (1, 1), (1, -1))
        return any(1 + reach(down, right) + reach(-down, -right) >= self.line for down, right in ways)

    @property
    def over(self) -> bool:
        return self.won or not self.free

    def seen(self) -> tuple[Tensor, Tensor]:
        """Board and mask as `TicTacToeEnv` gives them: 1 is the player to move, 0 the other one, -1 a free cell."""
        import torch

        swapped = [cell if cell < 0 else int(cell == self.turn) for cell in self.cells]
        board = torch.tensor(swapped, dtype=torch.int).view(self.rows, self.columns)
        return board, board.flatten() == -1

    def name(self, cell: int) -> str:
        row, column = divmod(cell, self.columns)
        return f"row {row + 1}, column {column + 1}"

    def sign(self, cell: int) -> str:
        owner = self.cells[cell]
        return FREE if owner < 0 else SIGNS[owner]

    def __str__(self) -> str:
        signs = [self.sign(cell) for cell in range(self.rows * self.columns)]
        return "\n".join(" ".join(signs[start : start + self.columns]) for start in range(0, len(signs), self.columns))


class Board(WidgetView):
    """Play against an agent by clicking cells; on demand each free cell says what the agent thinks of it.

    The agent takes the free cell of its highest value; of equal ones the first. Values are those of the player to move,
    so at your turn they say what the agent would expect in your place. Values that are not finite are named and never
    chosen. Without a kernel, all games that can be played against the agent can be unfolded, move by move.

    Args:
        agent: a function `(board, mask) -> values`. `board` is an int tensor of shape [rows, columns] as `TicTacToeEnv`
            gives it, 1 for the player to move, 0 for the other one and -1 for a free cell; `mask` is a bool tensor of
            shape [rows * columns], True where a cell is free. Returns a number for each cell: values or probabilities.
        rows, columns: the size of the board.
        line: how many signs in a row, in any direction, win.

    Raises:
        ValueError: the board has no cell or no line fits on it, or the agent does not return a number for each cell.
    """

    def __init__(
        self,
        agent: Callable[[Tensor, Tensor], Tensor],
        rows: int = 3,
        columns: int = 3,
        line: int = 3,
    ) -> None:
        if min(rows, columns) < 1 or not 1 <= line <= max(rows, columns):
            raise ValueError(f"A line of {line} does not fit on {rows} x {columns} cells.")
        self.agent, self.empty = agent, Position((), rows, columns, line)
        self._known: dict[Position, list[float]] = {}
        self.values(self.empty)  # so that an agent of another shape is told at once
        super().__init__(self._make_widget, "", "")
        self.html, self.text = self._static_html(), self._static_text()

    def values(self, position: Position) -> list[float]:
        """What the agent thinks of each cell, as the player to move; a number for taken cells, too.

        Raises:
            ValueError: it does not return a number for each cell.
        """
        if position not in self._known:
            import torch

            board, mask = position.seen()
            with torch.no_grad():
                found = torch.as_tensor(self.agent(board, mask))
            if found.shape != mask.shape:
                raise ValueError(
                    f"The agent has to return a number for each of the {len(mask)} cells, of shape {list(mask.shape)}; "
                    f"it returned shape {list(found.shape)}."
                )
            self._known[position] = found.double().tolist()
        return self._known[position]

    def answer(self, position: Position) -> int | None:
        """The agent's move; None where no free cell has a finite value."""
        values = self.values(position)
        finite = [cell for cell in position.free if math.isfinite(values[cell])]
        return max(finite, key=values.__getitem__) if finite else None

    def table(self) -> dict[str, list[float | None]]:
        """The agent's values in each position that can come up in a game against it, whoever begins.

        Returns:
            For each position, written as its cells one after the other ("0" of who began, "1" of the other, "-" free),
            a value for each cell; None where it is taken.

        Raises:
            ValueError: the board is too large, or a value of a free cell is not finite.
        """
        if not self._small:
            raise ValueError(f"There are too many games on {self.empty.rows} x {self.empty.columns} cells for a table.")
        found: dict[str, list[float | None]] = {}
        waiting = [(self.empty, yours) for yours in (0, 1)]
        while waiting:
            position, yours = waiting.pop()
            if position.over:
                continue
            if doubts := self.doubtful(position):
                raise ValueError(f"The agent cannot say what it would do in every position. {doubts}\n{position}")
            values = self.values(position)
            owners = "".join("-" if owner < 0 else str(owner) for owner in position.cells)
            found[owners] = [value if cell in position.free else None for cell, value in enumerate(values)]
            moves = position.free if position.turn == yours else [self.answer(position)]
            waiting += [(position.after(cell), yours) for cell in moves]
        return found

    def describe(self, position: Position, yours: int) -> str:
        """How it stands, in a few words: the last move of each, and whose turn it is or who has won.

        Args:
            position: the game so far.
            yours: 0 if you began, 1 if the agent did.
        """
        said = []
        for number in range(max(0, len(position.moves) - 2), len(position.moves)):
            who = YOU if number % 2 == yours else AGENT
            said.append(f"{who}: {SIGNS[number % 2]} at {position.name(position.moves[number])}.")
        return " ".join([*said, self.outcome(position, yours)])

    def outcome(self, position: Position, yours: int) -> str:
        """Who has won, or whose turn it is."""
        if position.won:
            return "You have won." if position.turn != yours else "The agent has won."
        if position.over:
            return "A draw."
        if position.turn == yours:
            return f"Your turn, with {SIGNS[yours]}."
        return "The agent cannot move: none of its values for the free cells is finite."

    def doubtful(self, position: Position) -> str:
        """What of the agent's values for free cells is not finite, in words; empty where all is."""
        values = self.values(position)
        bad = [cell for cell in position.free if not math.isfinite(values[cell])]
        return f"Not finite: {', '.join(f'{position.name(cell)} ({values[cell]:g})' for cell in bad)}." if bad else ""

    def _answered(self, position: Position, yours: int) -> Position:
        """The position after the agent's move, if it is its turn and it can move."""
        if position.over or position.turn == yours:
            return position
        cell = self.answer(position)
        return position if cell is None else position.after(cell)

    def _reached(self, yours: int) -> Iterator[Position]:
        """Each position at which it is your turn or the game is over, over all moves of yours."""
        waiting = [self._answered(self.empty, yours)]
        while waiting:
            position = waiting.pop()
            yield position
            if not position.over and position.turn == yours:
                waiting += [self._answered(position.after(cell), yours) for cell in position.free]

    @property
    def _small(self) -> bool:
        """Whether all games can be unfolded."""
        return self.empty.rows * self.empty.columns <= MOST_CELLS

    def _static_html(self) -> str:
        if not self._small:
            return (
                f"<p>{escape(self._first_words())} There are too many games to unfold them here: run the cell to "
                f"play.</p><pre>{escape(str(self.empty))}</pre>"
            )
        folds = [
            f"<details><summary>{title}</summary>{self._fold(self._answered(self.empty, yours), yours)}</details>"
            for yours, title in enumerate((f"You begin, with {SIGNS[0]}", f"The agent begins, with {SIGNS[0]}"))
        ]
        return (
            f'<div class="course-board"><p>{escape(self._first_words())} Unfold your moves.</p>{"".join(folds)}</div>'
        )

    def _fold(self, position: Position, yours: int) -> str:
        """The board, what was played and, below a fold each, your next moves."""
        shown = f"<pre>{position}</pre>"
        if position.over or position.turn != yours:
            return f"{shown}<p>{self.outcome(position, yours)}</p>"
        moves = "".join(
            f"<details><summary>{position.name(cell)}</summary>"
            f"{self._fold(self._answered(position.after(cell), yours), yours)}</details>"
            for cell in position.free
        )
        return f'{shown}<div style="margin-left:1em">{moves}</div>'

    def _first_words(self) -> str:
        size = f"{self.empty.rows} x {self.empty.columns}"
        return f"A board of {size} cells; {self.empty.line} in a row win."

    def _static_text(self) -> str:
        words = self._first_words()
        if not self._small:
            return words
        told = []
        for yours, who in enumerate(("you begin", "the agent begins")):
            ended = [position for position in self._reached(yours) if position.over]
            lost = sum(position.won and position.turn == yours for position in ended)
            won = sum(position.won and position.turn != yours for position in ended)
            told.append(
                f"If {who}, {len(ended)} games can be played: you win {won}, the agent {lost}, "
                f"{len(ended) - won - lost} are drawn"
            )
        return f"{words} {'. '.join(told)}.\n{self.empty}"

    def _make_widget(self) -> Widget:
        return _Table(self).box


class _Table:
    """The game that is being played, and the widgets that show it."""

    def __init__(self, board: Board) -> None:
        import ipywidgets as widgets

        self.board, self.yours, self.position = board, 0, board.empty
        fitting = {"description_width": "initial", "button_width": "initial"}
        self.begins = widgets.ToggleButtons(options={"I begin": 0, "the agent begins": 1}, style=fitting)
        again = widgets.Button(description="New game")
        self.thoughts = widgets.Checkbox(description="show what the agent thinks of each move", indent=False)
        self.cells = [self._button(cell, widgets) for cell in range(board.empty.rows * board.empty.columns)]
        grid = widgets.GridBox(
            self.cells, layout={"grid_template_columns": f"repeat({board.empty.columns}, {CELL}px)", "grid_gap": "4px"}
        )
        self.status = widgets.HTML()
        again.on_click(lambda _: self.start())
        self.begins.observe(lambda _: self.start(), "value")
        self.thoughts.observe(lambda _: self.draw(), "value")
        self.start()
        self.box = widgets.VBox([widgets.HBox([self.begins, again]), grid, self.status, self.thoughts])

    def _button(self, cell: int, widgets) -> Widget:
        button = widgets.Button(layout={"width": f"{CELL}px", "height": f"{CELL}px", "margin": "0"})
        button.on_click(lambda _: self.click(cell))
        return button

    def start(self) -> None:
        self.yours = self.begins.value
        self.go_on(self.board.empty)

    def click(self, cell: int) -> None:
        if self.position.over:
            self.draw("The game is over. Begin a new one.")
        elif self.position.turn != self.yours:
            self.draw()
        elif cell not in self.position.free:
            self.draw(f"{self.position.name(cell)} is taken. Choose a free cell.".capitalize())
        else:
            self.go_on(self.position.after(cell))

    def go_on(self, position: Position) -> None:
        try:
            self.position = self.board._answered(position, self.yours)
            self.draw()
        except Exception as error:  # the learner's own agent: ipywidgets would hide it
            self.position = position
            self.status.value = _status(f"The agent could not answer: {type(error).__name__}: {error}")

    def draw(self, words: str = "") -> None:
        position, board = self.position, self.board
        thinking = self.thoughts.value and not position.over
        values = board.values(position) if thinking else None
        for cell, button in enumerate(self.cells):
            sign, free = position.sign(cell), cell in position.free
            thought = f"{values[cell]:+.2f}" if thinking and free else ""
            button.description = thought or ("" if free else sign)
            # ipywidgets gives an empty button an invisible letter, which screen readers would take for its name; an
            # icon without a picture keeps it out, and the name is the tooltip.
            button.icon = "" if button.description else "fw"
            button.tooltip = f"{position.name(cell)}: {'free' if free else sign}" + (f", {thought}" if thought else "")
            # Styles that ipywidgets 7 does not know are attributes without an effect there.
            button.style.font_weight = "normal" if free else "bold"
            button.style.font_size = "14px" if free else "26px"
            button.style.button_color = _LAST if position.moves[-1:] == (cell,) else None
        doubts = board.doubtful(position) if thinking else ""
        self.status.value = _status(" ".join(filter(None, [words or board.describe(position, self.yours), doubts])))


_LAST = "rgba(128,128,128,0.35)"


def _status(words: str) -> str:
    return f'<p role="status" style="margin:4px 0">{escape(words)}</p>'
