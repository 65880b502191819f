import torch


def lerped(target, online, tau):
    return target + (online - target) * tau


def where_clipped_target(reward, next_values, terminated, truncated, gamma):
    first, second = next_values
    smaller = torch.where(first < second, first, second)
    return torch.where(terminated, reward, reward + gamma * smaller)


def loop_smoothed(next_action, noise, std, clip):
    rows = []
    for action, draw in zip(next_action.flatten().tolist(), noise.flatten().tolist(), strict=True):
        kept = max(-clip, min(clip, std * draw))
        rows.append([max(-2.0, min(2.0, action + kept))])
    return torch.tensor(rows)


def soft_target_of_each_critic(reward, next_values, next_log_prob, alpha, terminated, gamma):
    soft = next_values - alpha * next_log_prob
    future = torch.minimum(soft[0], soft[1])
    return reward + torch.where(terminated, torch.zeros_like(future), gamma * future)


def juror_by_juror(next_values, jury):
    one, other = jury.tolist()
    return torch.minimum(next_values[one], next_values[other])


OTHERWISE = {
    "9.1": lerped,
    "9.2": where_clipped_target,
    "9.3": loop_smoothed,
    "9.4": soft_target_of_each_critic,
    "9.5": juror_by_juror,
}
