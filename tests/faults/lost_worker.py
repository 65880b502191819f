"""Lesson 05's own collectors, one of whose workers is lost.

    python tests/faults/lost_worker.py MultiSyncCollector KILL

prints the error that the loop meets, then how many workers are left.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import re
import signal
import sys
from pathlib import Path

LESSON = Path(__file__).resolve().parents[2] / "lessons" / "05_collectors_and_buffers.py"


def main(kind: str, name: str) -> None:
    import jupytext  # not at the top, which the workers run as well
    import torch

    space = {"__name__": "__main__", "torch": torch}
    wanted = ["def make_env(", "def make_policy(", f"collector = {kind}("]
    with contextlib.redirect_stdout(io.StringIO()):
        for cell in jupytext.read(LESSON, fmt="py:percent").cells:
            if cell.cell_type == "code" and any(words in cell.source for words in wanted):
                if f"{kind}(" in cell.source:
                    space["policy"] = space["make_policy"]()
                longer = re.sub(r"total_frames=\d+", "total_frames=1_000_000", cell.source)
                exec(longer, space)
    collector = space["collector"]
    batches = iter(collector)
    next(batches)
    os.kill(collector.procs[0].pid, getattr(signal, f"SIG{name}"))
    try:
        for _ in batches:
            pass
    except (RuntimeError, ValueError, EOFError, ConnectionError) as error:
        while error:  # and what it was raised from
            print(f"{type(error).__name__}: {error}")
            error = error.__cause__ or error.__context__
    finally:
        collector.shutdown()
    print("left:", len(multiprocessing.active_children()))


if __name__ == "__main__":
    main(*sys.argv[1:])
