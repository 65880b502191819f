"""Right answers to lesson 19, one part of them, written in other ways than the lesson's."""

import torch


def by_asking(weight, bias, loc, scale):
    """An affine function is known by what it says of zero and of each unit vector."""

    def layer(raw):
        return torch.nn.functional.linear((raw - loc) / scale, weight, bias)

    new_bias = layer(torch.zeros_like(loc))
    new_weight = (layer(torch.eye(len(loc))) - new_bias).T
    return new_weight, new_bias


def column_by_column(output, low, high):
    middle, half = (low + high) / 2, (high - low) / 2
    numbers = output.shape[-1] // 2
    return torch.stack([middle[i] + half[i] * torch.tanh(output[:, i]) for i in range(numbers)], -1)


OTHERWISE = {"19.1": by_asking, "19.2": column_by_column}
