"""LeRobot, format v3.0: parquet files of frames, of episodes and of tasks, and one mp4 a camera.

Redirected: Hugging Face's address, by its own variable `HF_ENDPOINT`.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import av
import numpy as np
import pyarrow
import pyarrow.parquet as parquet
import torch
from ours import episodes
from server import serve
from told import Told

record, told = episodes(size=64), Told()
CAMERA, FPS = "observation.images.top", 10
TASKS = ["keep the pole up", "keep the pole up, please"]


def write(root: Path) -> None:
    lengths = [len(it) for it in record]
    ends = np.cumsum(lengths)
    frames = {
        "observation.state": [row for it in record for row in it.observation[:-1].tolist()],
        "action": [row for it in record for row in it.push.tolist()],
        "episode_index": np.repeat(range(len(record)), lengths).tolist(),
        "frame_index": np.concatenate([np.arange(length) for length in lengths]).tolist(),
        "timestamp": (np.concatenate([np.arange(length) for length in lengths]) / FPS).tolist(),
        "next.reward": np.concatenate([it.reward for it in record]).tolist(),
        "next.done": np.concatenate([it.terminated | it.truncated for it in record]).tolist(),
        "index": list(range(ends[-1])),
        "task_index": np.repeat([number % 2 for number in range(len(record))], lengths).tolist(),
    }
    about = {
        "episode_index": list(range(len(record))),
        "length": lengths,
        f"videos/{CAMERA}/chunk_index": [0] * len(record),
        f"videos/{CAMERA}/file_index": [0] * len(record),
        f"videos/{CAMERA}/from_timestamp": [
            (end - length) / FPS for end, length in zip(ends.tolist(), lengths, strict=True)
        ],
    }
    tables = {
        "data/chunk-000/file-000": frames,
        "meta/episodes/chunk-000/file-000": about,
        "meta/tasks": {"task_index": [0, 1], "task": TASKS},
    }
    for name, columns in tables.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(pyarrow.table(columns), root / f"{name}.parquet")
    info = {"codebase_version": "v3.0", "fps": FPS, "features": {CAMERA: {"dtype": "video"}}}
    info["video_path"] = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
    (root / "meta/info.json").write_text(json.dumps(info))
    film = root / info["video_path"].format(video_key=CAMERA, chunk_index=0, file_index=0)
    film.parent.mkdir(parents=True)
    with av.open(str(film), "w") as out:
        stream = out.add_stream("libx264rgb", rate=FPS, width=64, height=64, pix_fmt="rgb24", options={"crf": "0"})
        for picture in np.concatenate([it.pixels[:-1] for it in record]):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        out.mux(stream.encode())


with tempfile.TemporaryDirectory() as temporary, serve(Path(temporary)):
    folder = Path(temporary)
    write(folder / "ours" / "cartpole")
    from torchrl.data.datasets import LeRobotExperienceReplay
    from torchrl.envs import Transform

    class Frames(Transform):
        """Decodes pictures with PyAV: TorchRL's own transform needs torchcodec, which needs a system's FFmpeg."""

        def forward(self, data):
            ref = data["observation", "image", "top"]
            with av.open(ref.sources[0]) as film:
                frames = [torch.as_tensor(frame.to_ndarray(format="rgb24")) for frame in film.decode(video=0)]
            return data.set(("observation", "image", "top"), torch.stack([frames[at] for at in ref.frame_index]))

    options = {"root": folder / "cache", "batch_size": 400, "slice_len": 4, "decode_video": False}
    data = LeRobotExperienceReplay("ours/cartpole", **options)
    rows, done = data[:], np.concatenate([it.terminated | it.truncated for it in record])
    told.same(
        "observation > state", rows["observation", "state"], np.concatenate([it.observation[:-1] for it in record])
    )
    told.same("action", rows["action"], np.concatenate([it.push for it in record]))
    told.same("next > reward", rows["next", "reward"], np.concatenate([it.reward for it in record]))
    told.same("next > done", rows["next", "done"], done)
    episode = np.repeat(range(len(record)), [len(it) for it in record])
    told.same("episode", rows["episode"], episode)
    assert rows["language_instruction"] == [TASKS[number % 2] for number in episode]
    told.says["equal"].append("language_instruction")

    batch = data.sample()
    told.slices(batch, 4, "frame")
    told.fault("no next observation is stored", ("next", "observation", "state") not in rows.keys(True))
    told.fault(
        "only `done` is stored: a batch says terminated nowhere, not even after a fall",
        not batch["next", "terminated"].any(),
    )
    # Around the first: the class's own argument, which fills the last step of each slice with NaN.
    again = LeRobotExperienceReplay("ours/cartpole", rehydrate=True, download=False, transform=Frames(), **options)
    batch = again.sample()
    after = batch["next", "observation", "state"].reshape(-1, 4, 4)
    told.same(
        "next > observation > state, rehydrated", after[:, :-1], batch["observation", "state"].reshape(-1, 4, 4)[:, 1:]
    )
    told.fault("rehydrated, the last step of a slice has NaN as its next observation", after[:, -1].isnan().any())
    written = np.concatenate([it.pixels[:-1] for it in record])
    told.same(
        "observation > image > top, decoded", batch["observation", "image", "top"], written[batch["index"].flatten()]
    )
    told.transform("Frames, ten lines with PyAV: stored is where a picture is, sampled is the picture")
    told.print(rows, steps=len(done))
