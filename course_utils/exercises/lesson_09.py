"""Exercises of lesson 09."""

import torch
from tensordict import TensorDict, TensorDictBase

from course_utils.exercises.exercise import Build, Draw, Exercise, Mutant
from course_utils.exercises.td3_mutants import MUTANTS, build
from course_utils.exercises.td3_update import examine


def _two_networks(draw: Draw) -> dict:
    size = int(draw.integers(3, 6))

    def weights() -> TensorDict:
        batch_size = [size] if draw.turn(2) else []  # the weights of a module have no batch size
        return TensorDict({"weight": draw.normal(size, 2), "bias": draw.normal(size)}, batch_size=batch_size)

    return {"target": weights(), "online": weights(), "tau": draw.uniform(0.05, 0.4)}


def _soft_update(target: TensorDictBase, online: TensorDictBase, tau: float) -> TensorDictBase:
    return (1 - tau) * target + tau * online


def _ends(draw: Draw, batch: int) -> dict:
    terminated, truncated = draw.flags(0.4, batch, 1), draw.flags(0.4, batch, 1)
    terminated[:3], truncated[:3] = torch.tensor([[True], [False], [False]]), torch.tensor([[False], [True], [False]])
    return {"terminated": terminated, "truncated": truncated}


def _two_critics(draw: Draw) -> dict:
    batch = int(draw.integers(6, 12))
    values = draw.normal(2, batch, 1)
    ends = _ends(draw, batch)
    return {"reward": draw.normal(batch, 1), "next_values": values, **ends, "gamma": draw.uniform(0.8, 0.98)}


def _clipped_target(reward, next_values, terminated, truncated, gamma):
    return reward + gamma * next_values.amin(0) * ~terminated


def _noisy_actions(draw: Draw) -> dict:
    # Actions near both limits, moved on and moved back, and draws far out on both sides: both cuts have something to do
    # at both ends, and something to leave alone.
    batch = int(draw.integers(8, 12))
    action = 1.5 * torch.tanh(draw.normal(batch, 1))
    noise = draw.normal(batch, 1)
    action[:6] = torch.tensor([[1.95], [-1.95], [0.1], [-0.1], [1.95], [-1.95]])
    noise[:6] = torch.tensor([[3.0], [-3], [4], [-4], [-0.5], [0.5]])
    return {"next_action": action, "noise": noise, "std": draw.uniform(0.2, 0.4), "clip": draw.uniform(0.3, 0.6)}


def _smoothed(next_action, noise, std, clip):
    return (next_action + (noise * std).clamp(-clip, clip)).clamp(-2.0, 2.0)


def _soft_values(draw: Draw) -> dict:
    batch = int(draw.integers(6, 12))
    return {
        "reward": draw.normal(batch, 1),
        "next_values": draw.normal(2, batch, 1),
        "next_log_prob": draw.normal(batch, 1),
        "alpha": draw.uniform(0.2, 0.9),
        "terminated": _ends(draw, batch)["terminated"],
        "gamma": draw.uniform(0.8, 0.98),
    }


def _soft_target(reward, next_values, next_log_prob, alpha, terminated, gamma):
    return reward + gamma * (next_values.amin(0) - alpha * next_log_prob) * ~terminated


def _ten_critics(draw: Draw) -> dict:
    # In any order, side by side or far apart. More transitions than critics: whoever takes one for the other then gets
    # a sentence, and no error.
    first, second = draw.normal(10).argsort()[:2].tolist()
    if draw.turn(4) == 0:
        second = first + 1 if first < 9 else 0
    return {"next_values": draw.normal(10, int(draw.integers(11, 16)), 1), "jury": torch.tensor([first, second])}


def _jury_value(next_values, jury):
    return next_values[jury].amin(0)


