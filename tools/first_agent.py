"""Lesson 07's agent, before and after training: the one that the first picture and the site's first page show.

Its weights were trained once, by the lesson's own code with seed 0, and are kept with 16 bits each. Both agents are
made of the lesson's cells.
"""

from __future__ import annotations

import torch

from benchmarks import dqn_cartpole, store
from course_utils import load_weights

NAME = "07_agent"
WEIGHTS = store.RESULTS / f"{NAME}.pt"
SEED = 0


def halved(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The network's weights, 16 bits each."""
    return {key: value.half() for key, value in network.state_dict().items()}


def train() -> tuple[int, float]:
    """Train it as the lesson does, and keep its weights.

    Returns:
        How many frames it took, and what the kept agent reaches in the lesson's exam.
    """
    space = dqn_cartpole.definitions(SEED)
    run = space["build"](SEED)
    space["train"](run, space["settings"].max_frames)
    run.agent.load_state_dict(run.best_weights)
    torch.save({"network": halved(run.agent.module[0].module)}, WEIGHTS)
    return run.frames, exam()


def agents() -> dict[str, torch.nn.Module]:
    """The agent before and after training, by these names."""
    space = dqn_cartpole.definitions(SEED)
    before, after = (space["build"](SEED).agent for _ in range(2))
    for agent, weights in [(before, halved(before.module[0].module)), (after, load_weights(NAME)["network"])]:
        agent.module[0].module.load_state_dict({key: value.float() for key, value in weights.items()})
    return {"before training": before, "after training": after}


def exam() -> float:
    """The mean return of the kept agent over the 100 episodes of the lesson's exam."""
    return dqn_cartpole.exam(dqn_cartpole.definitions(SEED), agents()["after training"], SEED)
