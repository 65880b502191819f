"""Gen-DGRL: Procgen's levels; a .tar.xz of pickled dictionaries, one .npy file an episode.

Redirected: `BASE_URL`, the class's own address. Its count of frames is fixed by the name: ours is smaller, and set.
"""

from __future__ import annotations

import io
import tarfile
import tempfile
from pathlib import Path

import numpy as np
from ours import episodes
from server import serve
from told import Told
from torchrl.data import SliceSampler, TensorDictReplayBuffer, TensorStorage
from torchrl.data.datasets import GenDGRLExperienceReplay
from torchrl.envs import UnsqueezeTransform

record, told = episodes(size=64), Told()
STEPS, MORE = sum(map(len, record)), 10


class Ours(GenDGRLExperienceReplay):
    """The same class; its records are a little shorter than it thinks, as a download that broke off would be."""

    @classmethod
    def _get_category_len(cls, category_name: str) -> int:
        return STEPS + MORE


def channels_first(pictures: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(pictures).transpose(0, 3, 1, 2)


with tempfile.TemporaryDirectory() as temporary, serve(Path(temporary)) as Ours.BASE_URL:
    folder = Path(temporary)
    archive = folder / "100k" / "level_1" / "expert" / "bigfish.tar.xz"
    archive.parent.mkdir(parents=True)
    with tarfile.open(archive, "w:xz") as tar:
        for number, it in enumerate(record):
            columns = {"observations": channels_first([it.pixels]), "actions": it.action, "rewards": it.reward}
            columns["dones"] = (it.terminated | it.truncated).astype(np.float32)
            np.save(file := io.BytesIO(), columns, allow_pickle=True)
            info = tarfile.TarInfo(f"bigfish/{number}.npy")
            info.size = file.tell()
            file.seek(0)
            tar.addfile(info, file)

    ends = {"sampler": SliceSampler(slice_len=4, end_key=("next", "done"))}
    data = Ours("bigfish-level_1_E", 8, root=folder / "cache", **ends)
    rows = data[:][:STEPS]
    done = np.concatenate([it.terminated | it.truncated for it in record])
    told.same("observation", rows["observation"], channels_first([it.pixels[:-1] for it in record]))
    told.same("next > observation", rows["next", "observation"], channels_first([it.pixels[1:] for it in record]))
    told.same("action", rows["action"], np.concatenate([it.action for it in record]))
    told.same("next > reward", rows["next", "reward"], np.concatenate([it.reward for it in record]))
    told.same("next > done", rows["next", "done"], done)

    left = data[:][STEPS:]
    told.fault(
        "rows that were not filled stay: zeros, which are sampled too",
        len(left) == MORE and not any(it.any() for it in left.values(True, True)),
    )
    told.fault("rewards have no last dimension", rows["next", "reward"].ndim == 1)
    truncated = np.concatenate([it.truncated for it in record])
    told.fault(
        "each end is called terminated, a time limit too",
        rows["next", "terminated"].squeeze(-1)[truncated].all() and truncated.any(),
    )

    # Around it: sample from what was filled.
    filled = TensorDictReplayBuffer(storage=TensorStorage(rows), batch_size=400, **ends)
    told.slices(filled.sample(), 4, ("next", "reward"))
    filled.append_transform(UnsqueezeTransform(dim=-1, in_keys=[("next", "reward")], in_keys_inv=[]))
    assert filled.sample()["next", "reward"].shape == (400, 1)
    told.transform("UnsqueezeTransform gives rewards the last dimension that losses want")
    told.print(rows, steps=STEPS)
