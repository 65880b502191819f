"""Pictures over time: of any common layout, held compressed, decoded one at a time."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

CHANNELS = (1, 3, 4)  # grey, colour, colour with opacity
DARKEST = 16  # floats whose largest number lies between 1 and this are neither surely 0 to 1 nor surely 0 to 255


class Film(Sequence):
    """Arrays of one shape and type, each compressed without loss: 500 frames of CartPole are 360 MB, here 2 MB.

    Indexing gives one array, a slice or `np.asarray` gives them all as one.
    """

    def __init__(self, arrays: Iterable = ()) -> None:
        self._packed: list[bytes] = []
        self._kinds: list[tuple[tuple[int, ...], np.dtype]] = []
        for array in arrays:
            self.append(array)

    def append(self, array) -> None:
        array = as_array(array)
        self._packed.append(zlib.compress(array.tobytes(), 1))
        self._kinds.append((array.shape, array.dtype))

    def __len__(self) -> int:
        return len(self._packed)

    def __getitem__(self, place):
        if isinstance(place, slice):
            return np.stack([self[number] for number in range(len(self))[place]])
        shape, dtype = self._kinds[place]
        return np.frombuffer(zlib.decompress(self._packed[place]), dtype).reshape(shape)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[number] for number in range(len(self)))

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        if not self._packed:
            return np.zeros((0, 0, 0, 3), dtype or np.uint8)
        return np.stack(list(self)).astype(dtype or self._kinds[0][1], copy=False)

    @property
    def nbytes(self) -> int:
        """How much memory it holds."""
        return sum(map(len, self._packed))


def film_of(pictures) -> Film:
    """Pictures of any common kind as a film of uint8 [height, width, 3].

    Args:
        pictures: an array, a tensor, or a sequence of them, one per moment: grey [height, width]; or 1, 3 or 4
            channels, last or first. Whole numbers from 0 to 255, or floats from 0 to 1 or from 0 to 255, which the
            largest number of the whole film decides. Opacity is laid on white.

    Raises:
        ValueError: the layout or the range cannot be told, or the pictures differ in size; the message names the fix.
    """
    arrays = pictures if isinstance(pictures, Film) else [as_array(picture) for picture in pictures]
    layout, scale = _layout(arrays), _scale(arrays)
    return Film(_plain(array, layout, scale) for array in arrays)


def as_array(picture) -> np.ndarray:
    """A picture as an array.

    Raises:
        ValueError: it is not made of numbers.
    """
    import torch

    if isinstance(picture, torch.Tensor):
        picture = picture.detach().cpu().numpy()
    array = np.asarray(picture)
    if array.dtype.kind not in "buif":
        raise ValueError(f"A picture is an array of numbers; this is {type(picture).__name__} of {array.dtype}.")
    return array


def _layout(arrays: Sequence[np.ndarray]) -> str:
    """Where the channels stand: "none", "last" or "first"."""
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        raise ValueError(f"The pictures differ in size: {', '.join(map(str, map(list, sorted(shapes)[:3])))}.")
    shape = shapes.pop() if shapes else (0, 0, 3)
    if 0 in shape and arrays:
        raise ValueError(f"These pictures, of shape {list(shape)}, hold nothing.")
    if len(shape) == 2:
        return "none"
    found = [place for place, axis in (("last", -1), ("first", 0)) if len(shape) == 3 and shape[axis] in CHANNELS]
    if len(found) == 1:
        return found[0]
    if len(found) == 2:
        raise ValueError(
            f"In pictures of shape {list(shape)} either side could be the channels. Make them larger, or drop the "
            "channel where all is grey."
        )
    raise ValueError(
        f"A picture has shape [height, width] or 1, 3 or 4 channels, last or first; these have {list(shape)}. "
        "Colours last: frames.permute(0, 2, 3, 1); of several stacked pictures, take the last three channels."
    )


def _scale(arrays: Sequence[np.ndarray]) -> float:
    """What the numbers are multiplied with to lie between 0 and 255."""
    if not arrays or arrays[0].dtype == np.uint8:
        return 1.0
    if arrays[0].dtype == bool:
        return 255.0
    bad = sum(int((~np.isfinite(array)).sum()) for array in arrays)
    if bad:
        raise ValueError(f"{bad} numbers of the pictures are NaN or infinite. Mend what draws them.")
    low, high = min(float(array.min()) for array in arrays), max(float(array.max()) for array in arrays)
    whole = arrays[0].dtype.kind in "iu"
    if low < 0 or high > 255 or (whole and high == 1) or (not whole and 1.001 < high < DARKEST):
        raise ValueError(
            f"The numbers of the pictures go from {low:g} to {high:g} ({arrays[0].dtype}): which of them is black and "
            "which is white cannot be told. Give uint8 from 0 to 255, or floats from 0 to 1: "
            "(frames - low) / (high - low)."
        )
    return 1.0 if whole or high > 1.001 else 255.0


def _plain(array: np.ndarray, layout: str, scale: float) -> np.ndarray:
    if layout == "first":
        array = np.moveaxis(array, 0, -1)
    elif layout == "none":
        array = array[..., None]
    if array.dtype != np.uint8:
        array = np.clip(array.astype(np.float64) * scale, 0, 255).round().astype(np.uint8)
    if array.shape[-1] == 4:
        opacity = array[..., 3:].astype(np.float32) / 255
        array = (array[..., :3] * opacity + 255 * (1 - opacity)).round().astype(np.uint8)
    elif array.shape[-1] == 1:
        array = array.repeat(3, -1)
    return np.ascontiguousarray(array)
