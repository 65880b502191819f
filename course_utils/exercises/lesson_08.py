"""Exercises of lesson 08."""

import math

import torch
from torch.distributions import Normal

from course_utils.exercises.exercise import Build, Draw, Exercise, Mutant
from course_utils.exercises.ppo_mutants import MUTANTS, build
from course_utils.exercises.ppo_update import examine


def _rows(draw: Draw) -> dict:
    # A row that never ends, one that ends at its first step and again at once, and one that ends at its last step; of
    # all others the last episode is cut off.
    copies, time = 4 + draw.turn(2), int(draw.integers(7, 13))
    done = draw.flags(0.15, copies, time)
    done[:, 3], done[:, -1] = True, False
    done[0], done[1, :2], done[2, -1] = False, True, True
    return {"reward": 1 + draw.normal(copies, time), "done": done, "gamma": draw.uniform(0.6, 0.95)}


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


def _earned_so_far(reward, done, gamma):
    earned, before = torch.zeros_like(reward), torch.zeros_like(reward[:, 0])
    for step in range(reward.shape[1]):
        earned[:, step] = reward[:, step] + gamma * before
        before = earned[:, step] * ~done[:, step]
    return earned


def _in_one_row(reward, done, gamma):
    return _returns(reward.reshape(1, -1), done.reshape(1, -1), gamma).reshape(reward.shape)


def _updates(draw: Draw) -> dict:
    # Ratios well inside and well outside of the limits on both sides, with advantages of both signs.
    rounds = 2 + draw.turn(2)
    old = -1 - draw.normal(8 * rounds).abs()
    moved = torch.tensor([0.05, -0.05, 0.6, -0.6] * 2 * rounds) + 0.02 * draw.normal(8 * rounds)
    sign = torch.tensor([1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0, -1.0] * rounds)
    advantage = sign * (0.5 + draw.normal(8 * rounds).abs())
    return {"log_prob": old + moved, "old_log_prob": old, "advantage": advantage, "eps": draw.uniform(0.15, 0.3)}


def _clipped_loss(log_prob, old_log_prob, advantage, eps, pick=torch.min):
    ratio = (log_prob - old_log_prob).exp()
    return -pick(ratio * advantage, ratio.clamp(1 - eps, 1 + eps) * advantage).mean()


def _probabilities(draw: Draw) -> dict:
    # Some ratios lie between exp(-eps) and 1 - eps, where the logarithm is not the ratio, some so far above that their
    # logarithm is beyond 1 + eps, and some below eps, where the ratio is not its distance from 1.
    frames, eps = int(draw.integers(48, 80)), draw.uniform(0.25, 0.35)
    old = -1 - draw.normal(frames).abs()
    moved = 0.25 * draw.normal(frames) - 0.05
    moved[:8] = math.log(1 - 0.98 * eps)
    moved[8:12] = math.log(1 + 1.5 * eps)
    moved[12:18] = math.log(1 - 1.5 * eps)
    moved[18], moved[19], moved[20:23] = 1.2 + eps, 1.0, math.log(0.5 * eps)
    return {"log_prob": old + moved, "old_log_prob": old, "eps": eps}


def _clip_fraction(log_prob, old_log_prob, eps):
    return (((log_prob - old_log_prob).exp() - 1).abs() > eps).float().mean()


def _two_policies(draw: Draw) -> dict:
    # On one sample the new policy finds its actions less likely on the whole, on the next one more likely.
    frames, moved = int(draw.integers(48, 80)), 0.2 if draw.turn(2) else -0.2
    old = -1 - draw.normal(frames).abs()
    return {"log_prob": old + 0.4 * draw.normal(frames) + moved, "old_log_prob": old}


def _kl(log_prob, old_log_prob):
    log_ratio = log_prob - old_log_prob
    return (log_ratio.exp() - 1 - log_ratio).mean()


