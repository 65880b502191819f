"""Lesson 07's own training in legs, killed again and again, and once left in peace.

    python tests/faults/killed_training.py FOLDER SEED

leaves `killed.pt` and `in_peace.pt` in FOLDER and prints, one line of JSON each, when it killed and what it saw. A
kill is SIGKILL: nothing in the killed process can still act on it.
"""

from __future__ import annotations

import io
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from benchmarks.dqn_cartpole import cells, definitions

FRAMES = 4_096
# Never solved, and quick.
SMALL = {"stop_at": float("inf"), "validation_episodes": 2, "updates": 8, "width": 64}
RANDOM_KILLS = 3


def lesson(seed: int, **changes) -> dict:
    """What lesson 07 defines, the training in legs included.

    Args:
        seed: of the lesson.
        changes: to its settings.

    Raises:
        LookupError: the lesson defines no such function any more.
    """
    space = definitions(seed)
    wanted = ["save", "load", "train_in_legs"]
    for cell in cells():
        if any(f"def {name}(" in cell.source for name in wanted):
            exec(cell.source, space)
    if missing := [name for name in wanted if name not in space]:
        raise LookupError(
            f"Lesson 07 defines no {missing[0]!r}; tell tests/faults/killed_training.py what it is called now."
        )
    space["settings"] = replace(space["settings"], **changes)
    return space


def in_a_process(work: Callable[[], None], kill_after: float | None = None) -> bool:
    """Do `work` in a process of its own, and kill it after so many seconds; was it killed?

    Raises:
        RuntimeError: the work failed.
    """
    process = os.fork()
    if process == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(process, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if code not in (0, -signal.SIGKILL):
        raise RuntimeError("The training failed; see above.")
    return code == -signal.SIGKILL


def die_while_writing(share: float) -> None:
    """From now on torch.save writes this share of the bytes to the disk, and the process is killed."""
    whole_save = torch.save

    def save(state, file) -> None:
        whole = io.BytesIO()
        whole_save(state, whole)
        with open(file, "wb") if isinstance(file, str | os.PathLike) else file as opened:
            opened.write(whole.getvalue()[: int(share * whole.tell())])
            opened.flush()
            os.kill(os.getpid(), signal.SIGKILL)

    torch.save = save


def main(folder: Path, seed: int) -> None:
    rng = random.Random(seed)
    space = lesson(0, **SMALL)
    killed, first_frame = folder / "killed.pt", folder / "first_frame"

    def tell(**facts) -> None:
        print(json.dumps(facts), flush=True)

    def train(path: Path) -> None:
        def watch(frames: int, validation: float) -> None:
            if not first_frame.exists():
                first_frame.write_text(str(frames))

        space["train_in_legs"](1, FRAMES, path, watch)

    def train_until_the_second_checkpoint(share: float) -> None:
        def save(run, path) -> None:
            if path_save.legs == 1:
                die_while_writing(share)
            path_save.legs += 1
            path_save(run, path)

        path_save = space["save"]
        path_save.legs = 0
        space["save"] = save
        train(killed)

    start = time.perf_counter()
    in_a_process(lambda: train(folder / "in_peace.pt"))
    duration = time.perf_counter() - start
    tell(what="in peace", seconds=round(duration, 2))

    def frames_saved() -> int:
        return space["load"](killed).frames if killed.exists() else 0

    def attempt(what: str, work: Callable[[], None], kill_after: float | None = None, **facts) -> None:
        before = frames_saved()
        first_frame.unlink(missing_ok=True)
        hit = in_a_process(work, kill_after)
        began = int(first_frame.read_text()) if first_frame.exists() else None
        tell(what=what, hit=hit, before=before, began=began, after=frames_saved(), **facts)

    share = rng.random()
    attempt("killed while writing", lambda: train_until_the_second_checkpoint(share), share=share)
    for _ in range(RANDOM_KILLS):
        moment = rng.uniform(0, 0.35 * duration)
        attempt("killed at a random moment", lambda: train(killed), moment, moment=moment)
    attempt("to the end", lambda: train(killed))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
