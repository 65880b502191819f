"""Write docs/benchmark.md and its figures from the stored results: `make bench-page`.

No number of the page is typed here: each is computed from benchmarks/results/. A group that was not measured says so.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks import figures, peers, ppo_two_tasks, scaling_out, store, tuning, where_time_goes
from benchmarks.continuous_control import PENDULUM_SOLVED
from benchmarks.dqn_cartpole import NO_CHANGE
from benchmarks.figures import FRAMES, SECONDS, TRAINING, WITH_VALIDATION, Cost, median_of, solved_of
from benchmarks.groups import GROUPS
from benchmarks.memory_and_pixels import MEMORY_PASSES, PIXELS_PASS
from benchmarks.results_table import SOLVED
from benchmarks.store import PACKAGES, ROOT
from benchmarks.summary import (
    NEVER,
    bootstrap_interval,
    interquartile_mean,
    is_solved,
    spread,
    success_interval,
    to_solve,
)

DOCS = ROOT / "docs"
Arms = Mapping[str, Mapping[str, dict]]


class Page:
    """The text so far, and the files that belong to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paragraphs: list[str] = []
        self.files: dict[str, bytes] = {}

    def say(self, *paragraphs: str) -> None:
        self.paragraphs += paragraphs

    def show(self, name: str, drawn: tuple[Figure, str]) -> None:
        figure, words = drawn
        self.files[f"benchmark/{name}.svg"] = figures.svg(figure)
        self.say(f"![{words}](benchmark/{name}.svg)")

    def group(self, name: str) -> tuple[dict, Arms]:
        return store.read_group(self.folder, GROUPS[name].file, name)

    def finished(self) -> dict[str, bytes]:
        """All files, by their path in docs/."""
        return {"benchmark.md": ("\n\n".join(self.paragraphs) + "\n").encode(), **self.files}


def not_measured(name: str) -> str:
    return f"Not measured yet: there is no stored result. `make bench ARGS='--groups {name}'` measures it."


def measured_with(stamp: Mapping) -> str:
    """One sentence: when, on what, and how to do it again."""
    versions = ", ".join(f"{name} {stamp[name]}" for name in PACKAGES if name in stamp)
    gpu = f", {stamp['gpu']}" if "gpu" in stamp else ""
    return (
        f"Measured on {stamp['date']} on {stamp['cpu']} ({stamp['cores']} cores){gpu} with Python {stamp['python']}, "
        f"{versions}. Again: `{stamp['command']}`."
    )


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def seeds_of(arms: Arms) -> str:
    """The seeds of a group in words; each arm's own where they differ."""
    ranges = {name: (len(runs), min(map(int, runs)), max(map(int, runs))) for name, runs in arms.items()}
    if len(set(ranges.values())) == 1:
        count, first, last = next(iter(ranges.values()))
        return f"{count} seeds ({first} to {last})"
    return "seeds: " + ", ".join(f"{name} {count} ({first} to {last})" for name, (count, first, last) in ranges.items())


# Runs


def per_cent(share: float) -> str:
    return f"{100 * share:.0f} %"


def runs_table(arms: Arms, costs: Sequence[Cost]) -> str:
    heads = ["", "solved", "95 % interval", "exam: interquartile mean, 95 % interval", "exam: worst run"]
    heads += [f"{cost.label} to solve: median (10th to 90th percentile)" for cost in costs]
    return table(heads, [runs_row(name, runs, costs) for name, runs in arms.items()])


def runs_row(name: str, runs: Mapping[str, dict], costs: Sequence[Cost]) -> list[str]:
    returns = [run["test_return"] for run in runs.values()]
    sure = success_interval(sum(map(is_solved, runs.values())), len(runs))
    low, high = bootstrap_interval(returns)
    row = [
        name,
        solved_of(runs),
        f"{per_cent(sure[0])} to {per_cent(sure[1])}",
        f"{interquartile_mean(returns):.1f}, {low:.1f} to {high:.1f}",
        f"{min(returns):.1f}",
    ]
    for cost in costs:
        p10, median, p90 = spread(to_solve(runs.values(), cost.of))
        between = f" ({cost.text(p10)} to {cost.text(p90)})" if p10 < NEVER else ""
        row.append(cost.text(median) + between)
    return row


def median_cost(runs: Mapping[str, dict], cost: Cost) -> float:
    return spread(to_solve(runs.values(), cost.of))[1]


THE_RULE = (
    f"*Solved* means a mean return of at least {SOLVED} over 100 fresh greedy episodes of the unmodified CartPole-v1, "
    "on seeds used neither for training nor for validation. Act two plays them with the weights that were validated "
    "best, act one with its last. A run that fails is *censored*: what it would have cost is unknown, only that it is "
    "more than was spent. It counts as larger than any number, so a percentile that falls among failed runs is *not "
    "reached*. The interquartile mean is that of the middle half of the runs, with a 95 % bootstrap interval of 10,000 "
    "resamples ([Agarwal et al., 2021](https://arxiv.org/abs/2108.13264)); intervals of success rates are Wilson's."
)


