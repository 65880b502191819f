"""Do torch, tensordict and torchrl work together here? Asked by doing what every lesson does, in a process of its own.

No table of versions can tell: torchrl 0.14.1 asks for torch 2.1 or newer and tensordict 0.14.3 for any at all, yet
their compiled parts are built for one release of torch, and a build that does not fit may fail at its import, at its
first call, or not at all. So what is there is tried: an import, a rollout, a loss and its gradient.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass

SECONDS = 300  # a first import on a busy machine takes a minute
PASSED = "the trial run passed"


@dataclass(frozen=True)
class Attempt:
    """What came of a trial run.

    Attributes:
        problem: what stops it, in one line; empty where it passes.
        said: what the same process printed after it had passed.
    """

    problem: str
    said: str = ""


def trial_problem() -> str:
    """What stops the trial run, in one line; empty where it passes."""
    return attempt().problem


def attempt(then: str = "") -> Attempt:
    """Make the trial run, then run the statement `then` in the same process, which has the libraries at hand."""
    command = [sys.executable, "-P", "-c", f"from course_utils.machine import trial; trial.run(); {then}"]
    places = [place or os.getcwd() for place in sys.path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}  # what this kernel would import
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env=environment)
    except subprocess.TimeoutExpired:
        return Attempt(f"it did not end within {SECONDS} seconds")
    if done.returncode == 0 and PASSED in done.stdout:
        return Attempt("", done.stdout.partition(PASSED)[2].strip())
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return Attempt(lines[-1][:300] if lines else f"Python ended with status {done.returncode} and said nothing")


def run() -> None:
    """The trial itself.

    Raises:
        RuntimeError: the loss has no gradient; other errors come from the libraries.
    """
    from tensordict.nn import TensorDictModule
    from torchrl.envs import GymEnv
    from torchrl.modules import MLP, QValueActor
    from torchrl.objectives import DQNLoss

    env = GymEnv("CartPole-v1")
    network = MLP(in_features=4, out_features=2, num_cells=[8])
    actor = QValueActor(TensorDictModule(network, ["observation"], ["action_value"]), spec=env.action_spec)
    loss = DQNLoss(actor, delay_value=True)
    loss(env.rollout(8, actor))["loss"].backward()
    gradients = [weight.grad for weight in loss.parameters() if weight.requires_grad]
    if not gradients or any(gradient is None or not gradient.isfinite().all() for gradient in gradients):
        raise RuntimeError("a loss reached no gradient that is a number")
    print(PASSED)