def _torques(draw: Draw) -> dict:
    limit = draw.uniform(0.4, 0.9)  # below 1: an answer that forgets to divide by it gets numbers, not an error
    torques = int(draw.integers(6, 12))
    loc, scale = draw.normal(torques), 0.3 + draw.normal(torques).abs()
    drawn = 0.8 * draw.normal(torques).clamp(-2, 2)
    drawn[:2] = torch.tensor([2.1, -2.1])  # near the largest torque there is
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
            Mutant(
                "carries over where it ends",
                lambda reward, done, gamma: _returns(reward, ~done, gamma),
                "You carry over exactly where an episode ends, and nowhere else. `done` says where to stop: `~done`.",
            ),
            Mutant(
                "earned so far",
                _earned_so_far,
                "You go forwards in time, and collect what was earned *up to* a step. The return is what comes from "
                "that step on: go backwards.",
            ),
            Mutant(
                "one end stops all",
                lambda reward, done, gamma: _returns(reward, done.any(0, keepdim=True).expand_as(done), gamma),
                "Where one copy ends, you stop all of them. Each copy has a `done` of its own.",
            ),
            Mutant(
                "copies in one row",
                _in_one_row,
                "You lay the copies end to end, so the last episode of a row goes on in the row of the next copy. "
                "Begin with nothing carried over in each row.",
            ),
            Mutant(
                "own reward discounted",
                lambda reward, done, gamma: gamma * _returns(reward, done, gamma),
                "You discount the reward of the step itself, too. `gamma` belongs to what *follows* alone.",
            ),
            Mutant(
                "what follows is not added up",
                lambda reward, done, gamma: reward + gamma * torch.cat([reward[:, 1:], 0 * reward[:, :1]], 1) * ~done,
                "You add the next reward alone. What follows is the *return* of the next step, and so it holds all "
                "later rewards.",
            ),
        ],
    ),
    Exercise(
        number="8.2",
        tests="The smaller of the two products, entry by entry; its mean, with the sign of a loss.",
        draw=_updates,
        reference=_clipped_loss,
        gradient=("log_prob",),
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
                "one loss for each action",
                lambda log_prob, old_log_prob, advantage, eps: torch.max(
                    -(log_prob - old_log_prob).exp() * advantage,
                    -(log_prob - old_log_prob).exp().clamp(1 - eps, 1 + eps) * advantage,
                ),
                "You return a loss for each action. The mean is missing: an optimiser needs one number.",
            ),
            Mutant(
                "clips the logarithm",
                lambda log_prob, old_log_prob, advantage, eps: (
                    -torch.min(
                        (log_prob - old_log_prob).exp() * advantage,
                        (log_prob - old_log_prob).clamp(-eps, eps).exp() * advantage,
                    ).mean()
                ),
                "You clip the *logarithm* of the ratio to -eps ... eps. Take `exp` first, and clip the ratio to "
                "1 - eps ... 1 + eps.",
            ),
            Mutant(
                "clips the product",
                lambda log_prob, old_log_prob, advantage, eps: (
                    -torch.min(
                        (log_prob - old_log_prob).exp() * advantage,
                        ((log_prob - old_log_prob).exp() * advantage).clamp(1 - eps, 1 + eps),
                    ).mean()
                ),
                "You clip the product of ratio and advantage. The limits are around 1, so they are meant for the "
                "*ratio*: clip that, then multiply.",
            ),
            Mutant(
                "clips above only",
                lambda log_prob, old_log_prob, advantage, eps: (
                    -torch.min(
                        (log_prob - old_log_prob).exp() * advantage,
                        (log_prob - old_log_prob).exp().clamp(max=1 + eps) * advantage,
                    ).mean()
                ),
                "You clip at the upper limit alone. Where the advantage is negative the policy moves down, and is "
                "stopped at 1 - eps.",
            ),
            Mutant(
                "clips around zero",
                lambda log_prob, old_log_prob, advantage, eps: (
                    -torch.min(
                        (log_prob - old_log_prob).exp() * advantage,
                        (log_prob - old_log_prob).exp().clamp(-eps, eps) * advantage,
                    ).mean()
                ),
                "You clip the ratio to -eps ... eps. A ratio of 1 means that nothing has changed: the limits are "
                "1 - eps and 1 + eps.",
            ),
            Mutant(
                "clips good actions only",
                lambda log_prob, old_log_prob, advantage, eps: (
                    -torch.where(
                        advantage > 0,
                        (log_prob - old_log_prob).exp().clamp(1 - eps, 1 + eps),
                        (log_prob - old_log_prob).exp(),
                    )
                    .mul(advantage)
                    .mean()
                ),
                "You clip where the advantage is positive, and then on both sides. Take the smaller product "
                "everywhere: it cuts off above for good actions, and below for bad ones.",
            ),
            Mutant(
                "half the gradient",
                lambda log_prob, old_log_prob, advantage, eps: (
                    -torch.min(
                        (log_prob - old_log_prob).exp() * advantage,
                        (log_prob - old_log_prob).exp().detach().clamp(1 - eps, 1 + eps) * advantage,
                    ).mean()
                ),
                "The right number, but where the ratio is inside the limits only half of the gradient reaches "
                "`log_prob`: the other half ends at the clipped ratio, which is cut off from it. Use no `detach`.",
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
            Mutant(
                "the lower side",
                lambda log_prob, old_log_prob, eps: ((log_prob - old_log_prob).exp() < 1 - eps).float().mean(),
                "You count only ratios below the lower limit. A ratio above 1 + eps is outside as well.",
            ),
            Mutant(
                "the ratio itself",
                lambda log_prob, old_log_prob, eps: ((log_prob - old_log_prob).exp() > eps).float().mean(),
                "You compare the ratio itself with eps. A ratio of 1 has not moved at all: ask for `(ratio - "
                "1).abs()`.",
            ),
            Mutant(
                "distance with its sign",
                lambda log_prob, old_log_prob, eps: ((log_prob - old_log_prob).exp() - 1 > 1 + eps).float().mean(),
                "You subtract 1 from the ratio and compare with 1 + eps. Either `ratio` against 1 - eps and 1 + eps, "
                "or `(ratio - 1).abs()` against eps.",
            ),
            Mutant(
                "everybody is outside",
                lambda log_prob, old_log_prob, eps: torch.ones(()),
                "Every frame is counted: each ratio is above the lower limit *or* below the upper one. Outside is "
                "below the lower or above the upper.",
            ),
            Mutant(
                "0.2 hard-wired",
                lambda log_prob, old_log_prob, eps: _clip_fraction(log_prob, old_log_prob, 0.2),
                "Your limits are 0.8 and 1.2, whatever `eps` is.",
            ),
            Mutant(
                "difference of probabilities",
                lambda log_prob, old_log_prob, eps: ((log_prob.exp() - old_log_prob.exp()).abs() > eps).float().mean(),
                "You subtract one probability from the other. The limits are for their *ratio*: subtract the "
                "logarithms, then take `exp`.",
            ),
            Mutant(
                "no exp, minus one",
                lambda log_prob, old_log_prob, eps: ((log_prob - old_log_prob - 1).abs() > eps).float().mean(),
                "You take the difference of the logarithms for the ratio. The ratio is `exp` of it.",
            ),
            Mutant(
                "ratio of logarithms",
                lambda log_prob, old_log_prob, eps: ((log_prob / old_log_prob - 1).abs() > eps).float().mean(),
                "You divide the *logarithms*. The ratio of the probabilities is `exp` of their difference.",
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
            Mutant(
                "plain difference, turned round",
                lambda log_prob, old_log_prob: (log_prob - old_log_prob).mean(),
                "This is the mean of the logarithm of the ratio alone. It is subtracted from the mean of the ratio "
                "minus 1.",
            ),
            Mutant(
                "absolute plain difference",
                lambda log_prob, old_log_prob: (old_log_prob - log_prob).mean().abs(),
                "This is the size of the plain estimate. It is not negative any more, but as wrong as before: add the "
                "mean of the ratio minus 1.",
            ),
            Mutant(
                "plain difference, cut off",
                lambda log_prob, old_log_prob: (old_log_prob - log_prob).mean().clamp(min=0),
                "You cut the plain estimate off at 0. That hides the error of the sample and does not make it smaller: "
                "add the mean of the ratio minus 1.",
            ),
            Mutant(
                "logarithm added",
                lambda log_prob, old_log_prob: ((log_prob - old_log_prob).exp() - 1 + (log_prob - old_log_prob)).mean(),
                "You add the logarithm of the ratio. Subtract it: only so do the two cancel for small steps, and the "
                "rest is never negative.",
            ),
            Mutant(
                "no exp",
                lambda log_prob, old_log_prob: ((log_prob - old_log_prob - 1) - (log_prob - old_log_prob)).mean(),
                "Your number is -1, whatever the policies: you take the *logarithm* of the ratio for the ratio. Take "
                "`exp` of the difference first.",
            ),
            Mutant(
                "ratio minus one",
                lambda log_prob, old_log_prob: ((log_prob - old_log_prob).exp() - 1).mean(),
                "This is the first half, the mean of the ratio minus 1. Subtract the logarithm of the ratio.",
            ),
            Mutant(
                "mean before exp",
                lambda log_prob, old_log_prob: (
                    (log_prob - old_log_prob).mean().exp() - 1 - (log_prob - old_log_prob).mean()
                ),
                "You take the mean of the logarithms first, and `exp` of that. The mean comes last: ratio - 1 - log "
                "ratio for each action, then their mean.",
            ),
            Mutant(
                "absolute logarithms",
                lambda log_prob, old_log_prob: (log_prob - old_log_prob).abs().mean(),
                "This is the mean size of the logarithm of the ratio. It is never negative, but no estimate of the KL: "
                "write ratio - 1 - log ratio.",
            ),
            Mutant(
                "squared logarithms",
                lambda log_prob, old_log_prob: (log_prob - old_log_prob).pow(2).mean(),
                "This is the mean square of the logarithm of the ratio, about twice the KL. Write ratio - 1 - log "
                "ratio.",
            ),
            Mutant(
                "weighted with the ratio",
                lambda log_prob, old_log_prob: ((log_prob - old_log_prob).exp() * (log_prob - old_log_prob)).mean(),
                "You weigh the logarithm with the ratio. The actions were drawn by the old policy, so no weights are "
                "needed: ratio - 1 - log ratio.",
            ),
            Mutant(
                "weighted with the probability",
                lambda log_prob, old_log_prob: (old_log_prob.exp() * (old_log_prob - log_prob)).mean(),
                "You weigh with the probability once more. The actions were *drawn* by the old policy, so likely ones "
                "are frequent already: take plain means.",
            ),
            Mutant(
                "one for each action",
                lambda log_prob, old_log_prob: (log_prob - old_log_prob).exp() - 1 - (log_prob - old_log_prob),
                "You return a number for each action. The mean is missing.",
            ),
            Mutant(
                "a minus too many",
                lambda log_prob, old_log_prob: -_kl(log_prob, old_log_prob),
                "The sign is turned round: yours is never *positive*.",
            ),
            Mutant(
                "expectation under the new policy",
                lambda log_prob, old_log_prob: (
                    (log_prob - old_log_prob).exp() * (log_prob - old_log_prob) - ((log_prob - old_log_prob).exp() - 1)
                ).mean(),
                "This estimates the KL the other way round, from the new policy to the old one. Write the mean of "
                "ratio - 1 - log ratio.",
            ),
        ],
    ),
    Exercise(
        number="8.5",
        tests="The normal density of the number that was drawn, corrected by how much the line was squeezed there.",
        draw=_torques,
        reference=_log_prob,
        tolerance=1e-4,  # many add 1e-6 before they take the logarithm
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
            Mutant(
                "slope without its logarithm",
                lambda action, loc, scale, limit: (
                    Normal(loc, scale).log_prob(torch.atanh(action / limit)) - limit * (1 - (action / limit) ** 2)
                ),
                "You subtract the slope itself. What is divided as a number is subtracted as a *logarithm*: take `log` "
                "of the slope.",
            ),
            Mutant(
                "density",
                lambda action, loc, scale, limit: _log_prob(action, loc, scale, limit).exp(),
                "This is the density. Its logarithm was asked for.",
            ),
            Mutant(
                "correction multiplied",
                lambda action, loc, scale, limit: (
                    Normal(loc, scale).log_prob(torch.atanh(action / limit))
                    * torch.log(limit * (1 - (action / limit) ** 2))
                ),
                "You multiply two logarithms. A density that is divided by a slope has the *difference* of the two.",
            ),
            Mutant(
                "bent twice",
                lambda action, loc, scale, limit: (
                    Normal(loc, scale).log_prob(torch.atanh(action / limit))
                    - torch.log(limit * (1 - torch.tanh(action / limit) ** 2))
                ),
                "Your slope bends twice: `action / limit` is tanh(u) already.",
            ),
            Mutant(
                "2 hard-wired",
                lambda action, loc, scale, limit: _log_prob(action, loc, scale, 2.0),
                "Your largest torque is always 2. Here it is given: `limit`.",
            ),
            Mutant(
                "divides by the limit once",
                lambda action, loc, scale, limit: (
                    Normal(loc, scale).log_prob(torch.atanh(action / limit)) - torch.log(limit * (1 - action**2))
                ),
                "In your slope stands the torque where tanh(u) belongs: divide it by `limit` there as well.",
            ),
            Mutant(
                "u in place of tanh",
                lambda action, loc, scale, limit: (
                    Normal(loc, scale).log_prob(action / limit) - torch.log(limit * (1 - (action / limit) ** 2))
                ),
                "You ask the bell curve about tanh(u). Find u again first: `torch.atanh(action / limit)`.",
            ),
        ],
    ),
    Build(
        number="8.6",
        tests="Each epoch used each frame once, each step went down PPO's loss, and the KL ended it in time.",
        reference=build(),
        examine=examine,
        mutants=MUTANTS,
    ),
]
