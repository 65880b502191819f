"""Exercises of lesson 18, one part of them: a simulator of one's own."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from tensordict import TensorDict
from torchrl.data import Bounded, Categorical, Composite, Unbounded
from torchrl.envs import EnvBase

from course_utils.exercises.exercise import Build, Draw, Exercise, Mutant
from course_utils.exercises.reservoirs import examine_reservoirs


def _part_of_the_rows(draw: Draw) -> dict[str, Any]:
    count, width = int(draw.integers(3, 7, 1)), int(draw.integers(2, 5, 1))
    begins = draw.flags(0.5, count, 1)
    begins[0], begins[1] = True, False
    if draw.turn(3) == 0:  # nobody begins anew
        begins = torch.zeros_like(begins)
    steps = draw.integers(3, 90, count, 1)
    return {"state": draw.normal(count, width), "steps": steps, "start": draw.normal(count, width), "begins": begins}


def _restart(
    state: torch.Tensor, steps: torch.Tensor, start: torch.Tensor, begins: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.where(begins, start, state), torch.where(begins, 0, steps)


class _Reservoirs(EnvBase):
    """A right build; with a `slip`, one of the wrong ones."""

    def __init__(self, count: int, days: int, slip: str = "") -> None:
        super().__init__(batch_size=[count])
        self.slip, self.days = slip, days
        flag = Categorical(2, [count, 1], dtype=torch.bool)
        flags = {name: flag.clone() for name in ("done", "terminated", "truncated")}
        if slip == "two flags":
            del flags["truncated"]
        self.observation_spec = Composite(level=Bounded(0.0, 10.0, [count, 1]), shape=[count])
        if slip == "no limits":
            self.observation_spec = Composite(level=Unbounded([count, 1]), shape=[count])
        self.action_spec, self.reward_spec = Bounded(0.0, 1.0, [count, 1]), Unbounded([count, 1])
        self.done_spec = Composite(flags, shape=[count])
        self.level, self.age = torch.full([count, 1], 5.0), torch.zeros(count, 1)
        self.set_seed(0)

    def _set_seed(self, seed: int) -> None:
        self.sky = torch.Generator().manual_seed(0 if self.slip == "one seed" else seed)

    def _drawn(self, one: bool = False) -> torch.Tensor:
        shape = [1, 1] if one else [*self.batch_size, 1]
        return torch.rand(shape, generator=None if self.slip == "global chance" else self.sky).expand(
            *self.batch_size, 1
        )

    def _reset(self, tensordict: Any) -> TensorDict:
        begins = torch.ones(*self.batch_size, 1, dtype=torch.bool)
        if tensordict is not None and "_reset" in tensordict and self.slip != "resets all":
            begins = tensordict["_reset"]
        start = torch.full_like(self.level, 5.0) if self.slip == "one start" else 4 + 2 * self._drawn()
        self.level = torch.where(begins, start, self.level)
        clocks = torch.ones_like(begins) & begins.all() if self.slip == "one clock" else begins
        if self.slip != "clock goes on":
            self.age = torch.where(clocks, 0.0, self.age)
        return self._look()

    def _step(self, tensordict: Any) -> TensorDict:
        rain = 2 * self._drawn(self.slip == "one rain")
        gate = tensordict["action"] if self.slip == "no clamp" else tensordict["action"].clamp(0, 1)
        before = self.level
        new = before + rain - (gate if self.slip == "half a gate" else 2 * gate)
        new = new if self.slip == "above the rim" else new.clamp(0, 10)
        self.level = before.copy_(new) if self.slip == "reused" else new
        self.age = self.age + 1
        reward = -((before if self.slip == "old level" else new) - 5).abs()
        if self.slip == "flat reward":
            reward = reward.squeeze(-1)
        return self._look().set("reward", reward.double() if self.slip == "64 bits" else reward)

    def _look(self) -> TensorDict:
        lost, late = (self.level <= 0) | (self.level >= 10), self.age >= self.days
        if self.slip == "time as end":
            lost = lost | late
        if self.slip == "never lost":
            lost = torch.zeros_like(lost)
        if self.slip == "all end":
            lost = lost.any().expand_as(lost).clone()
        if self.slip in ("clock goes on", "one clock"):
            late = self.age % self.days == 0 if self.slip == "one clock" else late
            late = late & (self.age > 0)
        done = lost if self.slip == "done without time" else lost | late
        level = self.level if self.slip == "reused" else self.level.clone()
        seen = {"level": level, "terminated": lost, "done": done.clone()}
        return TensorDict(seen | ({} if self.slip == "two flags" else {"truncated": late}), self.batch_size)


def _slip(name: str, sentence: str) -> Mutant:
    return Mutant(name, partial(_Reservoirs, slip=name), sentence)


EXERCISES = [
    Exercise(
        number="18.5",
        tests="Rows that begin anew get their start and a clock at 0, the others stay as they were; nothing is changed "
        "in place.",
        reference=_restart,
        draw=_part_of_the_rows,
        mutants=[
            Mutant(
                "all",
                lambda state, steps, start, begins: (start, torch.zeros_like(steps)),
                "All rows begin anew with you. Those where `begins` is False are in the middle of an episode: they "
                "keep `state` and `steps`.",
            ),
            Mutant(
                "clock goes on",
                lambda state, steps, start, begins: (torch.where(begins, start, state), steps),
                "The states are right, but the clocks go on: a new episode would be truncated too early. `steps` is 0 "
                "where `begins` is True.",
            ),
            Mutant(
                "the other way round",
                lambda state, steps, start, begins: (torch.where(begins, state, start), torch.where(begins, steps, 0)),
                "It is the other way round: with you the rows begin anew where `begins` is *False*. `torch.where` "
                "takes its second argument where the first is True.",
            ),
            Mutant(
                "if any",
                lambda state, steps, start, begins: _restart(state, steps, start, begins.any().expand_as(begins)),
                "With you one row that begins anew takes all others along: no `any` over rows.",
            ),
            Mutant(
                "all clocks",
                lambda state, steps, start, begins: (torch.where(begins, start, state), torch.zeros_like(steps)),
                "The states are right, but all clocks are at 0. A row that goes on keeps its count.",
            ),
            Mutant(
                "zeros",
                lambda state, steps, start, begins: (torch.where(begins, 0, state), torch.where(begins, 0, steps)),
                "With you a row begins at 0. It begins at its own row of `start`.",
            ),
            Mutant(
                "in their order",
                lambda state, steps, start, begins: (
                    state.masked_scatter(begins.expand_as(state), start),
                    torch.where(begins, 0, steps),
                ),
                "The rows that begin anew get the *first* rows of `start`, one after the other. Each gets its own: row "
                "3 of `state` from row 3 of `start`.",
            ),
        ],
    ),
    Build(
        number="18.6",
        tests="Specs, water, rewards, both ends, clocks of their own, resets of some rows, rain and seeds: your "
        "reservoirs do what was said, and `check_simulator` finds nothing.",
        reference=_Reservoirs,
        examine=examine_reservoirs,
        mutants=[
            _slip("no limits", "The spec of `level` allows -0.5."),
            _slip("two flags", "The done spec has no `truncated`."),
            _slip("flat reward", "`_step` returns a `reward` of shape [48]."),
            _slip("64 bits", "`reward` is torch.float64 under `next`, after a step. It has to be torch.float32."),
            _slip("reused", "`_step` writes into the `level` that it was given or has handed out before"),
            _slip("above the rim", "It stays between 0 and 10: `clamp(0, 10)`."),
            _slip("half a gate", "and rain is between 0 and 2."),
            _slip("old level", "That is for the level *before*: pay for the new one."),
            _slip("time as end", "A time limit is `truncated`: the water stays, only the clock has stopped."),
            _slip("never lost", "It is True at 0 and at 10, and nowhere else."),
            _slip("all end", "Each ends by itself: no `any` over copies."),
            _slip("clock goes on", "a clock at 0, and none of its flags is True."),
            _slip("one clock", "Each row has a clock of its own, which begins at 0 where that row begins anew."),
            _slip("done without time", "It is True where one of the two is."),
            _slip("resets all", "has moved, too. `_reset` gets `tensordict['_reset']`"),
            _slip("one rain", "It rains the same on all reservoirs"),
            _slip("one start", "Every reset begins at the same levels."),
            _slip("no clamp", "A gate cannot be opened beyond its limits"),
            _slip("global chance", "The levels change with `torch.manual_seed`, the agent's seed."),
            _slip("one seed", "give the same levels. Does `_set_seed` use its seed?"),
        ],
    ),
]
