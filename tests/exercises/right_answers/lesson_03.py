import torch
from tensordict.nn import TensorDictModule
from torchrl.envs import ExplorationType
from torchrl.envs.utils import exploration_type
from torchrl.modules import ProbabilisticActor


def list_needed(steps):
    asked = []
    for place, (in_keys, _) in enumerate(steps):
        earlier = [key for _, out_keys in steps[:place] for key in out_keys]
        asked += [key for key in in_keys if key not in earlier]
    return set(asked)


class Distance(torch.nn.Module):
    def forward(self, goal, position):
        x, y = (goal - position).unbind(-1)
        return torch.sqrt(x * x + y * y)[:, None]


def other_distance_module():
    return TensorDictModule(Distance(), in_keys=["goal", "position"], out_keys=["distance"])


def loop_explore(greedy, random, draws, eps):
    rows = [random[row] if draw < eps else greedy[row] for row, draw in enumerate(draws.tolist())]
    return torch.stack(rows)


def sorted_best_action(values, encoding):
    best = values.sort(dim=1, descending=True).indices[:, 0]
    if encoding == "one_hot":
        return torch.eye(values.shape[1], dtype=torch.long)[best]
    return best


class PaddedNetwork(torch.nn.Module):
    """Logits of equal length for each part; what is too long for a part is impossible."""

    def __init__(self, sizes):
        super().__init__()
        self.first = torch.nn.Linear(sizes[0] * sizes[1], 16)
        self.second = torch.nn.Linear(17, len(sizes) * max(sizes))
        self.register_buffer("possible", torch.arange(max(sizes)) < torch.tensor(sizes).unsqueeze(-1))

    def forward(self, mirror, picture):
        hidden = self.first(picture.reshape(*picture.shape[:-3], -1)).tanh()
        logits = self.second(torch.cat([hidden, mirror], -1)).unflatten(-1, self.possible.shape)
        return logits.masked_fill(~self.possible, -torch.inf)


def independent(logits):
    return torch.distributions.Independent(torch.distributions.Categorical(logits=logits), 1)


def actor_of_padded_logits(sizes):
    module = TensorDictModule(PaddedNetwork(sizes), in_keys=["mirror", "picture"], out_keys=["logits"])
    return ProbabilisticActor(module, in_keys=["logits"], distribution_class=independent, return_log_prob=True)


class ByHand(torch.nn.Module):
    """Draws one number for the whole action, of all that are possible."""

    def __init__(self, sizes):
        super().__init__()
        self.columns = sizes[1]
        self.logits = torch.nn.Linear(sizes[0] * sizes[1] + 1, sizes[0] * sizes[1])

    def forward(self, td):
        logits = self.logits(torch.cat([td["picture"].flatten(-3), td["mirror"]], -1)).log_softmax(-1)
        if exploration_type() == ExplorationType.RANDOM:
            number = torch.distributions.Categorical(logits=logits).sample()
        else:
            number = logits.argmax(-1)
        td["action"] = torch.stack([number // self.columns, number % self.columns], -1)
        td["action_log_prob"] = logits.gather(-1, number.unsqueeze(-1)).squeeze(-1)
        return td


OTHERWISE = {
    "3.1": list_needed,
    "3.2": other_distance_module,
    "3.3": [10, 10, 1],
    "3.4": loop_explore,
    "3.5": sorted_best_action,
    "3.6": [actor_of_padded_logits, ByHand],
}
