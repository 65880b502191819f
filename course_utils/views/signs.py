"""What a logged DQN run shows of each common fault: a sign in its curves, and the numbers that tell it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Log = Mapping[str, Sequence[float | None]]


@dataclass(frozen=True)
class Sign:
    """One fault's sign in one run.

    Attributes:
        holds: is it there?
        seen: what the run's own curves show where one has to look, in a sentence.
        means: what follows from it where it holds.
    """

    holds: bool
    seen: str
    means: str


def points(log: Log, name: str) -> list[float]:
    """The values of a curve, without its gaps.

    Raises:
        KeyError: the log has no such curve.
    """
    return [value for value in log[name] if value is not None]


def largest_return(log: Log) -> float:
    """The most that a discounted return can be: what a step of play pays, over and over, discounted each time."""
    return abs(pay(log)) / (1 - log["gamma"][0])


def pay(log: Log) -> float:
    """What a step paid on average in the last episodes that ended: return by length."""
    returns, lengths = points(log, "train/return"), points(log, "train/length")
    return returns[-1] / lengths[-1]


def exploded(log: Log) -> bool:
    """Was the loss ever larger than that of the worst possible guess, though rewards are stored as they are paid?"""
    return max(points(log, "train/loss")) > largest_return(log) ** 2 and not reward_scale(log).holds


def learning_rate(log: Log) -> Sign:
    losses, worth = points(log, "train/loss"), largest_return(log)
    return Sign(
        exploded(log),
        f"The loss, a squared error, begins at {losses[0]:.3g} and reaches {max(losses):.3g}. No return here can pass "
        f"{worth:.3g}, so a guess can be wrong by about that much, and its square is {worth**2:.3g}.",
        "The steps are so long that the weights are thrown about. What comes later, a network that has stopped "
        "telling states apart for one, follows from that.",
    )


def no_target(log: Log) -> Sign:
    lags = points(log, "check/lag")
    return Sign(
        max(lags) < 1e-6,
        f"The values of the network and of its slower copy are up to {max(lags):.3g} apart; the highest mean value is "
        f"{max(points(log, 'train/q_value')):.3g}, and no return can pass {largest_return(log):.3g}.",
        "There is no slower copy: the network is its own judge, and a mistake confirms itself.",
    )


def ends(log: Log) -> Sign:
    done, terminated = points(log, "memory/done")[-1], points(log, "memory/terminated")[-1]
    at_end, everywhere = points(log, "check/q_at_end")[-1], points(log, "train/q_value")[-1]
    return Sign(
        done > 0 and terminated == 0,
        f"{done:.1%} of the remembered frames ended an episode, and {terminated:.1%} are stored as terminated. The "
        f"last action of an episode is believed to be worth {at_end:.3g}, an action anywhere {everywhere:.3g}.",
        "The loss asks `terminated`, so it adds a future to the frames after which nothing follows, and a fall costs "
        "nothing.",
    )


def dead_relu(log: Log) -> Sign:
    spreads = points(log, "check/spread")
    return Sign(
        max(spreads) < 1e-6 and not exploded(log),
        f"Over all remembered states the values spread by {spreads[0]:.3g} at first, by {max(spreads):.3g} at most.",
        "From the start the network says the same whatever it sees: no unit of a hidden layer lets anything through, "
        "and no gradient comes back.",
    )


def epsilon(log: Log) -> Sign:
    rates = points(log, "train/epsilon")
    return Sign(
        max(rates) - min(rates) < 1e-6,
        f"Epsilon goes from {rates[0]:.3g} to {rates[-1]:.3g}; the training return ends at "
        f"{points(log, 'train/return')[-1]:.3g}, the best greedy one is {max(points(log, 'eval/reward')):.3g}.",
        "The play stays as random as it began, however good the agent is without dice.",
    )


def reward_scale(log: Log) -> Sign:
    remembered = points(log, "memory/reward")[-1]
    return Sign(
        abs(remembered) > 2 * abs(pay(log)),
        f"An episode pays {pay(log):.3g} a step (return by length), a remembered frame {remembered:.3g}. The mean "
        f"value grows to {max(points(log, 'train/q_value')):.3g}, and no return can pass {largest_return(log):.3g}.",
        "What the agent learns from is not what it is paid: too much for a network that starts near 0.",
    )


def evaluation(log: Log) -> Sign:
    shares = points(log, "eval/off_greedy")
    return Sign(
        max(shares) > 0,
        f"In the first evaluation {shares[0]:.0%} of the actions were not those that the agent thinks best, in the "
        f"last {shares[-1]:.0%}.",
        "The agent is judged with its dice, so the curve called greedy is not.",
    )


def one_batch(log: Log) -> Sign:
    stored, batch = max(points(log, "memory/frames")), log["frames"][1] - log["frames"][0]
    return Sign(
        stored <= batch,
        f"Of {log['frames'][-1]:,.0f} frames the memory holds {stored:,.0f} at most; a batch has {batch:,.0f}.",
        "Every update of a block learns from the same few moments, and all that came before is forgotten.",
    )


HEALTHY = "nothing is wrong"
FAULTS: dict[str, Callable[[Log], Sign]] = {
    "learning rate too high": learning_rate,
    "no target network": no_target,
    "falls stored as done, not as terminated": ends,
    "dead ReLUs": dead_relu,
    "epsilon stuck": epsilon,
    "rewards scaled up": reward_scale,
    "evaluation explores": evaluation,
    "memory of one batch": one_batch,
}


def signs(log: Log) -> dict[str, Sign]:
    """Each fault's sign in this run.

    Args:
        log: curves by name, equally long, None where nothing was measured: `frames`, `train/...`, `eval/...`,
            `check/...` and `memory/...` as lesson 06 logs them, and `gamma`, of which the first value counts.
    """
    return {fault: sign(log) for fault, sign in FAULTS.items()}