def reliability(page: Page) -> None:
    page.say("## Does lesson 07 solve CartPole, whatever the seed?")
    stamp, arms = page.group("notebook")
    if not arms:
        return page.say(not_measured("notebook"))
    page.show("notebook", figures.runs_figure(arms, [FRAMES, SECONDS]))
    verdicts = [
        f"{name} solves it on {solved_of(runs)} seeds" + solving_cost(runs, [FRAMES, SECONDS])
        for name, runs in arms.items()
    ]
    page.say(f"**Answer.** {upper('; '.join(verdicts))}.", runs_table(arms, [FRAMES, SECONDS]))
    page.say(
        f"**How it was measured.** The lesson's cells were run from top to bottom, {seeds_of(arms)}, none of which was "
        f"used to find the settings. {THE_RULE} Seconds are those the lesson itself shows: training, validation and "
        f"drawing. As many lessons ran side by side as the machine has cores. {measured_with(stamp)}",
        "**Limits.** One task, and a small one. Seconds are of this machine; frames and success are not bound to it, "
        "though other versions of the libraries draw other random numbers.",
    )


def solving_cost(runs: Mapping[str, dict], costs: Sequence[Cost]) -> str:
    """What the median run spent, as the rest of a sentence; empty where the median run failed."""
    medians = [(median_cost(runs, cost), cost) for cost in costs]
    if medians[0][0] == NEVER:
        return ""
    return ", the median run after " + " and ".join(f"{cost.text(value)} {cost.label}" for value, cost in medians)


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def upper(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def ablations(page: Page) -> None:
    page.say("## What is each part of the recipe worth?")
    stamp, arms = page.group("ablations")
    if not arms:
        return page.say(not_measured("ablations"))
    page.show("ablations", figures.runs_figure(arms, [FRAMES, SECONDS]))
    page.say(f"**Answer.** {ablations_answer(arms)}", runs_table(arms, [FRAMES, SECONDS]))
    page.say(
        "**How it was measured.** Act two with one of the lesson's `switches` turned and everything else as it was, "
        f"{seeds_of(arms)}; the same rule and the same exam as above. Seconds include validation; as many runs went "
        f"side by side as the machine has cores. {measured_with(stamp)}",
        "**Limits.** One change at a time says nothing of two together. With so few seeds, the intervals are wide: do "
        "not read an order into arms whose intervals overlap. The other settings were found with everything switched "
        "on, which favours the recipe.",
    )


def ablations_answer(arms: Arms) -> str:
    """How each changed arm compares with the unchanged one."""
    whole = arms.get(NO_CHANGE)
    if whole is None:
        return f"The unchanged recipe ({NO_CHANGE}) was not measured, so there is nothing to compare with."
    base, changes = median_cost(whole, FRAMES), []
    for name, runs in arms.items():
        if name != NO_CHANGE:
            median = median_cost(runs, FRAMES)
            ratio = f", {median / base:.1f} times the frames" if max(median, base) < NEVER else ""
            changes.append(f"{name}: {solved_of(runs)}{ratio}")
    return (
        f"The whole recipe solves it on {solved_of(whole)} seeds{solving_cost(whole, [FRAMES])}. With one thing "
        f"changed: {'; '.join(changes)}."
    )


def libraries(page: Page) -> None:
    page.say("## Is it the library or the recipe?")
    stamp, arms = page.group("peers")
    if not arms:
        return page.say(not_measured("peers"))
    costs = [FRAMES, TRAINING, WITH_VALIDATION]
    page.show("peers", figures.runs_figure(arms, costs))
    page.say(f"**Answer.** {libraries_answer(arms)}", runs_table(arms, costs))
    page.say(
        f"**How it was measured.** {upper(seeds_of(arms))}; for each seed all of them one after the other, on one "
        "pinned core with one thread, after a short warm-up that is not timed. All are validated by the lesson's own "
        f"`evaluate` after each block of updates (every {blocks_of(arms)} frames), stop at the same score, and sit the "
        "same exam; the time of validation is taken apart. Each may use the frames its settings allow. *This recipe* "
        "in Stable-Baselines3 (SB3) takes the lesson's `Settings` one by one; its loss is Huber's, which it does not "
        "let one choose. *RL-Zoo settings* are those of "
        "[RL-Zoo](https://github.com/DLR-RM/rl-baselines3-zoo/tree/master/hyperparams) for CartPole-v1 (dqn.yml and "
        f"ppo.yml). {measured_with(stamp)}",
        "**Limits.** RL-Zoo's settings were made to be reliable at their full length, not to stop early; the recipe "
        "was tuned for this task and this stopping rule: what is compared are settings, not the quality of libraries. "
        "Only the two rows of the same recipe compare libraries.",
    )


def same_recipe(page: Page) -> None:
    page.say("## One recipe in four libraries: what does each library's machinery cost?")
    four_libraries(
        page,
        "libraries",
        "Lesson 07's recipe, written for each library in examples/libraries/.",
        "One small task, where machinery is most of the time: with a slower environment the same differences shrink. "
        "SB3's loss is Huber's, the others' is squared. Few seeds: frames to solve vary more by seed than by library.",
    )


def own_settings(page: Page) -> None:
    page.say("## Each library with the settings that its makers recommend")
    four_libraries(
        page,
        "recommended",
        "RL-Zoo's settings, those of RLlib's and of TorchRL's example, and CleanRL's defaults for plain PyTorch. RLlib "
        "was given fewer seeds, because a run takes many minutes.",
        "These settings differ in everything, so no row says anything of a library's speed. All were made to be "
        "reliable at their full length, not to stop early.",
    )


def four_libraries(page: Page, group: str, what: str, limits: str) -> None:
    stamp, arms = page.group(group)
    if not arms:
        return page.say(not_measured(group))
    rows = [
        [
            name,
            solved_of(runs),
            f"{median_of(runs, 'frames'):,.0f}",
            f"{median_of(runs, 'cpu_seconds'):.1f}",
            f"{statistics.median(run['frames'] / run['cpu_seconds'] for run in runs.values()):,.0f}",
            f"{median_of(runs, 'startup_cpu_seconds'):.1f}",
        ]
        for name, runs in arms.items()
    ]
    heads = ["", "solved", "frames", "core seconds of training", "frames per core second", "core seconds to start"]
    page.say(
        "**Answer.** Solved: " + "; ".join(f"{name} {solved_of(runs)}" for name, runs in arms.items()) + ".",
        table(heads, rows),
        f"**How it was measured.** {what} {upper(seeds_of(arms))}; for each seed one after the other, "
        "each in a process of its own with one thread. One judge validates all of them, stops them at the same score "
        "and examines them; its time is not in the table. Medians over all runs; one that failed counts with what it "
        "spent. Core seconds are those of the process; Ray's background processes are not in them. "
        f"{measured_with(stamp)}",
        f"**Limits.** {limits}",
    )


def blocks_of(arms: Arms) -> str:
    """How many frames lie between two validations, over all runs."""
    curves = [[frames for frames, _ in run["curve"]] for runs in arms.values() for run in runs.values()]
    found = {after - before for curve in curves for before, after in zip(curve, curve[1:], strict=False)}
    return " to ".join(f"{frames:,}" for frames in dict.fromkeys([min(found), max(found)])) if found else "so many"


def libraries_answer(arms: Arms) -> str:
    sentences = []
    if {peers.OURS, peers.SAME_RECIPE} <= set(arms):
        ours, theirs = (median_cost(arms[name], TRAINING) for name in (peers.OURS, peers.SAME_RECIPE))
        if max(ours, theirs) < NEVER:
            quicker, times = ("TorchRL", theirs / ours) if ours < theirs else ("Stable-Baselines3", ours / theirs)
            sentences.append(
                f"With the same recipe {quicker} is the quicker one: the other needs {times:.1f} times the seconds of "
                "training."
            )
    for name in (peers.ZOO_DQN, peers.ZOO_PPO):
        ratios = zoo_ratios(arms, name)
        if ratios:
            training, whole = ratios
            sentences.append(
                f"{name} takes {training:.1f} times as long as the lesson to solve it ({whole:.1f} times with "
                "validation)."
            )
    sentences.append("; ".join(f"{name}: {solved_of(runs)} solved" for name, runs in arms.items()) + ".")
    return " ".join(sentences)


def zoo_ratios(arms: Arms, name: str) -> tuple[float, float] | None:
    """How many times the lesson's median seconds an arm needs to solve it: training alone, with validation."""
    if not {name, peers.OURS} <= set(arms):
        return None
    pairs = [(median_cost(arms[name], cost), median_cost(arms[peers.OURS], cost)) for cost in (TRAINING, SECONDS)]
    if any(NEVER in pair for pair in pairs):
        return None
    return pairs[0][0] / pairs[0][1], pairs[1][0] / pairs[1][1]


def offline(page: Page) -> None:
    page.say("## What does offline RL make of a record that no good agent wrote?")
    stamp, arms = page.group("offline")
    if not arms:
        return page.say(not_measured("offline"))
    rows = []
    for name, runs in arms.items():
        returns = ", ".join(f"{run['test_return']:.0f}" for run in runs.values())
        rows.append([name, solved_of(runs), returns, f"{median_of(runs, 'seconds'):.1f}"])
    page.say(
        "**Answer.** Solved: " + "; ".join(f"{name} {solved_of(runs)}" for name, runs in arms.items()) + ".",
        table(["", "solved", "exam, seed by seed", "processor seconds, median"], rows),
        f"**How it was measured.** The definitions of lesson 10, {seeds_of(arms)}, none of which was used to find the "
        "settings. Each seed trains its own players, who write two records: one of random and half-trained play, and "
        "the *good record*, by the best player alone. Every method makes the same number of updates and never plays "
        f"before its exam: 100 greedy episodes of CartPole-v1, solved from a mean of {SOLVED}. {measured_with(stamp)}",
        "**Limits.** One small task and few seeds. CQL's settings were searched by hand, those of IQL were not.",
    )


def ppo(page: Page) -> None:
    page.say("## Does one PPO loop solve CartPole and Pendulum?")
    stamp, arms = page.group("ppo")
    if not arms:
        return page.say(not_measured("ppo"))
    passed = {
        name: sum(run["test_return"] >= ppo_two_tasks.solved_at(name) for run in runs.values())
        for name, runs in arms.items()
    }
    rows = [
        [
            name,
            f"{passed[name]} of {len(runs)}",
            ", ".join(f"{run['test_return']:.0f}" for run in runs.values()),
            f"{median_of(runs, 'frames'):,.0f}",
            f"{median_of(runs, 'cpu_seconds'):.1f}",
        ]
        for name, runs in arms.items()
    ]
    page.say(
        "**Answer.** Solved: " + "; ".join(f"{name} {row[1]}" for name, row in zip(arms, rows, strict=True)) + ".",
        table(["", "solved", "exam, seed by seed", "frames", "processor seconds, median"], rows),
        f"**How it was measured.** The definitions of lesson 08, {seeds_of(arms)}, none of which was used to find the "
        f"settings. *Solved*: a mean return of at least {SOLVED} on CartPole-v1, of at least "
        f"{ppo_two_tasks.PENDULUM_SOLVED} on Gymnasium's Pendulum-v1, over 100 fresh greedy episodes with the weights "
        "at the end of a run; all runs of an arm have the same length. Pendulum is trained in TorchRL's `PendulumEnv`. "
        f"Seconds are for training alone. {measured_with(stamp)}",
        "**Limits.** Few seeds, and the changed arms were not tuned for their change.",
    )


def control(page: Page) -> None:
    page.say("## What do TD3, SAC and REDQ buy over DDPG on Pendulum?")
    stamp, arms = page.group("control")
    if not arms:
        return page.say(not_measured("control"))
    passed = {name: [run["test_return"] >= PENDULUM_SOLVED for run in runs.values()] for name, runs in arms.items()}
    rows = [
        [
            name,
            f"{sum(passed[name])} of {len(runs)}",
            ", ".join(f"{run['test_return']:.0f}" for run in runs.values()),
            f"{median_of(runs, 'cpu_seconds'):.1f}",
        ]
        for name, runs in arms.items()
    ]
    page.say(
        "**Answer.** Solved: " + "; ".join(f"{name} {sum(each)} of {len(each)}" for name, each in passed.items()) + ".",
        table(["", "solved", "exam, seed by seed", "processor seconds, median"], rows),
        f"**How it was measured.** The definitions of lesson 09, {seeds_of(arms)}, none of which was used to find the "
        f"settings. *Solved* means a mean return of at least {PENDULUM_SOLVED} over 100 fresh greedy episodes of the "
        "unmodified Pendulum-v1, with the weights at the end of a run; all runs have the same length. Seconds include "
        f"the validations. {measured_with(stamp)}",
        "**Limits.** One easy task and few seeds; the settings were found with DDPG and TD3, and nothing was tuned for "
        "SAC or REDQ.",
    )


def passed_exams(page: Page, group: str, passes: float, exam: str, limits: str) -> None:
    """What `memory` and `pixels` share: which seeds of each arm passed lesson 11's exam."""
    stamp, arms = page.group(group)
    if not arms:
        return page.say(not_measured(group))
    passed = {name: sum(run["score"] >= passes for run in runs.values()) for name, runs in arms.items()}
    rows = [
        [
            name,
            f"{passed[name]} of {len(runs)}",
            ", ".join(f"{run['score']:.0f}" for run in runs.values()),
            f"{median_of(runs, 'frames'):,.0f}",
            f"{median_of(runs, 'cpu_seconds'):.1f}",
        ]
        for name, runs in arms.items()
    ]
    page.say(
        "**Answer.** Solved: "
        + "; ".join(f"{name} {passed[name]} of {len(runs)}" for name, runs in arms.items())
        + ".",
        table(["", "solved", "exam, seed by seed", "frames, median", "processor seconds, median"], rows),
        f"**How it was measured.** The definitions of lesson 11, {seeds_of(arms)}, none of which was used to find the "
        f"settings. *Solved* means {exam}, with the averaged weights that were best in validation. Frames and seconds "
        f"count until the validation stopped a run or its cap was reached, validation included. {measured_with(stamp)}",
        f"**Limits.** {limits} Few seeds; the settings were searched by hand for the arm that remembers.",
    )


def memory(page: Page) -> None:
    page.say("## What is a memory worth where velocities are hidden?")
    exam = f"a mean return of at least {MEMORY_PASSES} over 100 fresh greedy episodes of CartPole without velocities"
    passed_exams(
        page, "memory", MEMORY_PASSES, exam, "What is hidden shows within two frames: no long memory is needed."
    )


def pixels(page: Page) -> None:
    page.say("## What is a second look worth in a game of pixels?")
    exam = f"at least {PIXELS_PASS} % of the balls caught in 500 fresh greedy games of Catch"
    passed_exams(page, "pixels", PIXELS_PASS, exam, "A game of 9 by 9 pixels, and short episodes.")


def studies(page: Page) -> None:
    page.say("## What does tuning find, and what does it only claim?")
    stamp, arms = page.group("tuning")
    if not arms:
        return page.say(not_measured("tuning"))
    rows = []
    for name, runs in arms.items():
        true = list(map(tuning.truth, runs.values()))
        row = [name, f"{statistics.mean(true):.0f}", ", ".join(f"{score:.0f}" for score in true)]
        if "claimed" in next(iter(runs.values())):
            facts = [median_of(runs, fact) for fact in ("trials", "finished", "frames", "cpu_seconds")]
            row += [
                f"{statistics.mean(run['claimed'] for run in runs.values()):.0f}",
                *(f"{fact:,.0f}" for fact in facts),
            ]
        rows.append(row + ["-"] * (8 - len(row)))
    heads = [
        "",
        "fresh seeds: mean score",
        "study by study",
        "claimed: mean",
        "trials",
        "finished",
        "frames",
        "processor seconds",
    ]
    pairs = [(tuning.TPE, tuning.DEFAULT), (tuning.TPE, tuning.BY_HAND), (tuning.TPE, tuning.RANDOM)]
    gains = [(one, other, *tuning.gain(arms[one], arms[other])) for one, other in pairs]
    page.say(
        "**Answer.** "
        + "; ".join(f"{one} minus {other}: {mean:+.0f} ± {error:.0f}" for one, other, mean, error in gains)
        + " (mean over studies and its standard error). What winners claim minus what they are worth: "
        + "; ".join(f"{name} {tuning.overstated(arms[name]):+.0f}" for name in (tuning.TPE, tuning.RANDOM))
        + ".",
        table(heads, rows),
        "**How it was measured.** The definitions of lesson 14: DQN on CartPole-v1 with 2,048 frames; a score is the "
        "mean of eight greedy validations on the way, of 64 episodes each. A study searches with three seeds per "
        "setting and as many frames either way; winners, the first guess and lesson 07's recipe are judged on ten "
        f"fresh seeds, the same for all four. Trials, frames and seconds are medians; {seeds_of(arms)}. "
        f"{measured_with(stamp)}",
        "**Limits.** Few studies of about twenty trials, one easy task, and five settings; seconds were taken on a "
        "busy machine.",
    )


# Time


def repeats_of(page: Page) -> tuple[dict, list[dict]]:
    stamp, arms = page.group("time")
    return stamp, list(arms["act two"].values()) if arms else []


def loop_ratios(repeats: Sequence[dict]) -> dict[str, list[float]]:
    """The lesson's loop without validation, as a multiple of the least possible and of SB3, for each repeat."""
    return {
        "bound": [repeat["lesson"] / (repeat["raw stepping"] + repeat["raw updates"]) for repeat in repeats],
        "SB3": [repeat["lesson"] / repeat["SB3"] for repeat in repeats],
    }


def median_over(repeats: Sequence[dict], fact: str) -> float:
    return statistics.median(repeat[fact] for repeat in repeats)


def times(ratios: Sequence[float]) -> str:
    return f"{statistics.median(ratios):.2f} times ({min(ratios):.2f} to {max(ratios):.2f})"


def time(page: Page) -> None:
    page.say("## Where does the time go?")
    stamp, repeats = repeats_of(page)
    if not repeats:
        return page.say(not_measured("time"))
    found, ratios = figures.shares(repeats), loop_ratios(repeats)
    page.show("parts", figures.parts_figure(repeats))
    largest = sorted(found, key=lambda name: -found[name][1])[:3]
    page.say(
        "**Answer.** Most of a run's seconds go into "
        + ", ".join(f"{name} ({per_cent(found[name][1])})" for name in largest)
        + ". How near is the loop, without validation, to what the machine allows?"
    )
    page.show("loops", figures.loops_figure(repeats))
    page.say(
        f"The lesson's loop takes {times(ratios['bound'])} the least possible ("
        f"{median_over(repeats, 'raw stepping'):.2f} s of stepping, {median_over(repeats, 'raw updates'):.2f} s of "
        f"updates), and {times(ratios['SB3'])} the seconds of "
        "Stable-Baselines3 for the same frames and updates (median and range over the repeats).",
        table(
            ["part", "seconds in a run (mean)", "share"],
            [[name, f"{seconds:.3f}", per_cent(share)] for name, (seconds, share) in found.items()],
        ),
        f"**How it was measured.** {counted(len(repeats), 'repeat')}, in each of them all four one after the other on "
        f"one pinned core with one thread: the lesson's loop over {repeats[0]['frames']:,} frames without validation; "
        f"the least possible, which is to step Gymnasium's vector of environments so often and to do the same "
        f"{repeats[0]['updates']:,} updates of the same sizes in plain PyTorch; the same frames and updates in "
        "Stable-Baselines3; and one whole run of act two with a stopwatch around each part, validation (*evaluation*) "
        "included. A part's time is its own, without the parts it calls: *collector* is what the collector adds to "
        f"policy and environment. *{upper(where_time_goes.REST)}* is what no stopwatch saw. {measured_with(stamp)}",
        "**Limits.** The stopwatches themselves cost about a microsecond a call. The least possible is not quite "
        "reachable: it neither stores frames nor asks the policy.",
    )


@dataclass(frozen=True)
class Target:
    """What the project set itself.

    Attributes:
        words: the target.
        measured: in words; empty where it was not measured.
        met: whether it was reached.
    """

    words: str
    measured: str
    met: bool


def targets(page: Page) -> list[Target]:
    """The targets with what was measured; the numbers are compared here and nowhere else."""
    _, repeats = repeats_of(page)
    _, arms = page.group("peers")
    found = []
    for key, limit, words in [
        ("bound", 2.5, "the loop without validation within 2.5 times the least possible"),
        ("SB3", 1.7, "within 1.7 times Stable-Baselines3 with the same recipe"),
    ]:
        ratios = loop_ratios(repeats)[key] if repeats else []
        found.append(
            Target(words, times(ratios) if ratios else "", bool(ratios) and statistics.median(ratios) <= limit)
        )
    words = "at least 8 times faster to solved than SB3's DQN with RL-Zoo settings (medians), "
    for place, clock in enumerate(["seconds of training", "seconds with validation, which costs all of them the same"]):
        ratios = zoo_ratios(arms, peers.ZOO_DQN)
        measured = f"{ratios[place]:.1f} times" if ratios else ""
        found.append(Target(words + clock, measured, bool(ratios) and ratios[place] >= 8))
    return found


def targets_table(page: Page) -> str:
    rows = [
        [
            target.words,
            target.measured or "not measured yet",
            ("yes" if target.met else "**no**") if target.measured else "",
        ]
        for target in targets(page)
    ]
    return table(["target", "measured", "met"], rows)


# Growth


def growth(arm: Mapping[str, dict], fact: str) -> tuple[int, int, float]:
    """The smallest and the largest size, and how many times larger what was measured is at the largest."""
    sizes, medians = figures.medians_of(arm, fact)
    return sizes[0], sizes[-1], medians[-1] / medians[0]


def growth_table(arms: Arms, fact: str, form: str) -> str:
    """A row per arm and a column per size."""
    sizes = sorted({int(size) for arm in arms.values() for size in arm})
    rows = []
    for name, arm in arms.items():
        medians = dict(zip(*figures.medians_of(arm, fact), strict=True))
        rows.append(
            [name.replace("_", " "), *(form.format(medians[size]) if size in medians else "" for size in sizes)]
        )
    return table(["", *map(str, sizes)], rows)


def more_workers(page: Page) -> None:
    page.say("## What do more workers bring, by kind of collector?")
    stamp, arms = page.group("workers")
    if not arms:
        return page.say(not_measured("workers"))
    rows = [
        [
            kind,
            str(run["workers"]),
            f"{1_000 * run['step_seconds']:.0f}",
            f"{1_000 * run['learn_slept']:.0f}",
            f"{run['frames_per_second']:,.0f}",
            f"{scaling_out.times_one_process(run):.1f}",
            "-" if run["carry"] is None else f"{1_000 * run['carry']:.1f}",
        ]
        for kind, runs in arms.items()
        for run in runs.values()
    ]
    slow = {kind: [run for run in runs.values() if run["step_seconds"]] for kind, runs in arms.items()}
    quick_learner = {kind: [run for run in runs if not run["learn_slept"]] for kind, runs in slow.items()}
    busy_learner = {kind: [run for run in runs if run["learn_slept"]] for kind, runs in slow.items()}

    def most(found: dict[str, list[dict]]) -> str:
        return "; ".join(
            f"{kind} {scaling_out.times_one_process(runs[-1]):.1f} with {runs[-1]['workers']} workers"
            for kind, runs in found.items()
            if runs
        )

    page.say(
        "**Answer.** With a simulator that sleeps, frames per second as a multiple of one process beside it: "
        f"{most(quick_learner)}. Where the learner sleeps as well: {most(busy_learner)}.",
        table(
            [
                "collector",
                "workers",
                "ms slept a step",
                "ms slept to learn",
                "frames/s",
                "times one process",
                "ms to carry a batch",
            ],
            rows,
        ),
        "**How it was measured.** Playing and learning with `examples/cluster/train.py`, 16 CartPoles in each worker, "
        "512 frames a batch; one run of each kind and number, and one process alone just before it. To carry: how long "
        f"a batch that is ready takes to arrive. {measured_with(stamp)}",
        "**Limits.** One run each, on a machine that did other things as well: read the multiples, not the frames per "
        "second. Who sleeps needs no core, so this says nothing of many workers that compute, nor of a network.",
    )


def old_frames(page: Page) -> None:
    page.say("## What does V-trace make of old frames?")
    stamp, arms = page.group("staleness")
    if not arms:
        return page.say(not_measured("staleness"))
    medians = {name: statistics.median(run["test_return"] for run in runs.values()) for name, runs in arms.items()}
    rows = [
        [
            name,
            f"{medians[name]:.0f}",
            ", ".join(f"{run['test_return']:.0f}" for run in runs.values()),
            f"{median_of(runs, 'cpu_seconds'):.1f}",
        ]
        for name, runs in arms.items()
    ]
    page.say(
        "**Answer.** Median return of the exam: "
        + "; ".join(f"{name} {median:.0f}" for name, median in medians.items())
        + ".",
        table(["", "exam, median", "seed by seed", "processor seconds, median"], rows),
        f"**How it was measured.** Lesson 12's `train_stale` on CartPole, {seeds_of(arms)}: whoever plays is the "
        "learner of so many batches ago. *Not corrected*: the learner takes old frames for its own. "
        f"{measured_with(stamp)}",
        "**Limits.** One task, two lags, and a recipe that scatters, with fresh frames too.",
    )


def environments(page: Page) -> None:
    page.say("## How do frames per second grow with the number of environments?")
    stamp, arms = page.group("environments")
    if not arms:
        return page.say(not_measured("environments"))
    page.show("environments", figures.environments_figure(arms))
    gains = [(name, *growth(arm, "frames_per_second")) for name, arm in arms.items()]
    page.say(
        "**Answer.** Frames per second with many copies, as a multiple of those with few: "
        + "; ".join(f"{name} {ratio:.1f} ({low} to {high} copies)" for name, low, high, ratio in gains)
        + ".",
        "Frames per second, by the number of copies:",
        growth_table(arms, "frames_per_second", "{:,.0f}"),
        "**How it was measured.** Pendulum with random actions, in the ways of running many that lesson 01 teaches; "
        "one thread per process, each point after a warm-up, median of three repeats (all are drawn). ParallelEnv "
        f"starts a process per copy and was measured for a few only. {measured_with(stamp)}",
        "**Limits.** A step of Pendulum costs next to nothing, so this is the cost of the machinery. With a simulator "
        "that takes milliseconds a step, ParallelEnv wins; lesson 01 shows it.",
    )


def updates(page: Page) -> None:
    page.say("## How does an update grow with its sizes?")
    stamp, arms = page.group("updates")
    if not arms:
        return page.say(not_measured("updates"))
    page.show("updates", figures.updates_figure(arms))
    found = {name.replace("_", " "): growth(arm, "milliseconds") for name, arm in arms.items()}
    page.say(
        "**Answer.** "
        + "; ".join(
            f"{high / low:.0f} times the {name} ({low} to {high}) makes an update {ratio:.1f} times as long"
            for name, (low, high, ratio) in found.items()
        )
        + ".",
        "Milliseconds of an update, by size:",
        growth_table(arms, "milliseconds", "{:.2f}"),
        "**How it was measured.** The lesson's own `learn` with one setting changed, on one pinned core with one "
        f"thread, median of three repeats (all are drawn). {measured_with(stamp)}",
        "**Limits.** One thread: large sizes gain from more cores, and from a GPU.",
    )


def notebooks(page: Page) -> None:
    page.say("## What does a notebook need?")
    stamp, arms = page.group("notebooks")
    if not arms:
        return page.say(not_measured("notebooks"))
    page.show("notebooks", figures.notebooks_figure(arms))
    whole = sum(median_of(runs, "seconds") for runs in arms.values())
    repeats = f"median of {counted(min(map(len, arms.values())), 'repeat')}"
    slowest = max(arms, key=lambda stem: median_of(arms[stem], "seconds"))
    largest = max(arms, key=lambda stem: median_of(arms[stem], "peak_mb"))
    page.say(
        f"**Answer.** The {len(arms)} notebooks together run in {whole:.0f} s. The slowest is {slowest} with "
        f"{median_of(arms[slowest], 'seconds'):.0f} s; the most memory is held by {largest}, "
        f"{median_of(arms[largest], 'peak_mb'):,.0f} MB.",
        table(
            ["notebook", "seconds", "peak memory (MB)"],
            [
                [stem, f"{median_of(runs, 'seconds'):.1f}", f"{median_of(runs, 'peak_mb'):,.0f}"]
                for stem, runs in arms.items()
            ]
            + [["the whole course", f"{whole:.1f}", f"{median_of(arms[largest], 'peak_mb'):,.0f}"]],
        ),
        "**How it was measured.** Each notebook alone in an empty folder, from the start of its kernel to its end, "
        f"with the threads a learner would have; {repeats} (all are drawn). "
        f"Memory is the largest resident size of the kernel's process. {measured_with(stamp)}",
        "**Limits.** Memory of processes that a notebook starts (`ParallelEnv`), of JupyterLab and of the browser "
        "comes on top.",
    )


def on_a_gpu(page: Page) -> None:
    page.say("## And on a GPU?")
    stamp, arms = page.group("gpu")
    if not arms:
        return page.say(
            "Not measured: there is no stored result. On a machine with a CUDA device, "
            "`make bench ARGS='--groups gpu'` measures an update over its sizes and the whole of lesson 07 on both "
            "devices (`COURSE_DEVICE=cpu` and `COURSE_DEVICE=cuda`)."
        )
    sizes = {name: arm for name, arm in arms.items() if not name.startswith("act two")}
    lessons = {name: runs for name, runs in arms.items() if name.startswith("act two")}
    if sizes:
        page.show("gpu", figures.updates_figure(sizes))
        page.say(
            f"**Answer.** {upper('; '.join(gpu_gains(sizes)))}.",
            "Milliseconds of an update, by size:",
            growth_table(sizes, "milliseconds", "{:.2f}"),
        )
    if lessons:
        page.say("Act two of the lesson on each device:", runs_table(lessons, [FRAMES, SECONDS]))
    page.say(
        f"**How it was measured.** As above, with `COURSE_DEVICE` set to either device. {measured_with(stamp)}",
        "**Limits.** One thread on the CPU. The environments stay on the CPU whatever the device.",
    )


def gpu_gains(arms: Arms) -> list[str]:
    """How much faster than the CPU the GPU is at the smallest and the largest size of each setting."""
    sentences = []
    for setting in dict.fromkeys(name.split(", ")[0] for name in arms):
        both = [arms.get(f"{setting}, {device}") for device in ("cpu", "cuda")]
        if all(both):
            (sizes, cpu), (_, cuda) = (figures.medians_of(arm, "milliseconds") for arm in both)
            sentences.append(
                f"{setting.replace('_', ' ')} {sizes[0]}: the GPU is {cpu[0] / cuda[0]:.1f} times as fast as the CPU, "
                f"{sizes[-1]}: {cpu[-1] / cuda[-1]:.1f} times"
            )
    return sentences


SECTIONS: list[Callable[[Page], None]] = [
    reliability,
    ablations,
    libraries,
    same_recipe,
    own_settings,
    ppo,
    control,
    offline,
    memory,
    pixels,
    more_workers,
    old_frames,
    studies,
    time,
    environments,
    updates,
    notebooks,
    on_a_gpu,
]


def build(folder: Path) -> dict[str, bytes]:
    """The page and its figures.

    Args:
        folder: where the results are.

    Returns:
        The files' bytes by their path in docs/; the same results give the same bytes.
    """
    page = Page(folder)
    page.say(
        "<!-- Made by `make bench-page` from benchmarks/results/; do not edit. -->",
        "# Benchmark",
        "How often, how fast and at what cost the course's code does what its lessons say. Every number is computed "
        "from [stored results](../benchmarks/results), which `make bench` measures by running the lessons' own code.",
        "## Did it reach its targets?",
        targets_table(page),
    )
    for section in SECTIONS:
        section(page)
    return page.finished()


def write(results: Path, docs: Path) -> None:
    """Write the page into a folder of documents and remove figures it no longer has."""
    files = build(results)
    (docs / "benchmark").mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (docs / name).write_bytes(content)
    for old in (docs / "benchmark").glob("*.svg"):
        if f"benchmark/{old.name}" not in files:
            old.unlink()
    print(f"Wrote {docs / 'benchmark.md'} and {len(files) - 1} figures")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=store.RESULTS)
    parser.add_argument("--docs", type=Path, default=DOCS)
    chosen = parser.parse_args()
    write(chosen.results, chosen.docs)


if __name__ == "__main__":
    main()
