"""Exercises of lesson 04."""

import torch
from tensordict import TensorDict

from course_utils.exercises import build_04
from course_utils.exercises.comparing import WithGradient
from course_utils.exercises.drawn import endings, happens, mixed, rollout, whole
from course_utils.exercises.exercise import Draw, Exercise, Mutant
from course_utils.exercises.probing import tensors


def _rewards(draw: Draw) -> dict:
    return {"reward": draw.normal(whole(draw, 3, 10)), "gamma": draw.uniform(0.5, 0.95)}


def _returns(reward: torch.Tensor, gamma: float) -> torch.Tensor:
    returns = torch.zeros_like(reward)
    following = 0.0
    for step in reversed(range(len(reward))):
        following = reward[step] + gamma * following
        returns[step] = following
    return returns


def _powers(reward: torch.Tensor, gamma: float) -> torch.Tensor:
    return gamma ** torch.arange(len(reward))


def _networks(draw: Draw) -> dict:
    # Often so few steps that what is left of the old target shows, whichever share stays.
    shape = (whole(draw, 2, 6),) if happens(draw, 0.5) else (whole(draw, 2, 4), whole(draw, 2, 4))
    return {
        "target": draw.normal(*shape),
        "online": draw.normal(*shape),
        "eps": draw.uniform(0.6, 0.95),
        "steps": whole(draw, 1, 3) if happens(draw, 0.5) else whole(draw, 4, 20),
    }


def _trajectory(draw: Draw) -> dict:
    # Several episodes; within one, the value of a step's next state is the value of the next step.
    time = whole(draw, 8, 14)
    terminated, truncated = endings(draw, time)
    done = terminated | truncated
    value, next_value = draw.normal(time, 1), draw.normal(time, 1)
    next_value[:-1] = torch.where(done[:-1], next_value[:-1], value[1:])
    return {
        "reward": draw.normal(time, 1),
        "value": value,
        "next_value": next_value,
        "terminated": terminated,
        "done": done,
        "gamma": draw.uniform(0.6, 0.9),
        "lmbda": draw.uniform(0.6, 0.9),
    }


def _gae(reward, value, next_value, terminated, done, gamma, lmbda):
    return _backwards(reward + gamma * next_value * ~terminated - value, gamma * lmbda * ~done)


