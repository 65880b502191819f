"""Exercise 14.6: a study that is right, and the mistakes people make, each changing one part of it."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable
from typing import Any

from course_utils.exercises.exercise import Build, Mutant
from course_utils.exercises.study_watched import LOOKS, examine


class Study:
    """A random search with the median rule, in parts that a mistake can replace."""

    def __init__(self, looks: Callable, ranges: dict, search_seeds: list, fresh_seeds: list, budget: int) -> None:
        self.looks, self.ranges, self.search, self.fresh, self.budget = looks, ranges, search_seeds, fresh_seeds, budget
        self.spent, self.trials = 0, []

    def run(self) -> tuple[dict, float]:
        while self.can_go_on():
            self.trials.append(self.attempt(self.draw()))
        winner = self.choose()
        return winner, self.estimate(winner)

    def can_go_on(self) -> bool:
        exam = LOOKS * len(self.fresh)
        return self.spent + LOOKS * len(self.search) + exam <= self.budget

    def draw(self) -> dict:
        return {name: low * (high / low) ** random.random() for name, (low, high) in self.ranges.items()}

    def attempt(self, setting: dict) -> tuple[dict, list[float]]:
        means, seen = [], []
        for returns in self.looks(setting, self.search):
            self.spent += len(self.search)
            seen.append(statistics.fmean(returns))
            means.append(statistics.fmean(seen))
            if len(means) < LOOKS and self.hopeless(means):
                break
        return setting, means

    def finished(self) -> list:
        return [trial for trial in self.trials if len(trial[1]) == LOOKS]

    def hopeless(self, means: list[float]) -> bool:
        others = [trial[1][len(means) - 1] for trial in self.finished()]
        return len(others) >= 4 and len(means) >= 2 and means[-1] < statistics.median(others)

    def choose(self) -> dict:
        return max(self.finished(), key=lambda trial: trial[1][-1])[0]

    def estimate(self, winner: dict) -> float:
        return statistics.fmean(statistics.fmean(returns) for returns in self.looks(winner, self.fresh))


def study(looks, ranges, search_seeds, fresh_seeds, budget):
    return Study(looks, ranges, search_seeds, fresh_seeds, budget).run()


def of(kind: type[Study]) -> Callable:
    """A function that a `check` can be given."""

    def answer(looks: Any, ranges: dict, search_seeds: list, fresh_seeds: list, budget: int) -> tuple[dict, float]:
        return kind(looks, ranges, search_seeds, fresh_seeds, budget).run()

    return answer


class Even(Study):
    def draw(self):
        return {name: random.uniform(low, high) for name, (low, high) in self.ranges.items()}


class Unpruned(Study):
    def hopeless(self, means):
        return False


class StopsTheBest(Study):
    def hopeless(self, means):
        others = [trial[1][len(means) - 1] for trial in self.finished()]
        return len(others) >= 4 and len(means) >= 2 and means[-1] > statistics.median(others)


class Claims(Study):
    def estimate(self, winner):
        super().estimate(winner)
        return max(means[-1] for _, means in self.finished())


class NoExam(Study):
    def estimate(self, winner):
        return max(means[-1] for _, means in self.finished())


class ChoosesFresh(Study):
    def choose(self):
        best = sorted(self.finished(), key=lambda trial: trial[1][-1])[-2:]
        self.fresh_scores = {id(trial[0]): Study.estimate(self, trial[0]) for trial in best}
        return max(best, key=lambda trial: self.fresh_scores[id(trial[0])])[0]

    def can_go_on(self):
        return self.spent + LOOKS * len(self.search) + 2 * LOOKS * len(self.fresh) <= self.budget

    def estimate(self, winner):
        return self.fresh_scores[id(winner)]


class ExamUnpaid(Study):
    def can_go_on(self):
        return self.spent < self.budget


class OneSeed(Study):
    def attempt(self, setting):
        search, self.search = self.search, self.search[:1]
        try:
            return super().attempt(setting)
        finally:
            self.search = search


class BestSeed(Study):
    def estimate(self, winner):
        seen = list(self.looks(winner, self.fresh))
        return max(statistics.fmean(column) for column in zip(*seen, strict=True))


class TakesTheLast(Study):
    def choose(self):
        return self.finished()[-1][0]


class OneSetting(Study):
    def draw(self):
        random.seed(0)
        return super().draw()


class SeedsMixed(Study):
    def estimate(self, winner):
        return statistics.fmean(statistics.fmean(returns) for returns in self.looks(winner, self.search + self.fresh))


class SomeFreshSeeds(Study):
    def estimate(self, winner):
        return statistics.fmean(statistics.fmean(returns) for returns in self.looks(winner, self.fresh[:3]))


class SearchesOnFresh(Study):
    def attempt(self, setting):
        self.search = self.fresh[:3]
        return super().attempt(setting)


class AllSeeds(Study):
    def attempt(self, setting):
        self.search = [0, 1, 2]
        return super().attempt(setting)


BUILD = Build(
    number="14.6",
    tests="Three studies: the budget kept, factors drawn evenly, the hopeless stopped, the winner judged on "
    "fresh seeds alone.",
    reference=study,
    examine=examine,
    mutants=[
        Mutant("evenly drawn", of(Even), "Draw evenly in factors: `low * (high / low) ** share`."),
        Mutant("stops nobody", of(Unpruned), "0 were stopped before their last look."),
        Mutant("stops the best", of(StopsTheBest), "Stop those that fall behind, and no others."),
        Mutant("reports the claim", of(Claims), "is the winner's mean on the search seeds, which it was chosen for."),
        Mutant("no exam", of(NoExam), "The winner was never run on the fresh seeds"),
        Mutant("chooses by the exam", of(ChoosesFresh), "2 settings were run on fresh seeds, the winner and others."),
        Mutant("exam not paid for", of(ExamUnpaid), "begin only what can be paid."),
        Mutant("one seed", of(OneSeed), "The winner was not run to its last look on every search seed."),
        Mutant("best seed", of(BestSeed), "On the fresh seeds the winner's score, the mean over its looks"),
        Mutant(
            "some fresh seeds",
            of(SomeFreshSeeds),
            "The winner's exam has 10 fresh seeds, each to its last look; yours has 3.",
        ),
        Mutant("the last one wins", of(TakesTheLast), "Your winner is not the best of those that finished"),
        Mutant("one setting", of(OneSetting), "Your study tried 1 different settings"),
        Mutant("seeds mixed", of(SeedsMixed), "One run had search seeds and fresh ones together."),
        Mutant("searches on fresh seeds", of(SearchesOnFresh), "No setting was run on the search seeds."),
        Mutant("seeds of its own", of(AllSeeds), "which are neither among `search_seeds` nor among `fresh_seeds`."),
    ],
)
