"""What is said of a wrong answer holds, and what does not hold is not said."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict

from course_utils.exercises.exercise import Draw, Exercise
from course_utils.exercises.judging import judge


def steps(draw: Draw) -> dict:
    return {
        "reward": draw.normal(6, 1),
        "value": draw.normal(6, 1),
        "terminated": torch.cat([torch.tensor([[True], [False]]), draw.flags(0.5, 4, 1)]),
        "truncated": torch.cat([torch.tensor([[False], [True]]), draw.flags(0.5, 4, 1)]),
        "gamma": draw.uniform(0.7, 0.85),
    }


def target(reward, value, terminated, truncated, gamma):
    return reward + gamma * value * ~terminated


TARGET = Exercise("1.1", "fine", target, steps)


def of_target(change):
    """An answer: the right result, changed by a function of it and of the inputs by name."""

    def answer(reward, value, terminated, truncated, gamma):
        inputs = {"reward": reward, "value": value, "terminated": terminated, "truncated": truncated, "gamma": gamma}
        return change(target(**inputs), inputs)

    return answer


def table(draw: Draw) -> dict:
    return {"x": 3 + draw.normal(4, 5)}


ROWS = Exercise("1.1", "fine", lambda x: x * x, table)  # one number for each of the inputs
MEANS = Exercise("1.1", "fine", lambda x: x.mean(1), table)  # one a row


def said(exercise, answer) -> str:
    status, words = judge(exercise, answer)
    assert status == "not yet", words
    return words


# The relation's own words; an answer of which it holds; one that is near and of which it does not hold.
RELATIONS = [
    ("the other sign", TARGET, of_target(lambda r, i: -r), of_target(lambda r, i: -r + 0.01 * r**2)),
    ("without its sign", TARGET, of_target(lambda r, i: r.abs()), of_target(lambda r, i: r.abs() + 0.1 * r)),
    ("divided by 6", TARGET, of_target(lambda r, i: r / 6), of_target(lambda r, i: r / (6 + r.abs()))),
    ("times 100", TARGET, of_target(lambda r, i: 100 * r), of_target(lambda r, i: 100 * r + i["value"] ** 2)),
    ("plus 1,", TARGET, of_target(lambda r, i: r + 1), of_target(lambda r, i: r + 1 + 0.01 * r**2)),
    ("times 100, and then minus 100", TARGET, of_target(lambda r, i: 100 * r - 100), of_target(lambda r, i: r * r)),
    ("the square of", TARGET, of_target(lambda r, i: r**2), of_target(lambda r, i: r**2 + 0.1 * r**3)),
    ("`exp` of", TARGET, of_target(lambda r, i: r.exp()), of_target(lambda r, i: r.exp() + 0.1 * r**2)),
    ("always 0", TARGET, of_target(lambda r, i: 0 * r), of_target(lambda r, i: 0.01 * r**2)),
    ("`value` as it is", TARGET, of_target(lambda r, i: i["value"]), of_target(lambda r, i: i["value"] + 0.1 * r * r)),
    (
        "`reward` missing from the sum",
        TARGET,
        of_target(lambda r, i: r - i["reward"]),
        of_target(lambda r, i: r - i["reward"] ** 3),
    ),
    ("times `gamma`", TARGET, of_target(lambda r, i: r * i["gamma"]), of_target(lambda r, i: r * i["gamma"] ** 3)),
    ("0.3 times `value`", TARGET, of_target(lambda r, i: r + 0.3 * i["value"]), of_target(lambda r, i: r + r**3)),
    ("[6], and [6, 1] is expected", TARGET, of_target(lambda r, i: r[:, 0]), of_target(lambda r, i: r * r)),
    ("broadcast to a square", TARGET, of_target(lambda r, i: r + 0 * r[:, 0]), of_target(lambda r, i: r[:, 0] * r)),
    ("one step too late", TARGET, of_target(lambda r, i: r.roll(1, 0)), of_target(lambda r, i: r.roll(3, 0))),
    ("one step too early", TARGET, of_target(lambda r, i: r.roll(-1, 0)), of_target(lambda r, i: r.roll(3, 0))),
    ("in reverse order", TARGET, of_target(lambda r, i: r.flip(0)), of_target(lambda r, i: r.roll(3, 0))),
    ("in another order", TARGET, of_target(lambda r, i: r.roll(3, 0)), of_target(lambda r, i: r.roll(3, 0) + 0.1)),
    ("sorted, and they should not be", TARGET, of_target(lambda r, i: r.sort(0).values), of_target(lambda r, i: r**2)),
    (
        "added up from the first",
        TARGET,
        of_target(lambda r, i: r.cumsum(0)),
        of_target(lambda r, i: r.cummax(0).values),
    ),
    (
        "added up from the last",
        TARGET,
        of_target(lambda r, i: r.flip(0).cumsum(0).flip(0)),
        of_target(lambda r, i: r.flip(0).cummax(0).values),
    ),
    (
        "for all: the mean of the right",
        TARGET,
        of_target(lambda r, i: r.mean(0).expand(6, 1)),
        of_target(lambda r, i: r.median(0).values.expand(6, 1) + r),
    ),
    ("divided by its own sum", ROWS, lambda x: x * x / (x * x).sum(1, keepdim=True), lambda x: x * x / (x**3).sum()),
    (
        "rows and columns",
        Exercise("1.1", "", lambda x: x @ x.T + x[:, :4], table),
        lambda x: (x @ x.T + x[:, :4]).T,
        lambda x: x @ x.T,
    ),
    (
        "missing. The values are right",
        Exercise("1.1", "", lambda x: x[:, :1], table),
        lambda x: x[:, 0],
        lambda x: x[0],
    ),
    ("bring them into this shape", ROWS, lambda x: (x * x).flatten(), lambda x: (x * x).flatten() + 1),
    ("the mean over dimension 1 is still missing", MEANS, lambda x: x, lambda x: x * x),
    ("it is the sum of the right values", MEANS, lambda x: x.mean(1).sum(), lambda x: x.mean(1).var()),
    ("1 value too many at the end", MEANS, lambda x: torch.cat([x.mean(1), x[0, :1]]), lambda x: x[0]),
    ("lacks 1 value at the beginning", MEANS, lambda x: x.mean(1)[1:], lambda x: x[0, 1:4]),
    # The reference, asked with other inputs or with another operation.
    (
        "`terminated` were False everywhere",
        TARGET,
        lambda r, v, t, c, g: r + g * v,
        lambda r, v, t, c, g: r + g * v * v,
    ),
    (
        "`truncated` stood in the place of `terminated`",
        TARGET,
        lambda r, v, t, c, g: r + g * v * ~c,
        lambda r, v, t, c, g: r + g * v * ~c.roll(3, 0),
    ),
    (
        "`terminated` were True where `terminated` or `truncated` is",
        TARGET,
        lambda r, v, t, c, g: r + g * v * ~(t | c),
        lambda r, v, t, c, g: r + g * v * ~(t | c.roll(3, 0)),
    ),
    (
        "`terminated` were turned round",
        TARGET,
        lambda r, v, t, c, g: r + g * v * t,
        lambda r, v, t, c, g: r + v * v * t,
    ),
    ("`gamma` were 1", TARGET, lambda r, v, t, c, g: r + v * ~t, lambda r, v, t, c, g: r + 1.01 * v * v * ~t),
    ("`gamma` were squared", TARGET, lambda r, v, t, c, g: r + g * g * v * ~t, lambda r, v, t, c, g: r + g**5 * v * ~t),
    (
        "`reward` and `value` changed places",
        TARGET,
        lambda r, v, t, c, g: v + g * r * ~t,
        lambda r, v, t, c, g: v + r * r,
    ),
    (
        "`gamma` were always 0.9",
        TARGET,
        lambda r, v, t, c, g: r + 0.9 * v * ~t,
        lambda r, v, t, c, g: r + 0.91 * v * ~t,
    ),
    (
        "a sum stood where a mean belongs",
        Exercise("1.1", "", lambda x: x.mean(1).exp(), table),
        lambda x: (x.sum(1)).exp(),
        lambda x: x.var(1),
    ),
    (
        "the smallest stood where the largest",
        Exercise("1.1", "", lambda x: x.amax(1) - x[:, 0], table),
        lambda x: x.amin(1) - x[:, 0],
        lambda x: x.median(1).values - x[:, 0],
    ),
    # Where it is wrong.
    (
        "exactly where `truncated` is True",
        TARGET,
        of_target(lambda r, i: torch.where(i["truncated"], r + r**3 + 1, r)),
        of_target(lambda r, i: r + r**3 + 1),
    ),
    ("There it is always 0", TARGET, of_target(lambda r, i: r * ~i["truncated"]), of_target(lambda r, i: r + r**3 + 1)),
    (
        "exactly where `terminated` has been True before",
        TARGET,
        of_target(lambda r, i: torch.where(i["terminated"].cumsum(0) - i["terminated"].int() > 0, r + r**3 + 1, r)),
        of_target(lambda r, i: r + r**3 + 1),
    ),
    (
        "the last one",
        ROWS,
        lambda x: torch.cat([(x * x)[:, :-1], x[:, -1:] ** 3 + 1], 1),
        lambda x: x**3 + x.sin() + 1,
    ),
    (
        "exactly where `value` is negative",
        TARGET,
        of_target(lambda r, i: torch.where(i["value"] < 0, r + r**3 + 1, r)),
        of_target(lambda r, i: r + r**3 + 1),
    ),
    (
        "the right value is above about",
        ROWS,
        lambda x: torch.where(x * x > 9, x**3 + x.sin(), x * x),
        lambda x: x**3 + x.sin() + 1,
    ),
    # What it looks at.
    (
        "stays the same whatever",
        TARGET,
        lambda r, v, t, c, g: r + (0.4 * v).tanh(),
        lambda r, v, t, c, g: r + (g * v * ~t).tanh(),
    ),
    (
        "changes with `truncated`, and it should not",
        TARGET,
        lambda r, v, t, c, g: r + (g * v * ~t).tanh() * (1 + c.float().mean()),
        lambda r, v, t, c, g: r + (g * v * ~t).tanh(),
    ),
    (
        "random numbers of its own",
        TARGET,
        of_target(lambda r, i: r + torch.randn(6, 1)),
        of_target(lambda r, i: r + r**3),
    ),
]


@pytest.mark.parametrize(("words", "exercise", "holds", "near"), RELATIONS, ids=[words for words, *_ in RELATIONS])
def test_a_relation_is_told_where_it_holds_and_only_there(words, exercise, holds, near):
    assert words in said(exercise, holds)
    assert words not in said(exercise, near)


def test_what_is_kept_from_call_to_call_is_told():
    kept = []

    def answer(x):
        kept.append(x)
        return x.mean(1) + len(kept)

    assert "it keeps something from call to call" in said(MEANS, answer)
    assert "from call to call" not in said(MEANS, lambda x: x.mean(1) + torch.randn(4))


def test_few_draws_prove_no_condition():
    """Of sixteen draws, two that are wrong differ from the others in something by chance."""
    exercise = Exercise("1.1", "fine", lambda a, b, c: a, lambda draw: {name: draw.uniform(0, 1) for name in "abc"})
    calls = []

    def answer(a, b, c):
        calls.append(a)
        return a + (1.0 if a in calls[:2] else 0.0)

    assert "draws in which" not in said(exercise, answer)


def test_values_of_one_draw_are_wrong_together_and_prove_no_more_than_one():
    """What a draw as a whole is like is told where it covers just the wrong draws, of many of which it might not."""
    names = ["one", "other"]
    exercise = Exercise(
        "1.1",
        "fine",
        lambda x, kind: x * x,
        lambda draw: {"x": draw.normal(40), "kind": names[int(draw.flags(0.5, 1))]},
    )
    words = said(exercise, lambda x, kind: x * x + (kind == "one") * (x.sin() + 2))
    assert "in just those draws in which `kind` is 'one'" in words
    assert "draws in which" not in said(exercise, lambda x, kind: x * x + (kind == "one" and x[0] > 0) * (x.sin() + 2))


def test_missing_entries_are_named():
    def draw(source):
        return {"td": TensorDict({"a": source.normal(6), "b": source.normal(6)}, [6])}

    exercise = Exercise("1.1", "fine", lambda td: td * 2, draw)
    words = said(exercise, lambda td: (td * 2).exclude("b"))
    assert words == "The entries are not those asked for: `b` is missing."


class TestParts:
    """Of several values: which is wrong, and that the others are right."""

    PAIR = Exercise("1.1", "fine", lambda x: (x.sum(1), x.amax(1)), table)

    def test_the_wrong_one_is_named_and_the_right_one_too(self):
        words = said(self.PAIR, lambda x: (-x.sum(1), x.amax(1)))
        assert words.startswith("Your first value is the right one with the other sign, everywhere.")
        assert "The second value is right." in words

    def test_exchanged_values(self):
        assert said(self.PAIR, lambda x: (x.amax(1), x.sum(1))).startswith(
            "Both values are right, but they have changed"
        )
        assert "changed places" not in said(self.PAIR, lambda x: (x.amax(1), x.amax(1)))

    def test_one_of_two(self):
        assert "you return one, which is right: the second of them" in said(self.PAIR, lambda x: x.amax(1))
        assert "which is right" not in said(self.PAIR, lambda x: x.amin(1))

    def test_values_with_their_indices(self):
        largest = Exercise("1.1", "fine", lambda x: x.max(1).values, table)
        assert "Take `.values`." in said(largest, lambda x: x.max(1))
        assert "Take `.values`." not in said(largest, lambda x: x.min(1))

    def test_a_list_that_stops_too_early(self):
        rows = Exercise("1.1", "fine", lambda x: list(x), table)
        assert said(rows, lambda x: list(x)[:-1]).startswith("The last ones are missing from what you return")
        assert "missing" not in said(rows, lambda x: [row + 1 for row in x][:-1])

    def test_the_same_of_two_entries_is_said_once(self):
        def draw(source):
            return {"td": TensorDict({"a": source.normal(6), "b": source.normal(6)}, [6])}

        double = Exercise("1.1", "fine", lambda td: td * 2, draw)
        assert said(double, lambda td: td * -2).startswith(
            "Each of your `a` and `b` is the right one with the other sign"
        )

    def test_rows_that_should_not_be_there(self):
        def draw(source):
            end = torch.cat([torch.tensor([True, False, False]), source.flags(0.5, 5)])
            return {"td": TensorDict({"x": source.normal(8, 2), "end": end, "cut": source.flags(0.5, 8)}, [8])}

        ends = Exercise("1.1", "fine", lambda td: td[td["end"]], draw)
        assert said(ends, lambda td: td).startswith("All right rows are in your result, but also some that do not")
        assert "Rows" not in said(ends, lambda td: (td + 1)[:1] if td["end"].sum() > 1 else (td + 1)[:2])


class TestExamples:
    NUMBERS = Exercise(
        "1.1",
        "fine",
        lambda frame, length: min(frame / length, 1.0) ** 2,
        lambda draw: {"frame": int(draw.integers(1, 30)), "length": int(draw.integers(10, 20))},
    )

    def test_small_inputs_are_shown_in_full(self):
        words = said(
            self.NUMBERS, lambda frame, length: min(frame / length, 1.0) ** 2 + 0.1 * (frame % 7) + 0.01 * length
        )
        assert "For `frame=" in words and ", length=" in words and "expected " in words and ", got " in words

    def test_large_ones_are_not(self):
        words = said(ROWS, lambda x: x**3 + x.sin() + 1)
        assert words.count("\n") == 1 and "where `x` is " in words and len(words) < 200

    def test_the_draws_in_which_it_is_wrong_are_told(self):
        def answer(frame, length):
            return 0.3 if frame > length else min(frame / length, 1.0) ** 2

        words = said(self.NUMBERS, answer)
        assert "in just those draws in which `frame` is larger than `length`" in words

    def test_a_name_that_nobody_wrote_is_not_told(self):
        def probe(built, inputs):
            return {"what it does": built(torch.arange(3.0)), "how long": 3}

        built = Exercise("1.1", "", lambda k: lambda x: k * x, lambda draw: {"k": draw.uniform(2, 3)}, probe=probe)
        words = said(built, lambda k: lambda x: -k * x)
        assert words.startswith("Your what it does is the right one with the other sign") and "`what" not in words


def test_an_exercise_whose_reference_cannot_be_asked_otherwise_gets_a_plain_sentence():
    def reference(x):
        if not (x > -50).all() or x.abs().sum() == 0:
            raise ValueError("not for this")
        return x.sum()

    words = said(Exercise("1.1", "", reference, lambda draw: {"x": draw.normal(20)}), lambda x: x.sum() ** 2 + x[0])
    assert words.startswith("Your result is wrong.")
