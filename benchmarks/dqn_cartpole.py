"""How often and how fast lesson 07's agent solves CartPole, over many seeds: `make bench`.

Runs the lesson's own code: the whole notebook with another seed (`recipe`), and, for the ablations and the comparison
with Stable-Baselines3, the lesson's definitions with one setting changed. Results go to
benchmarks/results/07_dqn.json after each run; a run that is in there is not repeated.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import tempfile
import time
from dataclasses import replace
from datetime import date
from importlib.metadata import version
from pathlib import Path

import jupytext
import nbformat

from benchmarks.results_table import table

ROOT = Path(__file__).resolve().parents[1]
LESSON = ROOT / "lessons" / "07_dqn.py"
RESULTS = ROOT / "benchmarks" / "results" / "07_dqn.json"
FIRST_SEED = 100  # the recipe was found on smaller seeds
NOT_NEEDED = {"parameters", "exercise", "solution", "look"}
ABLATIONS = {
    "all three changes": {},
    "without the input scale": {"input_scale": (1.0, 1.0, 1.0, 1.0)},
    "with the ordinary reward and gamma 0.99": {"failure_reward": False, "gamma": 0.99},
    "with one environment": {"envs": 1},
}


def definitions(seed: int) -> dict:
    """What the lesson defines up to and including its switches, without running what it looks at on the way."""
    space: dict = {"seed": seed}
    for cell in jupytext.read(LESSON, fmt="py:percent").cells:
        if cell.cell_type == "code" and not NOT_NEEDED & set(cell.metadata.get("tags", [])):
            exec(cell.source, space)
        if cell.metadata.get("id") == "07-switches":
            return space
    raise LookupError(f"{LESSON.name} has no cell with the id 07-switches")


def run_notebook(seed: int) -> dict:
    """Execute the whole notebook with this seed and read what it leaves behind."""
    import papermill

    notebook = nbformat.read(ROOT / "notebooks" / f"{LESSON.stem}.ipynb", as_version=4)
    report = (
        "import json\n"
        "textbook = evaluate(textbook_agent, 100, settings.test_seed + 1_000 * seed).mean().item()\n"
        "print('RESULT', json.dumps(dict(test_return=test_return, worst=test_returns.min().item(), "
        "frames=run.frames, seconds=seconds, textbook_return=textbook, resumes=same(two_legs.loss.state_dict(), "
        "resumed.loss.state_dict()))))"
    )
    notebook.cells.append(nbformat.v4.new_code_cell(report))
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.ipynb", Path(folder) / "out.ipynb"
        nbformat.write(notebook, source)
        start = time.perf_counter()
        papermill.execute_notebook(source, target, parameters={"seed": seed}, cwd=folder, progress_bar=False)
        whole = time.perf_counter() - start
        last = nbformat.read(target, as_version=4).cells[-1].outputs[-1].text
    return json.loads(last.split("RESULT ")[1]) | {"notebook_seconds": whole}


def run_ablation(name: str, seed: int) -> dict:
    """Act two with some settings changed, then the exam."""
    import torch

    torch.set_num_threads(1)
    space = definitions(seed)
    settings = replace(space["settings"], **ABLATIONS[name])
    space["settings"] = settings
    start = time.perf_counter()
    run = space["build"](seed)
    space["train"](run, settings.max_frames)
    seconds = time.perf_counter() - start
    run.agent.load_state_dict(run.best_weights)
    returns = space["evaluate"](run.agent, 100, settings.test_seed + 1_000 * seed)
    return {"test_return": returns.mean().item(), "frames": run.frames, "seconds": seconds}


def run_job(job: tuple[str, str, int]) -> tuple[str, str, int, dict]:
    group, name, seed = job
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if group == "notebook":
        return group, name, seed, run_notebook(seed)
    if group == "ablations":
        return group, name, seed, run_ablation(name, seed)
    from benchmarks.sb3_dqn import run_peer

    return group, name, seed, run_peer(name, seed, definitions(seed))


def environment() -> dict:
    """What the numbers were measured with."""
    packages = ["torch", "torchrl", "tensordict", "gymnasium"]
    return {name: version(name) for name in packages} | {
        "python": platform.python_version(),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "date": date.today().isoformat(),
        "command": "make bench",
    }


def cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    return names[0].split(":")[1].strip() if names else platform.processor()


def read_results() -> dict:
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {"runs": {}}


def store(results: dict, group: str, name: str, seed: int, result: dict) -> None:
    results["measured with"] = environment()
    results["runs"].setdefault(group, {}).setdefault(name, {})[str(seed)] = result
    RESULTS.parent.mkdir(exist_ok=True)
    draft = RESULTS.with_suffix(".draft")
    draft.write_text(json.dumps(results, indent=1) + "\n")
    draft.replace(RESULTS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--groups", nargs="*", default=["notebook", "ablations", "peers"])
    arguments = parser.parse_args()
    seeds = range(FIRST_SEED, FIRST_SEED + arguments.seeds)
    names = {"notebook": ["lesson 07"], "ablations": list(ABLATIONS), "peers": ["TorchRL", "Stable-Baselines3"]}
    results = read_results()
    jobs = [(group, name, seed) for group in arguments.groups for seed in seeds for name in names[group]]
    todo = [job for job in jobs if str(job[2]) not in results["runs"].get(job[0], {}).get(job[1], {})]
    print(f"{len(jobs) - len(todo)} of {len(jobs)} runs are there already")
    # Peers are compared with each other, so they run one after the other, seed by seed, not side by side.
    together = [job for job in todo if job[0] != "peers"]
    with multiprocessing.get_context("spawn").Pool(os.cpu_count(), maxtasksperchild=1) as pool:
        for number, done in enumerate(pool.imap_unordered(run_job, together), 1):
            store(results, *done)
            print(f"{number}/{len(together)}", *done, flush=True)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        for done in pool.imap(run_job, [job for job in todo if job[0] == "peers"]):
            store(results, *done)
            print(*done, flush=True)
    for group in arguments.groups:
        print(f"\n{group}\n{table(results['runs'][group])}")


if __name__ == "__main__":
    main()
