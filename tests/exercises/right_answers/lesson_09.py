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


def td3_in_two_halves(run, batch):
    after = batch["next"].clone()
    with torch.no_grad():
        run.target_actor(after)
        noise = torch.normal(torch.zeros(len(batch), 1), run.noise)
        after["action"] += torch.clip(noise, -run.clip, run.clip)
        after["action"].clamp_(run.low, run.high)
        one, other = (critic(after.clone())["state_action_value"] for critic in run.target_critics)
        future = torch.where(after["terminated"], 0.0, torch.minimum(one, other))
        goal = after["reward"] + run.gamma * future
    run.critic_optimiser.zero_grad(set_to_none=False)
    for critic in run.critics:
        believed = critic(batch.select("observation", "action"))["state_action_value"]
        torch.nn.functional.mse_loss(believed, goal).backward()
    run.critic_optimiser.step()
    if run.updates % run.actor_every == 0:
        run.critics[0].requires_grad_(False)
        run.actor_optimiser.zero_grad()
        (-run.critics[0](run.actor(batch.select("observation")))["state_action_value"]).mean().backward()
        run.actor_optimiser.step()
        run.critics[0].requires_grad_(True)
    for target, online in [(run.target_actor, run.actor), *zip(run.target_critics, run.critics, strict=True)]:
        weights = online.state_dict()
        mixed = {key: (1 - run.tau) * old + run.tau * weights[key] for key, old in target.state_dict().items()}
        target.load_state_dict(mixed)


def td3_with_autograd_by_hand(run, batch):
    observation, after = batch["observation"], batch["next"]
    action = run.target_actor(after.select("observation"))["action"].detach()
    shaken = action + (run.noise * torch.randn(action.shape)).clamp(min=-run.clip, max=run.clip)
    shaken = shaken.clamp(run.low, run.high)
    believed = [critic.module(after["observation"], shaken).detach() for critic in run.target_critics]
    goal = after["reward"] + run.gamma * (1 - after["terminated"].float()) * torch.cat(believed, -1).amin(-1, True)
    turn = run.updates % run.actor_every == 0
    if turn:  # before the critics move, as the lesson's loop does it
        said = run.actor(batch.select("observation"))["action"]
        weights = list(run.actor.parameters())
        climb = torch.autograd.grad(run.critics[0].module(observation, said).mean(), weights)
    weights_of_critics = [weight for critic in run.critics for weight in critic.parameters()]
    errors = [critic.module(observation, batch["action"]) - goal for critic in run.critics]
    found = torch.autograd.grad(sum(error.pow(2).mean() for error in errors), weights_of_critics)
    for weight, slope in zip(weights_of_critics, found, strict=True):
        weight.grad = slope
    run.critic_optimiser.step()
    if turn:
        for weight, slope in zip(weights, climb, strict=True):
            weight.grad = -slope
        run.actor_optimiser.step()
    followers = [run.target_actor, *run.target_critics]
    for target, online in zip(followers, [run.actor, *run.critics], strict=True):
        for old, new in zip(target.parameters(), online.parameters(), strict=True):
            old.data.mul_(1 - run.tau).add_(run.tau * new.data)


def td3_with_vmap(run, batch):
    """Both critics of a pair as one stack of weights, as the losses of TorchRL do it."""
    from torch.func import functional_call, stack_module_state, vmap

    def both(critics, observation, action):
        weights, _ = stack_module_state([critic.module for critic in critics])
        return vmap(lambda own: functional_call(critics[0].module, own, (observation, action)))(weights), weights

    after = batch["next"]
    with torch.no_grad():
        action = run.target_actor(after.select("observation"))["action"]
        action = (action + torch.randn_like(action).mul(run.noise).clamp(-run.clip, run.clip)).clamp(run.low, run.high)
        believed, _ = both(run.target_critics, after["observation"], action)
        goal = after["reward"] + run.gamma * believed.min(0).values * after["terminated"].logical_not()
    values, stacked = both(run.critics, batch["observation"], batch["action"])
    found = torch.autograd.grad(((values - goal) ** 2).mean((1, 2)).sum(), list(stacked.values()))
    for critic_number, critic in enumerate(run.critics):
        for weight, slopes in zip(critic.parameters(), found, strict=True):
            weight.grad = slopes[critic_number]
    run.critic_optimiser.step()
    if run.updates % run.actor_every == 0:
        run.actor.zero_grad()
        run.critics[0](run.actor(batch.select("observation")))["state_action_value"].mean().neg().backward()
        run.actor_optimiser.step()
    with torch.no_grad():
        for target, online in [(run.target_actor, run.actor), *zip(run.target_critics, run.critics, strict=True)]:
            torch._foreach_lerp_(list(target.parameters()), list(online.parameters()), run.tau)


OTHERWISE = {
    "9.1": lerped,
    "9.2": where_clipped_target,
    "9.3": loop_smoothed,
    "9.4": soft_target_of_each_critic,
    "9.5": juror_by_juror,
    "9.6": [td3_in_two_halves, td3_with_autograd_by_hand, td3_with_vmap],
}
