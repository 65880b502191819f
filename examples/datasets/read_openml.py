"""OpenML: a table of rows and classes, no episodes; TorchRL makes the record of a bandit of it.

Not redirected: the answers of OpenML's interface lie where scikit-learn keeps those that it has, `SCIKIT_LEARN_DATA`.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import tempfile
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from ours import episodes
from told import Told
from torchrl.data.datasets import OpenMLExperienceReplay
from torchrl.envs import DoubleToFloat

record, told = episodes(), Told()
NAMES = ["cart", "speed", "angle", "turn"]
seen = np.concatenate([it.observation[:-1] for it in record]).astype(float)
label = np.concatenate([it.action for it in record])


def write(folder: Path) -> None:
    """The table, "left" or "right" by four numbers, as ARFF; and the four answers that lead scikit-learn to it."""
    arff = "@RELATION magic\n" + "".join(f"@ATTRIBUTE {name} REAL\n" for name in NAMES)
    arff += "@ATTRIBUTE class {left,right}\n@DATA\n"
    rows = zip(seen.tolist(), label, strict=True)
    arff += "".join(f"{','.join(map(repr, row))},{('left', 'right')[it]}\n" for row, it in rows)
    table = {"id": "1", "name": "MagicTelescope", "version": "1", "format": "ARFF", "status": "active"}
    table |= {"url": "https://www.openml.org/data/v1/download/1", "default_target_attribute": "class"}
    kinds = [(name, "numeric", "false") for name in NAMES] + [("class", "nominal", "true")]
    no = {"is_ignore": "false", "is_row_identifier": "false", "number_of_missing_values": "0"}
    columns = [
        {"index": str(index), "name": name, "data_type": kind, "is_target": target} | no
        for index, (name, kind, target) in enumerate(kinds)
    ]
    about = {"data_set_description": table | {"md5_checksum": hashlib.md5(arff.encode()).hexdigest()}}
    answers = {
        "list/data_name/magictelescope/limit/2/data_version/1": {"data": {"dataset": [{"did": 1}]}},
        "1": about,
        "features/1": {"data_features": {"feature": columns}},
        "qualities/1": {"data_qualities": {"quality": [{"name": "NumberOfInstances", "value": str(len(seen))}]}},
    }
    texts = {f"api/v1/json/data/{path}": json.dumps(answer) for path, answer in answers.items()}
    for path, text in (texts | {"data/v1/download/1": arff}).items():
        file = folder / "openml" / "openml.org" / f"{path}.gz"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(gzip.compress(text.encode()))


with tempfile.TemporaryDirectory() as temporary, patch.dict("os.environ", SCIKIT_LEARN_DATA=temporary):
    write(Path(temporary))
    data = OpenMLExperienceReplay("magic", 8, root=Path(temporary) / "cache")
    rows = data[:]
    told.same("y", rows["y"], label)
    scaled = ((seen - seen.mean(0)) / seen.std(0)).round(9)
    told.same("X, each column at mean 0 and spread 1", rows["X"].round(decimals=9), scaled)
    told.fault("the table is scaled by all of its rows, those that will be tested too", abs(rows["X"].mean()) < 1e-6)
    told.fault("no action, reward or end: those come from OpenMLEnv", set(rows.keys()) == {"X", "y"})
    told.says["slices"] = "none: rows have no order"

    data.append_transform(DoubleToFloat(in_keys=["X"]))
    row = data.sample()
    assert rows["X"].dtype == torch.float64 and row["X"].dtype == torch.float32
    told.transform("DoubleToFloat: the table is float64")
    told.print(rows, steps=len(label))
