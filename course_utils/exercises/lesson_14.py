"""Exercises of lesson 14."""

import math

import torch

from course_utils.exercises.exercise import Draw, Exercise, Mutant


def _two_settings(draw: Draw) -> dict:
    seeds = 90 * draw.normal(8)  # hard seeds and easy ones, the same for both
    gain = draw.uniform(-80, 80)  # not every search finds something better
    tuned, default = 200 + gain + seeds + 20 * draw.normal(8), 200 + seeds + 20 * draw.normal(8)
    return {"tuned": tuned.tolist(), "default": default.tolist()}


def _differences(tuned, default):
    return torch.tensor(tuned) - torch.tensor(default)


def _in_standard_errors(tuned, default):
    difference = _differences(tuned, default)
    return difference.mean() / (difference.std() / len(difference) ** 0.5)


def _unpaired(tuned, default):
    tuned, default = torch.tensor(tuned), torch.tensor(default)
    return (tuned.mean() - default.mean()) / ((tuned.var() + default.var()) / len(tuned)).sqrt()


def _range(draw: Draw) -> dict:
    low = 10 ** draw.uniform(-5, -2)
    return {"share": draw.uniform(0.05, 0.95), "low": low, "high": low * 10 ** draw.uniform(1, 3)}


def _on_log_scale(share, low, high):
    return low * (high / low) ** share


def _running_trials(draw: Draw) -> dict:
    # Too few to compare with, as few as will do, or enough; often at the second look: nearly every check shall meet
    # each of these. Lucky rows pull mean and median apart. The two in the middle of four are alike, since torch.median
    # takes the lower one and quantile(0.5) lies between them.
    look = 2 if draw.flags(0.7, 1) else int(draw.integers(3, 7))
    rows = [3, 3, 3, 4, 4, 4, 9][int(draw.integers(0, 7))]
    lucky = torch.tensor([5.0, 1, 1] * 3)[:rows, None]
    finished = lucky * (40 * torch.arange(1, 9) + 5 * draw.normal(rows, 8))
    if rows == 4:
        finished[2], finished[3] = finished[1], 0.5 * finished[1]
    means = 40 * look * (1.5 + 0.5 * draw.normal(24)).clamp(min=0.1)
    return {"means": means, "look": look, "finished": finished}


def _below(means, finished, bar, rows=4):
    """Who is below `bar`; nobody where fewer than `rows` trials have finished."""
    return (means < bar) & (len(finished) >= rows)


def _median(look, finished):
    return finished[:, look - 1].quantile(0.5)


def _hopeless(means, look, finished):
    return _below(means, finished, _median(look, finished))


def _study(draw: Draw) -> dict:
    worth = 150 + 20 * draw.normal(12, 1)
    return {"search": worth + 60 * draw.normal(12, 3), "fresh": worth + 60 * draw.normal(12, 5)}


def _claim_and_truth(search, fresh):
    winner = search.mean(1).argmax()
    return search[winner].mean(), fresh[winner].mean()


def _chosen(search, fresh, winner):
    return search[winner].mean(), fresh[winner].mean()


def _trials(draw: Draw) -> dict:
    # Whole numbers, so that some are equal.
    return {"score": draw.integers(1, 7, 14).float(), "cost": draw.integers(1, 7, 14).float()}


def _no_worse(score, cost):
    return (score[:, None] <= score) & (cost[:, None] >= cost)


def _on_front(score, cost):
    better = (score[:, None] < score) | (cost[:, None] > cost)
    return ~(_no_worse(score, cost) & better).any(1)


