"""What lesson 09 says of its four programs and of their results is so."""

from __future__ import annotations

import ast
import difflib
import hashlib
import inspect
import math
from statistics import median

import jupytext
import pytest
import torch
from conftest import ROOT
from torchrl.modules import OrnsteinUhlenbeckProcessModule

from benchmarks import store
from benchmarks.groups.control import ARMS, PENDULUM_SOLVED, code
from benchmarks.lesson_code import FIRST_SEED, code_cells, run_code

LESSON = ROOT / "lessons" / "09_continuous_control.py"
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


def test_outside_the_functions_come_the_lines_that_the_lesson_counts():
    def lines_before(name: str) -> list[str]:
        cells = [cell.source for cell in code_cells("09_continuous_control")]
        (place,) = [place for place, source in enumerate(cells) if source.startswith(f"def {name}(")]
        return cells[place - 1].splitlines()

    sac = [line for line in lines_before("sac") if line]
    assert sum("import" in line for line in sac) == 3 and len(sac) == 5, "three imports, `bell` and `squashed`"
    assert len(lines_before("td3")) == len(lines_before("redq")) == 1, "one import each"
    switch = [line for line in body("learn") if "run.updates" in line or "loss_actor" in line]
    assert len(switch) == 3, "the three lines of `learn`"


def test_the_rule_of_the_lesson_is_the_rule_of_the_benchmark():
    assert f"a mean return of at least {PENDULUM_SOLVED} over 100 fresh episodes" in prose()


@pytest.fixture(scope="module")
def space() -> dict:
    """What the lesson's definitions define."""
    return run_code(code(), seed=0)


def test_four_of_the_curves_ten_starts_are_almost_upright(space):
    upright = space["make_envs"](10, 500_000_000).reset()["observation"][:, 0]
    assert (upright > math.cos(math.radians(30))).sum() == 4


def change_of_the_actors_loss(space: dict, name: str, raised: int) -> float:
    """What the actor's loss gains when one critic's values, otherwise 0, are raised by 1 for every action."""
    loss = space["build"](space[name], 0).loss
    batch = space["make_envs"](4, 0).rollout(5).reshape(-1)
    critics = [weight for key, weight in loss.named_parameters() if key.startswith("qvalue_network_params")]
    losses = []
    with torch.no_grad():
        for weight in critics:
            weight.zero_()
        for value in (0.0, 1.0):
            (last,) = [weight for weight in critics if weight.shape[1:] == (1,)]
            last[raised] = value
            torch.manual_seed(0)
            losses.append(loss(batch.clone())["loss_actor"].item())
    return losses[1] - losses[0]


@pytest.mark.parametrize(("name", "raised", "change"), [("td3", 0, -1), ("td3", 1, 0), ("sac", 0, 0), ("sac", 1, 0)])
def test_td3s_actor_climbs_the_first_critic_and_sacs_the_smaller(space, name, raised, change):
    assert change_of_the_actors_loss(space, name, raised) == pytest.approx(change, abs=1e-4)


def test_redqs_actor_climbs_the_mean_of_all_ten(space):
    changes = [change_of_the_actors_loss(space, "redq", raised) for raised in range(10)]
    assert changes == pytest.approx([-0.1] * 10, abs=1e-4)


def value_of_the_planner(angles: int = 120, speeds: int = 121) -> tuple[torch.Tensor, torch.Tensor]:
    """The best return of 200 steps from each cell of a grid, and the speeds of its columns: dynamic programming with
    the equations of Gymnasium's Pendulum-v1.
    """
    at = torch.linspace(-math.pi, math.pi, angles + 1)[:-1].unsqueeze(1)
    speed = torch.linspace(-8, 8, speeds).unsqueeze(0)
    value = torch.zeros(angles, speeds)
    for _ in range(200):
        tried = []
        for torque in torch.linspace(-2, 2, 9):
            faster = (speed + (15 * at.sin() + 3 * torque) * 0.05).clamp(-8, 8)
            row = (at + 0.05 * faster + math.pi) / (2 * math.pi) * angles
            column = (faster + 8) / 16 * (speeds - 1)
            low, left = row.floor(), column.floor().clamp(max=speeds - 2)
            down, right = row - low, column - left
            low, left = low.long() % angles, left.long()
            high = (low + 1) % angles
            near = value[low, left] * (1 - right) + value[low, left + 1] * right
            far = value[high, left] * (1 - right) + value[high, left + 1] * right
            tried.append(near * (1 - down) + far * down - at**2 - 0.1 * speed**2 - 0.001 * torque**2)
        value = torch.stack(tried).amax(0)
    return value, speed.squeeze(0)


