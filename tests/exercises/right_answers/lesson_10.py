import torch
import torch.nn.functional as F


def loop_both_tried(cells, actions, cell_count):
    tried = {}
    for cell, action in zip(cells.tolist(), actions.tolist(), strict=True):
        tried.setdefault(cell, set()).add(action)
    return torch.tensor(sum(len(each) == 2 for each in tried.values()) / len(tried))


def sorted_best(returns, share):
    order = sorted(range(len(returns)), key=lambda episode: returns[episode].item(), reverse=True)
    kept = set(order[: max(1, round(share * len(returns)))])
    return torch.tensor([episode in kept for episode in range(len(returns))])


def loop_expectile(difference, expectile):
    terms = [(expectile if d > 0 else 1 - expectile) * d * d for d in difference]
    return torch.stack(terms).sum() / len(terms)


OTHERWISE = {
    "10.1": loop_both_tried,
    "10.2": lambda logits, action: F.nll_loss(F.log_softmax(logits, dim=-1), action),
    "10.3": lambda values, action: F.cross_entropy(values, action),
    "10.4": loop_expectile,
    "10.5": sorted_best,
}
