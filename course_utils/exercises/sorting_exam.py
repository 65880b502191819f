"""What is asked of a world that pays for sorted digits (exercise 17.6): by what it asks and pays, the worst first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torchrl.envs import EnvBase, check_env_specs

from course_utils.exercises.exercise import Draw
from course_utils.exercises.sorting_worlds import DIGITS, LONGEST, PROMPT, SIGNS

RESETS = 12  # with 15 digits or more each, so that a digit that never comes is left out on purpose


def examine(answer: Callable, draw: Draw) -> str:
    """The sentence about the first thing that is wrong with a class `Sorting`; "" where nothing is."""
    questions, answers = int(draw.integers(3, 6)), int(draw.integers(4, 7))
    seed = int(draw.integers(1, 10_000))
    world = answer(questions, answers)
    if not isinstance(world, EnvBase):
        return f"`Sorting(questions, answers)` has to be an environment, an `EnvBase`; it is a {type(world).__name__}."
    rows = questions * answers
    if list(world.batch_size) != [rows]:
        return (
            f"For {questions} questions and {answers} answers each the batch size is {list(world.batch_size)}; it has "
            f"to be [{rows}]."
        )
    return (
        about_questions(world, questions, answers)
        or about_chance(world, questions, answers, seed)
        or about_rewards(world, seed)
        or about_specs(world)
    )


def asked_by(world: EnvBase) -> torch.Tensor:
    return world.reset()["tokens", "prompt"].clone()


def text(row: Any) -> str:
    return "".join(SIGNS[int(number)] for number in row).rstrip("#")


def about_questions(world: EnvBase, questions: int, answers: int) -> str:
    rows = questions * answers
    prompt = world.reset().get(("tokens", "prompt"), None)
    if prompt is None:
        return '`reset` gives no ("tokens", "prompt").'
    if list(prompt.shape) != [rows, PROMPT]:
        return f'("tokens", "prompt") has the shape {list(prompt.shape)}; five digits and `=` are [{rows}, {PROMPT}].'
    if prompt.is_floating_point():
        return f'("tokens", "prompt") holds {prompt.dtype}; tokens are whole numbers.'
    for row in prompt.tolist():
        if not all(0 <= number <= 9 for number in row[:DIGITS]) or row[DIGITS] != SIGNS.index("="):
            return (
                f"A question is five digits and `=`, whose number is {SIGNS.index('=')}; yours holds the numbers {row}."
            )
    stripes = prompt.view(answers, questions, PROMPT)
    if torch.equal(stripes, stripes[:1].expand_as(stripes)) and not torch.equal(prompt, prompt[:1].expand_as(prompt)):
        return (
            f"All questions come once, and then all of them again: row {questions} asks what row 0 asked. Answers to "
            "one question follow one another: `repeat_interleave`, not `repeat`."
        )
    for group, members in enumerate(prompt.view(questions, answers, PROMPT)):
        for place, row in enumerate(members):
            if not torch.equal(row, members[0]):
                first = group * answers
                return (
                    f"Rows {first} and {first + place} belong to one group, but are asked different questions, "
                    f"`{text(members[0])}` and `{text(row)}`. Rows that follow one another share a question."
                )
    return ""


def about_chance(world: EnvBase, questions: int, answers: int, seed: int) -> str:
    world.set_seed(seed)
    first = [asked_by(world) for _ in range(RESETS)]
    if all(len(prompt.unique(dim=0)) == 1 for prompt in first):
        return f"All groups are asked the same question, such as `{text(first[0][0])}`. Each has one of its own."
    if all(torch.equal(prompt, first[0]) for prompt in first):
        return f"Every reset asks the same questions, beginning with `{text(first[0][0])}`. Draw new ones."
    world.set_seed(seed)
    again = [asked_by(world) for _ in range(RESETS)]
    if not all(map(torch.equal, first, again)):
        return (
            "After `set_seed` with the same number the questions differ. Draw from a generator of the "
            "environment's own, which `_set_seed` makes."
        )
    world.set_seed(seed + 1)
    others = [asked_by(world) for _ in range(RESETS)]
    if all(map(torch.equal, first, others)):
        return "`set_seed` with another number changes nothing: the questions stay the same."
    came = torch.cat([*first, *others])[:, :DIGITS].unique()
    if len(came) < 10:
        return f"Only {len(came)} of the ten digits were ever asked. Draw from 0 to 9."
    return ""


def wrong_answers(asked: str) -> list[tuple[str, str]]:
    """Answers that deserve nothing, and why."""
    right = "".join(sorted(asked))
    other = "".join(sorted(asked[1:] + str((int(asked[0]) + 1) % 10)))
    return [
        (asked + ".", "the digits are not in order"),
        (right[::-1] + ".", "the digits are not in order"),
        (other + ".", "these are not the digits that were asked"),
        ("01234.", "these are not the digits that were asked"),
        (right, "it never ends"),
        (right + "=", "it never ends"),
        ("1" + right + ".", "there is more than the sorted digits"),
        (right + "=.", "there is more than the sorted digits"),
        (right + "..", "there is more than the sorted digits"),
        (right[:-1] + ".", "a digit is missing"),
        (right[1:] + ".", "a digit is missing"),
        (".", "it is empty"),
        ("", "it is empty"),
    ]


def paid_for(world: EnvBase, seen: Any, written: list[str]) -> Any:
    response = torch.tensor([[SIGNS.index(sign) for sign in line.ljust(LONGEST, "#")] for line in written])
    given = seen.clone()
    given["tokens", "response"] = response
    return world.step(given)["next"]


def about_rewards(world: EnvBase, seed: int) -> str:
    words = about_right_answers(world, seed)
    if words:
        return words
    world.set_seed(seed)
    for turn in range(RESETS):
        each, digits = asked_now(world)
        wrong = [wrong_answers(question) for question in digits]
        for kind in range(turn % 3, len(wrong[0]), 3):
            # Every second row is right, so that rows which are mixed up show.
            lines = [right_to(digits[row]) if row % 2 else wrong[row][kind][0] for row in range(len(digits))]
            for row, value in enumerate(paid_for(world, each, lines)["reward"].flatten().tolist()):
                deserved = float(lines[row] == right_to(digits[row]))
                if value != deserved:
                    return (
                        right_but(digits[row], value)
                        if deserved
                        else f"`{digits[row]}=` was asked, and `{lines[row]}` is paid {value:.3g}, though "
                        f"{wrong[row][kind][1]}."
                    )
    return ""


def asked_now(world: EnvBase) -> tuple[Any, list[str]]:
    """A reset, and its digits; a world may remember them, so its steps come before the next reset."""
    seen = world.reset()
    return seen, [text(row).removesuffix("=") for row in seen["tokens", "prompt"]]


def right_to(asked: str) -> str:
    return "".join(sorted(asked)) + "."


def right_but(asked: str, value: float) -> str:
    return f"`{asked}=` was asked, `{right_to(asked)}` is the right answer, and is paid {value:.3g} in place of 1."


def about_right_answers(world: EnvBase, seed: int) -> str:
    values: dict[str, float] = {}
    world.set_seed(seed)
    for _ in range(RESETS):
        each, digits = asked_now(world)
        after = paid_for(world, each, [right_to(question) for question in digits])
        reward = after.get("reward", None)
        if reward is None or list(reward.shape) != [len(digits), 1]:
            shape = "none" if reward is None else list(reward.shape)
            return f'("next", "reward") has to have the shape [{len(digits)}, 1], a number an answer; yours: {shape}.'
        values |= dict(zip(digits, reward.flatten().tolist(), strict=True))
        if not after["done"].all() or not after["terminated"].all():
            return "An answer ends the episode: `done` and `terminated` have to be True after a step, in every row."
    unpaid = [question for question, value in values.items() if value != 1]
    if not unpaid:
        return ""
    doubled = [question for question in values if len(set(question)) < DIGITS]
    if len(doubled) < len(values) and set(unpaid) == set(doubled):
        return right_but(unpaid[0], values[unpaid[0]]) + " A digit that is asked twice has to be written twice."
    return right_but(unpaid[0], values[unpaid[0]])


def about_specs(world: EnvBase) -> str:
    try:
        check_env_specs(world)
    except Exception as error:  # of the learner's environment: shown in its own words
        return f"`check_env_specs` finds: {str(error).strip().splitlines()[0][:200]}"
    return ""