def test_a_planner_gets_about_what_the_lesson_says():
    value, speed = value_of_the_planner()
    starts = value[:, speed.abs() <= 1]  # episodes start at any angle, with a speed from -1 to 1
    assert -150 < starts.mean() < -130 and "about -140" in prose()


@pytest.fixture(scope="module")
def arms():
    return store.read_group(store.RESULTS, "09_continuous_control", "control")[1]


def test_the_stored_runs_were_made_by_the_lesson_as_it_is():
    stamp, _ = store.read_group(store.RESULTS, "09_continuous_control", "control")
    assert stamp["code"] == hashlib.sha256(code().encode()).hexdigest()[:12]


def test_each_algorithm_ran_on_five_seeds_that_were_not_used_for_tuning(arms):
    assert list(arms) == ARMS
    for runs in arms.values():
        assert len(runs) >= 5 and min(map(int, runs)) >= FIRST_SEED


def processor_seconds(runs: dict[str, dict]) -> float:
    return median(run["cpu_seconds"] for run in runs.values() if "cpu_seconds" in run)


def first_solved(run: dict) -> int:
    """The frames at which a run's curve first reaches the line."""
    return next(frames for frames, mean in run["curve"] if mean >= PENDULUM_SOLVED)


def test_the_lessons_words_about_the_exams_hold(arms):
    for seed in arms["DDPG"]:
        exams = [runs[seed]["test_return"] for runs in arms.values()]
        assert min(exams) >= PENDULUM_SOLVED, "no run failed"
        assert max(exams) - min(exams) < 10, "a few points apart"
    reached = [median(map(first_solved, runs.values())) for runs in arms.values()]
    assert max(reached) - min(reached) <= 1_000, "the medians, within one evaluation of each other"
    by_seed = [[first_solved(runs[seed]) for runs in arms.values()] for seed in arms["DDPG"]]
    assert max(max(each) - min(each) for each in by_seed) == 3_000, "on single seeds up to three evaluations"
    assert len({each.index(min(each)) for each in by_seed}) > 1, "not always in the same order"
    seconds = [processor_seconds(arms[name]) for name in ARMS]
    assert seconds == sorted(seconds), "each costs more than the one before it"


def test_the_lessons_words_about_optimism_hold(arms):
    optimism = {name: [run["optimism"] for run in arms[name].values()] for name in ("DDPG", "TD3")}
    assert all(abs(promised) < 4 for promised in optimism["DDPG"]), "what came, to within four points"
    assert all(-20.5 < promised < -12.5 for promised in optimism["TD3"]), "13 to 20 less"


def test_before_training_both_promise_far_too_much(space):
    assert all(space["optimism"](space["build"](space[name], 0)) > 200 for name in ("ddpg", "td3"))


def actions_of(space: dict, explorer, through_a_collector: bool) -> torch.Tensor:
    """Twice what an explorer does in the same first step, [2, copies, 1]."""
    played = []
    for seed in range(2):
        envs = space["make_envs"](4, 0)
        torch.manual_seed(seed)
        if through_a_collector:
            options = {"frames_per_batch": 4, "total_frames": 4, "auto_register_policy_transforms": False}
            collector = space["Collector"](envs, explorer, **options)
            played.append(next(iter(collector))["action"][:, 0])
            collector.shutdown()
        else:
            played.append(envs.rollout(1, explorer)["action"][:, 0])
    return torch.stack(played).detach()


def test_a_collector_explores_unasked_and_a_plain_rollout_lets_sacs_actor_say_the_middle(space):
    explorer = space["sac"]().explorer
    drawn, plain = (actions_of(space, explorer, through) for through in (True, False))
    assert not torch.allclose(drawn[0], drawn[1]) and torch.allclose(plain[0], plain[1])


def test_ornstein_uhlenbeck_noise_needs_more_steps_than_an_episode_to_reach_its_width():
    options = inspect.signature(OrnsteinUhlenbeckProcessModule.__init__).parameters
    dt, theta, sigma = (options[name].default for name in ("dt", "theta", "sigma"))
    assert dt == 0.01
    after = sigma * math.sqrt((1 - math.exp(-2 * theta * dt * 200)) / (2 * theta))
    assert after < 0.7 * sigma / math.sqrt(2 * theta), "after a whole episode of the pendulum"
