"""Exercises of lesson 00."""

from course_utils.exercises.exercise import Draw, Exercise, Mutant


def _returns(draw: Draw) -> dict:
    # Means on both sides of the threshold, single episodes on both sides of it in every draw.
    returns = 475 + draw.uniform(-20, 20) + 60 * draw.normal(100)
    returns[0], returns[-1] = 300.0, 500.0 if draw.uniform(0, 1) < 0.5 else 301.0
    return {"returns": returns}


EXERCISES = [
    Exercise(
        number="0.1",
        tests="Your rule looks at the mean of all episodes, as this course does whenever it says solved.",
        draw=_returns,
        reference=lambda returns: returns.mean() >= 475,
        mutants=[
            Mutant(
                "every episode",
                lambda returns: (returns >= 475).all(),
                "You ask that *every* episode reaches 475. The rule is milder: the mean over the episodes does.",
            ),
            Mutant(
                "best episode",
                lambda returns: returns.max() >= 475,
                "You look at the best episode. One lucky episode out of many solves nothing: take the mean.",
            ),
            Mutant(
                "last episode",
                lambda returns: returns[-1] >= 475,
                "You look at the last episode only. One episode says little: take the mean over all of them.",
            ),
            Mutant(
                "other way round",
                lambda returns: returns.mean() < 475,
                "Your answer is the opposite: a mean of *at least* 475 is solved.",
            ),
            Mutant(
                "returns the mean",
                lambda returns: returns.mean(),
                "You return the mean itself. Compare it with 475, so that the answer is True or False.",
            ),
        ],
    ),
]
