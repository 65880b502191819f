"""One examination of a simulator: its copies, what they were seen to do, the time that is left, and what was found."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
from torchrl.envs import GymWrapper, ParallelEnv

from course_utils.exercises.running import seed_all
from course_utils.exercises.sim_forms import Log, Moment, Sim, Theirs, global_states, set_global_states
from course_utils.exercises.sim_gymnasium import PlainSim, guesses, open_gymnasium
from course_utils.exercises.sim_torchrl import open_torchrl

SEED = 1234
STEPS = 40  # of a trace
SHARE = 0.32  # seconds that a trace may take
LONG_SHARE = 2.0  # seconds that the long one may take
WAITING = 6  # seconds that a simulator sleeps count as one of computing


@dataclass(frozen=True)
class Finding:
    """One thing that was seen.

    Attributes:
        rank: the lower, the more it hurts.
        sentence: what was seen, and what mends it.
        fault: False for a note: it may be meant so.
    """

    rank: int
    sentence: str
    fault: bool = True


@dataclass
class Trace:
    """A play from a seeded reset on. `error` is what the simulator raised, where it broke off."""

    sim: Sim
    moments: list[Moment] = field(default_factory=list)
    actions: list[Any] = field(default_factory=list)  # before each moment; None before a reset
    error: Theirs | None = None


@dataclass
class Case:
    """An examination.

    Attributes:
        make: the learner's function.
        seconds: of computing, after which nothing new is begun. What is planned takes far less, so that a busy machine,
            where all computes more slowly, leaves nothing out.
        cost: seconds that a step takes, from which all lengths are planned.
        repeatable: may two copies of the same seed be compared?
        pinned: the global generators are set by the seed, too: the simulator draws from them and does not seed them.
    """

    make: Callable[[], Any]
    log: Log = field(default_factory=Log)
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 12.0
    began: float = field(default_factory=time.process_time)
    cost: float = 0.001
    repeatable: bool = True
    pinned: bool = False
    first: Trace | None = None
    long: list[Trace] = field(default_factory=list)

    def fault(self, rank: int, sentence: str) -> None:
        self._add(Finding(rank, sentence))

    def note(self, rank: int, sentence: str) -> None:
        self._add(Finding(rank, sentence, fault=False))

    def _add(self, finding: Finding) -> None:
        if finding not in self.findings:
            self.findings.append(finding)

    @property
    def faulty(self) -> bool:
        return any(finding.fault for finding in self.findings)

    @property
    def late(self) -> bool:
        """Is the time used up, that of the process's own or what the simulator slept?"""
        slept = len(self.log.took) * self.log.waiting
        return time.process_time() - self.began > self.seconds or slept > 2 * self.seconds

    def plan(self) -> None:
        """Set what a step costs by those that were played."""
        self.cost = self.log.computing + self.log.waiting / WAITING + 2e-4

    @property
    def steps(self) -> int:
        """So long is a trace of this simulator."""
        return int(min(STEPS, max(12, SHARE / max(self.cost, 1e-6))))

    # Copies

    def new(self, fill: int | None = None) -> Sim:
        """A new copy. The global generators start for it from `fill`, else from where no other copy's started."""
        self.log.made += 1
        self.log.begins("calling `make`")
        outside = global_states()
        seed_all(self.log.made * 7919 if fill is None else fill)
        try:
            env = self.make()
            sim = open_sim(env, self.log)
        finally:
            self.log.goes_on()
            set_global_states(outside)
            self.log.owner = None
        return sim

    def begin(self, sim: Sim, seed: int) -> Moment:
        """Reset with a seed; where the simulator needs it, the global generators are set by it, too."""
        if self.pinned:
            outside = global_states()
            seed_all(seed)
            sim.states = global_states()
            set_global_states(outside)
            self.log.owner = None
        return sim.reset(seed)

    def play(
        self,
        sim: Sim,
        seed: int = SEED,
        steps: int | None = None,
        actions: int = 0,
        between: Callable[[int], None] | None = None,
    ) -> Trace:
        """Play from a seeded reset on, over the ends of episodes.

        Args:
            sim: the copy that plays.
            seed: of the reset.
            steps: that are played.
            actions: which series of random actions.
            between: called before each step with its number.
        """
        trace = Trace(sim)
        try:
            trace.moments.append(self.begin(sim, seed))
            trace.actions.append(None)
            for number in range(self.steps if steps is None else steps):
                if between is not None:
                    between(number)
                action = sim.draw(actions * 100_000 + number)
                trace.actions.append(action)
                trace.moments.append(sim.step(action))
                if sim.one_by_one and trace.moments[-1].ended:
                    trace.moments.append(sim.reset())
                    trace.actions.append(None)
        except Theirs as error:
            trace.error = error
        return trace


def open_sim(env: Any, log: Log) -> Sim | None:
    return open_torchrl(env, log) or open_gymnasium(env, log)


def inside(make: Callable[[], Any], env: Any) -> tuple[Callable[[], Any], str]:
    """What is to be looked at first where an environment only wraps another: how to make that, and a word on it."""
    if isinstance(env, ParallelEnv):
        one, options = env.create_env_fn[0], (env.create_env_kwargs or [{}])[0]
        return (
            lambda: one(**options)
        ), "`ParallelEnv` runs its copies in processes of their own: one of them was made here"
    if isinstance(env, GymWrapper) and isinstance(env._env, (gymnasium.Env, gymnasium.vector.VectorEnv)):
        return (lambda: make()._env), "The Gymnasium environment inside of the wrapper was looked at first"
    return make, ""


def settle_guess(case: Case) -> Theirs | None:
    """Find out what a plain class takes as its action; the first error where it takes nothing that was tried."""
    errors: list[Theirs] = []
    sim = case.new()
    if not isinstance(sim, PlainSim) or isinstance(getattr(sim.env, "action_space", None), gymnasium.Space):
        return None
    for guess in guesses(sim.env):
        case.log.guess = guess
        trace = case.play(case.new(), steps=3)
        if trace.error is None and plausible(trace):
            return None
        if trace.error is not None:
            errors.append(trace.error)
    case.log.guess = guesses(sim.env)[0]
    return errors[0] if errors else None


def plausible(trace: Trace) -> bool:
    """Rewards stay single numbers: an array as action must not have made an array of a number."""
    return all(np.size(moment.values.get("reward", 0)) == 1 for moment in trace.moments)


# Compare


def equal(one: np.ndarray, other: np.ndarray) -> bool:
    if one.shape != other.shape:
        return False
    if one.dtype.kind in "fc" and other.dtype.kind in "fc":
        return bool(np.allclose(one, other, rtol=1e-5, atol=1e-7, equal_nan=True))
    return bool(np.array_equal(one, other))


@dataclass(frozen=True)
class Difference:
    """Where two plays part: the moment's place and words, the entry, and both values."""

    place: int
    words: str
    key: str
    one: Any
    other: Any


def first_difference(one: Trace, other: Trace) -> Difference | None:
    for place, (left, right) in enumerate(zip(one.moments, other.moments, strict=False)):
        if left.words != right.words:
            return Difference(place, left.words, "", left.words, right.words)
        for key in left.values:
            if key not in right.values or not equal(left.values[key], right.values[key]):
                return Difference(place, left.words, key, left.values[key], right.values.get(key))
    return None


def is_library(env: Any) -> bool:
    """Is it a class of a library's, not one that somebody wrote in a notebook or a script?"""
    return type(env).__module__.split(".")[0] in LIBRARIES


LIBRARIES = {"torchrl", "gymnasium", "vmas", "pettingzoo", "ale_py", "dm_control", "brax", "jumanji", "minigrid"}
