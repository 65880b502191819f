"""Exercises of lesson 04."""

import torch
from tensordict import TensorDict

from course_utils.exercises.exercise import Draw, Exercise, Mutant


def _rewards(draw: Draw) -> dict:
    return {"reward": draw.normal(8), "gamma": draw.uniform(0.5, 0.95)}


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
    return {
        "target": draw.normal(5),
        "online": draw.normal(5),
        "eps": draw.uniform(0.9, 0.98),
        "steps": int(draw.integers(3, 30, 1)),
    }


def _trajectory(draw: Draw) -> dict:
    # One episode that terminates, then one that is truncated, then one that is cut off in the middle.
    terminated, done = torch.zeros(12, 1, dtype=torch.bool), torch.zeros(12, 1, dtype=torch.bool)
    first, second = int(draw.integers(2, 5, 1)), int(draw.integers(6, 10, 1))
    terminated[first], done[first], done[second] = True, True, True
    return {
        "reward": draw.normal(12, 1),
        "value": draw.normal(12, 1),
        "next_value": draw.normal(12, 1),
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
    return {
        "logits": draw.normal(8, 3).requires_grad_(),
        "action": draw.integers(0, 3, 8),
        "returns": 2 + draw.normal(8),
        "value": draw.normal(8).requires_grad_(),
    }


def _chosen(logits: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
    return logits.log_softmax(-1).gather(1, action[:, None]).squeeze(1)


def _policy_loss(logits, action, returns, value):
    return -(_chosen(logits, action) * (returns - value).detach()).mean()


def _gradients(loss: torch.Tensor, inputs: dict) -> dict:
    gradients = torch.autograd.grad(loss, [inputs["logits"], inputs["value"]], allow_unused=True)
    return {
        "the loss": loss.detach(),
        "the gradient of the logits": torch.zeros(8, 3) if gradients[0] is None else gradients[0],
        "the gradient of the critic": torch.zeros(8) if gradients[1] is None else gradients[1],
    }


def _losses(draw: Draw) -> dict:
    # What DDPG, or what PPO, might return; PPO's entropy loss is negative.
    if draw.uniform(0, 1) < 0.5:
        entries = {
            "loss_actor": draw.normal().abs() + 1,
            "loss_value": draw.normal().abs() + 1,
            "pred_value": draw.normal(8).requires_grad_(),
            "target_value_max": draw.normal(),
        }
        return {"losses": TensorDict({key: _with_graph(key, value) for key, value in entries.items()})}
    entries = {
        "loss_objective": draw.normal().abs() + 1,
        "entropy": draw.normal().abs(),
        "loss_entropy": -draw.normal().abs() - 0.1,
        "kl_approx": draw.normal().abs(),
        "loss_critic": draw.normal().abs() + 1,
    }
    return {"losses": TensorDict({key: _with_graph(key, value) for key, value in entries.items()})}


def _with_graph(key: str, value: torch.Tensor) -> torch.Tensor:
    return value.requires_grad_() if key.startswith("loss_") else value


def _chosen_losses(losses: TensorDict, keep=lambda key, value: key.startswith("loss_")) -> torch.Tensor:
    return sum(value for key, value in losses.items() if keep(key, value))


EXERCISES = [
    Exercise(
        number="4.1",
        tests="Each step gets the reward it earned and, discounted once more per step, all that follow.",
        draw=_rewards,
        reference=_returns,
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
        probe=_gradients,
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
                "all actions",
                lambda logits, action, returns, value: (
                    -(logits.log_softmax(-1).mean(1) * (returns - value).detach()).mean()
                ),
                "You average the log-probabilities of all actions. Only the action that was *taken* gets credit or "
                "blame.",
            ),
            Mutant(
                "sum",
                lambda logits, action, returns, value: 8 * _policy_loss(logits, action, returns, value),
                "You sum over the batch, so a larger batch means larger steps. Take the mean.",
            ),
        ],
    ),
    Exercise(
        number="4.5",
        tests="Every entry whose name begins with `loss_` is added once; the rest is there to be looked at.",
        draw=_losses,
        reference=_chosen_losses,
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
                "You leave out a negative loss. The entropy term is negative on purpose: a lower loss means more "
                "exploration.",
            ),
            Mutant(
                "mean",
                lambda losses: torch.stack([value for key, value in losses.items() if key.startswith("loss_")]).mean(),
                "You average the losses, which makes every step smaller the more terms there are. Add them up.",
            ),
        ],
    ),
]
