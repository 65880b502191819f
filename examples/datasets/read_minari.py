"""Minari: an HDF5 file with a group an episode, one observation more than steps; made and described by minari itself.

Redirected: Hugging Face's address, by its own variable `HF_ENDPOINT`.
"""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from ours import episodes
from server import serve
from tensordict import TensorDict
from told import Told, equal

record, told = episodes(), Told()


def write(folder: Path, name: str) -> None:
    import minari
    from minari.data_collector import EpisodeBuffer

    os.environ["MINARI_DATASETS_PATH"] = str(folder)
    buffers = [
        EpisodeBuffer(
            observations=it.observation,
            actions=it.action,
            rewards=it.reward.astype(float),
            terminations=it.terminated,
            truncations=it.truncated,
        )
        for it in record
    ]
    with warnings.catch_warnings():  # that author, algorithm and code are not named
        warnings.simplefilter("ignore")
        minari.create_dataset_from_buffers(name, buffers, env="CartPole-v1")
    (folder / "ours" / "namespace_metadata.json").write_text(json.dumps({"datasets": [name]}))


with tempfile.TemporaryDirectory() as temporary, serve(Path(temporary)):
    folder = Path(temporary)
    write(folder / "farama-minari", "ours/chance-v0")
    os.environ["MINARI_DATASETS_PATH"] = str(folder / "local")
    from torchrl.data import SliceSampler
    from torchrl.data.datasets import MinariExperienceReplay
    from torchrl.envs import DTypeCastTransform

    sampler = {"sampler": SliceSampler(slice_len=4, traj_key="episode")}
    zeros = MinariExperienceReplay("ours/chance-v0", 8, root=folder / "zeros")
    told.fault("every value is zero", not any(value.any() for value in zeros[:].values(True, True)))

    # Around it: what was filled is kept, where the loader throws it away for an empty copy of its shapes.
    with patch.object(TensorDict, "memmap_like", TensorDict.memmap):
        data = MinariExperienceReplay("ours/chance-v0", 8, root=folder / "whole", **sampler)
    rows, columns = data[:], {key: np.concatenate([getattr(it, key) for it in record]) for key in ("action", "reward")}
    told.same("observation", rows["observation"], np.concatenate([it.observation[:-1] for it in record]))
    told.same("next > observation", rows["next", "observation"], np.concatenate([it.observation[1:] for it in record]))
    told.same("action", rows["action"], columns["action"])
    told.same("next > reward", rows["next", "reward"], columns["reward"])
    for key in ("terminated", "truncated"):
        told.same(f"next > {key}", rows["next", key], np.concatenate([getattr(it, key) for it in record]))
    told.same("episode", rows["episode"], np.concatenate([[number] * len(it) for number, it in enumerate(record)]))

    told.slices(data.sample(), 4, ("next", "reward"))
    data.append_transform(DTypeCastTransform(torch.float64, torch.float32, in_keys=[("next", "reward")]))
    assert rows["next", "reward"].dtype == torch.float64 and data.sample()["next", "reward"].dtype == torch.float32
    told.transform("DTypeCastTransform: Minari's rewards are float64, losses want float32")
    again = MinariExperienceReplay("ours/chance-v0", 8, root=folder / "whole", download=False)
    assert equal(again[:]["observation"], rows["observation"])
    told.print(rows, steps=len(columns["reward"]))
