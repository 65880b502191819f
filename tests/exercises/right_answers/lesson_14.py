import math
import random
import statistics

import torch


def loop_standard_errors(tuned, default):
    differences = [one - other for one, other in zip(tuned, default, strict=True)]
    return statistics.mean(differences) / (statistics.stdev(differences) / math.sqrt(len(differences)))


def counted_hopeless(means, look, finished):
    bar = statistics.median(finished[:, look - 1].tolist())
    return torch.tensor([finished.shape[0] >= 4 and mean < bar for mean in means.tolist()])


def sorted_claim(search, fresh):
    both = sorted(zip(search.mean(1).tolist(), fresh.mean(1).tolist(), strict=True))
    return both[-1]


def walked_front(score, cost):
    trials = list(zip(score.tolist(), cost.tolist(), strict=True))
    return torch.tensor(
        [not any(s >= mine and c <= price and (s, c) != (mine, price) for s, c in trials) for mine, price in trials]
    )


def halving_study(looks, ranges, search_seeds, fresh_seeds, budget):
    """Successive halving: all of a round get twice as many looks as before, and the better half goes on."""
    source = torch.Generator().manual_seed(random.randrange(10**6))

    def draw():
        shares = torch.rand(len(ranges), generator=source).tolist()
        return {
            name: math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
            for share, (name, (low, high)) in zip(shares, ranges.items(), strict=True)
        }

    left = budget - 8 * len(fresh_seeds)
    count = left // (len(search_seeds) * 3)  # 1 look for all, 1 for a half, 2 for a quarter, 4 for an eighth
    settings = [draw() for _ in range(count)]
    field = [(setting, looks(setting, search_seeds), []) for setting in settings]
    for more in (1, 1, 2, 4):
        for _, run, seen in field:
            seen.extend(next(run) for _ in range(more))
        field.sort(key=lambda each: statistics.fmean(map(statistics.fmean, each[2])), reverse=True)
        if more < 4:
            field = field[: max(1, len(field) // 2)]
    winner = field[0][0]
    return winner, torch.tensor(list(looks(winner, fresh_seeds)), dtype=torch.float64).mean()


def behind_the_best_study(looks, ranges, search_seeds, fresh_seeds, budget):
    """Stops whoever has two thirds of the best one's mean at the same look; the exam is played seed by seed."""
    best, purse = None, budget
    while purse >= 8 * (len(search_seeds) + len(fresh_seeds)):
        setting = {
            name: 10 ** random.uniform(math.log10(low), math.log10(high)) for name, (low, high) in ranges.items()
        }
        returns, means = [], []
        for seen in looks(setting, tuple(search_seeds)):
            purse -= len(seen)
            returns.extend(seen)
            means.append(sum(returns) / len(returns))
            if best and len(means) < 8 and means[-1] < 2 / 3 * best[1][len(means) - 1]:
                break
        else:
            if best is None or means[-1] > best[1][-1]:
                best = setting, means
    exam = [statistics.mean(seen[0] for seen in looks(best[0], [seed])) for seed in fresh_seeds]
    return best[0], statistics.mean(exam)


OTHERWISE = {
    "14.1": loop_standard_errors,
    "14.2": lambda share, low, high: math.exp((1 - share) * math.log(low) + share * math.log(high)),
    "14.3": counted_hopeless,
    "14.4": sorted_claim,
    "14.5": walked_front,
    "14.6": [halving_study, behind_the_best_study],
}
