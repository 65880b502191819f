"""The process in which a stranger's agent is examined: with limits, without a network, and with nothing to lose.

Started by `tools/ranking.py` in a folder that holds only `card.json` and `model.onnx`. Writes two lines of JSON: which
limits hold, before the file is touched; and the result, or the sentence with which it is refused.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # it is run with -I, which knows no folder

TASKS = {"CartPole-v1": (4, ("whole numbers", 2)), "Pendulum-v1": (3, ("real numbers", 1))}
EPISODES = 100
NEW_USER, NEW_NETWORK = 0x10000000, 0x40000000  # of unshare(2)


def cut_network() -> str:
    """Take the network from this process, and say how."""
    try:
        if ctypes.CDLL(None, use_errno=True).unshare(NEW_USER | NEW_NETWORK) == 0:
            return "no network: a namespace of its own that has none"
    except (AttributeError, OSError, TypeError):  # only Linux has it
        pass
    import socket

    def refuse(*_, **__):
        raise OSError("no network here")

    socket.socket.connect = socket.socket.connect_ex = socket.create_connection = refuse
    return "no network for Python's sockets; this system gives no namespace, so code outside Python is not stopped"


def limit(seconds: int, megabytes: int) -> list[str]:
    """Set the limits of this process that its system knows; those that hold, in words."""
    import resource

    wanted = [
        ("AS", megabytes * 2**20, f"{megabytes} MiB of memory"),
        ("CPU", seconds, f"{seconds} core seconds"),
        ("FSIZE", 64 * 1024, "files of 64 KiB, none larger"),
        ("NOFILE", 64, "64 open files"),
        ("CORE", 0, "no image of its memory on the disk"),
    ]
    return [words for name, most, words in wanted if held(resource, name, most)]


def no_more_processes() -> list[str]:
    """After the libraries have started what they need."""
    import resource

    if not held(resource, "NPROC", 0):
        return []
    try:  # it does not hold for root
        if os.fork() == 0:
            os._exit(0)
        os.wait()
    except OSError:
        return ["no new process or thread"]
    return []


def held(resource, name: str, most: int) -> bool:
    try:
        number = getattr(resource, f"RLIMIT_{name}")
        # Seconds end in a signal that says so; five later comes the one that cannot be caught.
        resource.setrlimit(number, (most, most + 5 if name == "CPU" else most))
        return resource.getrlimit(number)[0] == most
    except (AttributeError, ValueError, OSError):
        return False


def mean_returns(decide, task: str, seed: int) -> list[float]:
    """The returns of `EPISODES` episodes of the unmodified task, played side by side, by the rule of lesson 07.

    An episode is what `reset(seed=...)` begins. For the same seed TorchRL plays another one: `set_seed` resets, and the
    rollout resets again.

    Args:
        decide: actions for observations of shape [episodes, numbers].
        task: Gymnasium's id.
        seed: of the first episode; the others have the following ones.
    """
    import gymnasium
    import numpy as np

    envs = gymnasium.make_vec(task, EPISODES, "sync")
    observations, _ = envs.reset(seed=seed)
    returns, playing = np.zeros(EPISODES), np.ones(EPISODES, bool)
    while playing.any():
        observations, rewards, terminated, truncated, _ = envs.step(decide(observations))
        returns += rewards * playing
        playing &= ~(terminated | truncated)
    return returns.tolist()


def examine(card: dict, model: bytes, seed: int) -> dict:
    """The result of an agent.

    Raises:
        Refused: it is not examined, or broke a rule on the way.
    """
    from course_utils.runs.onnx_agent import AgentError, OnnxAgent
    from tools.onnx_gate import refusal

    if card["task"] not in TASKS:
        raise Refused(f"Its task is not among those examined: {', '.join(TASKS)}.")
    numbers, (kind, count) = TASKS[card["task"]]
    named = all(isinstance(action, str) for action in card["actions"])
    if (len(card["observation"]), len(card["actions"]), named) != (numbers, count, kind == "whole numbers"):
        raise Refused(f"By its card it does not fit {card['task']}: {numbers} numbers seen, and {count} {kind} done.")
    if len(card["reads"]) != 1:
        raise Refused("It reads more than the observation; agents with a memory are not examined.")
    if sentence := refusal(model):
        raise Refused(sentence)
    try:
        agent = OnnxAgent(model, card)
        returns = mean_returns(agent.decide, card["task"], seed)
    except AgentError as error:
        raise Refused("It needs more memory than it may have." if no_room(error) else str(error)) from error
    mean = sum(returns) / EPISODES
    spread = math.sqrt(sum((one - mean) ** 2 for one in returns) / (EPISODES - 1))
    return {"mean": mean, "error": spread / math.sqrt(EPISODES), "worst": min(returns), "best": max(returns)}


class Refused(Exception):
    """An agent is not ranked; the message says why."""


def no_room(error: Exception) -> bool:
    return any(word in str(error).lower() for word in ("bad_alloc", "bad alloc", "failed to allocate", "out of memory"))


def result_of(folder: Path, seed: int) -> dict:
    from course_utils.runs.agent_card import CardError, read_card

    try:
        card = read_card(folder / "card.json")
    except CardError as error:
        return {"refused": str(error).replace(f"{folder}/", "")}
    except (RecursionError, OverflowError, MemoryError):
        return {"refused": "card.json is no card: it is nested too deep, or its numbers are too long."}
    told = {"name": card["name"], "task": card["task"], "claimed": card["exam"]["mean"], "licence": card["licence"]}
    try:
        return told | examine(card, (folder / "model.onnx").read_bytes(), seed)
    except Refused as refused:
        return told | {"refused": str(refused)}
    except MemoryError:
        return told | {"refused": "It needs more memory than it may have."}


def main() -> None:
    seed, seconds, megabytes = map(int, sys.argv[1:])
    network = cut_network()  # first: a process with a second thread may not leave its namespace
    limits = limit(seconds, megabytes)
    import gymnasium  # noqa: F401
    import onnx  # noqa: F401
    import onnxruntime  # noqa: F401

    print(json.dumps([network, *limits, *no_more_processes()]), flush=True)
    print(json.dumps(result_of(Path.cwd(), seed)), flush=True)


if __name__ == "__main__":
    main()
