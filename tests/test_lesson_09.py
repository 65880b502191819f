"""What lesson 09 says of its four programs and of their results is so."""

from __future__ import annotations

import ast
import difflib
import hashlib
from statistics import median

import jupytext
import pytest

from benchmarks import store
from benchmarks.continuous_control import FIRST_SEED, LESSON, PENDULUM_SOLVED, code, names

MARK = "  # <- changed"


def prose() -> str:
    cells = jupytext.read(LESSON, fmt="py:percent").cells
    return " ".join(" ".join(cell.source for cell in cells if cell.cell_type == "markdown").split())


def body(name: str) -> list[str]:
    """The lines of one of the lesson's functions, without the line with its name."""
    functions = [node for node in ast.parse(code()).body if isinstance(node, ast.FunctionDef) and node.name == name]
    lines = code().splitlines()
    return lines[functions[0].lineno : functions[0].end_lineno]


def new_lines(before: str, after: str) -> list[str]:
    plain = [[line.removesuffix(MARK) for line in body(name)] for name in (before, after)]
    return [line[2:] for line in difflib.ndiff(*plain) if line.startswith("+ ")]


@pytest.mark.parametrize(("before", "after"), [("ddpg", "td3"), ("ddpg", "sac"), ("sac", "redq")])
def test_the_marked_lines_are_those_that_changed(before, after):
    marked = [line.removesuffix(MARK) for line in body(after) if line.endswith(MARK)]
    assert marked and marked == new_lines(before, after)


def test_two_lines_make_td3_of_ddpg_and_one_makes_redq_of_sac():
    assert len(new_lines("ddpg", "td3")) == 2 and "Two lines make TD3 of DDPG" in prose()
    assert len(new_lines("sac", "redq")) == 1 and "**one line makes REDQ of SAC**" in prose()


def test_the_rule_of_the_lesson_is_the_rule_of_the_benchmark():
    assert f"a mean return of at least {PENDULUM_SOLVED} over 100 fresh episodes" in prose()


@pytest.fixture(scope="module")
def arms():
    return store.read_group(store.RESULTS, "09_continuous_control", "control")[1]


def test_the_stored_runs_were_made_by_the_lesson_as_it_is():
    stamp, _ = store.read_group(store.RESULTS, "09_continuous_control", "control")
    assert stamp["code"] == hashlib.sha256(code().encode()).hexdigest()[:12]


def test_each_algorithm_ran_on_five_seeds_that_were_not_used_for_tuning(arms):
    assert list(arms) == names()
    for runs in arms.values():
        assert len(runs) >= 5 and min(map(int, runs)) >= FIRST_SEED


def processor_seconds(runs: dict[str, dict]) -> float:
    return median(run["cpu_seconds"] for run in runs.values())


def first_solved(runs: dict[str, dict]) -> float:
    """The median of the frames at which a run's curve first reaches the line."""
    return median(next(frames for frames, mean in run["curve"] if mean >= PENDULUM_SOLVED) for run in runs.values())


def test_the_lessons_words_about_the_exams_hold(arms):
    for seed in arms["DDPG"]:
        exams = [runs[seed]["test_return"] for runs in arms.values()]
        assert min(exams) >= PENDULUM_SOLVED, "no run failed"
        assert max(exams) - min(exams) < 10, "a few points apart"
    reached = [first_solved(runs) for runs in arms.values()]
    assert max(reached) - min(reached) <= 1_000, "within one evaluation of each other"
    seconds = [processor_seconds(arms[name]) for name in names()]
    assert seconds == sorted(seconds), "each costs more than the one before it"


def test_the_lessons_words_about_optimism_hold(arms):
    optimism = {name: [run["optimism"] for run in arms[name].values()] for name in ("DDPG", "TD3")}
    assert all(abs(promised) < 5 for promised in optimism["DDPG"]), "what came, to within a few points"
    assert all(promised < -10 for promised in optimism["TD3"]), "less than comes, every time"
