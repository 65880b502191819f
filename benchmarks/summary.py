"""What many runs say together: medians that know of failed runs, interquartile means, and how sure they are.

rliable, by the authors of the interquartile mean, knows no failed runs: for the few lines of `interquartile_mean` and
`bootstrap_interval` it would bring pandas, statsmodels and seaborn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from benchmarks.results_table import SOLVED

NEVER = math.inf


def is_solved(run: dict) -> bool:
    return run["test_return"] >= SOLVED


def to_solve(runs: Iterable[dict], cost: Callable[[dict], float]) -> list[float]:
    """What each run spent until it was solved; `NEVER` for a run that failed.

    A failed run is censored: all that is known is that solving would have cost more than it spent.
    """
    return [cost(run) if is_solved(run) else NEVER for run in runs]


def percentile(values: Sequence[float], share: float) -> float:
    """A percentile with linear interpolation, as `numpy.percentile`, but for values some of which are `NEVER`.

    Args:
        values: at least one.
        share: from 0 to 1.

    Raises:
        ValueError: no values.
    """
    if not values:
        raise ValueError("There is no percentile of no values.")
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low, part = math.floor(place), place - math.floor(place)
    if part == 0 or ordered[low] == ordered[low + 1]:
        return ordered[low]
    return ordered[low] + part * (ordered[low + 1] - ordered[low])


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """10th percentile, median and 90th percentile; each `NEVER` where it falls among failed runs."""
    return percentile(values, 0.1), percentile(values, 0.5), percentile(values, 0.9)


def interquartile_mean(values: Sequence[float] | np.ndarray) -> np.ndarray:
    """The mean of the middle half: a quarter of the values is cut off at either end.

    Recommended for few runs by Agarwal et al. (2021), "Deep reinforcement learning at the edge of the statistical
    precipice": https://arxiv.org/abs/2108.13264

    Args:
        values: shape [..., runs].

    Returns:
        Shape [...].
    """
    ordered = np.sort(np.asarray(values, dtype=float), axis=-1)
    cut = ordered.shape[-1] // 4
    return ordered[..., cut : ordered.shape[-1] - cut].mean(-1)


def bootstrap_interval(
    values: Sequence[float],
    statistic: Callable[[np.ndarray], np.ndarray] = interquartile_mean,
    *,
    level: float = 0.95,
    resamples: int = 10_000,
) -> tuple[float, float]:
    """The percentile bootstrap interval of a statistic over runs (Efron, 1979); the same for the same values.

    Args:
        values: one per run.
        statistic: from shape [resamples, runs] to [resamples].
        level: how sure the interval is meant to be.
        resamples: how often runs are drawn again, with replacement.

    Raises:
        ValueError: no values.
    """
    if len(values) == 0:
        raise ValueError("There is no interval of no values.")
    drawn = np.random.default_rng(0).choice(np.asarray(values, dtype=float), (resamples, len(values)))
    low, high = np.quantile(statistic(drawn), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def success_interval(successes: int, runs: int) -> tuple[float, float]:
    """Wilson's (1927) 95 % interval of a success rate; unlike the bootstrap, it is honest about 30 of 30.

    Raises:
        ValueError: no runs.
    """
    if runs == 0:
        raise ValueError("There is no success rate of no runs.")
    z, rate = 1.96, successes / runs
    middle = (rate + z**2 / (2 * runs)) / (1 + z**2 / runs)
    half = z / (1 + z**2 / runs) * math.sqrt(rate * (1 - rate) / runs + z**2 / (4 * runs**2))
    return max(0.0, middle - half), min(1.0, middle + half)
