"""What an exercise is made of: inputs or an examination, a reference, and the mistakes people make, as their code."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from course_utils.exercises.comparing import Rules


@dataclass(frozen=True)
class Mutant:
    """A misconception: its name, the code it leads to, and the sentence that helps."""

    name: str
    answer: Any
    sentence: str


@dataclass(frozen=True)
class Exercise:
    """What `check` needs to know about one exercise.

    Attributes:
        number: `"7.1"`: lesson and place.
        tests: one sentence on what is tested, shown when the answer is correct.
        reference: a right answer: a function, or a value for "predict what comes out" exercises.
        draw: makes the arguments of one call, by name and in order, from a random source; None where the answer
            is a value.
        mutants: the known mistakes.
        probe: turns what an answer returned, and the inputs, into what is compared. A function that builds a module
            is compared by what its module writes.
        gradient: names of inputs at which the gradient of the result has to be the reference's too. Tensors, the
            floating-point entries of tensordicts and lists, and the parameters of modules are made leaves that ask
            for a gradient; all of the result is weighted at random, added up and differentiated. With a probe it is
            the probe's result that is differentiated.
        exact_type: the type is what the exercise teaches: float64 is not float32, an array is no tensor, and a list
            is no tuple. Otherwise these are one and the same.
        may_change_inputs: the text leaves it open whether an answer works in place.
        tolerance: relative and absolute, of floating-point numbers; larger where a usual formula adds a small number.
    """

    number: str
    tests: str
    reference: Any
    draw: Callable[[Draw], dict[str, Any]] | None = None
    mutants: list[Mutant] = field(default_factory=list)
    probe: Callable[[Any, dict[str, Any]], Any] | None = None
    gradient: tuple[str, ...] = ()
    exact_type: bool = False
    may_change_inputs: bool = False
    tolerance: float = 1e-5

    @property
    def rules(self) -> Rules:
        return Rules(self.exact_type, self.tolerance)


@dataclass(frozen=True)
class Build:
    """What `check` needs to know about an exercise in which something is built: a class, or a function that trains.

    What is built is not compared with the reference; it is used, and what it does has to be what the exercise asks for.

    Attributes:
        number: `"5.6"`: lesson and place.
        tests: one sentence on what is tested, shown when the answer is correct.
        reference: a right answer.
        examine: uses an answer, with a random source of its own, and returns the sentence about the first thing that is
            wrong with it, in the order in which it hurts; empty where nothing is.
        mutants: the known mistakes; the sentence of each stands in what `examine` says of it.
        seconds: of computing, after which an answer is cut off.
    """

    number: str
    tests: str
    reference: Any
    examine: Callable[[Any, Draw], str]
    mutants: list[Mutant] = field(default_factory=list)
    seconds: float = 20.0


class Draw:
    """The source of an exercise's random inputs; a seed makes them repeatable."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._torch = torch.Generator().manual_seed(seed)
        self._python = random.Random(seed)

    def turn(self, of: int) -> int:
        """Whose turn it is, from 0 to `of - 1`: draws whose seeds follow one another take turns, so that none of `of`
        situations is missing in a check."""
        return self._seed % of

    def normal(self, *shape: int) -> torch.Tensor:
        """Standard normal numbers of this shape."""
        return torch.randn(shape, generator=self._torch)

    def integers(self, low: int, high: int, *shape: int) -> torch.Tensor:
        """Whole numbers from `low` to `high - 1` of this shape."""
        return torch.randint(low, high, shape, generator=self._torch)

    def flags(self, probability: float, *shape: int) -> torch.Tensor:
        """True with this probability, of this shape."""
        return torch.rand(shape, generator=self._torch) < probability

    def uniform(self, low: float, high: float) -> float:
        """One number between `low` and `high`."""
        return self._python.uniform(low, high)
