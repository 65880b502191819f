"""A result that has to carry a gradient is judged by it, wherever gradients are off around the check."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict

from course_utils.exercises.exercise import Draw, Exercise
from course_utils.exercises.gradients import ask_for_gradients
from course_utils.exercises.judging import judge


def loss(logits, value):
    return -(logits.log_softmax(-1)[:, 0] * value.detach()).mean()


def draw(source: Draw) -> dict:
    return {"logits": source.normal(4, 3), "value": source.normal(4)}


LOSS = Exercise("1.1", "fine", loss, draw, gradient=("logits", "value"))


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_the_right_gradient_is_right_in_every_mode(mode):
    with mode():
        assert judge(LOSS, loss) == ("correct", "fine")
        assert torch.is_grad_enabled() == (mode is torch.enable_grad)


@pytest.mark.parametrize("cut", [torch.Tensor.detach, torch.Tensor.item], ids=["detach", "item"])
def test_a_gradient_that_is_cut_off_is_told(cut):
    status, words = judge(LOSS, lambda logits, value: cut(loss(logits, value)))
    assert status == "not yet" and "no gradient reaches `logits`" in words


def test_half_a_gradient_is_told():
    status, words = judge(LOSS, lambda logits, value: loss((logits + logits.detach()) / 2, value))
    assert status == "not yet" and "its gradient at `logits` is not" in words


def test_a_gradient_where_none_belongs_is_told():
    status, words = judge(LOSS, lambda logits, value: -(logits.log_softmax(-1)[:, 0] * value).mean())
    assert status == "not yet" and "a gradient reaches `value`, and none should" in words


def test_a_wrong_value_is_told_first():
    assert "gradient" not in judge(LOSS, lambda logits, value: loss(logits, value) + 1)[1]


@pytest.mark.parametrize(
    "make",
    [
        lambda source: TensorDict({"inner": {"x": source.normal(3)}, "step": torch.zeros(3, dtype=torch.int)}, [3]),
        lambda source: [source.normal(3), source.normal(2)],
        lambda source: torch.nn.Linear(3, 1, bias=False),
    ],
    ids=["tensordict", "list", "module"],
)
def test_entries_and_parameters_are_leaves(make):
    def total(values):
        if isinstance(values, list):
            return sum(value.sum() for value in values)
        return values["inner", "x"].sum() if isinstance(values, TensorDict) else values.weight.sum()

    exercise = Exercise("1.1", "fine", total, lambda source: {"values": make(source)}, gradient=("values",))
    assert judge(exercise, total)[0] == "correct"
    assert "no gradient reaches `values, " in judge(exercise, lambda values: total(values).detach())[1]


def test_an_exercise_that_names_an_input_without_numbers_is_mistaken():
    with pytest.raises(ValueError, match="'flags' holds nothing that has a gradient"):
        ask_for_gradients({"flags": "none"}, ("flags",))
