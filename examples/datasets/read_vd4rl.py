"""V-D4RL: pictures of dm_control; one .npz file an episode, in which row t holds the action that *led to* picture t.

Redirected: Hugging Face's address, by its own variable `HF_ENDPOINT`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import h5py
import numpy as np
import torch
from ours import episodes
from server import serve
from told import Told, equal

record, told = episodes(size=64), Told()
NAME = "main/walker_walk/random/64px"


def row_by_row(it) -> dict[str, np.ndarray]:
    """DreamerV2's way, which V-D4RL keeps: the first row is the reset, with an action and a reward of zero."""
    last = np.arange(len(it) + 1) == len(it)
    return {
        "image": it.pixels,
        "action": np.concatenate([np.zeros((1, 1), np.float32), it.push]),
        "reward": np.concatenate([[0], it.reward]).astype(np.float32),
        "discount": 1 - (last & it.terminated[-1]).astype(np.float32),
        "is_first": np.arange(len(it) + 1) == 0,
        "is_last": last,
        "is_terminal": last & it.terminated[-1],
    }


with tempfile.TemporaryDirectory() as temporary, serve(Path(temporary)):
    folder = Path(temporary)
    path = folder / "conglu" / "vd4rl" / "vd4rl" / NAME
    path.mkdir(parents=True)
    files = [row_by_row(it) for it in record]
    for number, columns in enumerate(files):
        np.savez(path / f"{number:04}-{len(columns['reward'])}.npz", **columns)

    from torchrl.data import SliceSampler
    from torchrl.data.datasets import VD4RLExperienceReplay

    data = VD4RLExperienceReplay(NAME, 8, root=folder / "cache", totensor=False)
    rows = data[:]
    written = {key: np.concatenate([columns[key] for columns in files]) for key in files[0]}
    told.same("pixels", rows["pixels"], written["image"])
    told.same("action", rows["action"], written["action"])
    told.same("next > reward", rows["next", "reward"], written["reward"])
    told.same("next > done", rows["next", "done"], written["is_last"])
    told.same("next > terminated", rows["next", "terminated"], written["is_terminal"])
    told.same("is_init", rows["is_init"], written["is_first"])
    inside = torch.as_tensor(~written["is_last"])
    told.same("next > pixels (within episodes)", rows["next", "pixels"][inside], written["image"][1:][inside[:-1]])

    first = len(files[0]["reward"])
    told.fault(
        "action and reward of a row are those that led to its picture, not those that follow",
        equal(rows["action"][1:first], record[0].push) and equal(rows["next", "reward"][1:first], record[0].reward),
    )
    # Around it: rows moved up by one, and the last row of each episode left out, which then has no step.
    moved = rows.clone()
    for key in ("action", ("next", "reward"), ("next", "done"), ("next", "terminated"), ("next", "truncated")):
        moved[key][:-1] = rows[key][1:]
    moved = moved[inside]
    told.same("action, moved", moved["action"], np.concatenate([it.push for it in record]))
    told.same("next > reward, moved", moved["next", "reward"], np.concatenate([it.reward for it in record]))
    told.same("next > truncated, moved", moved["next", "truncated"], np.concatenate([it.truncated for it in record]))

    # Files of 84 px, as DrQ wants them, are one HDF5 with the kind of each step where ends would be.
    large = NAME.replace("64px", "84px")
    (path.parent / "84px").mkdir()
    with h5py.File(path.parent / "84px" / "data.hdf5", "w") as file:
        file["observation"] = written["image"].transpose(0, 3, 1, 2)
        file["step_type"] = np.where(written["is_first"], 0, np.where(written["is_last"], 2, 1))
        for key in ("action", "discount", "reward"):
            file[key] = written[key]
    drq = VD4RLExperienceReplay(large, 8, root=folder / "cache", totensor=False)[:]
    told.same("pixels of 84 px files", drq["pixels"], written["image"].transpose(0, 3, 1, 2))
    lacks = ("next", "done") not in drq.keys(True) and ("state", "step_type") in drq.keys(True)
    told.fault("files of 84 px come without ends: their `step_type` lands in `state`", lacks)

    sampled = VD4RLExperienceReplay(
        NAME, 8, root=folder / "cache", sampler=SliceSampler(slice_len=4, end_key=("next", "done"))
    ).sample()
    told.slices(sampled, 4, ("next", "reward"))
    assert sampled["pixels"].shape == (8, 3, 64, 64) and sampled["pixels"].dtype == torch.float32
    told.transform("ToTensorImage is put in by the loader: uint8 [64, 64, 3] is stored, float32 [3, 64, 64] is sampled")
    told.print(rows, steps=len(inside))
