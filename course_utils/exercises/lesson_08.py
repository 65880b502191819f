"""Exercises of lesson 08."""

import torch
from torch.distributions import Normal

from course_utils.exercises.exercise import Draw, Exercise, Mutant


def _rows(draw: Draw) -> dict:
    # Two ends inside every row, and a last episode that the row cuts off.
    done = draw.flags(0.15, 4, 12)
    done[:, 3], done[:, 8], done[:, -1] = True, True, False
    return {"reward": 1 + draw.normal(4, 12), "done": done, "gamma": draw.uniform(0.6, 0.95)}


def _returns(reward, done, gamma):
    returns, following = torch.zeros_like(reward), torch.zeros_like(reward[:, 0])
    for step in reversed(range(reward.shape[1])):
        following = reward[:, step] + gamma * following * ~done[:, step]
        returns[:, step] = following
    return returns


def _stops_one_step_early(reward, done, gamma):
    returns, following = torch.zeros_like(reward), torch.zeros_like(reward[:, 0])
    for step in reversed(range(reward.shape[1])):
        following = (reward[:, step] + gamma * following) * ~done[:, step]
        returns[:, step] = following
    return returns


def _updates(draw: Draw) -> dict:
    # Ratios well inside and well outside of the limits on both sides, with advantages of both signs.
    old = -1 - draw.normal(16).abs()
    moved = torch.tensor([0.05, -0.05, 0.6, -0.6] * 4) + 0.02 * draw.normal(16)
    advantage = torch.tensor([1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0, -1.0] * 2) * (0.5 + draw.normal(16).abs())
    log_prob = (old + moved).requires_grad_()
    return {"log_prob": log_prob, "old_log_prob": old, "advantage": advantage, "eps": draw.uniform(0.15, 0.3)}


def _loss_that_can_train(loss, inputs: dict) -> dict:
    if loss is None:
        raise TypeError("nothing was returned")
    return {"loss": loss, "gradient": isinstance(loss, torch.Tensor) and loss.requires_grad}


def _clipped_loss(log_prob, old_log_prob, advantage, eps, pick=torch.min):
    ratio = (log_prob - old_log_prob).exp()
    return -pick(ratio * advantage, ratio.clamp(1 - eps, 1 + eps) * advantage).mean()


def _probabilities(draw: Draw) -> dict:
    old = -1 - draw.normal(64).abs()
    # Some ratios lie between exp(-eps) and 1 - eps, where the logarithm is not the ratio.
    moved = 0.25 * draw.normal(64) - 0.05
    eps = draw.uniform(0.25, 0.35)
    moved[:8] = torch.log(torch.tensor(1 - 0.98 * eps))
    moved[8:12] = torch.log(torch.tensor(1 + 1.5 * eps))
    moved[12:18] = torch.log(torch.tensor(1 - 1.5 * eps))
    return {"log_prob": old + moved, "old_log_prob": old, "eps": eps}


def _clip_fraction(log_prob, old_log_prob, eps):
    return (((log_prob - old_log_prob).exp() - 1).abs() > eps).float().mean()


def _two_policies(draw: Draw) -> dict:
    old = -1 - draw.normal(64).abs()
    return {"log_prob": old + 0.4 * draw.normal(64) - 0.1, "old_log_prob": old}


def _kl(log_prob, old_log_prob):
    log_ratio = log_prob - old_log_prob
    return (log_ratio.exp() - 1 - log_ratio).mean()


def _torques(draw: Draw) -> dict:
    limit = draw.uniform(0.4, 0.9)  # below 1: an answer that forgets to divide by it gets numbers, not an error
    loc, scale = draw.normal(8), 0.3 + draw.normal(8).abs()
    drawn = 0.8 * draw.normal(8).clamp(-2, 2)
    return {"action": limit * torch.tanh(drawn), "loc": loc, "scale": scale, "limit": limit}


def _log_prob(action, loc, scale, limit):
    bent = action / limit
    return Normal(loc, scale).log_prob(torch.atanh(bent)) - torch.log(limit * (1 - bent**2))


