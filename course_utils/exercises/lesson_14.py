"""Exercises of lesson 14."""

import math

import torch

from course_utils.exercises.exercise import Draw, Exercise, Mutant
from course_utils.exercises.study_written import BUILD


def _two_settings(draw: Draw) -> dict:
    count = int(draw.integers(5, 12))
    seeds = 90 * draw.normal(count)  # hard seeds and easy ones, the same for both
    gain = draw.uniform(10, 80) if draw.turn(2) else draw.uniform(-80, -10)  # not every search finds something better
    tuned, default = 200 + gain + seeds + 20 * draw.normal(count), 200 + seeds + 20 * draw.normal(count)
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
    low = 10 ** draw.uniform(-1, 0)  # no smaller: what is wrong by far shall not be below the tolerance
    return {"share": draw.uniform(0.05, 0.95), "low": low, "high": low * 10 ** draw.uniform(1, 2)}


def _on_log_scale(share, low, high):
    return low * (high / low) ** share


def _running_trials(draw: Draw) -> dict:
    # Too few to compare with, as few as will do, or more; often at the second look. Lucky rows pull mean and median
    # apart. The two in the middle of four are alike, since torch.median takes the lower one and quantile(0.5) lies
    # between them. Some trials stand exactly at the median.
    look = (2, 5, 2, 1, 6)[draw.turn(5)]
    rows = (3, 4, 9, 5)[draw.turn(4)]
    lucky = torch.tensor([5.0, 1, 1] * 3)[:rows, None]
    finished = lucky * (40 * torch.arange(1, 9) + 5 * draw.normal(rows, 8))
    if rows == 4:
        finished[2], finished[3] = finished[1], 0.5 * finished[1]
    trials = int(draw.integers(16, 28))
    means = 40 * look * (1.5 + 0.5 * draw.normal(trials)).clamp(min=0.1)
    means[:2], means[2] = finished[:, look - 1].quantile(0.5), finished[:, look - 1].quantile(0.5) * 0.999
    return {"means": means, "look": look, "finished": finished}


def _below(means, finished, bar, rows=4):
    """Who is below `bar`; nobody where fewer than `rows` trials have finished."""
    return (means < bar) & (len(finished) >= rows)


def _median(look, finished):
    return finished[:, look - 1].quantile(0.5)


def _hopeless(means, look, finished):
    return _below(means, finished, _median(look, finished))


def _study(draw: Draw) -> dict:
    settings = int(draw.integers(8, 15))
    worth = 150 + 20 * draw.normal(settings, 1)
    return {"search": worth + 60 * draw.normal(settings, 3), "fresh": worth + 60 * draw.normal(settings, 5)}


def _claim_and_truth(search, fresh):
    winner = search.mean(1).argmax()
    return search[winner].mean(), fresh[winner].mean()


def _chosen(search, fresh, winner):
    return search[winner].mean(), fresh[winner].mean()


def _trials(draw: Draw) -> dict:
    # Whole numbers, so that some are equal; two that are equal in both are on the front, two on a cheaper place of it.
    # Now and then the first or the last of all is best and cheapest at once.
    trials = int(draw.integers(12, 18))
    score, cost = draw.integers(1, 7, trials).float(), draw.integers(2, 7, trials).float()
    twins = draw.normal(trials).argsort()[:4]
    score[twins], cost[twins] = torch.tensor([7.0, 7, 3, 3]), torch.tensor([4.0, 4, 1, 1])
    if draw.turn(4) == 0:
        place = -1 if draw.turn(8) else 0
        score[place], cost[place] = 7, 1
    return {"score": score, "cost": cost}


def _no_worse(score, cost):
    return (score[:, None] <= score) & (cost[:, None] >= cost)


def _on_front(score, cost):
    better = (score[:, None] < score) | (cost[:, None] > cost)
    return ~(_no_worse(score, cost) & better).any(1)


