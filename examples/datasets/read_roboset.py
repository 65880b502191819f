"""RoboSet: HDF5 files, one a seed, with a group a trial; as many observations as steps, ends in `done`.

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
from told import Told

record, told = episodes(), Told()
NAME = "FK1-v4(expert)/FK1_MicroOpenRandom_v2d-v4"

with tempfile.TemporaryDirectory() as temporary, serve(Path(temporary)):
    folder = Path(temporary)
    path = folder / "jdvakil" / "RoboSet_Sim" / NAME / "seed_0.h5"
    path.parent.mkdir(parents=True)
    with h5py.File(path, "w") as file:
        for number, it in enumerate(record):
            trial = file.create_group(f"Trial{number}")
            trial["observations"] = it.observation[:-1].astype(np.float64)
            trial["actions"] = it.push.astype(np.float64)
            trial["rewards"] = it.reward.astype(np.float64)
            trial["done"] = it.terminated | it.truncated
            trial["time"] = np.arange(len(it)) * 0.02
            trial["env_infos/pole_angle"] = it.observation[:-1, 2].astype(np.float64)

    from torchrl.data import SliceSampler
    from torchrl.data.datasets import RobosetExperienceReplay
    from torchrl.envs import ExcludeTransform

    data = RobosetExperienceReplay(
        NAME, 8, root=folder / "cache", sampler=SliceSampler(slice_len=4, end_key=("next", "done"))
    )
    rows = data[:]
    columns = {key: np.concatenate([getattr(it, key) for it in record]) for key in ("push", "reward", "truncated")}
    seen = np.concatenate([it.observation[:-1] for it in record])
    done = np.concatenate([it.terminated | it.truncated for it in record])
    inside = torch.as_tensor(~done)
    told.same("observation", rows["observation"], seen)
    told.same("next > observation (within episodes)", rows["next", "observation"][inside], seen[1:][~done[:-1]])
    told.same("action", rows["action"], columns["push"])
    told.same("next > reward", rows["next", "reward"], columns["reward"])
    told.same("next > done", rows["next", "done"], done)
    told.same("episode", rows["episode"], np.concatenate([[number] * len(it) for number, it in enumerate(record)]))
    told.same("info > pole_angle", rows["info", "pole_angle"], seen[:, 2])

    told.fault(
        "after an episode's last step the next observation is zero", not rows["next", "observation"][~inside].any()
    )
    told.fault(
        "each end is called terminated, a time limit too",
        equal_ends := bool((rows["next", "terminated"] == rows["next", "done"]).all() and columns["truncated"].any()),
    )
    told.fault(
        "`done` at the root is that of the step itself, not of the one before",
        bool((rows["done"] == rows["next", "done"]).all()),
    )
    split = RobosetExperienceReplay(NAME, 8, root=folder / "split", split_trajs=True)
    told.fault("`split_trajs=True` does nothing in the call that downloads", split[:].shape == rows.shape)

    told.slices(data.sample(), 4, ("next", "reward"))
    data.append_transform(ExcludeTransform("info", ("next", "info")))
    assert ("info", "pole_angle") not in data.sample().keys(True)
    told.transform("ExcludeTransform leaves the simulator's inner values out of what is sampled")
    told.print(rows, steps=len(done))
