import copy

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


def offline_with_torch_alone(record, make_env, used_seeds):
    """Full batches, a moving average as the target, and one environment for each episode."""
    net = torch.nn.Sequential(torch.nn.Linear(8, 64), torch.nn.Tanh(), torch.nn.Linear(64, 2))
    slow = copy.deepcopy(net)
    optimiser = torch.optim.AdamW(net.parameters(), lr=0.01, weight_decay=0.0)
    for _ in range(500):
        q = net(record["observation"])
        with torch.no_grad():
            goal = record["next", "reward"].squeeze(-1)
            bootstraps = 1 - record["next", "terminated"].squeeze(-1).float()
            goal = goal + 0.9 * bootstraps * slow(record["next", "observation"]).amax(-1)
        error = F.mse_loss(q[torch.arange(len(q)), record["action"]], goal)
        optimiser.zero_grad()
        (error + F.cross_entropy(q, record["action"])).backward()
        optimiser.step()
        with torch.no_grad():
            for old, new in zip(slow.parameters(), net.parameters(), strict=True):
                old.lerp_(new, 0.1)

    def agent(td):
        values = net(td["observation"])
        return td.update({"action_value": values, "action": values.argmax(-1)})

    returns = []
    for seed in range(1_000, 1_020):
        env, total = make_env(1, seed), 0.0
        td = env.reset()
        for _ in range(12):
            with torch.no_grad():
                td = env.step(agent(td))["next"]
            total += td["reward"].item()
            if td["done"].item():
                break
        returns.append(total)
    return agent, returns


class OfflineRun:
    """The same by TorchRL's loss, in an object that can be called; double Q-learning, and a soft update."""

    def __init__(self, weight=1.0):
        self.weight = weight

    def __call__(self, record, make_env, used_seeds):
        from tensordict.nn import TensorDictModule, TensorDictSequential
        from torchrl.data import Categorical
        from torchrl.envs import ExplorationType, set_exploration_type
        from torchrl.modules import MLP, QValueModule
        from torchrl.objectives import DQNLoss, SoftUpdate

        network = TensorDictModule(MLP(8, 2, num_cells=[64, 64]), ["observation"], ["action_value"])
        agent = TensorDictSequential(network, QValueModule(spec=Categorical(2)))
        loss = DQNLoss(agent, action_space="categorical", loss_function="l2", delay_value=True, double_dqn=True)
        loss.make_value_estimator(gamma=0.9)
        update, optimiser = SoftUpdate(loss, tau=0.1), torch.optim.Adam(network.parameters(), 3e-3)
        for _ in range(600):
            batch = record[torch.randperm(len(record))[:128]]
            values = network(batch.select("observation"))["action_value"]
            term = F.cross_entropy(values, batch["action"])
            (loss(batch)["loss"] + self.weight * term).backward()
            optimiser.step()
            optimiser.zero_grad()
            update.step()
        env = make_env(25, 123_456)
        with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
            played = env.rollout(12, agent, break_when_all_done=True)
        reward, done = played["next", "reward"], played["next", "done"]
        return agent, (reward * (done.cumsum(1) - done.int() < 1)).sum((1, 2))


OTHERWISE = {
    "10.1": loop_both_tried,
    "10.2": lambda logits, action: F.nll_loss(F.log_softmax(logits, dim=-1), action),
    "10.3": lambda values, action: F.cross_entropy(values, action),
    "10.4": loop_expectile,
    "10.5": sorted_best,
    "10.6": [offline_with_torch_alone, OfflineRun()],
}
