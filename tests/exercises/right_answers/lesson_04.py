from copy import deepcopy

import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torchrl.data import Categorical
from torchrl.modules import QValueActor
from torchrl.objectives import DQNLoss, HardUpdate, LossModule


def matrix_returns(reward, gamma):
    steps = torch.arange(len(reward))
    ahead = steps[None, :] - steps[:, None]
    return (gamma ** ahead.clamp(min=0) * (ahead >= 0) * reward).sum(1)


def loop_follow(target, online, eps, steps):
    for _ in range(steps):
        target = torch.lerp(target, online, 1 - eps)
    return target


def sum_gae(reward, value, next_value, terminated, done, gamma, lmbda):
    error = reward + torch.where(terminated, 0.0, gamma * next_value) - value
    rows = []
    for start in range(len(reward)):
        total, weight = torch.zeros(1), 1.0
        for step in range(start, len(reward)):
            total = total + weight * error[step]
            weight *= gamma * lmbda
            if done[step]:
                break
        rows.append(total)
    return torch.stack(rows)


def distribution_policy_loss(logits, action, returns, value):
    with torch.no_grad():
        advantage = returns - value
    policy = torch.distributions.Categorical(logits=logits)
    return torch.mean(-policy.log_prob(action) * advantage)


def selected_total(losses):
    chosen = [value for key, value in losses.items() if key[:5] == "loss_"]
    return torch.stack(chosen).sum()


def masked_targets(steps, next_value, gamma):
    after = steps.get("next")
    future = torch.where(after["terminated"], torch.zeros_like(next_value), next_value)
    return torch.add(after["reward"], future, alpha=gamma)


class FunctionalQLoss(LossModule):
    """As TorchRL writes its own: one module, two sets of parameters."""

    def __init__(self, network, gamma):
        super().__init__()
        module = TensorDictModule(network, in_keys=["observation"], out_keys=["action_value"])
        self.convert_to_functional(module, "network", create_target_params=True)
        self.gamma = gamma

    def forward(self, steps):
        rows = steps.reshape(-1)
        with self.network_params.to_module(self.network):
            values = self.network(rows.select("observation"))["action_value"]
        said = values[torch.arange(len(rows)), rows["action"]]
        with torch.no_grad(), self.target_network_params.to_module(self.network):
            best = self.network(rows["next"].select("observation"))["action_value"].amax(-1)
        going_on = 1 - rows["next", "terminated"].squeeze(-1).float()
        answer = rows["next", "reward"].squeeze(-1) + self.gamma * going_on * best
        return TensorDict({"loss": torch.nn.functional.mse_loss(said, answer)})

    def update_target(self):
        self.target_network_params.data.copy_(self.network_params.data)


class LibraryQLoss(torch.nn.Module):
    """`DQNLoss` behind the names of the exercise."""

    def __init__(self, network, gamma):
        super().__init__()
        actions = [layer for layer in network.modules() if hasattr(layer, "out_features")][-1].out_features
        self.loss = DQNLoss(QValueActor(network, spec=Categorical(actions)), loss_function="l2", delay_value=True)
        self.loss.make_value_estimator(gamma=gamma)
        self.updater = HardUpdate(self.loss, value_network_update_interval=0)

    def forward(self, steps):
        return self.loss(steps.clone())["loss"]

    def update_target(self):
        self.updater.step()


def closure_q_loss(network, gamma):
    """No class of its own: a module that is given its methods."""
    frozen = deepcopy(network)

    class Plain:
        def __call__(self, steps):
            chosen = torch.nn.functional.one_hot(steps["action"], network(steps["observation"]).shape[-1])
            said = (network(steps["observation"]) * chosen).sum(-1, keepdim=True)
            best = frozen(steps["next", "observation"]).sort(-1).values[..., -1:]
            answer = steps["next", "reward"] + gamma * best.masked_fill(steps["next", "terminated"], 0.0)
            return torch.mean((said - answer.detach()) ** 2)

        def parameters(self):
            return network.parameters()

        def update_target(self):
            with torch.no_grad():
                for old, new in zip(frozen.parameters(), network.parameters(), strict=True):
                    old.copy_(new)

    return Plain()


OTHERWISE = {
    "4.1": matrix_returns,
    "4.2": loop_follow,
    "4.3": sum_gae,
    "4.4": distribution_policy_loss,
    "4.5": selected_total,
    "4.6": masked_targets,
    "4.7": [FunctionalQLoss, LibraryQLoss, closure_q_loss],
}
