"""Right answers to lesson 18, one part of them, written in other ways than the lesson's."""

import torch


def by_a_loop_episode_numbers(done):
    number, numbers = 0, []
    for over in done.tolist():
        numbers.append(number)
        number += over
    return torch.tensor(numbers)


def by_repeating_keep_newest(pixels, kept):
    newest = pixels[:, pixels.shape[1] - kept :]
    oldest = newest[:, :1].expand(-1, pixels.shape[1] - kept, -1, -1)
    return torch.cat([oldest, newest], 1)


OTHERWISE = {"18.3": by_a_loop_episode_numbers, "18.4": by_repeating_keep_newest}