def _backwards(error: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    advantage = torch.zeros_like(error)
    following = torch.zeros_like(error[0])
    for step in reversed(range(len(error))):
        following = error[step] + factor[step] * following
        advantage[step] = following
    return advantage


def _decisions(draw: Draw) -> dict:
    batch, actions = whole(draw, 4, 9), whole(draw, 2, 4)
    return {
        "logits": draw.normal(batch, actions),
        "action": draw.integers(0, actions, batch),
        "returns": 2 + draw.normal(batch),
        "value": draw.normal(batch),
    }


def _chosen(logits: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
    return logits.log_softmax(-1).gather(1, action[:, None]).squeeze(1)


def _policy_loss(logits, action, returns, value):
    return -(_chosen(logits, action) * (returns - value).detach()).mean()


_LOSSES = ["actor", "value", "qvalue", "critic", "objective", "entropy", "alpha", "world_model"]
_WATCHED = ["pred_value", "td_error", "entropy", "alpha", "kl_approx", "actor_loss_mean", "smoothed_loss", "ESS"]


def _losses(draw: Draw) -> dict:
    """Terms under any names, some negative, among figures to look at: numbers and rows, with and without a graph."""
    entries = {f"loss_{name}": 3 * draw.normal() for name in _some(draw, _LOSSES, whole(draw, 2, 4))}
    entries |= {name: draw.normal() for name in _some(draw, _WATCHED, whole(draw, 2, 5))}
    entries["td_error"] = draw.normal(whole(draw, 2, 8))
    shuffled = {name: entries[name] for name in _some(draw, list(entries), len(entries))}
    has_graph = {name for name in entries if name.startswith("loss_")} | {"pred_value"}
    if happens(draw, 0.5):
        shuffled["loss_entropy"] = -draw.normal().abs() - 0.1
        has_graph.add("loss_entropy")
    return {
        "losses": TensorDict(
            {name: value.requires_grad_() if name in has_graph else value for name, value in shuffled.items()}
        )
    }


def _some(draw: Draw, names: list[str], count: int) -> list[str]:
    return [names[place] for place in mixed(draw, len(names))[:count]]


def _with_gradient(total: torch.Tensor, inputs: dict) -> WithGradient:
    """The sum, and its gradient at each entry that has a graph, as it would be sent backward."""
    leaves = {name: value for name, value in inputs["losses"].items() if value.requires_grad}
    if not isinstance(total, torch.Tensor) or not total.requires_grad:
        return WithGradient(total, {name: torch.zeros_like(leaf) for name, leaf in leaves.items()})
    found = torch.autograd.grad(total.sum(), list(leaves.values()), allow_unused=True, retain_graph=True)
    return WithGradient(
        total,
        {
            name: torch.zeros_like(leaf) if gradient is None else gradient
            for (name, leaf), gradient in zip(leaves.items(), found, strict=True)
        },
    )


def _chosen_losses(losses: TensorDict, keep=lambda key, value: key.startswith("loss_")) -> torch.Tensor:
    return sum(value for key, value in losses.items() if keep(key, value))


def _played(draw: Draw) -> dict:
    # As it comes from one environment, or from several side by side.
    batch = (whole(draw, 5, 9),) if happens(draw, 0.5) else (whole(draw, 2, 3), whole(draw, 4, 6))
    return {
        "steps": rollout(draw, *batch),
        "next_value": draw.normal(*batch, 1),
        "gamma": draw.uniform(0.6, 0.9),
    }


def _targets(steps, next_value, gamma, has_future=None):
    has_future = ~steps["next", "terminated"] if has_future is None else has_future
    return steps["next", "reward"] + gamma * next_value * has_future


EXERCISES = [
    Exercise(
        number="4.1",
        tests="Each step gets the reward it earned and, discounted once more per step, all that follow.",
        draw=_rewards,
        reference=_returns,
        probe=tensors,
        mutants=[
            Mutant(
                "no discount",
                lambda reward, gamma: reward.flip(0).cumsum(0).flip(0),
                "You add up what follows without discounting it. A reward k steps ahead counts `gamma**k`.",
            ),
            Mutant(
                "looks back",
                lambda reward, gamma: (reward * _powers(reward, gamma)).cumsum(0),
                "You add up the rewards *before* a step. A return looks ahead: start at the last step and go "
                "backwards.",
            ),
            Mutant(
                "counts from the first step",
                lambda reward, gamma: (reward * _powers(reward, gamma)).flip(0).cumsum(0).flip(0),
                "You discount every reward as seen from step 0. Seen from step t, the reward of step t itself counts "
                "in full.",
            ),
            Mutant(
                "one step ahead",
                lambda reward, gamma: reward + gamma * torch.cat([reward[1:], reward[:1] * 0]),
                "You look one step ahead only. Add the *return* of the next step, which holds all that follow, not its "
                "reward.",
            ),
            Mutant(
                "last step left out",
                lambda reward, gamma: _returns(torch.cat([reward[:-1], reward[-1:] * 0]), gamma),
                "The last step is left out: its return is its reward, and the others need it.",
            ),
            Mutant(
                "weighted mean",
                lambda reward, gamma: _returns(reward, gamma) / _returns(torch.ones_like(reward), gamma),
                "You divide by the sum of the weights. A return is a sum, not a mean.",
            ),
            Mutant(
                "first reward discounted",
                lambda reward, gamma: gamma * _returns(reward, gamma),
                "You discount everything once too often: the reward of the step itself counts in full.",
            ),
            Mutant(
                "leaves out its own reward",
                lambda reward, gamma: _returns(reward, gamma) - reward,
                "The reward of the step itself is missing: the return from step t begins with the reward of step t.",
            ),
            Mutant(
                "one number",
                lambda reward, gamma: (reward * _powers(reward, gamma)).sum(),
                "This is the return from step 0 only. Give one return per step, a tensor as long as `reward`.",
            ),
        ],
    ),
    Exercise(
        number="4.2",
        tests="The part of the old target that is left shrinks by the factor `eps` with each step.",
        draw=_networks,
        reference=lambda target, online, eps, steps: online + (target - online) * eps**steps,
        mutants=[
            Mutant(
                "one step",
                lambda target, online, eps, steps: eps * target + (1 - eps) * online,
                "This is the target after one update. Repeat it `steps` times, each time from where the last one "
                "ended.",
            ),
            Mutant(
                "adds up the steps",
                lambda target, online, eps, steps: target + steps * (1 - eps) * (online - target),
                "You move the same distance every time. Each step goes a share of the way that is *still left*, so the "
                "steps get shorter.",
            ),
            Mutant(
                "eps and tau mixed up",
                lambda target, online, eps, steps: online + (target - online) * (1 - eps) ** steps,
                "Your target jumps almost all the way at once. `eps` is the share that *stays*; the share that moves "
                "is `tau = 1 - eps`.",
            ),
            Mutant(
                "copies",
                lambda target, online, eps, steps: online.clone(),
                "You copy the online weights. A *soft* update keeps the share `eps` of the old target each time.",
            ),
            Mutant(
                "one step too many",
                lambda target, online, eps, steps: online + (target - online) * eps ** (steps + 1),
                "You make one update too many.",
            ),
            Mutant(
                "one step too few",
                lambda target, online, eps, steps: online + (target - online) * eps ** (steps - 1),
                "You make one update too few.",
            ),
            Mutant(
                "eps times steps",
                lambda target, online, eps, steps: online + (target - online) * eps * steps,
                "You multiply `eps` by the number of steps. Each update leaves the share `eps` of what the last one "
                "left: the share after all of them is `eps**steps`.",
            ),
            Mutant(
                "only adds",
                lambda target, online, eps, steps: target + steps * (1 - eps) * online,
                "You add a share of `online` each time and keep all of the old target. It keeps the share `eps` only.",
            ),
            Mutant(
                "old target forgotten",
                lambda target, online, eps, steps: target * eps**steps,
                "Your target fades to zero: the share that goes has to be filled up with `1 - eps` of `online`.",
            ),
            Mutant(
                "moves the other one",
                lambda target, online, eps, steps: target + (online - target) * eps**steps,
                "You move the online weights towards the target. It is the target that follows; the online weights "
                "stay.",
            ),
        ],
    ),
    Exercise(
        number="4.3",
        tests=(
            "Errors are passed back by `gamma * lmbda` a step, never across an end, and only termination has no future."
        ),
        draw=_trajectory,
        reference=_gae,
        probe=tensors,
        mutants=[
            Mutant(
                "no future after truncation",
                lambda reward, value, next_value, terminated, done, gamma, lmbda: _backwards(
                    reward + gamma * next_value * ~done - value, gamma * lmbda * ~done
                ),
                "Your TD error has no next value at *every* end. A truncated step still has a future: use `terminated` "
                "there.",
            ),
            Mutant(
                "leaks into the episode before",
                lambda reward, value, next_value, terminated, done, gamma, lmbda: _backwards(
                    reward + gamma * next_value * ~terminated - value, gamma * lmbda * ~terminated
                ),
                "After a truncated step the sum runs on into the *next episode*. What is passed back must stop at "
                "every `done`.",
            ),
            Mutant(
                "flags swapped",
                lambda reward, value, next_value, terminated, done, gamma, lmbda: _backwards(
                    reward + gamma * next_value * ~done - value, gamma * lmbda * ~terminated
                ),
                "The two flags are swapped. A step has no future only where it `terminated`; the sum stops at every "
                "`done`.",
            ),
            Mutant(
                "no flags",
                lambda reward, value, next_value, terminated, done, gamma, lmbda: _backwards(
                    reward + gamma * next_value - value, gamma * lmbda * torch.ones_like(value)
                ),
                "You use neither flag. `~terminated` belongs in front of the next value, `~done` in front of the "
                "advantage that follows.",
            ),
            Mutant(
                "no error where terminated",
                lambda reward, value, next_value, terminated, done, gamma, lmbda: _backwards(
                    (reward + gamma * next_value - value) * ~terminated, gamma * lmbda * ~done
                ),
                "You switch off the whole TD error of a terminated step. Its reward was earned, and its value was "
                "expected: only the *next* value goes.",
            ),
            Mutant(
                "sign",
                lambda reward, value, next_value, terminated, done, gamma, lmbda: (
                    -_gae(reward, value, next_value, terminated, done, gamma, lmbda)
                ),
                "Your advantages have the wrong sign: what happened minus what was expected, `reward + ... - value`.",
            ),
            Mutant(
                "not inverted in the sum",
                lambda reward, value, next_value, terminated, done, gamma, lmbda: _backwards(
                    reward + gamma * next_value * ~terminated - value, gamma * lmbda * done
                ),
                "You pass errors back across ends, and only there: the flag in front of the following advantage has to "
                "be inverted, `~done`.",
            ),
            Mutant(
                "not inverted in the error",
                lambda reward, value, next_value, terminated, done, gamma, lmbda: _backwards(
                    reward + gamma * next_value * terminated - value, gamma * lmbda * ~done
                ),
                "You give a next value to terminated steps, and to no others: the flag has to be inverted, "
                "`~terminated`.",
            ),
            Mutant(
                "next flag",
                lambda reward, value, next_value, terminated, done, gamma, lmbda: _backwards(
                    reward + gamma * next_value * ~terminated - value,
                    gamma * lmbda * ~torch.cat([done[1:], torch.ones_like(done[:1])]),
                ),
                "You ask for the `done` of the step after. Whether something follows a step tells its own flag, "
                "`done[step]`.",
            ),
            Mutant(
                "forwards",
                lambda reward, value, next_value, terminated, done, gamma, lmbda: _backwards(
                    (reward + gamma * next_value * ~terminated - value).flip(0), (gamma * lmbda * ~done).flip(0)
                ).flip(0),
                "You go forwards and add what came *before*. An advantage looks ahead: start at the last step.",
            ),
            Mutant(
                "no lambda",
                lambda reward, value, next_value, terminated, done, gamma, lmbda: _gae(
                    reward, value, next_value, terminated, done, gamma, 1.0
                ),
                "You pass errors back with `gamma` alone: that is lambda = 1, the whole return. Multiply by `lmbda` "
                "too.",
            ),
            Mutant(
                "no gamma",
                lambda reward, value, next_value, terminated, done, gamma, lmbda: _backwards(
                    reward + gamma * next_value * ~terminated - value, lmbda * ~done
                ),
                "You pass errors back with `lmbda` alone. A later error lies in the future as well: multiply by "
                "`gamma`.",
            ),
            Mutant(
                "one step only",
                lambda reward, value, next_value, terminated, done, gamma, lmbda: (
                    reward + gamma * next_value * ~terminated - value
                ),
                "These are the TD errors alone, the advantage with lambda = 0. Go backwards and add what follows.",
            ),
            Mutant(
                "never ends",
                lambda reward, value, next_value, terminated, done, gamma, lmbda: _backwards(
                    reward + gamma * next_value - value, gamma * lmbda * ~done
                ),
                "Your TD error gives a terminated step a future. Switch its next value off with `~terminated`.",
            ),
            Mutant(
                "target",
                lambda reward, value, next_value, terminated, done, gamma, lmbda: (
                    _gae(reward, value, next_value, terminated, done, gamma, lmbda) + value
                ),
                "This is the value target: advantage plus value. The advantage is how much *better* than `value` it "
                "went.",
            ),
        ],
    ),
    Exercise(
        number="4.4",
        tests="Minus the mean of log-probability times advantage, and no gradient reaches the critic.",
        draw=_decisions,
        reference=_policy_loss,
        gradient=("logits", "value"),
        mutants=[
            Mutant(
                "sign",
                lambda logits, action, returns, value: -_policy_loss(logits, action, returns, value),
                "The sign is missing: an optimiser makes a loss *smaller*, so this makes good actions less likely.",
            ),
            Mutant(
                "moves the critic",
                lambda logits, action, returns, value: -(_chosen(logits, action) * (returns - value)).mean(),
                "The number is right, but a gradient flows into `value`: the critic would be bent to please the actor. "
                "Detach the advantage.",
            ),
            Mutant(
                "probability",
                lambda logits, action, returns, value: (
                    -(_chosen(logits, action).exp() * (returns - value).detach()).mean()
                ),
                "You use the probability itself. The policy gradient takes its *logarithm*, so that rare actions are "
                "not neglected.",
            ),
            Mutant(
                "no baseline",
                lambda logits, action, returns, value: -(_chosen(logits, action) * returns).mean(),
                "You weigh with the return itself. Subtract what the critic expected: the advantage is `returns - "
                "value`.",
            ),
            Mutant(
                "no softmax",
                lambda logits, action, returns, value: (
                    -(logits.gather(1, action[:, None]).squeeze(1) * (returns - value).detach()).mean()
                ),
                "You take the logits themselves. Log-probabilities are made of them by `log_softmax(-1)`.",
            ),
            Mutant(
                "over the batch",
                lambda logits, action, returns, value: (
                    -(logits.log_softmax(0).gather(1, action[:, None]).squeeze(1) * (returns - value).detach()).mean()
                ),
                "Your softmax runs over the batch. Probabilities add up to 1 over the *actions*: `log_softmax(-1)`.",
            ),
            Mutant(
                "best action",
                lambda logits, action, returns, value: (
                    -(logits.log_softmax(-1).max(-1).values * (returns - value).detach()).mean()
                ),
                "You take the log-probability of the likeliest action. Only the action that was *taken* counts.",
            ),
            Mutant(
                "everyone with everyone",
                lambda logits, action, returns, value: (
                    -(logits.log_softmax(-1)[:, action] * (returns - value).detach()).mean()
                ),
                "Your log-probabilities have shape [batch, batch]: `[:, action]` takes the actions of all rows from "
                "each row. One from each row is `gather(1, action[:, None])`.",
            ),
            Mutant(
                "squared advantage",
                lambda logits, action, returns, value: (
                    -(_chosen(logits, action) * (returns - value).detach() ** 2).mean()
                ),
                "You square the advantage, so a bad action is made as likely as a good one. Its sign is what counts.",
            ),
            Mutant(
                "two means",
                lambda logits, action, returns, value: (
                    -_chosen(logits, action).mean() * (returns - value).detach().mean()
                ),
                "You multiply the mean log-probability by the mean advantage. Each action is weighed by its own "
                "advantage: multiply first, then take the mean.",
            ),
            Mutant(
                "all actions",
                lambda logits, action, returns, value: (
                    -(logits.log_softmax(-1).mean(1) * (returns - value).detach()).mean()
                ),
                "You average the log-probabilities of all actions. Only the action that was *taken* gets credit or "
                "blame.",
            ),
            Mutant(
                "sum",
                lambda logits, action, returns, value: len(action) * _policy_loss(logits, action, returns, value),
                "You sum over the batch, so a larger batch means larger steps. Take the mean.",
            ),
        ],
    ),
    Exercise(
        number="4.5",
        tests="Every entry whose name begins with `loss_` is added once; the rest is there to be looked at.",
        draw=_losses,
        reference=_chosen_losses,
        probe=_with_gradient,
        mutants=[
            Mutant(
                "everything",
                lambda losses: sum(losses.values()),
                "You add every entry. Most of them are diagnostics: only names that begin with `loss_` are to be "
                "minimised.",
            ),
            Mutant(
                "what has a gradient",
                lambda losses: _chosen_losses(losses, lambda key, value: value.requires_grad),
                "You take every entry that carries a gradient. `pred_value` does so too, and is a prediction, not a "
                "loss: go by the name.",
            ),
            Mutant(
                "the first one",
                lambda losses: next(value for key, value in losses.items() if key.startswith("loss_")),
                "You take one loss only, so a part of the agent (its critic, say) never learns. Add all `loss_` "
                "entries.",
            ),
            Mutant(
                "no negative ones",
                lambda losses: _chosen_losses(losses, lambda key, value: key.startswith("loss_") and value > 0),
                "You leave out negative losses. They are negative on purpose: an entropy loss rewards exploration, and "
                "an actor's loss may be minus a value.",
            ),
            Mutant(
                "the last one",
                lambda losses: [value for key, value in losses.items() if key.startswith("loss_")][-1],
                "You keep the last loss only: each overwrites the one before. Add them up.",
            ),
            Mutant(
                "no entropy",
                lambda losses: _chosen_losses(
                    losses, lambda key, value: key.startswith("loss_") and key != "loss_entropy"
                ),
                "You leave out `loss_entropy`. It is a loss like the others: it keeps the policy from settling too "
                "early.",
            ),
            Mutant(
                "loss anywhere",
                lambda losses: _chosen_losses(losses, lambda key, value: "loss" in key),
                "You take every name with `loss` in it. Only names that *begin* with `loss_` are to be minimised.",
            ),
            Mutant(
                "single numbers",
                lambda losses: _chosen_losses(losses, lambda key, value: value.ndim == 0),
                "You add every single number. Some of them are diagnostics: go by the name.",
            ),
            Mutant(
                "mean",
                lambda losses: torch.stack([value for key, value in losses.items() if key.startswith("loss_")]).mean(),
                "You average the losses, which makes every step smaller the more terms there are. Add them up.",
            ),
        ],
    ),
    Exercise(
        number="4.6",
        tests="The reward and, unless the step terminated, the discounted value of the next state.",
        draw=_played,
        reference=_targets,
        probe=tensors,
        mutants=[
            Mutant(
                "done",
                lambda steps, next_value, gamma: _targets(steps, next_value, gamma, ~steps["next", "done"]),
                "Your target ends at *every* end. A truncated step still has a future: ask `terminated`.",
            ),
            Mutant(
                "truncated",
                lambda steps, next_value, gamma: _targets(steps, next_value, gamma, ~steps["next", "truncated"]),
                "You switch the future off where the clock ran out. It is the other flag: `terminated`.",
            ),
            Mutant(
                "the flag before the step",
                lambda steps, next_value, gamma: _targets(steps, next_value, gamma, ~steps["terminated"]),
                "No step of yours ends: the flags at the root tell how things stood *before* a step. What came of it "
                "stands under `next`.",
            ),
            Mutant(
                "not inverted",
                lambda steps, next_value, gamma: _targets(steps, next_value, gamma, steps["next", "terminated"]),
                "You give a future to terminated steps, and to no others: the flag has to be inverted.",
            ),
            Mutant(
                "no discount",
                lambda steps, next_value, gamma: _targets(steps, next_value, 1.0),
                "The next value is not discounted. It comes one step later: multiply it by `gamma`.",
            ),
            Mutant(
                "reward discounted",
                lambda steps, next_value, gamma: gamma * _targets(steps, next_value, 1.0),
                "You discount the reward, too. It is earned with this step: `gamma` belongs to the next value alone.",
            ),
            Mutant(
                "reward lost at the end",
                lambda steps, next_value, gamma: _targets(steps, next_value, gamma) * ~steps["next", "terminated"],
                "You switch off the reward of a terminated step as well. It was earned: only the future goes.",
            ),
            Mutant(
                "no reward",
                lambda steps, next_value, gamma: gamma * next_value * ~steps["next", "terminated"],
                "The reward is missing: it is the one part of a target that is known for sure.",
            ),
            Mutant(
                "minus",
                lambda steps, next_value, gamma: _targets(steps, next_value, -gamma),
                "You subtract the next value. A target is the reward *plus* what is still to come.",
            ),
            Mutant(
                "lost dimension",
                lambda steps, next_value, gamma: _targets(steps, next_value, gamma).squeeze(-1),
                "Your targets have lost their last dimension, of size 1. A loss that subtracts them from values of "
                "shape `[..., 1]` would broadcast: keep it.",
            ),
        ],
    ),
    build_04.BUILD,
]