def _new_best_by_cost(score, cost):
    best, front = float("-inf"), torch.zeros(len(score), dtype=torch.bool)
    for trial in cost.argsort(stable=True).tolist():
        if score[trial] > best:
            best, front[trial] = float(score[trial]), True
    return front


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
            Mutant(
                "mean difference",
                lambda tuned, default: _differences(tuned, default).mean(),
                "This is the mean difference itself. How many standard errors is that? Divide by the standard error.",
            ),
            Mutant(
                "standard error",
                lambda tuned, default: _differences(tuned, default).std() / len(tuned) ** 0.5,
                "This is the standard error itself. How many of them is the mean difference? Divide that by it.",
            ),
            Mutant(
                "upside down",
                lambda tuned, default: 1 / _in_standard_errors(tuned, default),
                "Your fraction is upside down: the mean stands on top, the standard error below.",
            ),
            Mutant(
                "two standard errors taken off",
                lambda tuned, default: (
                    _differences(tuned, default).mean() - 2 * _differences(tuned, default).std() / len(tuned) ** 0.5
                ),
                "You subtract two standard errors. 'By how many' is a quotient: divide the mean by one.",
            ),
            Mutant(
                "variance",
                lambda tuned, default: (
                    _differences(tuned, default).mean() / (_differences(tuned, default).var() / len(tuned) ** 0.5)
                ),
                "You take the variance. The standard deviation is its root: `std`.",
            ),
            Mutant(
                "sum of the differences",
                lambda tuned, default: len(tuned) * _in_standard_errors(tuned, default),
                "You add up the differences. Take their mean.",
            ),
            Mutant(
                "n - 1 twice",
                lambda tuned, default: (
                    _differences(tuned, default).mean() / (_differences(tuned, default).std() / (len(tuned) - 1) ** 0.5)
                ),
                "You divide by the root of n - 1. The n - 1 is in the standard deviation already; over that stands the "
                "root of n.",
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
            Mutant(
                "share of the factor",
                lambda share, low, high: low * (high / low) * share,
                "You take a share of the factor, and share 0 gives 0. Half of the way is the *root* of the factor: "
                "`** share`.",
            ),
            Mutant(
                "power of the difference",
                lambda share, low, high: low + (high - low) ** share,
                "You raise the difference to a power. Equal *factors*: raise `high / low` to it, and multiply by "
                "`low`.",
            ),
            Mutant(
                "exp of the linear scale",
                lambda share, low, high: math.exp(low + share * (high - low)),
                "You take `exp` of a value on the linear scale. Take the logarithms of `low` and `high` first, go the "
                "share of the way between them, then take `exp`.",
            ),
            Mutant(
                "squared",
                lambda share, low, high: low + share**2 * (high - low),
                "You square the share, which leaves the scale a linear one with more small values. Equal steps must be "
                "equal factors.",
            ),
            Mutant(
                "factor once too often",
                lambda share, low, high: high * (high / low) ** share,
                "You begin at `high` and go up from there. Share 0 must give `low`.",
            ),
            Mutant(
                "only the logarithm of high",
                lambda share, low, high: high**share,
                "You raise `high` itself to the power. The factor is `high / low`, and `low` is where the way begins.",
            ),
            Mutant(
                "even on the scale of the inverse",
                lambda share, low, high: 1 / (1 / low + share * (1 / high - 1 / low)),
                "That is even in *one over* the value. Equal steps must be equal factors.",
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
            Mutant(
                "at the median, too",
                lambda means, look, finished: (means <= _median(look, finished)) & (len(finished) >= 4),
                "You also stop those exactly *at* the median. Below it, and only there.",
            ),
            Mutant(
                "previous look",
                lambda means, look, finished: _below(means, finished, finished[:, look - 2].quantile(0.5)),
                "You are one column too early: look 1 is column 0, so `look - 1`.",
            ),
            Mutant(
                "median of the whole table",
                lambda means, look, finished: _below(means, finished, finished.quantile(0.5)),
                "You take the median over all looks. Compare with the finished at the *same* look: one column.",
            ),
            Mutant(
                "the best of the finished",
                lambda means, look, finished: _below(means, finished, finished[:, look - 1].max()),
                "You stop everybody who is below the best of the finished. Take their median.",
            ),
            Mutant(
                "all while few",
                lambda means, look, finished: (means < _median(look, finished)) | (len(finished) < 4),
                "While fewer than four have finished, you stop everybody. Then *nobody* stops: `zeros_like`.",
            ),
            Mutant(
                "who goes on",
                lambda means, look, finished: ~_hopeless(means, look, finished),
                "The other way round: you mark those that go on.",
            ),
            Mutant(
                "who goes on, if enough have finished",
                lambda means, look, finished: (means >= _median(look, finished)) & (len(finished) >= 4),
                "You mark those at the median or above, the good ones. True is for those who stop.",
            ),
            Mutant(
                "one answer for all",
                lambda means, look, finished: means < _median(look, finished) if len(finished) >= 4 else False,
                "Where fewer than four have finished, you return a single False. Return one for each trial: "
                "`torch.zeros_like(means, dtype=bool)`.",
            ),
            Mutant(
                "mean, whoever has finished",
                lambda means, look, finished: means < finished[:, look - 1].mean(),
                "Two things: you compare with the mean instead of the median, and stop trials before four have "
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
            Mutant(
                "best single run, and its claim",
                lambda search, fresh: (search.max(), fresh[search.max(1).values.argmax()].mean()),
                "You choose the luckiest single run, and take that for the claim. Choose by the mean over the seeds, "
                "and claim that mean.",
            ),
            Mutant(
                "judged by all seeds",
                lambda search, fresh: (
                    search.mean(1).max(),
                    torch.cat([search, fresh], 1).mean(1)[search.mean(1).argmax()],
                ),
                "Your second number mixes the fresh seeds with those that chose. What took part in choosing cannot "
                "judge.",
            ),
            Mutant(
                "difference",
                lambda search, fresh: search.mean(1).max() - fresh.mean(1)[search.mean(1).argmax()],
                "That is how much was claimed too much. Return the two numbers.",
            ),
            Mutant(
                "who won",
                lambda search, fresh: (search.mean(1).argmax(), fresh.mean(1)[search.mean(1).argmax()]),
                "Your first number is *which* setting won. Return the mean that it claims.",
            ),
            Mutant(
                "the worst",
                lambda search, fresh: _chosen(search, fresh, search.mean(1).argmin()),
                "You choose the setting with the smallest mean. A large score is a good one.",
            ),
            Mutant(
                "median",
                lambda search, fresh: _chosen(search, fresh, search.median(1).values.argmax()),
                "You choose by the median over the seeds. The text asks for the largest mean.",
            ),
            Mutant(
                "mean over the settings",
                lambda search, fresh: _chosen(search, fresh, search.mean(0).argmax()),
                "You take the mean over the settings, and choose a seed. Dimension 1 is that of the seeds.",
            ),
            Mutant(
                "mean of all",
                lambda search, fresh: (search.mean(), fresh.mean()),
                "These are the means of everything. Choose *one* setting, and return its two means.",
            ),
            Mutant(
                "best run of the winner",
                lambda search, fresh: (
                    search[search.mean(1).argmax()].max(),
                    fresh[search.mean(1).argmax()].max(),
                ),
                "You return the best runs of the winner. Return its means.",
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
            Mutant(
                "cheapest only",
                lambda score, cost: cost == cost.min(),
                "You keep the cheapest alone. A dearer trial with a larger score is on the front too, if nobody "
                "offers as much for less.",
            ),
            Mutant(
                "best and cheapest at once",
                lambda score, cost: (score == score.max()) & (cost == cost.min()),
                "You keep only who is best *and* cheapest. Hardly anybody is both, and then the front has others on "
                "it.",
            ),
            Mutant(
                "best or cheapest",
                lambda score, cost: (score == score.max()) | (cost == cost.min()),
                "You keep the best and the cheapest. Between the two there are trials that nobody beats, and an end "
                "of the front may be beaten by an equal one at a better price.",
            ),
            Mutant(
                "most for its price",
                lambda score, cost: score / cost == (score / cost).max(),
                "You keep the best ratio of score to cost. Whether that is the right price is for others to say: all "
                "that nobody beats are on the front.",
            ),
            Mutant(
                "strict in the score",
                lambda score, cost: ~((score[:, None] < score) & (cost[:, None] >= cost)).any(1),
                "You let nobody win by the same score for less money. One of the two, whichever, has to be strictly "
                "better.",
            ),
            Mutant(
                "strict in the cost",
                lambda score, cost: ~((score[:, None] <= score) & (cost[:, None] > cost)).any(1),
                "You let nobody win by more score for the same money. One of the two, whichever, has to be strictly "
                "better.",
            ),
            Mutant(
                "beaten by all",
                lambda score, cost: ~_no_worse(score, cost).all(1),
                "You throw out only who is beaten by *all* of them. One is enough: `any`.",
            ),
            Mutant(
                "equals thrown out",
                lambda score, cost: (
                    _on_front(score, cost) & ~((score[:, None] == score) & (cost[:, None] == cost)).tril(-1).any(1)
                ),
                "Of two trials that are equal in both you keep the first. Neither beats the other: both are on the "
                "front.",
            ),
            Mutant(
                "both equals thrown out",
                lambda score, cost: (
                    _on_front(score, cost) & (((score[:, None] == score) & (cost[:, None] == cost)).sum(1) == 1)
                ),
                "Two trials that are equal in both throw each other out. Neither is strictly better: both are on the "
                "front.",
            ),
            Mutant(
                "each new best score",
                _new_best_by_cost,
                "You go from cheap to dear and keep each new best score. Where two cost the same, the worse one may "
                "come first; and of two that are equal in both you keep one only.",
            ),
            Mutant(
                "best of its price",
                lambda score, cost: score == torch.where(cost[:, None] == cost, score, float("-inf")).max(1).values,
                "You keep the best score at each price. A cheaper trial with as large a score beats it as well.",
            ),
            Mutant(
                "cheapest of its score",
                lambda score, cost: cost == torch.where(score[:, None] == score, cost, float("inf")).min(1).values,
                "You keep the cheapest for each score. A better trial that costs no more beats it as well.",
            ),
            Mutant(
                "numbers",
                lambda score, cost: _on_front(score, cost).nonzero().flatten(),
                "You return the numbers of those on the front. Return a boolean for each trial.",
            ),
        ],
    ),
    BUILD,
]
