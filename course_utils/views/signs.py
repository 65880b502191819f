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
        words: what the run's own curves say about it, in a sentence.
    """

    holds: bool
    words: str


def points(log: Log, name: str) -> list[float]:
    """The values of a curve, without its gaps.

    Raises:
        KeyError: the log has no such curve.
    """
    return [value for value in log[name] if value is not None]


def largest_return(log: Log) -> float:
    """The most that a discounted return can be: the reward of a step in play, over and over, each time discounted."""
    steps = zip(log["train/return"], log["train/length"], strict=True)
    reward = max(abs(total) / length for total, length in steps if length)
    return reward / (1 - log["gamma"][0])


def learning_rate(log: Log) -> Sign:
    loss, worth = max(points(log, "train/loss")), largest_return(log)
    return Sign(
        loss > worth**2 and not reward_scale(log).holds,
        f"The loss, a squared error, reached {loss:.3g}. No return here can pass {worth:.3g}, so even an agent that is "
        f"always as wrong as can be has a loss of {worth**2:.3g}: the steps are so long that the weights are thrown "
        "about.",
    )


def no_target(log: Log) -> Sign:
    lag, believed = max(points(log, "check/lag")), max(points(log, "train/q_value"))
    return Sign(
        lag < 1e-6,
        f"The network and its slower copy never differ by more than {lag:.3g}: there is no slower copy, the network "
        f"is its own judge. Its values rise to {believed:.3g} (no return can pass {largest_return(log):.3g}).",
    )


def ends(log: Log) -> Sign:
    done, terminated = points(log, "memory/done")[-1], points(log, "memory/terminated")[-1]
    at_end, elsewhere = points(log, "check/q_at_end")[-1], points(log, "train/q_value")[-1]
    return Sign(
        done > 0 and terminated == 0,
        f"{done:.1%} of the remembered frames ended an episode, and {terminated:.1%} are stored as terminated. So the "
        f"loss adds a future where there is none: the last frame of an episode is believed to be worth {at_end:.3g} "
        f"(all frames: {elsewhere:.3g}), though nothing follows it.",
    )


def dead_relu(log: Log) -> Sign:
    spread = max(points(log, "check/spread"))
    return Sign(
        spread < 1e-6,
        f"Over all remembered states the values spread by {spread:.3g}, at every point of the run: the network says "
        "the same whatever it sees. No unit of a hidden layer lets anything through.",
    )


def epsilon(log: Log) -> Sign:
    rates = points(log, "train/epsilon")
    return Sign(
        max(rates) - min(rates) < 1e-6,
        f"Epsilon is {rates[0]:.3g} at first and {rates[-1]:.3g} at the end: every action of training stays random. "
        f"The training return ends at {points(log, 'train/return')[-1]:.3g}, while the greedy one reached "
        f"{max(points(log, 'eval/reward')):.3g}.",
    )


def reward_scale(log: Log) -> Sign:
    remembered = points(log, "memory/reward")[-1]
    steps = zip(log["train/return"], log["train/length"], strict=True)
    paid = [total / length for total, length in steps if length][-1]
    return Sign(
        abs(remembered) > 2 * abs(paid),
        f"An episode pays {paid:.3g} a step (return by length), and the remembered frames {remembered:.3g}. The values "
        f"grew to {max(points(log, 'train/q_value')):.3g}, though no return can pass {largest_return(log):.3g}.",
    )


def evaluation(log: Log) -> Sign:
    shares = points(log, "eval/off_greedy")
    return Sign(
        max(shares) > 0,
        f"In the evaluation {shares[0]:.0%} of the actions at first, and {shares[-1]:.0%} at last, were not those that "
        "the agent thinks best. What is judged is the agent with its dice.",
    )


def one_batch(log: Log) -> Sign:
    stored, seen = max(points(log, "memory/frames")), log["frames"][-1]
    return Sign(
        stored <= log["frames"][1] - log["frames"][0],
        f"{seen:,.0f} frames were played, and the memory never holds more than {stored:,.0f}, one batch. Every update "
        "of a block learns from the same few moments, and what came before is forgotten.",
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
