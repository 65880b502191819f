"""What was imagined at each step of an episode, beside what came: checked, and compared in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from course_utils.views.frames import Film, as_array, film_of


class Dreams:
    """Imagined numbers and pictures of an episode of T steps, with what really came.

    Args:
        imagined: numbers of shape [T, candidates, horizon, quantities]; `imagined[t, c, k]` is what candidate c
            expected at step t for step t + k + 1. None where there are only pictures.
        real: numbers of shape [T + 1, quantities]: before each step, and after the last.
        names: what the quantities are called; numbered where none are given.
        chosen: for each of the T steps the number of the candidate that was followed.
        imagined_frames: pictures of shape [T, horizon, ...], each as `film_of` takes it.
        real_frames: T + 1 pictures of the same size.

    Raises:
        TypeError, ValueError: something is missing or has another shape; the message names the fix.
    """

    def __init__(self, imagined, real, names: Sequence[str], chosen, imagined_frames, real_frames) -> None:
        if (imagined is None) != (real is None):
            raise TypeError("Numbers come in pairs: give both `imagined` and `real`.")
        if (imagined_frames is None) != (real_frames is None):
            raise TypeError("Pictures come in pairs: give both `imagined_frames` and `real_frames`.")
        if imagined is None and imagined_frames is None:
            raise TypeError("There is nothing to show: give `imagined` and `real`, or the frames of both.")
        self.imagined = self.real = self.chosen = self.film = self.dreamt = None
        self.names: list[str] = []
        self.horizon = self.frame_horizon = 0
        if imagined is not None:
            self._take_numbers(_numbers(imagined, "imagined"), _numbers(real, "real"), names)
            self.steps = len(self.imagined)
        if imagined_frames is not None:
            self._take_pictures(imagined_frames, real_frames)
            if imagined is not None and len(self.film) - 1 != self.steps:
                raise ValueError(f"The numbers are of {self.steps} steps, the pictures of {len(self.film) - 1}.")
            self.steps = len(self.film) - 1
        if chosen is not None:
            self._take_chosen(chosen)

    def _take_numbers(self, imagined: np.ndarray, real: np.ndarray, names: Sequence[str]) -> None:
        if imagined.ndim != 4 or 0 in imagined.shape:
            fix = " One dream a step: imagined[:, None]." if imagined.ndim == 3 else ""
            raise ValueError(
                "`imagined` has shape [steps, candidates, horizon, quantities], each 1 or more; "
                f"this one has {list(imagined.shape)}.{fix}"
            )
        steps, _, self.horizon, quantities = imagined.shape
        if real.shape != (steps + 1, quantities):
            fix = " The state after the last step is missing." if real.shape == (steps, quantities) else ""
            raise ValueError(
                f"To `imagined` of {steps} steps and {quantities} quantities belongs a `real` of shape "
                f"{[steps + 1, quantities]}; this one has {list(real.shape)}.{fix}"
            )
        self.names = [str(name) for name in names] or [f"quantity {number}" for number in range(quantities)]
        if len(self.names) != quantities:
            raise ValueError(f"There are {quantities} quantities and {len(self.names)} names.")
        self.imagined, self.real = imagined, real

    def _take_pictures(self, imagined_frames, real_frames) -> None:
        rows = [as_array(row) for row in imagined_frames]
        real = [as_array(picture) for picture in real_frames]
        lengths = {len(row) if row.ndim > 2 else 0 for row in rows}
        if len(lengths) != 1 or 0 in lengths:
            raise ValueError(
                "`imagined_frames` has shape [steps, horizon, height, width], or with channels; "
                "each step has as many pictures."
            )
        if len(real) != len(rows) + 1:
            raise ValueError(
                f"To `imagined_frames` of {len(rows)} steps belong {len(rows) + 1} `real_frames`, one for the end; "
                f"there are {len(real)}."
            )
        self.frame_horizon = lengths.pop()
        # One film of both, so that black and white mean the same in both.
        both = film_of([*real, *(picture for row in rows for picture in row)])
        self.film = Film(both[number] for number in range(len(real)))
        self.dreamt = Film(both[number] for number in range(len(real), len(both)))

    def _take_chosen(self, chosen) -> None:
        if self.imagined is None:
            raise TypeError("`chosen` says which candidate was followed; it goes with `imagined`.")
        chosen, candidates = np.asarray(_numbers(chosen, "chosen")).reshape(-1), self.imagined.shape[1]
        if len(chosen) != self.steps or (chosen != np.round(chosen)).any():
            raise ValueError(f"`chosen` is one whole number for each of the {self.steps} steps.")
        if chosen.min() < 0 or chosen.max() >= candidates:
            raise ValueError(
                f"`chosen` goes from {chosen.min():g} to {chosen.max():g}; candidates from 0 to {candidates - 1}."
            )
        self.chosen = chosen.astype(int)

    def compared(self, step: int) -> np.ndarray:
        """The dream that is compared with what came: the chosen candidate's, else their mean; [horizon, quantities]."""
        dreams = self.imagined[step]
        return dreams[self.chosen[step]] if self.chosen is not None else dreams.mean(0)

    @property
    def compared_words(self) -> str:
        if self.chosen is not None:
            return "the chosen dream"
        return "the dream" if self.imagined.shape[1] == 1 else "the mean of the dreams"

    def errors(self, step: int, quantity: int) -> np.ndarray:
        """How far off the compared dream of a step is, for each step ahead that came; at most `horizon` numbers."""
        came = self.real[step + 1 : step + 1 + self.horizon, quantity]
        return np.abs(self.compared(step)[: len(came), quantity] - came)

    def mean_errors(self, quantity: int) -> dict[int, tuple[float, int]]:
        """For each number of steps ahead the mean error over the episode, and of how many dreams, NaN left out."""
        found = {}
        for ahead in range(1, min(self.horizon, self.steps) + 1):
            errors = [self.errors(step, quantity)[ahead - 1] for step in range(self.steps - ahead + 1)]
            finite = [error for error in errors if np.isfinite(error)]
            if finite:
                found[ahead] = (float(np.mean(finite)), len(finite))
        return found

    def frame_errors(self, step: int) -> list[float]:
        """How far dreamt pictures are from those that came: the mean difference of a pixel, as a share of white."""
        ahead = min(self.frame_horizon, self.steps - step)
        return [
            float(np.abs(self.frame(step, k).astype(float) - self.film[step + 1 + k]).mean() / 255)
            for k in range(ahead)
        ]

    def frame(self, step: int, ahead: int) -> np.ndarray:
        """What was dreamt at a step for `ahead` + 1 steps later, uint8 [height, width, 3]."""
        return self.dreamt[step * self.frame_horizon + ahead]

    def notes(self) -> list[str]:
        """What is not finite, counted."""
        found = []
        for words, numbers in (("imagined", self.imagined), ("real", self.real)):
            if numbers is None:
                continue
            bad = [
                f"{count:,} {kind}"
                for kind, count in (("NaN", np.isnan(numbers).sum()), ("infinite", np.isinf(numbers).sum()))
                if count
            ]
            if bad:
                found.append(f"Of {numbers.size:,} {words} numbers, {' and '.join(bad)}: not drawn, not counted.")
        return found


def told(horizon: int) -> list[int]:
    """The steps ahead that are told in words: the first, the middle one and the last."""
    return sorted({1, (horizon + 1) // 2, horizon} - {0})


def _numbers(values, name: str) -> np.ndarray:
    import torch

    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().double().numpy()
    array = np.asarray(values)
    if array.dtype.kind not in "buif":
        raise TypeError(f"`{name}` is no array of numbers.")
    return array.astype(float)