EXERCISES = [
    Exercise(
        number="8.1",
        tests="Each step gets its own reward and, discounted, what follows in its own episode; nothing runs on.",
        draw=_rows,
        reference=_returns,
        mutants=[
            Mutant(
                "runs on into the next episode",
                lambda reward, done, gamma: _returns(reward, torch.zeros_like(done), gamma),
                "Your sum runs on into the next episode of the row. Where a step is `done`, nothing is carried over.",
            ),
            Mutant(
                "drops the last reward",
                _stops_one_step_early,
                "The step on which `done` becomes True has a return of 0: its own reward is missing. Switch off what "
                "*follows*, not the reward.",
            ),
            Mutant(
                "ends one step late",
                lambda reward, done, gamma: _returns(
                    reward, torch.cat([torch.zeros_like(done[:, :1]), done[:, :-1]], 1), gamma
                ),
                "Your episodes end one step late: a last step still gets the first reward of the next episode. Ask the "
                "`done` of the step itself.",
            ),
            Mutant(
                "ends one step early",
                lambda reward, done, gamma: _returns(
                    reward, torch.cat([done[:, 1:], torch.zeros_like(done[:, :1])], 1), gamma
                ),
                "You cut between t - 1 and t. `done[:, t]` says that nothing follows t: the last step still belongs to "
                "its episode.",
            ),
            Mutant(
                "order of time",
                lambda reward, done, gamma: _returns(reward, done, gamma).flip(1),
                "Your times are in reverse order: what was found first belongs to the last step.",
            ),
            Mutant(
                "no discount",
                lambda reward, done, gamma: _returns(reward, done, 1.0),
                "You add up what follows without discounting it. What is carried over is multiplied by `gamma`.",
            ),
            Mutant(
                "without its own reward",
                lambda reward, done, gamma: _returns(reward, done, gamma) - reward,
                "The reward of the step itself is missing: the return from step t begins with the reward of step t.",
            ),
        ],
    ),
    Exercise(
        number="8.2",
        tests="The smaller of the two products, entry by entry; its mean, with the sign of a loss.",
        draw=_updates,
        reference=_clipped_loss,
        probe=_loss_that_can_train,
        mutants=[
            Mutant(
                "sign",
                lambda log_prob, old_log_prob, advantage, eps: -_clipped_loss(log_prob, old_log_prob, advantage, eps),
                "The sign is missing: the objective is to grow, and an optimiser makes a loss *smaller*.",
            ),
            Mutant(
                "clips always",
                lambda log_prob, old_log_prob, advantage, eps: (
                    -((log_prob - old_log_prob).exp().clamp(1 - eps, 1 + eps) * advantage).mean()
                ),
                "You clip in every case, also where the step went the *wrong* way: then no gradient is left to undo "
                "it. Take the smaller one of clipped and unclipped.",
            ),
            Mutant(
                "max",
                lambda log_prob, old_log_prob, advantage, eps: _clipped_loss(
                    log_prob, old_log_prob, advantage, eps, torch.max
                ),
                "You take the *larger* product, so that going too far pays more than staying. PPO is a pessimist: take "
                "the smaller one.",
            ),
            Mutant(
                "no clipping",
                lambda log_prob, old_log_prob, advantage, eps: -((log_prob - old_log_prob).exp() * advantage).mean(),
                "Nothing is clipped: the ratio times the advantage rises for ever. Compare with the clipped ratio.",
            ),
            Mutant(
                "ratio upside down",
                lambda log_prob, old_log_prob, advantage, eps: _clipped_loss(old_log_prob, log_prob, advantage, eps),
                "Your ratio is old over new. It is the *new* probability divided by the old one.",
            ),
            Mutant(
                "no exp",
                lambda log_prob, old_log_prob, advantage, eps: (
                    -torch.min(
                        (log_prob - old_log_prob) * advantage,
                        (log_prob - old_log_prob).clamp(1 - eps, 1 + eps) * advantage,
                    ).mean()
                ),
                "The difference of two logarithms is the *logarithm* of the ratio. Take `exp` of it first.",
            ),
            Mutant(
                "ratio of logarithms",
                lambda log_prob, old_log_prob, advantage, eps: (
                    -torch.min(
                        log_prob / old_log_prob * advantage,
                        (log_prob / old_log_prob).clamp(1 - eps, 1 + eps) * advantage,
                    ).mean()
                ),
                "You divide the *logarithms*. The ratio of the probabilities is `exp` of the difference of the two.",
            ),
            Mutant(
                "smaller ratio",
                lambda log_prob, old_log_prob, advantage, eps: (
                    -(
                        torch.min(
                            (log_prob - old_log_prob).exp(), (log_prob - old_log_prob).exp().clamp(1 - eps, 1 + eps)
                        )
                        * advantage
                    ).mean()
                ),
                "You take the smaller *ratio*. Take the smaller *product*: for a negative advantage the larger ratio "
                "has the smaller one.",
            ),
            Mutant(
                "smaller mean",
                lambda log_prob, old_log_prob, advantage, eps: (
                    -torch.min(
                        ((log_prob - old_log_prob).exp() * advantage).mean(),
                        ((log_prob - old_log_prob).exp().clamp(1 - eps, 1 + eps) * advantage).mean(),
                    )
                ),
                "You take the smaller of two means. Compare entry by entry: each action is clipped, or not, by itself; "
                "the mean comes last.",
            ),
            Mutant(
                "sum",
                lambda log_prob, old_log_prob, advantage, eps: (
                    len(log_prob) * _clipped_loss(log_prob, old_log_prob, advantage, eps)
                ),
                "You add up over the batch, so a larger one would make larger steps. Take the mean.",
            ),
            Mutant(
                "no gradient",
                lambda log_prob, old_log_prob, advantage, eps: _clipped_loss(
                    log_prob.detach(), old_log_prob, advantage, eps
                ),
                "The right number, but no gradient reaches `log_prob`, so nothing could learn from it. Return a "
                "tensor, without `item` or `detach`.",
            ),
        ],
    ),
    Exercise(
        number="8.3",
        tests="The share of frames whose ratio lies outside of the limits, on either side.",
        draw=_probabilities,
        reference=_clip_fraction,
        mutants=[
            Mutant(
                "one side",
                lambda log_prob, old_log_prob, eps: ((log_prob - old_log_prob).exp() > 1 + eps).float().mean(),
                "You count only ratios above the upper limit. A ratio below 1 - eps is outside as well.",
            ),
            Mutant(
                "number of frames",
                lambda log_prob, old_log_prob, eps: len(log_prob) * _clip_fraction(log_prob, old_log_prob, eps),
                "You count the frames. A fraction is their share: take the mean.",
            ),
            Mutant(
                "logarithm",
                lambda log_prob, old_log_prob, eps: ((log_prob - old_log_prob).abs() > eps).float().mean(),
                "You compare the *logarithm* of the ratio with eps. Take `exp` first; then ask how far it is from 1.",
            ),
            Mutant(
                "share inside",
                lambda log_prob, old_log_prob, eps: 1 - _clip_fraction(log_prob, old_log_prob, eps),
                "This is the share of frames *inside* the limits. Count those outside.",
            ),
            Mutant(
                "ratio upside down",
                lambda log_prob, old_log_prob, eps: _clip_fraction(old_log_prob, log_prob, eps),
                "Your ratio is old over new, and its distance from 1 is another one. Divide the *new* probability by "
                "the old.",
            ),
            Mutant(
                "both at once",
                lambda log_prob, old_log_prob, eps: torch.zeros(()),
                "No frame is counted: no ratio is below the lower limit *and* above the upper one. Join the two with "
                "`|`.",
            ),
        ],
    ),
    Exercise(
        number="8.4",
        tests="The mean of ratio minus 1 minus its logarithm: never negative, and 0 where nothing changed.",
        draw=_two_policies,
        reference=_kl,
        mutants=[
            Mutant(
                "plain difference",
                lambda log_prob, old_log_prob: (old_log_prob - log_prob).mean(),
                "This is the plain estimate, `kl_approx`; on a sample it can be negative. Add the mean of the ratio "
                "minus 1.",
            ),
            Mutant(
                "ratio upside down",
                lambda log_prob, old_log_prob: _kl(old_log_prob, log_prob),
                "Your ratio is old over new. The actions were drawn by the old policy, so it is new over old.",
            ),
            Mutant(
                "without the one",
                lambda log_prob, old_log_prob: _kl(log_prob, old_log_prob) + 1,
                "The 1 is missing: two equal policies would be at distance 1. Their ratio is 1, so subtract it.",
            ),
            Mutant(
                "half the square",
                lambda log_prob, old_log_prob: 0.5 * (log_prob - old_log_prob).pow(2).mean(),
                "Half the squared logarithm is an estimate too, and a good one for small steps; but it is another one. "
                "Write the one that was asked for.",
            ),
            Mutant(
                "sum",
                lambda log_prob, old_log_prob: len(log_prob) * _kl(log_prob, old_log_prob),
                "You sum over the sample, so more frames would mean a larger distance. Take the mean.",
            ),
        ],
    ),
    Exercise(
        number="8.5",
        tests="The normal density of the number that was drawn, corrected by how much the line was squeezed there.",
        draw=_torques,
        reference=_log_prob,
        mutants=[
            Mutant(
                "no correction",
                lambda action, loc, scale, limit: Normal(loc, scale).log_prob(torch.atanh(action / limit)),
                "This is the density of u. Bending squeezes the line: subtract the logarithm of the slope da/du.",
            ),
            Mutant(
                "forgets the bend",
                lambda action, loc, scale, limit: Normal(loc, scale).log_prob(action),
                "You ask the bell curve about the torque itself. It was drawn before the tanh: find u again with "
                "`atanh(action / limit)`.",
            ),
            Mutant(
                "forgets the limit in atanh",
                lambda action, loc, scale, limit: (
                    Normal(loc, scale).log_prob(torch.atanh(action)) - torch.log(limit * (1 - action**2))
                ),
                "`atanh` undoes tanh alone, and is defined between -1 and 1: divide the torque by `limit` first.",
            ),
            Mutant(
                "forgets the limit everywhere",
                lambda action, loc, scale, limit: (
                    Normal(loc, scale).log_prob(torch.atanh(action)) - torch.log(1 - action**2)
                ),
                "`limit` is missing twice: the torque is divided by it before `atanh`, and the slope has it as "
                "a factor.",
            ),
            Mutant(
                "divides the logarithm",
                lambda action, loc, scale, limit: (
                    Normal(loc, scale).log_prob(torch.atanh(action / limit)) / (limit * (1 - (action / limit) ** 2))
                ),
                "You divided a logarithm by the slope. The *density* is divided: subtract the logarithm of the slope.",
            ),
            Mutant(
                "correction added",
                lambda action, loc, scale, limit: (
                    Normal(loc, scale).log_prob(torch.atanh(action / limit))
                    + torch.log(limit * (1 - (action / limit) ** 2))
                ),
                "You add the logarithm of the slope. Where the line is squeezed (a small slope), the density is "
                "*larger*: subtract it.",
            ),
            Mutant(
                "limit missing in the slope",
                lambda action, loc, scale, limit: (
                    Normal(loc, scale).log_prob(torch.atanh(action / limit)) - torch.log(1 - (action / limit) ** 2)
                ),
                "Your slope is that of tanh alone. The torque is `limit` times that, and so is its slope.",
            ),
            Mutant(
                "square missing",
                lambda action, loc, scale, limit: (
                    Normal(loc, scale).log_prob(torch.atanh(action / limit))
                    - torch.log(limit * (1 - (action / limit).abs()))
                ),
                "The slope of tanh is 1 - tanh(u) *squared*, and tanh(u) is `action / limit`.",
            ),
        ],
    ),
]
