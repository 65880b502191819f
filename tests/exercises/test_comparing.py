"""Right is right, whatever type it has; where the type is what is taught, it is told."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from course_utils.exercises.comparing import Rules, difference

ROW = torch.tensor([0.5, 1.5])
EXACT = Rules(exact_type=True)


@pytest.mark.parametrize(
    "got", [ROW.double(), ROW.half(), ROW.numpy(), [0.5, 1.5], (np.float32(0.5), torch.tensor(1.5))]
)
def test_a_tensor_may_be_another_type_of_the_same_numbers(got):
    assert difference(ROW, got) == ""
    assert difference(ROW, got, EXACT) != ""


@pytest.mark.parametrize(
    "got", [[3, 4, 5], torch.tensor([3, 4, 5]), np.array([3, 4, 5]), (3.0, np.int64(4), torch.tensor(5))]
)
def test_a_tuple_of_numbers_may_be_a_list_or_a_tensor(got):
    assert difference((3, 4, 5), got) == ""
    assert difference((3, 4, 6), got) != ""


def test_a_tensor_is_no_tuple_where_the_type_matters():
    assert "here the type matters" in difference((3, 4), torch.tensor([3, 4]), EXACT)
    assert "here the type matters" in difference((3, 4), [3, 4], EXACT)
    assert "here the type matters" in difference(torch.tensor(3.0), 3.0, EXACT)
    assert "here the type matters" in difference(ROW, ROW.double(), EXACT)


@pytest.mark.parametrize("got", [{"a", "b"}, frozenset("ab"), {"a": 1, "b": 2}.keys(), ["b", "a"]])
def test_a_set_may_be_a_list(got):
    assert difference({"a", "b"}, got) == ""
    assert difference({"a", "c"}, got) == "Expected 2 in all; missing: c; too many: b."


def test_flags_and_numbers_and_whole_and_decimal_numbers_are_not_the_same():
    flags = torch.tensor([True, False])
    assert difference(flags, flags.float()).startswith("The values are right, their type is not: expected bool")
    assert difference(flags.long(), flags.float()).startswith("The values are right, their type is not: expected int64")


def test_the_tolerance_is_the_exercises():
    assert difference(torch.tensor([1.0]), torch.tensor([1.0005])) != ""
    assert difference(torch.tensor([1.0]), torch.tensor([1.0005]), Rules(tolerance=1e-3)) == ""


def test_nan_is_nan():
    assert difference(torch.tensor([float("nan")]), torch.tensor([float("nan")])) == ""
    assert difference(float("nan"), float("nan")) == ""


class Unfriendly:
    def __eq__(self, other):
        raise RuntimeError("do not compare me")

    __hash__ = None


@pytest.mark.parametrize("want", [3.0, (1, 2), ROW, {"a"}, "text", {"a": 1}, True, None], ids=str)
@pytest.mark.parametrize(
    "got",
    [
        Unfriendly(),
        ROW.to_sparse(),
        torch.empty(2, device="meta"),
        torch.empty((), device="meta"),
        torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
        np.array(["text"]),
        np.array([object()], dtype=object),
        [[1], [1, 2]],
        (1, "text"),
        [{1}, {2}],
        range(2),
        torch.complex(ROW, ROW),
    ],
    ids=lambda value: type(value).__name__,
)
def test_nothing_raises(want, got):
    words = difference(want, got)
    assert words == "" or words[0].isupper()


def test_a_sparse_tensor_holds_what_it_holds():
    assert difference(ROW, ROW.to_sparse()) == ""
