import torch


def matrix_returns(reward, gamma):
    steps = torch.arange(len(reward))
    ahead = steps[None, :] - steps[:, None]
    return (gamma ** ahead.clamp(min=0) * (ahead >= 0) * reward).sum(1)


def loop_follow(target, online, eps, steps):
    for _ in range(steps):
        target = torch.lerp(target, online, 1 - eps)
    return target


def sum_gae(reward, value, next_value, terminated, done, gamma, lmbda):
    error = reward + torch.where(terminated, 0.0, gamma * next_value) - value
    rows = []
    for start in range(len(reward)):
        total, weight = torch.zeros(1), 1.0
        for step in range(start, len(reward)):
            total = total + weight * error[step]
            weight *= gamma * lmbda
            if done[step]:
                break
        rows.append(total)
    return torch.stack(rows)


def distribution_policy_loss(logits, action, returns, value):
    with torch.no_grad():
        advantage = returns - value
    policy = torch.distributions.Categorical(logits=logits)
    return torch.mean(-policy.log_prob(action) * advantage)


def selected_total(losses):
    chosen = [value for key, value in losses.items() if key[:5] == "loss_"]
    return torch.stack(chosen).sum()


OTHERWISE = {
    "4.1": matrix_returns,
    "4.2": loop_follow,
    "4.3": sum_gae,
    "4.4": distribution_policy_loss,
    "4.5": selected_total,
}
