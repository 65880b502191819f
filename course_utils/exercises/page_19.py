"""Exercise 19.3: a network's forward pass in plain Python."""

import math

from course_utils.exercises.drawn import whole
from course_utils.exercises.exercise import Draw, Exercise, Mutant


def _network(draw: Draw) -> dict:
    """Two layers or more; by turns all as wide as the observation, where rows and columns are not told apart."""
    widths = [whole(draw, 2, 5) for _ in range(whole(draw, 3, 5))]
    if draw.turn(2):
        widths = [widths[0]] * len(widths)
    layers = [
        (draw.normal(after, before).tolist(), draw.normal(after).tolist())
        for before, after in zip(widths, widths[1:], strict=False)
    ]
    return {"layers": layers, "observation": draw.normal(widths[0]).tolist()}


def _row(row, inputs):
    return sum(w * x for w, x in zip(row, inputs, strict=False))


def _linear(weight, bias, inputs):
    return [_row(row, inputs) + b for row, b in zip(weight, bias, strict=False)]


def _relu(numbers):
    return [max(0.0, x) for x in numbers]


def _think(layers, observation, linear=_linear, bend=_relu):
    numbers = observation
    for place, (weight, bias) in enumerate(layers):
        numbers = linear(weight, bias, bend(numbers) if place else numbers)
    return numbers


def _softmax(numbers):
    powers = [math.exp(x - max(numbers)) for x in numbers]
    return [power / sum(powers) for power in powers]


def _without_bias(weight, bias, inputs):
    return [_row(row, inputs) for row in weight]


def _columns(weight, bias, inputs):
    return _linear(list(zip(*weight, strict=True)), bias, inputs)


def _bias_after_bend(layers, observation):
    numbers = observation
    for place, (weight, bias) in enumerate(layers, 1):
        sums = _without_bias(weight, bias, numbers)
        numbers = [x + b for x, b in zip(_relu(sums) if place < len(layers) else sums, bias, strict=True)]
    return numbers


def _action(numbers):
    return numbers.index(max(numbers))


EXERCISE_19_3 = Exercise(
    number="19.3",
    tests="Each row times the inputs plus its bias, a ReLU between two layers, none after the last one.",
    draw=_network,
    reference=_think,
    mutants=[
        Mutant(
            "bent at the end, too",
            lambda layers, observation: _relu(_think(layers, observation)),
            "You bend the last layer's numbers, too. A value may be negative: the ReLU stands *between* layers.",
        ),
        Mutant(
            "never bent",
            lambda layers, observation: _think(layers, observation, bend=lambda numbers: numbers),
            "Nothing is bent in yours. Without a ReLU between them, all layers together are one linear layer.",
        ),
        Mutant(
            "the observation bent",
            lambda layers, observation: _think(layers, _relu(observation)),
            "You bend the observation before the first layer: what leans to the left would be no lean at all.",
        ),
        Mutant(
            "without bias",
            lambda layers, observation: _think(layers, observation, _without_bias),
            "The bias is missing: each output is its row times the inputs *plus its bias*.",
        ),
        Mutant(
            "bias after the bend",
            _bias_after_bend,
            "You add the bias after the ReLU. The layer comes first, with its bias; then its sum is bent.",
        ),
        Mutant(
            "rows and columns",
            lambda layers, observation: _think(layers, observation, _columns),
            "You take columns of `weight` for its rows. PyTorch keeps one row for each *output*: `weight[out][in]`.",
        ),
        Mutant(
            "probabilities",
            lambda layers, observation: _softmax(_think(layers, observation)),
            "You return probabilities. These are values: return them as the last layer gives them.",
        ),
        Mutant(
            "the action",
            lambda layers, observation: _action(_think(layers, observation)),
            "You return the action. Asked for is what it is chosen by: the list of all values.",
        ),
        Mutant(
            "first layer only",
            lambda layers, observation: _linear(*layers[0], observation),
            "You return what the first layer says. Its outputs, bent, are the inputs of the next one.",
        ),
    ],
)