EXERCISES = [
    Exercise(
        number="14.1",
        tests="The mean of the differences, seed by seed, over its standard error.",
        draw=_two_settings,
        reference=_in_standard_errors,
        mutants=[
            Mutant(
                "unpaired",
                _unpaired,
                "You add up the noise of both settings, as if they had run on different seeds. Subtract seed by seed "
                "first: what makes a seed hard for both falls out.",
            ),
            Mutant(
                "standard deviation",
                lambda tuned, default: _differences(tuned, default).mean() / _differences(tuned, default).std(),
                "You divide by the standard deviation of a single difference. The mean of n is surer than that: its "
                "standard error is smaller by the root of n.",
            ),
            Mutant(
                "no brackets",
                lambda tuned, default: (
                    _differences(tuned, default).mean() / _differences(tuned, default).std() / len(tuned) ** 0.5
                ),
                "You divide by the root of n as well: `a / b / c` is `a / (b * c)`. Put brackets around the standard "
                "error.",
            ),
            Mutant(
                "divides by n",
                lambda tuned, default: (
                    _differences(tuned, default).mean() / (_differences(tuned, default).std() / len(tuned))
                ),
                "You divide the standard deviation by n. Noise shrinks with the *root* of n: four times the seeds "
                "halve it.",
            ),
            Mutant(
                "without the n - 1",
                lambda tuned, default: (
                    _differences(tuned, default).mean()
                    / (_differences(tuned, default).std(correction=0) / len(tuned) ** 0.5)
                ),
                "Your standard deviation divides by n. From few seeds that is too small: divide by n - 1, as "
                "`torch.std` does by itself.",
            ),
            Mutant(
                "wrong sign",
                lambda tuned, default: -_in_standard_errors(tuned, default),
                "The sign is turned round: the difference is tuned minus default.",
            ),
            Mutant(
                "without a sign",
                lambda tuned, default: abs(_in_standard_errors(tuned, default)),
                "You drop the sign. Where tuned is worse than default, the answer is negative.",
            ),
        ],
    ),
    Exercise(
        number="14.2",
        tests="Equal steps of `share` are equal factors: low * (high / low) ** share.",
        draw=_range,
        reference=_on_log_scale,
        mutants=[
            Mutant(
                "linear",
                lambda share, low, high: low + share * (high - low),
                "That is even on the *linear* scale: half of the way is (low + high) / 2, and small values are hardly "
                "ever drawn.",
            ),
            Mutant(
                "still a logarithm",
                lambda share, low, high: (torch.tensor(low).log() + share * torch.tensor(high / low).log()).item(),
                "You return the logarithm of the value. Take it back with `exp`.",
            ),
            Mutant(
                "still a decimal logarithm",
                lambda share, low, high: math.log10(_on_log_scale(share, low, high)),
                "You return the decimal logarithm of the value. Take it back with `10 **`.",
            ),
            Mutant(
                "without low",
                lambda share, low, high: (high / low) ** share,
                "You return the factor, from 1 to high / low. Multiply it by `low`, where the range begins.",
            ),
            Mutant(
                "from the top",
                lambda share, low, high: _on_log_scale(1 - share, low, high),
                "You begin at the top: share 0 must give `low`.",
            ),
        ],
    ),
    Exercise(
        number="14.3",
        tests="Below the median of the finished at the same look; nobody while fewer than four have finished.",
        draw=_running_trials,
        reference=_hopeless,
        mutants=[
            Mutant(
                "mean",
                lambda means, look, finished: _below(means, finished, finished[:, look - 1].mean()),
                "You compare with the *mean* of the finished. A few lucky trials lift it, and nearly everybody is "
                "stopped. The median does not mind them.",
            ),
            Mutant(
                "final scores",
                lambda means, look, finished: _below(means, finished, _median(8, finished)),
                "You compare a beginner with final scores. Take the finished at the *same* look.",
            ),
            Mutant(
                "next look",
                lambda means, look, finished: _below(means, finished, _median(min(look + 1, 8), finished)),
                "You are one column too far: looks count from 1, columns from 0.",
            ),
            Mutant(
                "wrong side",
                lambda means, look, finished: _below(-means, finished, -_median(look, finished)),
                "You stop those *above* the median, the good ones.",
            ),
            Mutant(
                "too few",
                lambda means, look, finished: _below(means, finished, _median(look, finished), rows=1),
                "You stop trials before four have finished. The median of two or three says little.",
            ),
            Mutant(
                "more than four",
                lambda means, look, finished: _below(means, finished, _median(look, finished), rows=5),
                "You wait for a fifth. Four finished trials are enough.",
            ),
            Mutant(
                "the third look, too",
                lambda means, look, finished: _hopeless(means, look, finished) & (look >= 3),
                "You let everybody through before the third look. A good rule, but not asked for here.",
            ),
            Mutant(
                "median of the running",
                lambda means, look, finished: _below(means, finished, means.quantile(0.5)),
                "You compare the running trials with one another, so half of them always stop. Compare them with the "
                "finished.",
            ),
        ],
    ),
    Exercise(
        number="14.4",
        tests="Chosen by the search, judged on the fresh seeds.",
        draw=_study,
        reference=_claim_and_truth,
        mutants=[
            Mutant(
                "chosen on the fresh seeds",
                lambda search, fresh: _chosen(search, fresh, fresh.mean(1).argmax()),
                "You choose by the fresh seeds. With that they are not fresh any more: now *their* luck is in your "
                "result.",
            ),
            Mutant(
                "best single run",
                lambda search, fresh: _chosen(search, fresh, search.max(1).values.argmax()),
                "You choose the setting with the luckiest single run. Choose by the mean over its seeds.",
            ),
            Mutant(
                "all seeds together",
                lambda search, fresh: _chosen(search, fresh, torch.cat([search, fresh], 1).mean(1).argmax()),
                "You choose by all seeds together, fresh ones included. Whatever takes part in choosing cannot judge.",
            ),
            Mutant(
                "best of the fresh",
                lambda search, fresh: (search.mean(1).max(), fresh.mean(1).max()),
                "Your second number is the best mean of the fresh seeds, whoever had it: another winner, another "
                "curse. Judge the *same* setting.",
            ),
            Mutant(
                "claims twice",
                lambda search, fresh: (search.mean(1).max(), search.mean(1).max()),
                "You return the claim twice. The second number is the winner's mean in `fresh`.",
            ),
            Mutant(
                "truth first",
                lambda search, fresh: _claim_and_truth(search, fresh)[::-1],
                "Both numbers are right, but the claim comes first.",
            ),
        ],
    ),
    Exercise(
        number="14.5",
        tests="True where nobody is as good in both and better in one.",
        draw=_trials,
        reference=_on_front,
        mutants=[
            Mutant(
                "beaten by itself",
                lambda score, cost: ~_no_worse(score, cost).any(1),
                "Nobody is left: each one is at least as good as itself. To beat somebody, one of the two must be "
                "*strictly* better.",
            ),
            Mutant(
                "strictly better in both",
                lambda score, cost: ~((score[:, None] < score) & (cost[:, None] > cost)).any(1),
                "You let one win only if it is better in both. The same score for less money, or more score for the "
                "same, wins too.",
            ),
            Mutant(
                "dear is good",
                lambda score, cost: _on_front(score, -cost),
                "You prefer the dear ones. A large score is good, a large *cost* is not.",
            ),
            Mutant(
                "who is beaten",
                lambda score, cost: ~_on_front(score, cost),
                "The other way round: you mark those that are beaten.",
            ),
            Mutant(
                "beats nobody",
                lambda score, cost: ~(_no_worse(score, cost) & ~_no_worse(score, cost).T).any(0),
                "You keep those that beat nobody: `any` runs over the wrong dimension. Row i of the table says who is "
                "as good as i, so ask row by row, with `any(1)`.",
            ),
            Mutant(
                "best score only",
                lambda score, cost: score == score.max(),
                "You keep the best score alone. A cheaper trial with a smaller score is on the front too, if nobody "
                "offers more for its price.",
            ),
        ],
    ),
]
