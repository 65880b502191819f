"""Positions of lesson 11's Catch as an agent sees them, to compare a page with its agent: real ones, no noise."""

from __future__ import annotations

import numpy as np

SIZE = 9  # pixels, of the field


def catch_positions(count: int, looks: int, seed: int) -> np.ndarray:
    """What agents see in games that are played at random, from the start until the ball is about to land.

    Args:
        count: of positions.
        looks: how many frames stand on top of one another, the newest last; at a start all of them are the first.
        seed: of starts and moves.

    Returns:
        Pictures of shape [count, looks, SIZE, SIZE], 32-bit.
    """
    games, dice = -(-count // (SIZE - 1)), np.random.default_rng(seed)
    column, paddle, drift = (dice.integers(low, high, games) for low, high in [(0, SIZE), (1, SIZE - 1), (-2, 3)])
    frames, seen = [], []
    for row in range(SIZE - 1):
        frames.append(_picture(row, column, paddle))
        before = [frames[max(0, row - ago)] for ago in reversed(range(looks))]
        seen.append(np.stack(before, 1))
        paddle = np.clip(paddle + dice.integers(-1, 2, games), 1, SIZE - 2)
        column = column + drift
        drift = np.where((column < 0) | (column >= SIZE), -drift, drift)
        column = SIZE - 1 - abs(SIZE - 1 - abs(column))
    return np.concatenate(seen)[:count]


def _picture(row: int, column: np.ndarray, paddle: np.ndarray) -> np.ndarray:
    places = np.arange(SIZE)
    picture = np.zeros((len(column), SIZE, SIZE), np.float32)
    picture[:, -1] = abs(places - paddle[:, None]) <= 1
    picture[:, row] = np.maximum(picture[:, row], places == column[:, None])
    return picture
