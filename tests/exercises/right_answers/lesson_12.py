import math

import torch


def by_seconds_speed_up(workers, simulate, learn, carry):
    seconds = simulate
    for _ in range(workers):
        seconds += learn + carry
    return (simulate + learn) / (seconds / workers)


def counting_enough_workers(simulate, learn, carry):
    workers = 1
    while workers / simulate < 1 / (learn + carry):
        workers += 1
    return workers


def by_table_which_collector(machines, simulate, learn, needs_fresh_frames):
    here = {True: "MultiSyncCollector", False: "MultiAsyncCollector"}[needs_fresh_frames]
    alone = "Collector" if learn >= simulate else here
    return alone if machines == 1 else "RayCollector"


def counting_share_too_old(trained_on, batches, limit):
    old = [value for value in trained_on.flatten().tolist() if value < batches - limit]
    return len(old) / trained_on.numel()


def by_probabilities_clipped_ratio(log_pi, log_mu, limit):
    return torch.minimum(log_pi.exp() / log_mu.exp(), torch.full_like(log_pi, math.fabs(limit)))


OTHERWISE = {
    "12.1": by_seconds_speed_up,
    "12.2": counting_enough_workers,
    "12.3": by_table_which_collector,
    "12.4": counting_share_too_old,
    "12.5": by_probabilities_clipped_ratio,
}
