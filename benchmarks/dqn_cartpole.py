"""Lesson 07's own code as benchmarks run it: the whole notebook, or its definitions, trained and examined."""

from __future__ import annotations

import functools
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from benchmarks.lesson_code import EXAM_EPISODES, code_cells, defining_code, run_code, without_stderr

LESSON = "07_dqn"


def cells() -> list[NotebookNode]:
    return code_cells(LESSON)


def code() -> str:
    """The lesson's code: another sentence in its prose leaves what was measured as true as it was."""
    return "\n".join(cell.source for cell in cells())


def recipe_code() -> str:
    """The code that groups execute which do not run the whole notebook."""
    return defining_code(LESSON, "07-switches")


def definitions(seed: int) -> dict:
    """What the lesson defines up to and including its switches, without running what it looks at on the way."""
    return run_code(recipe_code(), seed)


# The whole notebook

# Right after the exam: later cells may use these names anew.
AFTER_THE_EXAM = """
bench_act_two = dict(
    test_return=test_returns.mean().item(), worst=test_returns.min().item(), frames=run.frames, seconds=seconds,
    curve=list(zip(*live.curve("validation"))))
"""
AT_THE_END = """
import json
print("RESULT", json.dumps({
    "act one": dict(
        test_return=evaluate(textbook_agent, EPISODES, settings.test_seed + 1_000 * seed).mean().item(),
        frames=textbook_curve[0][-1], curve=list(zip(*textbook_curve))),
    "act two": bench_act_two | dict(resumes=same(two_legs.loss.state_dict(), resumed.loss.state_dict()))}))
""".replace("EPISODES", str(EXAM_EPISODES))


def index_of(notebook: NotebookNode, text: str) -> int:
    """Which cell holds this text?

    Raises:
        LookupError: none does.
    """
    for number, cell in enumerate(notebook.cells):
        if text in cell.source:
            return number
    raise LookupError(f"No cell of {LESSON}.py has {text!r}; tell benchmarks/dqn_cartpole.py what it is called now.")


def probed_notebook() -> NotebookNode:
    """The lesson as a notebook of its code, with two cells that read what a run leaves behind."""
    notebook = nbformat.v4.new_notebook(cells=cells())
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.cells.insert(index_of(notebook, "test_returns =") + 1, nbformat.v4.new_code_cell(AFTER_THE_EXAM))
    notebook.cells.append(nbformat.v4.new_code_cell(AT_THE_END))
    return notebook


def run_notebook(seed: int) -> dict[str, dict]:
    """Execute the whole lesson with this seed in an empty folder and read what its two acts reached.

    Returns:
        For `act one` and `act two` each: the mean return of the exam, frames, seconds, and the greedy curve.
    """
    import papermill

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.ipynb", Path(folder) / "out.ipynb"
        nbformat.write(probed_notebook(), source)
        start = time.perf_counter()
        with without_stderr():
            papermill.execute_notebook(source, target, parameters={"seed": seed}, cwd=folder, progress_bar=False)
        whole = time.perf_counter() - start
        executed = nbformat.read(target, as_version=4)
    output = "".join(output.get("text", "") for output in executed.cells[-1].outputs)
    acts = json.loads(output.split("RESULT ")[1])
    training = executed.cells[index_of(executed, "textbook_curve =")]
    acts["act one"]["seconds"] = training.metadata.papermill.duration
    acts["act two"]["notebook_seconds"] = whole
    return {name: rounded(act) for name, act in acts.items()}


def rounded(act: dict) -> dict:
    """A result in as many digits as mean something."""
    digits = {"test_return": 1, "seconds": 3, "validation_seconds": 3, "notebook_seconds": 1}
    short = {key: round(fact, digits[key]) if key in digits else fact for key, fact in act.items() if key != "curve"}
    return short | {"frames": int(act["frames"]), "curve": [[int(x), round(y, 1)] for x, y in act["curve"]]}


# The lesson's definitions, trained and examined


def timed(function: Callable, spent: list[float]) -> Callable:
    """`function`, which from now on appends the seconds of each call to `spent`."""

    def call(*args, **kwargs):
        start = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            spent.append(time.perf_counter() - start)

    return call


def train_and_test(space: dict, seed: int) -> dict:
    """Act two from a fresh start to its stop or its cap, then the exam.

    Args:
        space: what `definitions` returns, its `settings` changed or not.
        seed: of the run.

    Returns:
        The mean return of the exam, frames, seconds (validation included), seconds of validation, validation curve.
    """
    curve, judging = [], []
    space["validate"] = timed(space["validate"], judging)  # `train` looks it up when it runs
    start = time.perf_counter()
    run = space["build"](seed)
    space["train"](run, space["settings"].max_frames, lambda frames, validation: curve.append((frames, validation)))
    seconds = time.perf_counter() - start
    if run.best_weights is not None:
        run.agent.load_state_dict(run.best_weights)
    returns = exam(space, run.agent, seed)
    return rounded(
        {
            "test_return": returns,
            "frames": run.frames,
            "seconds": seconds,
            "validation_seconds": sum(judging),
            "curve": curve,
        }
    )


def exam(space: dict, agent: Callable, seed: int) -> float:
    """The mean return of the one exam that every agent of this benchmark sits."""
    returns = space["evaluate"](agent, EXAM_EPISODES, space["settings"].test_seed + 1_000 * seed)
    return returns.mean().item()


@functools.cache
def warm_up() -> None:
    """Pay for what the first training in a process costs once: imports, the allocator, the first batch."""
    space = definitions(seed=0)
    space["validate"] = lambda run: 0.0
    space["train"](space["build"](0), first_frames(space["settings"]))


def first_frames(settings) -> int:
    """Frames, in whole batches, after which a run has made its first updates."""
    return settings.batch_frames * (settings.warm_up // settings.batch_frames + 2)
