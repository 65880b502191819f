import torch


def closed_form_smooth(values, weight):
    # Each smoothed value as one weighted sum of all values up to it.
    rows = []
    for last in range(len(values)):
        weights = [(1 - weight) * weight ** (last - place) for place in range(last + 1)]
        weights[0] = weight**last
        rows.append(sum(w * value for w, value in zip(weights, values.tolist(), strict=False)))
    return torch.tensor(rows)


def loop_training_return(batch):
    returns = []
    for copy in range(batch.shape[0]):
        for step in range(batch.shape[1]):
            after = batch[copy, step]["next"]
            if after["done"].item():
                returns.append(after["episode_reward"].item())
    return sum(returns) / len(returns) if returns else None


def norm_of_norms(gradients):
    return torch.linalg.vector_norm(torch.stack([gradient.norm() for gradient in gradients]))


def loop_parted(returns, lengths):
    alarms = []
    for return_, length in zip(returns.tolist(), lengths.tolist(), strict=True):
        more, shorter = sum(return_[-4:]) > sum(return_[:4]), sum(length[:4]) > sum(length[-4:])
        alarms.append(more and shorter)
    return torch.tensor(alarms)


def where_centred(td):
    after = td["next"]
    position = after["observation"][:, 0].unsqueeze(-1)
    away = torch.maximum(position, -position)
    return torch.where(after["terminated"], torch.zeros_like(away), (2.4 - away) / 2.4)


OTHERWISE = {
    "6.1": closed_form_smooth,
    "6.2": loop_training_return,
    "6.3": norm_of_norms,
    "6.4": loop_parted,
    "6.5": where_centred,
}
