"""Exercises of lesson 19: a normalisation that travels inside the weights, and a continuous action without TorchRL."""

import torch

from course_utils.exercises.drawn import whole
from course_utils.exercises.exercise import Draw, Exercise, Mutant
from course_utils.exercises.probing import tensors


def _first_layer(draw: Draw) -> dict:
    inputs, units = whole(draw, 3, 6), whole(draw, 2, 7)
    if units == inputs:  # a square matrix would hide what is multiplied along the wrong dimension
        units += 1
    return {
        "weight": draw.normal(units, inputs),
        "bias": draw.normal(units),
        "loc": draw.normal(inputs),
        "scale": 0.3 + 3 * draw.normal(inputs).abs(),
    }


def _folded(weight, bias, loc, scale):
    folded = weight / scale
    return folded, bias - folded @ loc


def _pair(value, inputs):
    if not isinstance(value, tuple) or len(value) != 2:
        raise TypeError("two tensors are asked for: `return new_weight, new_bias`")
    return tensors(value, inputs)


def _output(draw: Draw) -> dict:
    batch, numbers = whole(draw, 4, 7), whole(draw, 2, 3)
    return {
        "output": 1.5 * draw.normal(batch, 2 * numbers),
        "low": -1 - draw.normal(numbers).abs(),
        "high": 2 + draw.normal(numbers).abs(),
    }


def _action(output, low, high):
    loc = output.chunk(2, -1)[0]
    return low + (loc.tanh() + 1) / 2 * (high - low)


EXERCISES = [
    Exercise(
        number="19.1",
        tests="A layer that takes raw numbers and gives what the old one gave for normalised ones.",
        draw=_first_layer,
        reference=_folded,
        probe=_pair,
        tolerance=1e-4,
        mutants=[
            Mutant(
                "forgets loc",
                lambda weight, bias, loc, scale: (weight / scale, bias),
                "The scale is in, but your bias is the old one. `loc` is subtracted from each input: its share, the "
                "new weights times `loc`, has to leave the bias.",
            ),
            Mutant(
                "loc with the old weights",
                lambda weight, bias, loc, scale: (weight / scale, bias - weight @ loc),
                "Your bias subtracts `weight @ loc`, as if `loc` were not divided by `scale`. It is: use the new "
                "weights.",
            ),
            Mutant(
                "multiplies",
                lambda weight, bias, loc, scale: (weight * scale, bias - (weight * scale) @ loc),
                "You multiply by `scale`. The input was divided by it, so the weight that meets it is divided, too.",
            ),
            Mutant(
                "adds loc",
                lambda weight, bias, loc, scale: (weight / scale, bias + (weight / scale) @ loc),
                "The sign of `loc` is wrong: it was subtracted from the input, so its share is subtracted from the "
                "bias.",
            ),
            Mutant(
                "divides the bias as well",
                lambda weight, bias, loc, scale: (weight / scale, bias / scale.mean() - (weight / scale) @ loc),
                "You divide the old bias, too. It is added after the inputs were weighted, and no scale reaches it.",
            ),
        ],
    ),
    Exercise(
        number="19.2",
        tests="The action that the policy takes when it does not draw, within the limits of each number.",
        draw=_output,
        reference=_action,
        probe=tensors,
        mutants=[
            Mutant(
                "no tanh",
                lambda output, low, high: output.chunk(2, -1)[0].clamp(min=low, max=high),
                "You cut `loc` off at the limits. `TanhNormal` bends it: first `tanh`, then from -1 ... 1 to the "
                "limits.",
            ),
            Mutant(
                "stays in -1 to 1",
                lambda output, low, high: output.chunk(2, -1)[0].tanh(),
                "Your actions lie between -1 and 1. The environment expects them between `low` and `high`: stretch "
                "them.",
            ),
            Mutant(
                "symmetric limits",
                lambda output, low, high: output.chunk(2, -1)[0].tanh() * high,
                "You multiply by `high`, which is right only where `low` is `-high`. Here a `tanh` of 0 belongs in the "
                "middle between the two.",
            ),
            Mutant(
                "the second half",
                lambda output, low, high: low + (output.chunk(2, -1)[1].tanh() + 1) / 2 * (high - low),
                "You took the second half of the output. That is the raw scale; `loc` comes first.",
            ),
            Mutant(
                "every other number",
                lambda output, low, high: low + (output[..., ::2].tanh() + 1) / 2 * (high - low),
                "You take every other number for `loc`. `NormalParamExtractor` cuts the output into two *halves*.",
            ),
            Mutant(
                "stretches and then bends",
                lambda output, low, high: (low + (output.chunk(2, -1)[0] + 1) / 2 * (high - low)).tanh(),
                "You stretch first and then take `tanh`, so everything ends up between -1 and 1. The other way round.",
            ),
            Mutant(
                "draws",
                lambda output, low, high: (
                    low
                    + ((output.chunk(2, -1)[0] + torch.nn.functional.softplus(output.chunk(2, -1)[1])).tanh() + 1)
                    / 2
                    * (high - low)
                ),
                "Your action depends on the scale. Without exploration nothing is drawn, and the scale is not needed.",
            ),
        ],
    ),
]
