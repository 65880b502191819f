import torch


def stack_columns(observation):
    position, _, angle, _ = observation.unbind(-1)
    return torch.stack([position, angle], -1)


def where_memory(memory, is_init):
    return torch.where(is_init[..., None], torch.zeros_like(memory), memory)


def episode_numbers(done, length):
    ended = (done.cumsum(0) - done.int()).tolist()
    return [start for start in range(len(ended)) if ended[start : start + length] == [ended[start]] * length]


def loop_stack(frames, is_init):
    pairs = []
    for step in range(len(frames)):
        before = frames[step] if is_init[step] else frames[step - 1]
        pairs.append(torch.stack([before, frames[step]]))
    return torch.stack(pairs)


def walking_filter(size, kernel, stride):
    stops = list(range(0, size - kernel + 1, stride))
    return [len(stops), size - (stops[-1] + kernel)]


OTHERWISE = {
    "11.1": stack_columns,
    "11.2": where_memory,
    "11.3": episode_numbers,
    "11.4": loop_stack,
    "11.5": walking_filter,
}
