"""DQN Replay: what a DQN saw in training on Atari; a gzipped .npy file for each column of each part of a run.

Redirected: the command `gsutil`, with which the loader lists and copies; ours does that in a folder.
"""

from __future__ import annotations

import gzip
import os
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
from ours import Episode, episodes
from told import Told
from torchrl.data import SliceSampler
from torchrl.data.datasets import AtariDQNExperienceReplay
from torchrl.envs import UnsqueezeTransform

record, told = episodes(count=6, size=84), Told()
PARTS = [record[:3], record[3:]]  # a real run has fifty parts, of a million frames each
GSUTIL = """#!/bin/sh
case "$*" in
  version) ;;
  *ls*) ls "{folder}"/*.gz ;;
  *) for last; do :; done; for file; do case "$file" in *.gz) cp "$file" "$last" ;; esac; done ;;
esac
"""


def columns(part: list[Episode]) -> dict[str, np.ndarray]:
    return {
        "observation": np.concatenate([it.pixels[:-1].mean(-1).astype(np.uint8) for it in part]),
        "action": np.concatenate([it.action.astype(np.int32) for it in part]),
        "reward": np.concatenate([it.reward for it in part]),
        "terminal": np.concatenate([it.terminated | it.truncated for it in part]).astype(np.uint8),
    }


with tempfile.TemporaryDirectory() as temporary:
    folder = Path(temporary)
    for number, part in enumerate(PARTS):
        files = {f"$store$_{key}": column for key, column in columns(part).items()}
        for key, column in (files | {"add_count": np.array(sum(map(len, part)))}).items():
            with gzip.open(folder / f"{key}_ckpt.{number}.gz", "wb") as file:
                np.save(file, column)
    tool = folder / "bin" / "gsutil"
    tool.parent.mkdir()
    tool.write_text(GSUTIL.format(folder=folder))
    tool.chmod(0o755)
    os.environ["PATH"] = f"{tool.parent}:{os.environ['PATH']}"

    warnings.simplefilter("ignore")  # that the collection is no longer there, and a batch size at a call
    data = AtariDQNExperienceReplay("Pong/5", 8, root=folder / "cache", slice_len=4)
    rows, written, first = data[:], columns(record), sum(map(len, PARTS[0]))
    for key, name in {"observation": "observation", "action": "action"}.items():
        told.same(name, rows[name], written[key])
    for key, name in {"reward": "reward", "terminal": "terminated"}.items():
        told.same(f"next > {name}", rows["next", name], written[key])
    inside = torch.as_tensor(written["terminal"] == 0)
    told.same(
        "next > observation (within episodes)",
        rows["next", "observation"][inside],
        written["observation"][1:][inside[:-1]],
    )

    swapped = torch.tensor([first, 0, first + 1, 1])
    told.fault(
        "rows asked for from two parts come in another order",
        not torch.equal(data[swapped]["next", "reward"], rows["next", "reward"][swapped]),
    )
    told.fault(
        "ends are uint8, and like rewards without a last dimension",
        rows["next", "done"].dtype == torch.uint8 and rows["next", "done"].ndim == 1,
    )
    ends_inside = data.sample(400)["next", "terminated"].reshape(-1, 4)[:, :-1]
    told.fault("the last step of an episode counts to the next: slices run across ends", ends_inside.any())

    # Around it: numbers of episodes that change after the last step, not with it.
    whole = SliceSampler(slice_len=4, trajectories=data.episodes - rows["next", "terminated"].long(), cache_values=True)
    data = AtariDQNExperienceReplay("Pong/5", 8, root=folder / "cache", sampler=whole)
    told.slices(data.sample(400), 4, ("next", "reward"))

    data.append_transform(UnsqueezeTransform(dim=-1, in_keys=[("next", "reward")], in_keys_inv=[]))
    assert data.sample()["next", "reward"].shape == (8, 1)
    told.transform("UnsqueezeTransform gives rewards the last dimension that losses want")
    told.print(rows, steps=len(inside))
