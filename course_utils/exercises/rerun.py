"""Run answers again through the checks, on fresh inputs, in processes of their own that cannot hold anything up."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import IO, Any

from course_utils.exercises.answers import Answer

STARTING = 300.0  # seconds on a busy machine, for torch and torchrl
EXERCISE = 120.0  # the longest check may take 20 of the processor's time
NOTEBOOK = 600.0
LINE = 100_000  # letters; more than any verdict
STATUSES = ("correct", "not yet", "could not run", "not attempted")


@dataclass(frozen=True)
class Verdict:
    """What the check of an exercise said of an answer.

    Attributes:
        status: one of `STATUSES`.
        feedback: its sentence.
        mistake: the name of the known mistake that the answer makes; empty where it makes none.
    """

    number: str
    status: str
    feedback: str = ""
    mistake: str = ""
    code: str = ""


@dataclass(frozen=True)
class Limits:
    """Seconds until a process is ended: for an answer with its check, and for all of a notebook."""

    exercise: float = EXERCISE
    notebook: float = NOTEBOOK


def rerun(notebooks: Iterable[list[Answer]], limits: Limits | None = None) -> dict[str, Verdict]:
    """The verdict on each exercise that has an answer.

    Args:
        notebooks: the answers of each; several for one exercise are tried in turn until one is correct. Each notebook
            has a process of its own.
    """
    best: dict[str, Verdict] = {}
    for answers in notebooks:
        for found in run_notebook([answer for answer in answers if not solved(best, answer)], limits or Limits()):
            if found.number not in best or rank(found) > rank(best[found.number]):
                best[found.number] = found
    return best


def solved(best: dict[str, Verdict], answer: Answer) -> bool:
    return answer.number in best and best[answer.number].status == "correct"


def rank(verdict: Verdict) -> int:
    return {"correct": 2, "not attempted": 0}.get(verdict.status, 1)


def run_notebook(answers: list[Answer], limits: Limits) -> list[Verdict]:
    """The verdicts on one notebook's answers, in order. What ends its process, or must be ended, counts for one answer,
    and the next process goes on behind it."""
    verdicts: list[Verdict] = []
    place, end = 0, None
    while place < len(answers):
        first = place
        with Worker(answers[first:]) as worker:
            if worker.hear(STARTING) is None:
                return verdicts + [failed(answer, "The checks could not be started.") for answer in answers[place:]]
            end = end or time.monotonic() + limits.notebook
            while place < len(answers):
                left = end - time.monotonic()
                if left <= 0:
                    words = f"Not run: the answers before it took the {limits.notebook:.0f} seconds of this notebook."
                    return verdicts + [failed(answer, words) for answer in answers[place:]]
                answer, began = answers[place], time.monotonic()
                said = worker.hear(min(limits.exercise, left))
                place += 1
                if said is None:
                    verdicts.append(failed(answer, worker.why_silent(time.monotonic() - began)))
                    break
                verdict = as_verdict(answer, place - 1 - first, said)
                verdicts.append(verdict or failed(answer, "The answer writes where the check writes."))
                if verdict is None:
                    break
    return verdicts


def failed(answer: Answer, words: str) -> Verdict:
    return Verdict(answer.number, "could not run", words, "", answer.code)


def as_verdict(answer: Answer, place: int, said: Any) -> Verdict | None:
    """What a worker said of the answer at its place; None where these are not the words of a worker."""
    found = said.get("verdict") if isinstance(said, dict) and said.get("place") == place else None
    texts = [found.get(name) for name in ("status", "feedback", "mistake")] if isinstance(found, dict) else [None]
    if not all(isinstance(text, str) for text in texts) or texts[0] not in STATUSES:
        return None
    return Verdict(answer.number, *texts, answer.code)


class Worker:
    """A process that runs answers, in an empty folder, and is gone with all that it has started afterwards."""

    def __init__(self, answers: list[Answer]) -> None:
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        with tempfile.TemporaryFile() as job:
            job.write(json.dumps([asdict(answer) for answer in answers]).encode())
            job.seek(0)
            self.process = self._start(job)
        self.lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _start(self, job: IO[bytes]) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", "course_utils.exercises.rerun_worker"],
            stdin=job,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self.folder.name,
            env={**os.environ, "MPLBACKEND": "agg"},
            start_new_session=True,
        )

    def _read(self) -> None:
        with contextlib.suppress(ValueError, OSError):  # closed meanwhile
            while line := self.process.stdout.readline(LINE):
                self.lines.put(line)
        self.lines.put(b"")

    def hear(self, seconds: float) -> Any:
        """The next thing it says; None where it says nothing for so long, has ended, or says what is no JSON."""
        try:
            return json.loads(self.lines.get(timeout=seconds))
        except (queue.Empty, ValueError, RecursionError):
            return None

    def why_silent(self, seconds: float) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(1)
        if self.process.poll() is None:
            return f"Cut off after {seconds:.0f} seconds. Is there a loop that never ends?"
        return "It ended the Python that it ran in."

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            if hasattr(os, "killpg"):
                os.killpg(self.process.pid, signal.SIGKILL)
            else:
                self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.folder.cleanup()
