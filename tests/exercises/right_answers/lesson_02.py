import torch
from tensordict import TensorDict


def list_falls(data):
    return data[torch.nonzero(data["next"]["terminated"][:, 0])[:, 0].tolist()]


def sliced_batches(data, size):
    rows = torch.cat([data[number] for number in range(data.shape[0])])
    return [rows[start : start + size] for start in range(0, len(rows) - size + 1, size)]


def masked_speeds(data):
    seen = torch.tensor([1.0, 0.0, 1.0, 0.0])
    result = data.copy()
    result["observation"] = data["observation"] * seen
    result["next"] = data["next"].copy()
    result["next", "observation"] = data["next", "observation"] * seen
    return result


def loop_pictures(data):
    result = TensorDict({}, batch_size=data.batch_size)
    for key, entry in data.items(True, True):
        result[key] = entry.to(torch.float32).mul(1 / 255) if entry.dtype is torch.uint8 else entry
    return result


OTHERWISE = {
    "2.1": list_falls,
    "2.2": torch.Size([2, 6, 3, 4]),
    "2.3": sliced_batches,
    "2.4": masked_speeds,
    "2.5": loop_pictures,
}
