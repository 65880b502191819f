"""Open X-Embodiment: robots' demonstrations; .tar files of pickled episodes, and a script that reads them.

Redirected: Hugging Face's address, by its own variable `HF_ENDPOINT`; there lies a loading script of ours.
"""

from __future__ import annotations

import io
import pickle
import sys
import tarfile
import tempfile
import types
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from ours import episodes
from PIL import Image
from server import serve
from told import Told

record, told = episodes(size=64), Told()
SCRIPT = """
import os, pickle
import datasets

class OpenX(datasets.GeneratorBasedBuilder):
    BUILDER_CONFIGS = [datasets.BuilderConfig(name=name) for name in ("cmu_stretch", "viola")]

    def _info(self):
        return datasets.DatasetInfo()

    def _split_generators(self, manager):
        address = os.environ["HF_ENDPOINT"] + "/datasets/jxu124/OpenX-Embodiment/resolve/main"
        archive = manager.download(f"{address}/{self.config.name}/0.tar")
        return [datasets.SplitGenerator("train", {"files": manager.iter_archive(archive)})]

    def _generate_examples(self, files):
        for name, file in files:
            yield name, {"data.pickle": pickle.load(file)}
"""


def steps(number: int, images: bool = False) -> list[dict]:
    """One dictionary a step, with the observation that it starts from; a picture as PNG."""
    it, made = record[number], []
    for step in range(len(it)):
        seen = {"state": it.observation[step]}
        if images:
            Image.fromarray(it.pixels[step]).save(png := io.BytesIO(), "png")
            seen["image"] = {"bytes": png.getvalue()}
        flags = {"is_first": step == 0, "is_last": step == len(it) - 1, "is_terminal": bool(it.terminated[step])}
        told_it = {"language_instruction": f"keep the pole up, {number}"}
        made.append({"observation": seen, "action": it.push[step], "reward": it.reward[step], **flags, **told_it})
    return made


def write(root: Path, name: str, images: bool) -> None:
    (root / name).mkdir(parents=True)
    (root / "OpenX-Embodiment.py").write_text(SCRIPT)
    with tarfile.open(root / name / "0.tar", "w") as tar:
        for number in range(len(record)):
            file = pickle.dumps({"steps": steps(number, images)})
            info = tarfile.TarInfo(f"{number}.data.pickle")
            info.size = len(file)
            tar.addfile(info, io.BytesIO(file))


with tempfile.TemporaryDirectory() as temporary, serve(Path(temporary)):
    folder = Path(temporary)
    write(folder / "jxu124" / "OpenX-Embodiment", "cmu_stretch", images=False)
    write(folder / "jxu124" / "OpenX-Embodiment", "viola", images=True)
    from torchrl.data.datasets import OpenXExperienceReplay, openx
    from torchrl.envs import ExcludeTransform

    options = {"root": folder / "cache", "download": True, "slice_len": 4}
    data = OpenXExperienceReplay("cmu_stretch", 8, **options)
    rows = data[:]
    done = np.concatenate([it.terminated | it.truncated for it in record])
    inside = torch.as_tensor(~done)
    seen = np.concatenate([it.observation[:-1] for it in record])
    after = rows["next", "observation", "state"]
    told.same("observation > state", rows["observation", "state"], seen)
    told.same("next > observation > state (within episodes)", after[inside], seen[1:][inside[:-1]])
    told.same("action", rows["action"], np.concatenate([it.push for it in record]))
    told.same("next > reward", rows["next", "reward"], np.concatenate([it.reward for it in record]))
    told.same("next > done", rows["next", "done"], done)
    told.same("next > terminated", rows["next", "terminated"], np.concatenate([it.terminated for it in record]))
    told.fault("after an episode's last step the next observation is zero", not after[~inside].any())
    sentences = [f"keep the pole up, {number}" for number, it in enumerate(record) for _ in range(len(it))]
    assert rows["language_instruction"] == sentences
    told.says["equal"].append("language_instruction")

    batch = data.sample()
    told.slices(batch, 4, ("next", "reward"))
    told.fault("batch size of `observation` takes in its last dimension", batch["observation"].batch_size == (8, 4))
    streamed = OpenXExperienceReplay("cmu_stretch", 8, num_slices=2, streaming=True).sample()
    told.slices(streamed, 4, ("next", "reward"))
    try:
        OpenXExperienceReplay("viola", 8, **options)
        pictures_need = False
    except ImportError as error:
        pictures_need = "torchvision" in str(error)
    told.fault("pictures need torchvision, for the one function `pil_to_tensor`", pictures_need)

    # Around it: that function, in a module of its name.
    ours = types.ModuleType("torchvision.transforms.v2.functional")
    ours.pil_to_tensor = lambda image: torch.as_tensor(np.array(image)).permute(2, 0, 1)
    parents = {ours.__name__.rsplit(".", depth)[0]: types.ModuleType("parent") for depth in (1, 2, 3)}
    parents["torchvision"].transforms = parents["torchvision.transforms"]
    parents["torchvision.transforms"].v2 = parents["torchvision.transforms.v2"]
    parents["torchvision.transforms.v2"].functional = ours
    with patch.dict(sys.modules, parents | {ours.__name__: ours}), patch.object(openx, "_has_tv", True):
        seen_too = OpenXExperienceReplay("viola", 8, **options | {"download": "force"})
    pictures = np.concatenate([it.pixels[:-1] for it in record]).transpose(0, 3, 1, 2)
    told.same("observation > image", seen_too[:]["observation", "image"], pictures)

    data.append_transform(ExcludeTransform("language_instruction"))
    assert "language_instruction" not in data.sample().keys()  # noqa: SIM118
    told.transform("ExcludeTransform leaves sentences out, which a network of numbers cannot read")
    told.print(rows, steps=len(done))
