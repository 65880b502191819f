"""D4RL: one HDF5 file of arrays, each step of all episodes one after the other, ends in `terminals` and `timeouts`.

Redirected: the address of "maze2d-umaze-v1" in the table of addresses that the loader has.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from unittest.mock import patch

import h5py
import numpy as np
import torch
from ours import episodes
from server import serve
from told import Told, equal
from torchrl.data import SliceSampler
from torchrl.data.datasets import D4RLExperienceReplay
from torchrl.data.datasets.d4rl_infos import D4RL_DATASETS
from torchrl.envs import ObservationNorm

record, told = episodes(), Told()
columns = {
    "observations": np.concatenate([it.observation[:-1] for it in record]),
    "actions": np.concatenate([it.push for it in record]),
    "rewards": np.concatenate([it.reward for it in record]),
    "terminals": np.concatenate([it.terminated for it in record]),
    "timeouts": np.concatenate([it.truncated for it in record]),
}

with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    with h5py.File(folder / "ours.hdf5", "w") as file:
        for key, column in columns.items():
            file[key] = column
    with serve(folder) as address, patch.dict(D4RL_DATASETS, {"maze2d-umaze-v1": f"{address}/ours.hdf5"}):
        data = D4RLExperienceReplay(
            "maze2d-umaze-v1",
            batch_size=8,
            root=folder / "cache",
            sampler=SliceSampler(slice_len=4, end_key=("next", "done")),
        )
    rows = data[:]
    count = len(columns["rewards"])

    told.same("observation", rows["observation"], columns["observations"][:-1])
    told.same("action", rows["action"], columns["actions"][:-1])
    told.same("next > reward", rows["next", "reward"], columns["rewards"][:-1])
    told.same("next > terminated", rows["next", "terminated"], columns["terminals"][:-1])
    told.same("next > truncated", rows["next", "truncated"], columns["timeouts"][:-1])
    inside = ~rows["next", "done"].squeeze(-1)
    told.same(
        "next > observation (within episodes)", rows["next", "observation"][inside], columns["observations"][1:][inside]
    )

    told.fault("the last step of the file is left out", len(rows) == count - 1)
    told.fault(
        "after an episode's last step the next observation is zero", not rows["next", "observation"][~inside].any()
    )
    slices = data.sample(400)["next", "reward"].view(-1, 4)
    told.fault(
        "with it goes the end of the last episode: a slice can run on at the file's beginning",
        (slices.diff(dim=-1) != 1).any(),
    )
    # The storage is read as a ring: where its last row is no end, its first one comes next.
    last = data[len(data) - 1]
    last["next", "truncated"][:], last["next", "done"][:] = True, True
    data[len(data) - 1] = last
    told.slices(data.sample(400), 4, ("next", "reward"))

    data.append_transform(ObservationNorm(loc=0.0, scale=2.0, in_keys=["observation"], standard_normal=False))
    row = data.sample()
    assert equal(row["observation"], rows["observation"][row["index"].flatten()] * 2)
    told.transform("ObservationNorm(scale=2) doubles what is sampled, not what is stored")
    again = D4RLExperienceReplay("maze2d-umaze-v1", batch_size=8, root=folder / "cache", download=False)
    assert torch.equal(again[:]["observation"], rows["observation"])
    told.print(rows, steps=count)
