"""One family of worlds in a virtual environment of its own: what it adds is installed, its script run."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
import tomllib
from importlib.metadata import distributions
from pathlib import Path

from benchmarks.fingerprint import shape
from benchmarks.store import ROOT, cpu_name, hash_of

WORLDS = ROOT / "examples" / "worlds"
REQUIREMENTS = WORLDS / "requirements"
BUILT = ROOT / "build" / "worlds"
PICTURES = ROOT / "docs" / "worlds"
HELD = ("torch", "torchrl", "tensordict")  # no family may replace these
CPU_SECONDS, SECONDS = 240, 2_400  # for a script: it is judged by CPU time, and a machine may be busy
LONGEST = 300  # letters of an error


class Refused(Exception):
    """An installation that failed; the message is the first error, shortened."""


def families() -> dict[str, dict]:
    """What stands in examples/worlds/families.toml, by the family's name."""
    return tomllib.loads((WORLDS / "families.toml").read_text())


def script_of(name: str) -> Path:
    return WORLDS / f"{name}_world.py"


def made_by(name: str) -> str:
    """A hash of all that decides what a family's record says: its script and what that uses, its entry, its pins."""
    helpers = [WORLDS / "tour.py", WORLDS / "stand_ins" / f"{name}.py"]
    code = [repr(shape(code_of(path), {})) for path in [script_of(name), *helpers] if path.exists()]
    entry = {
        key: fact
        for key, fact in families()[name].items()
        if key in ("needs", "source", "attempt", "settings", "stand_in", "stand_in_pins")
    }
    return hash_of("\n".join([*code, json.dumps(entry), *pins_of(name)]))


def code_of(path: Path) -> list[ast.stmt]:
    """The statements of a file without its docstring."""
    tree = ast.parse(path.read_text())
    return tree.body[1:] if ast.get_docstring(tree) else tree.body


def pins_of(name: str) -> list[str]:
    """The exact versions that a family adds, from its list."""
    lines = (REQUIREMENTS / f"{name}.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


# Installing


def held_pins() -> dict[str, str]:
    """{package: version} of all that the course's own environment holds."""
    found = {dist.metadata["Name"].lower().replace("_", "-"): dist.version.split("+")[0] for dist in distributions()}
    return {name: version for name, version in found.items() if name != "torchrl-course"}


def make_venv(folder: Path) -> Path:
    """An empty virtual environment that sees the packages of the Python that runs this, behind its own.

    Returns:
        Its Python.
    """
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site_of(folder) / "course.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return folder / "bin" / "python"


def site_of(folder: Path) -> Path:
    return next((folder / "lib").glob("python*")) / "site-packages"


def install_commands(pins: list[str], source: list[str]) -> list[list[str]]:
    """What installs these pins and nothing else: wheels, and from source alone what is named there."""
    named = [pin for pin in pins if name_of(pin) in source]
    wheels = [pin for pin in pins if pin not in named]
    kinds = [(wheels, ["--no-deps", "--only-binary", ":all:"]), (named, ["--no-deps"])]
    return [["pip", "install", *flags, *some] for some, flags in kinds if some]


def uv(python: Path, arguments: list[str]) -> str:
    """Run uv's pip on an environment.

    Raises:
        Refused: it failed.
    """
    command = [sys.executable, "-m", "uv", *arguments[:2], "--python", python, *arguments[2:]]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise Refused(shortened(done.stderr))
    return done.stdout


def shortened(said: str) -> str:
    """The first error in what an installer said, on one line, without what machines differ in."""
    lines = [line for line in said.splitlines() if line.strip() and not line.startswith(("Using", "Resolved", "warn"))]
    text = re.sub(r"\s+", " ", " ".join(lines).split("hint:")[0])
    for noise in ("× No solution found when resolving dependencies: ╰─▶ ", "error: ", "cause: "):
        text = text.replace(noise, "")
    return cut(re.sub(r"/\S*/", "", text).strip())


def cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 4].rsplit(" ", 1)[0] + " ..."


def megabytes(folder: Path) -> int:
    return round(sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6)


# Running


def last_error(said: str) -> str:
    """The last line of a traceback, which names the error; what else was said last, where there is none."""
    lines = [line.strip() for line in said.strip().splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"^[\w.]*(Error|Exception|Refused|Exit)\b", line)]
    text = (errors or lines or ["it stopped without a word"])[-1]
    return cut(re.sub(r"(?<![\w.])/\S*/", "", text))


def environment_of(entry: dict) -> dict[str, str]:
    quiet = {"OMP_NUM_THREADS": "1", "RL_LOGGING_LEVEL": "WARNING", "SDL_VIDEODRIVER": "dummy", "HF_HUB_OFFLINE": "1"}
    return {**os.environ, **quiet, "PYTHONPATH": "", **entry.get("settings", {})}