EXERCISES = [
    Exercise(
        number="9.1",
        tests="The target network goes the share `tau` of the way to the online network.",
        draw=_two_networks,
        reference=_soft_update,
        mutants=[
            Mutant(
                "tau taken for eps",
                lambda target, online, tau: tau * target + (1 - tau) * online,
                "Your target network jumps almost all the way. `tau` is the share of the *online* network; what stays "
                "of the target is `1 - tau`.",
            ),
            Mutant(
                "hard copy",
                lambda target, online, tau: online.clone(),
                "This copies everything at once: a hard update. Mix the two, with the share `tau` of the online one.",
            ),
            Mutant(
                "forgets to shrink",
                lambda target, online, tau: target + tau * online,
                "You add to the target without taking anything away, so it grows at every update. The two shares must "
                "add up to 1.",
            ),
            Mutant(
                "moves away",
                lambda target, online, tau: target + tau * (target - online),
                "Your target moves *away* from the online network. The way to go is `online - target`.",
            ),
            Mutant(
                "nothing moves",
                lambda target, online, tau: target.clone(),
                "Your target network stays where it was. Let it go the share `tau` of the way to the online network.",
            ),
            Mutant(
                "only the step",
                lambda target, online, tau: tau * (online - target),
                "This is the step alone. Add it to the target.",
            ),
            Mutant(
                "half and half",
                lambda target, online, tau: 0.5 * (target + online),
                "You take the mean of the two networks. The share of the online network is `tau`.",
            ),
            Mutant(
                "forgets to grow",
                lambda target, online, tau: (1 - tau) * target + online,
                "You add the whole online network. Only its share `tau` is added.",
            ),
            Mutant(
                "swapped names",
                lambda target, online, tau: online + tau * (online - target),
                "You start from the online network. Start from the *target*, and go towards the online network.",
            ),
        ],
    ),
    Exercise(
        number="9.2",
        tests="Of two critics the more pessimistic one makes the target; only `terminated` ends the future.",
        draw=_two_critics,
        reference=_clipped_target,
        mutants=[
            Mutant(
                "mean of both",
                lambda reward, next_values, terminated, truncated, gamma: (
                    reward + gamma * next_values.mean(0) * ~terminated
                ),
                "You take the mean of the two critics. An error that flatters one of them still gets through, by half. "
                "TD3 believes the smaller value.",
            ),
            Mutant(
                "the larger one",
                lambda reward, next_values, terminated, truncated, gamma: (
                    reward + gamma * next_values.amax(0) * ~terminated
                ),
                "You take the larger value: that is more optimistic than a single critic. Take the smaller.",
            ),
            Mutant(
                "the first critic",
                lambda reward, next_values, terminated, truncated, gamma: reward + gamma * next_values[0] * ~terminated,
                "You ask only the first critic. That is DDPG's target; the second one is there to contradict it.",
            ),
            Mutant(
                "stops at truncation",
                lambda reward, next_values, terminated, truncated, gamma: (
                    reward + gamma * next_values.amin(0) * ~(terminated | truncated)
                ),
                "Your target ends at *every* end. In Pendulum only the clock ends an episode, and a clock is no end of "
                "the world: ask `terminated` alone.",
            ),
            Mutant(
                "smallest of the batch",
                lambda reward, next_values, terminated, truncated, gamma: (
                    reward + gamma * next_values.amin((0, 1)) * ~terminated
                ),
                "You take the smallest value of the whole batch. Compare the two critics for each transition: the "
                "minimum over dimension 0.",
            ),
            Mutant(
                "no end",
                lambda reward, next_values, terminated, truncated, gamma: reward + gamma * next_values.amin(0),
                "You look beyond a *terminated* step: nothing follows it. Multiply by `~terminated`.",
            ),
            Mutant(
                "stops at truncation alone",
                lambda reward, next_values, terminated, truncated, gamma: (
                    reward + gamma * next_values.amin(0) * ~truncated
                ),
                "You stop where the clock ran out, and go on after a real end. The other way round: `~terminated`.",
            ),
            Mutant(
                "no gamma",
                lambda reward, next_values, terminated, truncated, gamma: reward + next_values.amin(0) * ~terminated,
                "Your future counts as much as the reward now: multiply it by `gamma`.",
            ),
            Mutant(
                "the second critic",
                lambda reward, next_values, terminated, truncated, gamma: reward + gamma * next_values[1] * ~terminated,
                "You ask only the second critic. Ask both, and believe the smaller value.",
            ),
            Mutant(
                "who is smaller",
                lambda reward, next_values, terminated, truncated, gamma: (
                    reward + gamma * next_values.argmin(0) * ~terminated
                ),
                "You take the *number* of the critic with the smaller value, 0 or 1. Take the value: `amin(0)`, or "
                "`min(0).values`.",
            ),
            Mutant(
                "reward cut as well",
                lambda reward, next_values, terminated, truncated, gamma: (
                    (reward + gamma * next_values.amin(0)) * ~terminated
                ),
                "You take away the reward of the last step too. It was paid; only what would follow falls away.",
            ),
            Mutant(
                "looks ahead at the end",
                lambda reward, next_values, terminated, truncated, gamma: (
                    reward + gamma * next_values.amin(0) * terminated
                ),
                "You look ahead exactly where nothing follows. Multiply by the opposite: `~terminated`.",
            ),
            Mutant(
                "stops only where both are true",
                lambda reward, next_values, terminated, truncated, gamma: (
                    reward + gamma * next_values.amin(0) * ~(terminated & truncated)
                ),
                "You stop only where both flags are True. Nothing follows a `terminated` step, whatever the clock "
                "says.",
            ),
            Mutant(
                "sum of both",
                lambda reward, next_values, terminated, truncated, gamma: (
                    reward + gamma * next_values.sum(0) * ~terminated
                ),
                "You add up what the two critics say. Take the smaller of the two values.",
            ),
        ],
    ),
    Exercise(
        number="9.3",
        tests="The noise is cut off first, then the action, so that no target asks about an impossible torque.",
        draw=_noisy_actions,
        reference=_smoothed,
        mutants=[
            Mutant(
                "noise not clipped",
                lambda next_action, noise, std, clip: (next_action + noise * std).clamp(-2.0, 2.0),
                "A rare large draw carries your action far away from what the actor wanted. Cut the *noise* to "
                "`-clip` ... `clip` before you add it.",
            ),
            Mutant(
                "action not clipped",
                lambda next_action, noise, std, clip: next_action + (noise * std).clamp(-clip, clip),
                "Some of your torques lie beyond 2: the critic has never seen such an action and would guess. Clamp "
                "the sum to -2 ... 2.",
            ),
            Mutant(
                "clipped before scaling",
                lambda next_action, noise, std, clip: (next_action + noise.clamp(-clip, clip) * std).clamp(-2.0, 2.0),
                "You cut the noise before scaling it, so it stays within `clip * std`. Scale by `std` first.",
            ),
            Mutant(
                "not scaled",
                lambda next_action, noise, std, clip: (next_action + noise.clamp(-clip, clip)).clamp(-2.0, 2.0),
                "Your noise has a standard deviation of 1. Multiply it by `std` before you cut it off.",
            ),
            Mutant(
                "no noise",
                lambda next_action, noise, std, clip: next_action.clamp(-2.0, 2.0),
                "There is no noise in your action: the target asks at a single point, and a narrow false peak there "
                "would be believed.",
            ),
            Mutant(
                "limits of 1",
                lambda next_action, noise, std, clip: (next_action + (noise * std).clamp(-clip, clip)).clamp(-1.0, 1.0),
                "You cut the action off at -1 and 1, but this motor's torque goes from -2 to 2.",
            ),
            Mutant(
                "clip around the sum",
                lambda next_action, noise, std, clip: (next_action + noise * std).clamp(-clip, clip),
                "You cut the *sum* off at `-clip` and `clip`, so no larger torque is ever asked about. `clip` is for "
                "the noise alone; the sum has limits of its own.",
            ),
            Mutant(
                "action cut above only",
                lambda next_action, noise, std, clip: (next_action + (noise * std).clamp(-clip, clip)).clamp(max=2.0),
                "You cut the action off at 2 alone. A torque below -2 does not exist either.",
            ),
            Mutant(
                "noise cut above only",
                lambda next_action, noise, std, clip: (next_action + (noise * std).clamp(max=clip)).clamp(-2.0, 2.0),
                "You cut the noise off at `clip` alone. It can be as far out on the other side: `-clip`.",
            ),
            Mutant(
                "noise of its own",
                lambda next_action, noise, std, clip: (
                    next_action + (torch.randn_like(next_action) * std).clamp(-clip, clip)
                ).clamp(-2.0, 2.0),
                "You draw noise of your own. Use the `noise` that is given.",
            ),
            Mutant(
                "noise that multiplies",
                lambda next_action, noise, std, clip: (next_action * (1 + (noise * std).clamp(-clip, clip))).clamp(
                    -2.0, 2.0
                ),
                "You multiply the action by the noise, so an action near 0 is hardly moved. Add the noise.",
            ),
            Mutant(
                "noise subtracted",
                lambda next_action, noise, std, clip: (next_action - (noise * std).clamp(-clip, clip)).clamp(-2.0, 2.0),
                "You subtract the noise. Add it, as the text says.",
            ),
            Mutant(
                "divided by std",
                lambda next_action, noise, std, clip: (next_action + (noise / std).clamp(-clip, clip)).clamp(-2.0, 2.0),
                "You divide the noise by `std`. A standard normal number times `std` has that standard deviation.",
            ),
        ],
    ),
    Exercise(
        number="9.4",
        tests="What follows is worth the smaller value plus a bonus for being undecided, and nothing follows an end.",
        draw=_soft_values,
        reference=_soft_target,
        mutants=[
            Mutant(
                "wrong sign",
                lambda reward, next_values, next_log_prob, alpha, terminated, gamma: (
                    reward + gamma * (next_values.amin(0) + alpha * next_log_prob) * ~terminated
                ),
                "You reward actions that were *likely*, so the policy would freeze. The bonus is "
                "`-alpha * next_log_prob`: large for a surprising action.",
            ),
            Mutant(
                "no entropy",
                lambda reward, next_values, next_log_prob, alpha, terminated, gamma: (
                    reward + gamma * next_values.amin(0) * ~terminated
                ),
                "This is TD3's target: the entropy is missing. Subtract `alpha * next_log_prob` from the value.",
            ),
            Mutant(
                "bonus outside",
                lambda reward, next_values, next_log_prob, alpha, terminated, gamma: (
                    reward + gamma * next_values.amin(0) * ~terminated - alpha * next_log_prob
                ),
                "Your bonus is neither discounted nor switched off at the end. It belongs to the *next* action: put "
                "it inside, beside the value.",
            ),
            Mutant(
                "bonus survives the end",
                lambda reward, next_values, next_log_prob, alpha, terminated, gamma: (
                    reward + gamma * (next_values.amin(0) * ~terminated - alpha * next_log_prob)
                ),
                "After a terminated step there is no next action, so there is no bonus for it either: `~terminated` "
                "must switch off both.",
            ),
            Mutant(
                "mean of both",
                lambda reward, next_values, next_log_prob, alpha, terminated, gamma: (
                    reward + gamma * (next_values.mean(0) - alpha * next_log_prob) * ~terminated
                ),
                "You take the mean of the two critics. SAC took over TD3's pessimism: the smaller one.",
            ),
            Mutant(
                "the larger one",
                lambda reward, next_values, next_log_prob, alpha, terminated, gamma: (
                    reward + gamma * (next_values.amax(0) - alpha * next_log_prob) * ~terminated
                ),
                "You take the larger of the two values. SAC took over TD3's pessimism: the smaller one.",
            ),
            Mutant(
                "no end",
                lambda reward, next_values, next_log_prob, alpha, terminated, gamma: (
                    reward + gamma * (next_values.amin(0) - alpha * next_log_prob)
                ),
                "You look beyond a *terminated* step: nothing follows it, no value and no bonus. Multiply by "
                "`~terminated`.",
            ),
            Mutant(
                "no gamma",
                lambda reward, next_values, next_log_prob, alpha, terminated, gamma: (
                    reward + (next_values.amin(0) - alpha * next_log_prob) * ~terminated
                ),
                "Your future counts as much as the reward now: multiply value and bonus by `gamma`.",
            ),
            Mutant(
                "no alpha",
                lambda reward, next_values, next_log_prob, alpha, terminated, gamma: (
                    reward + gamma * (next_values.amin(0) - next_log_prob) * ~terminated
                ),
                "Your bonus has no price: multiply `next_log_prob` by `alpha`.",
            ),
            Mutant(
                "bonus not discounted",
                lambda reward, next_values, next_log_prob, alpha, terminated, gamma: (
                    reward + (gamma * next_values.amin(0) - alpha * next_log_prob) * ~terminated
                ),
                "You discount the value and not the bonus. Both belong to the next step: `gamma` goes before the "
                "bracket that holds them.",
            ),
            Mutant(
                "the first critic",
                lambda reward, next_values, next_log_prob, alpha, terminated, gamma: (
                    reward + gamma * (next_values[0] - alpha * next_log_prob) * ~terminated
                ),
                "You ask only the first critic. Ask both, and believe the smaller value.",
            ),
            Mutant(
                "the second critic",
                lambda reward, next_values, next_log_prob, alpha, terminated, gamma: (
                    reward + gamma * (next_values[1] - alpha * next_log_prob) * ~terminated
                ),
                "You ask only the second critic. Ask both, and believe the smaller value.",
            ),
            Mutant(
                "probability",
                lambda reward, next_values, next_log_prob, alpha, terminated, gamma: (
                    reward + gamma * (next_values.amin(0) - alpha * next_log_prob.exp()) * ~terminated
                ),
                "You take the probability for its logarithm. `next_log_prob` is a logarithm already: no `exp`.",
            ),
            Mutant(
                "logarithm twice",
                lambda reward, next_values, next_log_prob, alpha, terminated, gamma: (
                    reward + gamma * (next_values.amin(0) - alpha * next_log_prob.log()) * ~terminated
                ),
                "You take the logarithm of a logarithm. `next_log_prob` is one already.",
            ),
            Mutant(
                "alpha for both",
                lambda reward, next_values, next_log_prob, alpha, terminated, gamma: (
                    reward + gamma * alpha * (next_values.amin(0) - next_log_prob) * ~terminated
                ),
                "You multiply the value by `alpha`, too. It is the price of the bonus alone.",
            ),
            Mutant(
                "reward cut as well",
                lambda reward, next_values, next_log_prob, alpha, terminated, gamma: (
                    (reward + gamma * (next_values.amin(0) - alpha * next_log_prob)) * ~terminated
                ),
                "You take away the reward of the last step too. It was paid; only what would follow falls away.",
            ),
            Mutant(
                "looks ahead at the end",
                lambda reward, next_values, next_log_prob, alpha, terminated, gamma: (
                    reward + gamma * (next_values.amin(0) - alpha * next_log_prob) * terminated
                ),
                "You look ahead exactly where nothing follows. Multiply by the opposite: `~terminated`.",
            ),
            Mutant(
                "value survives the end",
                lambda reward, next_values, next_log_prob, alpha, terminated, gamma: (
                    reward + gamma * (next_values.amin(0) - alpha * next_log_prob * ~terminated)
                ),
                "Your bonus ends with the episode, your value does not: `~terminated` must switch off both.",
            ),
        ],
    ),
    Exercise(
        number="9.5",
        tests="Only the critics on the jury are asked, and the more pessimistic of them is believed.",
        draw=_ten_critics,
        reference=_jury_value,
        mutants=[
            Mutant(
                "all ten",
                lambda next_values, jury: next_values.amin(0),
                "You ask all ten. The smallest of ten is far too pessimistic: ask only the critics that `jury` names.",
            ),
            Mutant(
                "mean of the jury",
                lambda next_values, jury: next_values[jury].mean(0),
                "Right jury, but it does not vote by the mean: believe the smaller value.",
            ),
            Mutant(
                "the first two",
                lambda next_values, jury: next_values[:2].amin(0),
                "You always ask the first two critics. The jury is drawn anew for each update: index with `jury`.",
            ),
            Mutant(
                "mean of all",
                lambda next_values, jury: next_values.mean(0),
                "The mean of all ten is what REDQ's *actor* climbs. The target takes the minimum over the jury.",
            ),
            Mutant(
                "wrong dimension",
                lambda next_values, jury: next_values[:, jury].amin(0),
                "You index the transitions in place of the critics. Critics are dimension 0: `next_values[jury]`.",
            ),
            Mutant(
                "the larger of the jury",
                lambda next_values, jury: next_values[jury].amax(0),
                "Right jury, but you believe the larger value. Take the smaller.",
            ),
            Mutant(
                "one juror",
                lambda next_values, jury: next_values[jury[0]],
                "You ask only one of the two. The second one is there to contradict the first: take the smaller value.",
            ),
            Mutant(
                "the second juror",
                lambda next_values, jury: next_values[jury[1]],
                "You ask only the second of the two. Ask both, and take the smaller value.",
            ),
            Mutant(
                "both jurors",
                lambda next_values, jury: next_values[jury],
                "You return what both jurors say. Take the smaller of the two values: `amin(0)`.",
            ),
            Mutant(
                "value and juror",
                lambda next_values, jury: next_values[jury].min(0),
                "`min(0)` gives two things: values, and the numbers of those who said them. Take its `.values`, or use "
                "`amin(0)`.",
            ),
            Mutant(
                "which juror",
                lambda next_values, jury: next_values[jury].argmin(0),
                "You return *which* of the two said less, 0 or 1. Return what they said: `amin(0)`.",
            ),
            Mutant(
                "from one to the other",
                lambda next_values, jury: next_values[int(jury.min()) : int(jury.max())].amin(0),
                "You ask all critics from the one number to the other (which is itself left out). `jury` is no range: "
                "index with it.",
            ),
            Mutant(
                "from one to the other, both asked",
                lambda next_values, jury: next_values[int(jury.min()) : int(jury.max()) + 1].amin(0),
                "You ask all critics from the one number to the other. Only two are on the jury: index with it.",
            ),
            Mutant(
                "the smaller number",
                lambda next_values, jury: next_values[jury.min()],
                "You take the critic with the smaller *number*. Take the smaller *value* of the two.",
            ),
            Mutant(
                "smallest of the batch",
                lambda next_values, jury: next_values[jury].min(),
                "You take the smallest value of the whole batch. Compare the two jurors for each transition: the "
                "minimum over dimension 0.",
            ),
            Mutant(
                "one juror for all",
                lambda next_values, jury: next_values[jury[next_values[jury].mean((1, 2)).argmin()]],
                "You choose one juror for the whole batch. Take the smaller value for each transition.",
            ),
        ],
    ),
    Build(
        number="9.6",
        tests="Two critics learn from the smaller of two smoothed values, the actor waits its turn, targets follow.",
        reference=build(),
        examine=examine,
        mutants=MUTANTS,
    ),
]
