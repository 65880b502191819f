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


def ppo_with_its_loss(run, frames):
    from torchrl.objectives import ClipPPOLoss

    loss_module = ClipPPOLoss(
        run.actor,
        run.critic,
        clip_epsilon=run.clip,
        entropy_coeff=run.entropy_coeff,
        critic_coeff=run.critic_coeff,
        loss_critic_type="l2",
        normalize_advantage=True,
    )
    for _ in range(run.epochs):
        for part in frames[torch.randperm(len(frames))].split(run.minibatch):
            losses = loss_module(part)
            run.optimiser.zero_grad(set_to_none=False)
            sum(losses[name] for name in ("loss_objective", "loss_critic", "loss_entropy")).backward()
            torch.nn.utils.clip_grad_norm_(loss_module.parameters(), run.max_norm)
            run.optimiser.step()
        log_ratio = run.actor.get_dist(frames).log_prob(frames["action"]) - frames["action_log_prob"]  # with a graph
        if ((log_ratio.exp() - 1) - log_ratio).mean().item() > run.max_kl:
            return


def ppo_with_a_buffer(run, frames):
    from torchrl.data import LazyTensorStorage, ReplayBuffer, SamplerWithoutReplacement

    buffer = ReplayBuffer(
        storage=LazyTensorStorage(len(frames)), sampler=SamplerWithoutReplacement(), batch_size=run.minibatch
    )
    buffer.extend(frames)
    weights = [weight for group in run.optimiser.param_groups for weight in group["params"]]
    for _ in range(run.epochs):
        for part in buffer:
            score = part["advantage"].flatten()
            score = (score - score.mean()) / (score.std() + 1e-8)
            dist = run.actor.get_dist(part)
            rho = torch.exp(dist.log_prob(part["action"]) - part["action_log_prob"])
            bound = torch.where(score > 0, rho.clamp(max=1 + run.clip), rho.clamp(min=1 - run.clip))
            critic_loss = torch.nn.functional.mse_loss(run.critic(part)["state_value"], part["value_target"])
            (
                run.critic_coeff * critic_loss - (bound * score).mean() - run.entropy_coeff * dist.entropy().mean()
            ).backward()
            length = torch.stack([weight.grad.norm() for weight in weights]).norm()
            for weight in weights:
                weight.grad.mul_(min(1.0, run.max_norm / length.item()))
            run.optimiser.step()
            run.optimiser.zero_grad()
        with torch.no_grad():
            log_rho = run.actor.get_dist(frames).log_prob(frames["action"]) - frames["action_log_prob"]
            if (torch.expm1(log_rho) - log_rho).mean() > run.max_kl:
                break


def ppo_with_places_and_autograd(run, frames):
    """Places in place of frames, the spread with n, the distribution by hand, gradients set by hand."""
    weights = [*run.actor.parameters(), *run.critic.parameters()]
    near, epoch = True, 0
    while near and epoch < run.epochs:
        places, epoch = torch.randperm(frames.batch_size[0]), epoch + 1
        for start in range(0, len(places), run.minibatch):
            rows = places[start : start + run.minibatch]
            part = frames[rows]
            log_probs = run.actor.get_dist(part).logits.log_softmax(-1)
            ratio = (log_probs.gather(-1, part["action"][:, None]) - part["action_log_prob"][:, None]).exp()
            spread, mean = torch.std_mean(part["advantage"], correction=0)
            gain = (part["advantage"] - mean) / spread
            promised = torch.minimum(ratio * gain, torch.clip(ratio, 1 - run.clip, 1 + run.clip) * gain).mean()
            undecided = -(log_probs.exp() * log_probs).sum(-1).mean()
            error = run.critic.module(part["observation"]) - part["value_target"]
            loss = run.critic_coeff * error.square().mean() - promised - run.entropy_coeff * undecided
            for weight, slope in zip(weights, torch.autograd.grad(loss, weights), strict=True):
                weight.grad = slope
            torch.nn.utils.clip_grad_norm_(weights, run.max_norm)
            run.optimiser.step()
        with torch.no_grad():
            ratio = (run.actor.get_dist(frames).log_prob(frames["action"]) - frames["action_log_prob"]).exp()
        near = (ratio - 1 - ratio.log()).mean() <= run.max_kl


OTHERWISE = {
    "8.1": loop_returns_to_go,
    "8.2": by_sign_clipped_loss,
    "8.3": two_sided_clip_fraction,
    "8.4": in_parts_kl_estimate,
    "8.5": formula_log_prob_of_torque,
    "8.6": [ppo_with_its_loss, ppo_with_a_buffer, ppo_with_places_and_autograd],
}
