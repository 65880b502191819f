import torch


def loop_first_returns(reward, done):
    totals = []
    for rewards, ends in zip(reward.tolist(), done.tolist(), strict=True):
        total = 0.0
        for value, end in zip(rewards, ends, strict=True):
            total += value
            if end:
                break
        totals.append(total)
    return torch.tensor(totals)


def loop_epsilon(frame, length, start, end):
    if frame >= length:
        return end
    return start * (1 - frame / length) + end * frame / length


def where_target(reward, next_values, terminated, truncated, gamma):
    future = torch.amax(next_values, dim=-1, keepdim=True)
    return torch.where(terminated, reward, reward + gamma * future)


def loop_double_target(reward, online_next, target_next, terminated, gamma):
    rows = []
    for row in range(len(reward)):
        value = target_next[row, int(torch.argmax(online_next[row]))]
        rows.append(reward[row, 0] if terminated[row, 0] else reward[row, 0] + gamma * value)
    return torch.stack(rows)[:, None]


OTHERWISE = {
    "7.1": loop_first_returns,
    "7.2": loop_epsilon,
    "7.3": where_target,
    "7.4": loop_double_target,
}
