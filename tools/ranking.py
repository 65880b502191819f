"""Examine the agents of a folder and rank them: `make ranking FOLDER=agents`.

An agent is `name.onnx` and its card `name.json`. Each is examined in a process of its own, which has no network and
whose time and memory are limited; what the folder holds is data, and nothing of it is run as code. Writes one page and
one JSON file into build/ranking; files there that somebody has changed stay as they are.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import secrets
import signal
import stat
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from course_utils.runs.drafts import draft_in, put_in_place
from tools import ranking_page
from tools.course import ROOT
from tools.ranking_exam import EPISODES

TARGET = ROOT / "build" / "ranking"
EXAM = Path(__file__).with_name("ranking_exam.py")
MOST_AGENTS = 200
MOST_BYTES = {".onnx": 8 * 2**20, ".json": 64 * 2**10}
CORE_SECONDS, MEGABYTES, WALL_SECONDS = 60, 1_024, 180
MADE = "made by make ranking, sha256 of the lines below: "
SENTENCE = 400  # signs of it that are shown


class RankingError(Exception):
    """There is no ranking; the message names the fix."""


class Refused(Exception):
    """A file is not examined; the message says why."""


def stranger(path: Path) -> bytes:
    """A stranger's file, which has to be a plain one, and small.

    Raises:
        Refused: it is a link, no file, or too large; it is not read then.
    """
    most, what = MOST_BYTES[path.suffix], "file" if path.suffix == ".onnx" else "card"
    try:
        # A link is not followed, and a pipe not waited for.
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise Refused(f"Its {what} is missing: {path.name} should lie beside it.") from None
    except OSError:
        raise Refused(f"Its {what} is a link, or cannot be read.") from None
    found = os.fstat(opened)
    if not stat.S_ISREG(found.st_mode):
        os.close(opened)
        raise Refused(f"Its {what} is no plain file.")
    with open(opened, "rb") as file:
        data = file.read(most + 1) if found.st_size <= most else b""
    if found.st_size > most or len(data) > most:
        raise Refused(f"Its {what} has {found.st_size:,} bytes; at most {most:,} are read.")
    return data


def examine(path: Path, seed: int, wall: float = WALL_SECONDS) -> tuple[dict, list[str]]:
    """What came of one agent, and which limits held while it was examined (none where no process was started).

    Returns:
        Its `file`, and what the exam found: `name`, `task`, `claimed`, `licence`, and `mean`, `error`, `worst`, `best`,
        or the sentence under `refused`.
    """
    entry = {"file": path.name}
    try:
        model, card = stranger(path), stranger(path.with_suffix(".json"))
    except Refused as refused:
        return entry | {"refused": str(refused)}, []
    with tempfile.TemporaryDirectory(prefix="ranking-") as folder:
        Path(folder, "model.onnx").write_bytes(model)
        Path(folder, "card.json").write_bytes(card)
        code, said = run(Path(folder), seed, wall)
    lines = said.splitlines()
    limits = texts(parsed(lines[0])) if lines else []
    if code is None:
        return entry | {"refused": f"It was stopped after {wall:.0f} seconds."}, limits
    if code == -signal.SIGXCPU:
        return entry | {"refused": f"It was stopped after {CORE_SECONDS} core seconds."}, limits
    if code or len(lines) != 2:
        return entry | {"refused": f"Its examination broke off ({ending(code)})."}, limits
    return entry | trusted(parsed(lines[1])), limits


def run(folder: Path, seed: int, wall: float) -> tuple[int | None, str]:
    """The exam in a process of its own: its exit status, None where it had to be stopped, and what it wrote.

    It gets none of our variables. What it writes goes into a file, whose size is limited as that of all its files.
    """
    environment = {"PATH": os.defpath, "HOME": str(folder), "OMP_NUM_THREADS": "1", "SDL_VIDEODRIVER": "dummy"}
    numbers = [str(number) for number in (seed, CORE_SECONDS, MEGABYTES)]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, "-I", "-W", "ignore", str(EXAM), *numbers],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # so that whatever it starts can be stopped with it
        )
        try:
            code = process.wait(wall)
        except BaseException as stopped:  # Ctrl-C, too, leaves nobody behind
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if not isinstance(stopped, subprocess.TimeoutExpired):
                raise
            code = None
        output.seek(0)
        return code, output.read(128 * 1024).decode(errors="replace")


def ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit status {code}"


def parsed(line: str) -> object:
    with suppress(ValueError, RecursionError):
        return json.loads(line)
    return None


def texts(value: object) -> list[str]:
    return [str(entry)[:SENTENCE] for entry in value[:10]] if isinstance(value, list) else []


def trusted(result: object) -> dict:
    """What an exam said, without anything that it could not have said if all went well.

    A file that took over its process could write what it likes: texts are cut, numbers have to be numbers.
    """
    if not isinstance(result, dict):
        return {"refused": "Its examination said nothing that can be read."}
    told = {key: str(result[key])[:SENTENCE] for key in ("name", "task", "licence", "refused") if key in result}
    numbers = {key: result[key] for key in ("claimed", "mean", "error", "worst", "best") if key in result}
    good = all(isinstance(value, int | float) and math.isfinite(value) for value in numbers.values())
    if not good or ("refused" not in told and not {"name", "task", "mean"} <= {*told, *numbers}):
        return {"refused": "Its examination said nothing that can be read."}
    return told | numbers


def rank(folder: Path, seed: int | None = None) -> dict:
    """Examine all agents of a folder.

    Args:
        folder: what lies in it and ends in .onnx is an agent; folders below it are not looked into.
        seed: of the first of the episodes, which are the same for all; None: one that nobody can know before.

    Returns:
        `seeds` (the first and the last), `episodes`, `limits` (what held, in words) and `results`, the best first,
        then those that were refused.

    Raises:
        RankingError: there is no such folder, no agent in it, or too many.
    """
    if not hasattr(os, "O_NOFOLLOW"):
        raise RankingError("A ranking needs limits for processes, which Windows has not: run it on Linux or macOS.")
    if not folder.is_dir():
        raise RankingError(f"There is no folder {folder}. Say which: make ranking FOLDER=agents")
    paths = sorted(path for path in folder.iterdir() if path.suffix == ".onnx")
    if not 0 < len(paths) <= MOST_AGENTS:
        raise RankingError(f"{folder} holds {len(paths)} files that end in .onnx; a ranking has 1 to {MOST_AGENTS}.")
    seed = 10**9 + secrets.randbelow(10**9) if seed is None else seed
    results, limits = [], []
    for place, path in enumerate(paths, 1):
        print(f"{place} of {len(paths)}: {ranking_page.plain(path.name)}", flush=True)
        result, held = examine(path, seed)
        results.append(result)
        limits += [words for words in held if words not in limits]
    results.sort(key=lambda one: ("refused" in one, one.get("task", ""), -one.get("mean", 0), one["file"]))
    limits.append(f"{WALL_SECONDS} seconds by the clock")
    return {"seeds": [seed, seed + EPISODES - 1], "episodes": EPISODES, "limits": limits, "results": results}


def stamped(first: str, rest: str) -> str:
    """A text whose first line says what the rest was when it was made; `first` has a {} for it."""
    return first.replace("{}", MADE + hashlib.sha256(rest.encode()).hexdigest()) + "\n" + rest


def is_ours(path: Path) -> bool:
    """Is it a plain file that we made, and that nobody has changed since?"""
    if path.is_symlink() or not path.is_file():
        return False
    first, _, rest = path.read_bytes().partition(b"\n")
    return (MADE + hashlib.sha256(rest).hexdigest()).encode() in first


def write(ranking: dict, folder: Path) -> list[Path]:
    """Write page and JSON.

    Raises:
        RankingError: something lies there that a person wrote or changed; nothing is written then.
    """
    data = json.dumps(ranking, indent=1)
    texts_of = {
        folder / "ranking.html": stamped("<!-- {} -->", ranking_page.page(ranking)),
        folder / "ranking.json": stamped('{"stamp": "{}",', data.removeprefix("{\n") + "\n"),
    }
    for path in texts_of:
        if os.path.lexists(path) and not is_ours(path):
            raise RankingError(
                f"{path} was written or changed by somebody, so it is left. Move it, or name another --to."
            )
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in texts_of.items():
        with draft_in(folder) as file:
            file.write(text.encode())
            put_in_place(file, path)
    return list(texts_of)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.ranking", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the agents lie")
    parser.add_argument("--to", type=Path, default=TARGET, help="where page and JSON go")
    parser.add_argument(
        "--seed", type=int, help="of the first episode, to repeat a ranking; else nobody knows it before"
    )
    chosen = parser.parse_args()
    try:
        ranking = rank(chosen.folder, chosen.seed)
        written = write(ranking, chosen.to)
    except RankingError as error:
        sys.exit(str(error))
    for line in ranking_page.lines(ranking):
        print(line)
    print("Written:", *written)


if __name__ == "__main__":
    main()
