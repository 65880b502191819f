"""Results on disk: small JSON files that a kill cannot harm, and what each group of runs was measured with."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PACKAGES = ["torch", "torchrl", "tensordict", "gymnasium", "numpy", "stable-baselines3"]
DEPTH = 4  # {"runs": {group: {arm: {key: one run per line}}}}
MACHINE = ("cpu", "cores", "gpu")
ELSEWHERE = "later runs, without their seconds, on"
SAYS_NOTHING_OF_THE_RUNS = {"date", "command", ELSEWHERE}


class Store:
    """One file of results: `runs[group][arm][key]`, the key being a seed, a repeat or a size.

    It is written anew after every run, beside the old one and then in its place, so there is a whole file at any time.

    Args:
        path: the JSON file; it need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        found = json.loads(path.read_text()) if path.exists() else {}
        stamps = found.get("measured with", {})
        # Before groups had a stamp each, there was one flat stamp; it says nothing of a single group.
        self.stamps = {group: stamp for group, stamp in stamps.items() if isinstance(stamp, dict)}
        self.runs = found.get("runs", {})
        self.without_seconds: set[str] = set()  # groups whose seconds are of another machine

    def begin(self, group: str, arms: list[str], stamp: dict, *, only_seconds: bool = False) -> int:
        """Get ready for more runs of a group.

        Runs made by other code or with other versions are forgotten: a median over both would mean nothing. So are
        arms that no longer exist. Another machine alone leaves frames and success as they are. Seconds stay those of
        the machine that was first: runs added on another one are stored without theirs (facts called `seconds` or
        `..._seconds`), so that no reader of the file can mix them. Where there is nothing but seconds, the runs of
        another machine are forgotten.

        Args:
            group: the group's name.
            arms: its arms, in the order in which they are stored and shown.
            stamp: what the new runs will be measured with.
            only_seconds: as in `Group`.

        Returns:
            The number of runs forgotten.
        """
        old, before = self.runs.get(group, {}), self.stamps.get(group, {})
        here = machine(before) == machine(stamp)
        keep = same_conditions(before, stamp) and (here or not only_seconds)
        self.runs[group] = {arm: old.get(arm, {}) if keep else {} for arm in arms}
        kept = sum(map(len, self.runs[group].values()))
        self.without_seconds.discard(group)
        if kept:
            others = before.get(ELSEWHERE, [])
            if not here:
                self.without_seconds.add(group)
                others = list(dict.fromkeys([*others, machine_words(stamp)]))
            stamp = {key: fact for key, fact in stamp.items() if key not in MACHINE} | machine(before)
            stamp |= {ELSEWHERE: others} if others else {}
        self.stamps[group] = stamp
        return sum(map(len, old.values())) - kept

    def has(self, group: str, arm: str, key: int) -> bool:
        return str(key) in self.runs.get(group, {}).get(arm, {})

    def add(self, group: str, key: int, results: dict[str, dict]) -> None:
        """Store what one job found, one result per arm, and write the file; `begin` says when without its seconds.

        Raises:
            ValueError: a result holds a number that JSON has no word for (not a number, infinite).
        """
        for arm, result in results.items():
            runs = self.runs[group].setdefault(arm, {})
            runs[str(key)] = frames_and_success(result) if group in self.without_seconds else result
            self.runs[group][arm] = dict(sorted(runs.items(), key=lambda item: int(item[0])))
        self.write()

    def write(self) -> None:
        runs = {
            group: {arm: found for arm, found in arms.items() if found} for group, arms in sorted(self.runs.items())
        }
        runs = {group: arms for group, arms in runs.items() if arms}
        stamps = {group: stamp for group, stamp in sorted(self.stamps.items()) if group in runs}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_suffix(".draft")
        with draft.open("w") as file:
            file.write(pretty({"measured with": stamps, "runs": runs}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.path)


def pretty(value: object, depth: int = DEPTH, indent: str = "") -> str:
    """JSON with one line per run, so that a new run is one new line in a diff.

    Raises:
        ValueError: as `json.dumps(allow_nan=False)`.
    """
    if depth == 0 or not isinstance(value, dict) or not value:
        return json.dumps(value, allow_nan=False)
    lines = [f"{indent} {json.dumps(key)}: {pretty(inner, depth - 1, indent + ' ')}" for key, inner in value.items()]
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def same_conditions(one: dict, other: dict) -> bool:
    """Can frames and success of runs with these two stamps stand in one table?"""
    left_out = {*SAYS_NOTHING_OF_THE_RUNS, *MACHINE}
    bare = [{key: fact for key, fact in stamp.items() if key not in left_out} for stamp in (one, other)]
    return bare[0] == bare[1]


def machine(stamp: dict) -> dict:
    """The part of a stamp that seconds are bound to."""
    return {key: stamp[key] for key in MACHINE if key in stamp}


def machine_words(stamp: dict) -> str:
    return f"{stamp['cpu']} ({stamp['cores']} cores)" + (f", {stamp['gpu']}" if "gpu" in stamp else "")


def is_seconds(fact: str) -> bool:
    return fact == "seconds" or fact.endswith("_seconds")


def has_seconds(run: dict) -> bool:
    return any(map(is_seconds, run))


def frames_and_success(run: dict) -> dict:
    """A run without the facts that are bound to the machine it ran on."""
    return {fact: value for fact, value in run.items() if not is_seconds(fact)}


def environment(code: str, measured_by: str, command: str) -> dict:
    """What runs are measured with.

    Args:
        code: the text of the code under test; its hash is kept.
        measured_by: the hash of the code that measures.
        command: what to type to measure again.
    """
    found = {name: installed(name) for name in PACKAGES}
    return {name: number for name, number in found.items() if number} | {
        "python": platform.python_version(),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        **gpu_name(),
        "code": hash_of(code),
        "measured by": measured_by,
        "date": date.today().isoformat(),
        "command": command,
    }


def hash_of(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()[:12]


def installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    return names[0].split(":")[1].strip() if names else platform.processor()


def gpu_name() -> dict[str, str]:
    import torch

    return {"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}


def read_group(folder: Path, file: str, group: str) -> tuple[dict, dict]:
    """The stamp and the arms of one group; both empty where it was not measured, or not yet with a stamp of its own."""
    store = Store(folder / f"{file}.json")
    if group not in store.stamps or not store.runs.get(group):
        return {}, {}
    return store.stamps[group], store.runs[group]
