"""One face for every simulator that `check_simulator` plays with: reset, step, and what each of them gave."""

from __future__ import annotations

import contextlib
import random
import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from course_utils.exercises.running import OutOfTime
from course_utils.exercises.undisturbed import torch_state

FLAGS = ("terminated", "truncated", "done")


class Theirs(Exception):
    """An error of the simulator's own, with what was asked of it; `cause` is that error."""

    def __init__(self, doing: str, cause: BaseException) -> None:
        super().__init__(doing)
        self.doing, self.cause = doing, cause


@dataclass(frozen=True)
class Promise:
    """What a spec says of one entry.

    Attributes:
        shape: with the batch size in front, where there is one.
        dtype: its name, such as "float32"; empty where nothing is said.
        low, high: limits that broadcast to the shape; None where there are none.
        spec: the space or spec itself, to be asked where limits do not say all.
        role: "observation", "reward" or "flag".
    """

    shape: tuple[int, ...]
    dtype: str
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    spec: Any = None
    role: str = "observation"


@dataclass
class Moment:
    """What a reset or a step gave.

    Attributes:
        words: "reset" or "step 3", counted within the episode.
        raw: the entries as they came, the very objects.
        values: the same as NumPy arrays, copied at once.
        ended: True where an episode ended; of the shape of the batch.
        info: whatever came besides.
        root: where the next step starts from, for TorchRL.
    """

    words: str
    raw: dict[str, Any]
    values: dict[str, np.ndarray]
    ended: np.ndarray
    info: Any = None
    root: Any = None


@dataclass
class Log:
    """What the checks have asked of all copies of a simulator.

    Attributes:
        doing: what is being asked right now, for the sentence about one that never answers.
        since: from when on, in seconds on the clock and of the process's own.
        took: of each step the seconds on the clock and those of this thread's own.
        odd: sentences about what came in a form that cannot be played with, each once, by what it is about.
        guess: draws an action for a class that does not say what it takes.
        owner: the copy whose states the global generators are in.
        stopped: the examination was cut off. A call that could not be interrupted, such as one that waits for another
            program, may return later: then its thread ends before it touches the global generators again.
    """

    doing: str = "calling `make`"
    since: tuple[float, float] = (0.0, 0.0)
    made: int = 0
    resets: int = 0
    steps: int = 0
    episodes: int = 0
    took: list[tuple[float, float]] = field(default_factory=list)
    odd: dict[str, str] = field(default_factory=dict)
    guess: Any = None
    owner: Any = None
    stopped: bool = False

    def begins(self, doing: str) -> None:
        self.goes_on()
        self.doing, self.since = doing, (time.monotonic(), time.process_time())

    def goes_on(self) -> None:
        if self.stopped:
            raise OutOfTime

    @property
    def computing(self) -> float:
        """Seconds that a step computes, the median: a first step imports and compiles what later ones only use."""
        return statistics.median(computing for _, computing in self.took) if self.took else 0.0

    @property
    def waiting(self) -> float:
        """Seconds that every step waits at least. On a busy machine many steps wait their turn, but never all."""
        return max(0.0, min(wall - computing for wall, computing in self.took)) if self.took else 0.0


def global_states() -> dict[str, Any]:
    return {"random": random.getstate(), "np.random": np.random.get_state(), "torch": torch_state()}


def set_global_states(states: dict[str, Any]) -> None:
    random.setstate(states["random"])
    np.random.set_state(states["np.random"])
    torch.set_rng_state(states["torch"])


def same_state(name: str, one: Any, other: Any) -> bool:
    if name == "torch":
        return torch.equal(one, other)
    if name == "np.random":
        return one[2:] == other[2:] and np.array_equal(one[1], other[1])
    return one == other


class Sim(ABC):
    """A copy of the learner's simulator.

    The global random generators are its own while it runs: what it draws from them disturbs no other copy, and is
    noted in `drew`, {"np.random": {"step"}}.
    """

    form = ""
    one_by_one = True  # one episode at a time: after its end somebody has to call `reset`

    def __init__(self, env: Any, log: Log, states: dict[str, Any]) -> None:
        self.env, self.log = env, log
        self.states = states
        self.drew: dict[str, set[str]] = {}
        self.count = 0  # steps of this episode
        self.last: Moment | None = None

    # What a form says

    @property
    @abstractmethod
    def promises(self) -> dict[str, Promise]:
        """What is promised of each entry, by its name in `Moment.values`."""

    @abstractmethod
    def _reset(self, seed: int | None) -> Moment: ...

    @abstractmethod
    def _step(self, action: Any) -> Moment: ...

    @abstractmethod
    def draw(self, number: int) -> Any:
        """A random action that is allowed now; the same for the same number."""

    def bases(self) -> list[Any]:
        """The objects that hold the state: the environment, and what it wraps."""
        return [self.env]

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self.env.close()

    # What is asked of all forms

    def reset(self, seed: int | None = None) -> Moment:
        self.count = 0
        self.log.resets += 1
        said = "reset" if seed is None else f"reset with the seed {seed}"
        self.last = self._alone("reset", said, lambda: self._reset(seed))
        return self.last

    def step(self, action: Any) -> Moment:
        self.count += 1
        self.log.steps += 1
        self.last = self._alone("step", f"step {self.count} of an episode", lambda: self._step(action))
        if self.last.ended.any():
            self.log.episodes += int(self.last.ended.sum())
        return self.last

    def _alone(self, method: str, doing: str, call: Any) -> Moment:
        self.log.begins(doing)
        with self.alone() as before:
            wall, computing = time.perf_counter(), time.thread_time()
            try:
                moment = call()
            except Theirs:
                raise
            except (Exception, SystemExit) as error:
                raise Theirs(doing, error) from error
            if method == "step":
                self.log.took.append((time.perf_counter() - wall, time.thread_time() - computing))
        for name, state in before.items():
            if not same_state(name, state, self.states[name]):
                self.drew.setdefault(name, set()).add(method)
        return moment

    @contextlib.contextmanager
    def alone(self) -> Iterator[dict[str, Any]]:
        """Inside, the global generators go on where this copy left them."""
        if self.log.owner is not self:  # else they are where it left them
            set_global_states(self.states)
            self.log.owner = self
        before = self.states
        try:
            yield before
        finally:
            self.log.goes_on()
            self.states = global_states()


def as_array(value: Any) -> np.ndarray:
    """A copy as NumPy array; of objects where it is nothing else."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().numpy().copy()
    try:
        return np.array(value)
    except ValueError:  # ragged
        return np.array(repr(value))


def shown(value: Any) -> str:
    """A value in a sentence."""
    array = np.asarray(value)
    if array.size == 1:
        return plain(array.reshape(-1)[0])
    few = array.reshape(-1)[:4]
    return "[" + ", ".join(map(plain, few)) + (", ..." if array.size > 4 else "") + "]"


def plain(number: Any) -> str:
    if isinstance(number, (bool, np.bool_)):
        return str(bool(number))
    if isinstance(number, (int, np.integer)):
        return str(int(number))
    try:
        return f"{float(number):.4g}"
    except (TypeError, ValueError):
        return repr(number)[:40]


def dtype_name(value: Any) -> str:
    """float32 for a float32 of NumPy's or torch's, and the type's name for what is neither."""
    if isinstance(value, torch.Tensor):
        return str(value.dtype).removeprefix("torch.")
    if isinstance(value, (np.ndarray, np.generic)):
        return str(value.dtype)
    return type(value).__name__
