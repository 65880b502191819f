import math

import torch


def loop_returns_to_go(reward, done, gamma):
    rows = []
    for rewards, ends in zip(reward.tolist(), done.tolist(), strict=True):
        row = []
        for start in range(len(rewards)):
            total, weight = 0.0, 1.0
            for value, end in zip(rewards[start:], ends[start:], strict=True):
                total += weight * value
                weight *= gamma
                if end:
                    break
            row.append(total)
        rows.append(row)
    return torch.tensor(rows)


def by_sign_clipped_loss(log_prob, old_log_prob, advantage, eps):
    ratio = torch.exp(log_prob) / torch.exp(old_log_prob)
    gain = torch.where(advantage > 0, ratio.clamp(max=1 + eps), ratio.clamp(min=1 - eps))
    return torch.mean(-gain * advantage)


def two_sided_clip_fraction(log_prob, old_log_prob, eps):
    ratio = log_prob.exp() / old_log_prob.exp()
    outside = (ratio < 1 - eps) | (ratio > 1 + eps)
    return outside.sum() / len(outside)


def in_parts_kl_estimate(log_prob, old_log_prob):
    return (log_prob - old_log_prob).exp().mean() - 1 + old_log_prob.mean() - log_prob.mean()


def formula_log_prob_of_torque(action, loc, scale, limit):
    share = action / limit
    drawn = 0.5 * torch.log((1 + share) / (1 - share))
    normal = -0.5 * ((drawn - loc) / scale) ** 2 - scale.log() - 0.5 * math.log(2 * math.pi)
    return normal - math.log(limit) - torch.log1p(-(share**2))


OTHERWISE = {
    "8.1": loop_returns_to_go,
    "8.2": by_sign_clipped_loss,
    "8.3": two_sided_clip_fraction,
    "8.4": in_parts_kl_estimate,
    "8.5": formula_log_prob_of_torque,
}