def run_script(python: Path, script: list, entry: dict, folder: Path) -> dict:
    """Run one script.

    Returns:
        Its facts so far, and `error` where it did not come to its end.
    """
    facts, picture = folder / "facts.json", folder / "picture.webp"
    for path in (facts, picture):
        path.unlink(missing_ok=True)
    command = [python, *script, "--facts", facts, "--picture", picture]
    try:
        done = subprocess.run(
            ["bash", "-c", f'ulimit -t {CPU_SECONDS}; exec "$@"', "limited", *command],
            **{"capture_output": True, "text": True, "timeout": SECONDS, "env": environment_of(entry), "cwd": folder},
        )
        error = last_error(done.stderr) if done.returncode > 0 else ""
        if done.returncode < 0:
            error = f"stopped by signal {-done.returncode}, after {CPU_SECONDS} s of CPU time if that is 9 or 24"
    except subprocess.TimeoutExpired:
        error = f"not finished after {SECONDS} s"
    found = json.loads(facts.read_text()) if facts.exists() else {}
    return found | ({"error": error} if error else {})


def try_family(name: str, folder: Path | None = None, pins: list[str] | None = None) -> dict:
    """Install what a family adds, run its script and tell what came of it.

    Args:
        name: of the family.
        folder: where its environment is made and removed again; the picture stays.
        pins: what to install instead of the family's list.

    Returns:
        The record: pins, megabytes, seconds, and either the facts of its tour or the first error. Where a simulator
        cannot run, `stand_in` has the facts of the wrapper's own code over a stand-in.
    """
    entry = families()[name]
    folder = folder or BUILT / name
    folder.mkdir(parents=True, exist_ok=True)
    pins = pins_of(name) if pins is None else pins
    python = make_venv(folder / "venv")
    record = {"pins": pins, "made by": made_by(name), "cpu": cpu_name()}
    before = megabytes(site_of(folder / "venv"))
    try:
        start = time.perf_counter()
        try:
            if not all("==" in pin for pin in pins):  # no releases went together when its list was made
                pins = record["pins"] = find_pins(name)
            for command in install_commands(pins, entry.get("source", [])):
                uv(python, command)
            record |= {"ran": True, "step": "install"}
        except Refused as refusal:
            record |= {"ran": False, "step": "install", "error": str(refusal)}
        record["megabytes"] = megabytes(site_of(folder / "venv")) - before
        record["install_seconds"] = round(time.perf_counter() - start, 1)
        if record["ran"]:
            attempt = entry.get("attempt")
            asked = ["-c", attempt] if attempt else [script_of(name)]
            found = run_script(python, asked, entry, folder)
            record |= {"step": "run", "ran": "error" not in found} | found
        if entry.get("stand_in"):
            python = make_venv(folder / "venv")
            for command in install_commands(entry.get("stand_in_pins", []), entry.get("source", [])):
                uv(python, command)
            record["stand_in"] = run_script(python, [script_of(name)], entry, folder)
        if (picture := folder / "picture.webp").exists():
            record["picture_file"] = picture_name(name, picture.read_bytes())
    finally:
        shutil.rmtree(folder / "venv", ignore_errors=True)
    return record


def picture_name(name: str, content: bytes) -> str:
    """The name of a picture on the page: the family's, and a hash, so that record and picture belong together."""
    return f"{name}-{hashlib.sha256(content).hexdigest()[:8]}.webp"


def find_pins(name: str) -> list[str]:
    """The exact versions that a family adds to the course, or replaces: what it needs, with the course's own releases
    where that goes, else with its torch, TorchRL and TensorDict at least.

    Raises:
        Refused: no releases go together with those three.
    """
    entry, held = families()[name], held_pins()
    try:
        found = resolve(entry["needs"], held, entry.get("source", []))
    except Refused:
        found = resolve(entry["needs"], {package: held[package] for package in HELD}, entry.get("source", []))
    added = [pin for pin in found if held.get(pin.split("==")[0]) != pin.split("==")[1]]
    return [pin for pin in added if not pin.startswith(("nvidia-", "cuda-", "triton")) and name_of(pin) not in HELD]


def name_of(pin: str) -> str:
    return re.split(r"[=<>@\[ ]", pin)[0]


def lock(name: str) -> list[str]:
    """Write a family's list: exact versions, or what it needs as it stands where no releases go together."""
    try:
        pins, head = find_pins(name), f"# What {name} adds to the course or replaces there."
    except Refused as refusal:
        pins, head = families()[name]["needs"], f"# No releases go together: {refusal}"
    lines = [head, f"# Made by `python -m tools.worlds lock {name}`.", *pins]
    (REQUIREMENTS / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return pins


def resolve(needs: list[str], held: dict[str, str], source: list[str], python: Path | None = None) -> list[str]:
    """Releases that go together: `name==version`, as uv finds them.

    Raises:
        Refused: none do.
    """
    BUILT.mkdir(parents=True, exist_ok=True)
    asked, kept = BUILT / "needs.txt", BUILT / "held.txt"
    asked.write_text("\n".join(needs) + "\n")
    kept.write_text("\n".join(f"{package}=={version}" for package, version in held.items()) + "\n")
    quiet = ["--quiet", "--no-header", "--no-annotate"]
    wheels = ["--only-binary", ":all:", *(word for package in source for word in ("--no-binary", package))]
    if not needs:
        return []
    said = uv(python or Path(sys.executable), ["pip", "compile", asked, "--constraints", kept, *quiet, *wheels])
    return [line.split(" ;")[0].strip() for line in said.splitlines() if "==" in line]
