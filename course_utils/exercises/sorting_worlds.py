"""Worlds that ask for sorted digits, right and wrong ones: what exercise 17.6 is about."""

from __future__ import annotations

import torch
from tensordict import TensorDict
from torchrl.data import Categorical, Composite, Unbounded
from torchrl.envs import EnvBase

from course_utils.exercises.exercise import Mutant

SIGNS = "0123456789+=.#"
DIGITS, PROMPT, LONGEST = 5, 6, 8


class Sorting(EnvBase):
    """Five digits are asked, `40213=`; paid are the same digits in order and an end sign, `01234.`."""

    def __init__(self, questions: int, answers: int) -> None:
        rows = questions * answers
        super().__init__(batch_size=[rows])
        self.questions, self.answers = questions, answers
        prompt = Composite(prompt=Categorical(len(SIGNS), [rows, PROMPT]), shape=[rows])
        response = Composite(response=Categorical(len(SIGNS), [rows, LONGEST]), shape=[rows])
        self.observation_spec = Composite(tokens=prompt, shape=[rows])
        self.state_spec = self.observation_spec.clone()
        self.action_spec = Composite(tokens=response, shape=[rows])
        self.reward_spec = Unbounded([rows, 1])
        self.set_seed(0)

    def _set_seed(self, seed: int | None) -> None:
        self.chance = torch.Generator().manual_seed(seed or 0)

    def drawn(self) -> torch.Tensor:
        return torch.randint(10, (self.questions, DIGITS), generator=self.chance)

    def spread(self, digits: torch.Tensor) -> torch.Tensor:
        return digits.repeat_interleave(self.answers, 0)

    def _reset(self, tensordict: TensorDict | None) -> TensorDict:
        digits = self.spread(self.drawn())
        ends = torch.full((len(digits), 1), SIGNS.index("="))
        tokens = TensorDict({"prompt": torch.cat([digits, ends], 1)}, self.batch_size)
        return TensorDict({"tokens": tokens}, self.batch_size)

    def pays(self, asked: str, written: str) -> float:
        return float(written == "".join(sorted(asked)) + ".")

    def over(self) -> bool:
        return True

    def _step(self, tensordict: TensorDict) -> TensorDict:
        texts = [
            ["".join(SIGNS[number] for number in row).rstrip("#") for row in tensordict["tokens", name].tolist()]
            for name in ("prompt", "response")
        ]
        paid = [self.pays(asked.removesuffix("="), written) for asked, written in zip(*texts, strict=True)]
        over = torch.full((*self.batch_size, 1), self.over())
        tokens = TensorDict({"prompt": tensordict["tokens", "prompt"]}, self.batch_size)
        reward = torch.tensor(paid).unsqueeze(-1)
        return TensorDict(
            {"tokens": tokens, "reward": reward, "done": over, "terminated": over.clone()}, self.batch_size
        )


class Lenient(Sorting):
    def pays(self, asked: str, written: str) -> float:
        return float("".join(sorted(asked)) in written)


class Unfinished(Sorting):
    def pays(self, asked: str, written: str) -> float:
        return float(written.removesuffix(".") == "".join(sorted(asked)))


class Shuffled(Sorting):
    def pays(self, asked: str, written: str) -> float:
        return float(written[-1:] == "." and sorted(written[:-1]) == sorted(asked))


class AnyOrdered(Sorting):
    def pays(self, asked: str, written: str) -> float:
        digits = written[:-1]
        return float(len(written) == DIGITS + 1 and written[-1] == "." and list(digits) == sorted(digits))


class NoDoubles(Sorting):
    def pays(self, asked: str, written: str) -> float:
        return float(written == "".join(sorted(set(asked))) + ".")


class Descending(Sorting):
    def pays(self, asked: str, written: str) -> float:
        return float(written == "".join(sorted(asked, reverse=True)) + ".")


class Formatted(Sorting):
    def pays(self, asked: str, written: str) -> float:
        return max(super().pays(asked, written), 0.1 * (written[-1:] == "."))


class Striped(Sorting):
    def spread(self, digits: torch.Tensor) -> torch.Tensor:
        return digits.repeat(self.answers, 1)


class EachItsOwn(Sorting):
    def drawn(self) -> torch.Tensor:
        return torch.randint(10, (self.batch_size[0], DIGITS), generator=self.chance)

    def spread(self, digits: torch.Tensor) -> torch.Tensor:
        return digits


class OneQuestion(Sorting):
    def drawn(self) -> torch.Tensor:
        return super().drawn()[:1].expand(self.questions, -1)


class AlwaysTheSame(Sorting):
    def drawn(self) -> torch.Tensor:
        self.chance.manual_seed(1)
        return super().drawn()


class Unseeded(Sorting):
    def drawn(self) -> torch.Tensor:
        return torch.randint(10, (self.questions, DIGITS))


class FewDigits(Sorting):
    def drawn(self) -> torch.Tensor:
        return super().drawn() % 3


class GoesOn(Sorting):
    def over(self) -> bool:
        return False


MUTANTS = [
    Mutant("each row its own question", EachItsOwn, "belong to one group, but are asked different questions"),
    Mutant("groups in stripes", Striped, "All questions come once, and then all of them again"),
    Mutant("one question", OneQuestion, "All groups are asked the same question"),
    Mutant("always the same", AlwaysTheSame, "Every reset asks the same questions"),
    Mutant("not seeded", Unseeded, "After `set_seed` with the same number the questions differ"),
    Mutant("few digits", FewDigits, "of the ten digits were ever asked"),
    Mutant("backwards", Descending, "is the right answer, and is paid 0"),
    Mutant("doubles lost", NoDoubles, "A digit that is asked twice has to be written twice."),
    Mutant("anywhere", Lenient, "is paid 1, though there is more than the sorted digits"),
    Mutant("no end needed", Unfinished, "is paid 1, though it never ends"),
    Mutant("any order", Shuffled, "is paid 1, though the digits are not in order"),
    Mutant("any digits", AnyOrdered, "is paid 1, though these are not the digits that were asked"),
    Mutant("a bonus for form", Formatted, "is paid 0.1, though"),
    Mutant("never over", GoesOn, "An answer ends the episode"),
]
