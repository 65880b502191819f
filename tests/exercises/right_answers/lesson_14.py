import math
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


OTHERWISE = {
    "14.1": loop_standard_errors,
    "14.2": lambda share, low, high: math.exp((1 - share) * math.log(low) + share * math.log(high)),
    "14.3": counted_hopeless,
    "14.4": sorted_claim,
    "14.5": walked_front,
}
