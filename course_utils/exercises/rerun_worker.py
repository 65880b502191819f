"""The process in which answers are run again: reads answers, writes what the checks say of them, a line each.

Whatever they do, they do here: `rerun` starts one such process per notebook, and ends it when its time is up.
"""

from __future__ import annotations

import builtins
import contextlib
import json
import linecache
import os
import sys
import types
from typing import Any, TextIO

from course_utils.exercises.answers import given_in
from course_utils.exercises.catalogue import exercises_of
from course_utils.exercises.checking import check
from course_utils.exercises.running import describe_error
from course_utils.exercises.undisturbed import undisturbed

LETTERS = 2000  # of what a check says


def main() -> None:
    answers = json.load(sys.stdin)
    with private_channel() as channel:
        for answer in answers:  # what every kernel has imported before its first answer
            exercises_of(answer["number"].split(".")[0].zfill(2))
        tell(channel, {"ready": True})
        for place, answer in enumerate(answers):
            tell(channel, {"place": place, "verdict": run(answer["number"], answer["code"])})
    os._exit(0)  # threads that an answer has started do not keep it


@contextlib.contextmanager
def private_channel():
    """Standard output for our words alone; what answers print goes nowhere, and there is nothing that they can read."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    with channel:
        yield channel


def tell(channel: TextIO, words: dict[str, Any]) -> None:
    channel.write(json.dumps(words) + "\n")
    channel.flush()


def run(number: str, code: str) -> dict[str, str]:
    """What the check says of an answer: its status, its sentence, and the known mistake that it makes, if it does."""
    file = f"answer {number}"
    try:
        program, given = given_in(code, number)
        linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
        names = fresh_module().__dict__
        with undisturbed():
            exec(compile(program, file, "exec"), names)
            value = eval(compile(given, file, "eval"), names)
    except SyntaxError as error:
        return verdict("could not run", f"SyntaxError: {error.msg}\n{(error.text or '').strip()}".strip())
    except BaseException as error:  # whatever the cells raise, SystemExit too
        return verdict("could not run", describe_error(program_of(file), error))
    result = check(number, value)
    return verdict(result.status, result.feedback, mistake(number, result.feedback))


def program_of(file: str) -> Any:
    """Stands for the cells, as a function stands for its own lines, where an error's line is looked for."""
    return types.SimpleNamespace(__code__=compile("", file, "exec"))


def fresh_module() -> types.ModuleType:
    """What `__main__` is in a new kernel."""
    module = types.ModuleType("__main__")
    module.__dict__.update(__builtins__=builtins, display=print, get_ipython=lambda: None)
    sys.modules["__main__"] = module
    return module


def verdict(status: str, feedback: str, mistake: str = "") -> dict[str, str]:
    return {"status": status, "feedback": feedback[:LETTERS], "mistake": mistake}


def mistake(number: str, feedback: str) -> str:
    """The name of the known mistake whose sentence this is."""
    mutants = exercises_of(number.split(".")[0].zfill(2))[number].mutants
    return next((mutant.name for mutant in mutants if mutant.sentence in feedback), "")


if __name__ == "__main__":
    main()
