"""Right answers to lesson 15, written in other ways than the lesson's."""

import itertools

import torch
from tensordict.nn import NormalParamExtractor, TensorDictModule, TensorDictSequential
from torchrl.modules import MultiAgentMLP, ProbabilisticActor, TanhNormal
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE


def by_unbinding_shared_reward(reward):
    agents = reward.unbind(2)
    mean = sum(agents) / len(agents)
    return torch.stack([mean] * len(agents), 2)


def by_the_two_closest_credit(distance):
    """Without an agent a post falls to the second closest, if this one was the closest."""
    two = distance.topk(2, dim=1, largest=False)
    first = torch.nn.functional.one_hot(two.indices[:, 0], distance.shape[1]).movedim(-1, 1)
    lost = (two.values[:, 1] - two.values[:, 0]).unsqueeze(1) * first
    return lost.mean(2, keepdim=True)


def by_filling_mean_of_present(loss, mask):
    here = mask[..., None].expand_as(loss)
    return torch.where(here, loss, torch.zeros_like(loss)).sum() / here.sum()


class WithoutLosses:
    """Policy gradients written out: an actor of plain layers for each group, the reward's mean as baseline."""

    def __init__(self, env):
        self.groups = list(env.group_map)
        self.nets = {}
        for group in self.groups:
            inputs = env.observation_spec[group, "observation"].shape[-1]
            moves = env.full_action_spec[group, "action"].shape[-1]
            self.nets[group] = torch.nn.Sequential(
                torch.nn.Linear(inputs, 32), torch.nn.Tanh(), torch.nn.Linear(32, moves)
            )
        weights = itertools.chain(*(net.parameters() for net in self.nets.values()))
        self.optimiser = torch.optim.Adam(weights, lr=0.02)

    def chosen(self, group, td):
        return torch.distributions.Normal(self.nets[group](td[group, "observation"]), 0.5)

    def policy(self, td):
        for group in self.groups:
            drawn = self.chosen(group, td).sample()
            td[group, "drawn"] = drawn
            td[group, "action"] = drawn.clamp(-1, 1)
        return td

    def learn(self, batch):
        for _ in range(4):
            loss = 0.0
            for group in self.groups:
                reward = batch["next", group, "reward"]
                better = (reward - reward.mean()) / (reward.std() + 1e-6)
                loss = loss - (self.chosen(group, batch).log_prob(batch[group, "drawn"]) * better).mean()
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()


class WithAClippedLoss:
    """`ClipPPOLoss` and `GAE`, flags copied to the agents by hand; weights of its own for each agent, critics too."""

    def __init__(self, env):
        self.parts = {group: self.make(env, group) for group in env.group_map}
        self.policy = TensorDictSequential(*(actor for actor, *_ in self.parts.values()))

    @staticmethod
    def make(env, group):
        agents, inputs = env.observation_spec[group, "observation"].shape[-2:]
        moves = env.full_action_spec[group, "action"].shape[-1]

        def net(outputs):
            return MultiAgentMLP(
                n_agent_inputs=inputs,
                n_agent_outputs=outputs,
                n_agents=agents,
                centralized=False,
                share_params=False,
                depth=1,
                num_cells=32,
                activation_class=torch.nn.Tanh,
            )

        seen, bend = [(group, "observation")], [(group, "loc"), (group, "scale")]
        actor = ProbabilisticActor(
            TensorDictModule(torch.nn.Sequential(net(2 * moves), NormalParamExtractor()), in_keys=seen, out_keys=bend),
            in_keys=bend,
            out_keys=[(group, "action")],
            distribution_class=TanhNormal,
            return_log_prob=True,
        )
        critic = TensorDictModule(net(1), in_keys=seen, out_keys=[(group, "worth")])
        loss = ClipPPOLoss(actor, critic, entropy_coeff=0.0, normalize_advantage=True)
        keys = {"value": (group, "worth"), "reward": (group, "reward")}
        keys |= {"done": (group, "over"), "terminated": (group, "over")}
        loss.set_keys(**keys)
        advantages = GAE(gamma=0.5, lmbda=0.9, value_network=critic)
        advantages.set_keys(**keys)
        return actor, loss, advantages, torch.optim.Adam(loss.parameters(), lr=0.02)

    def learn(self, batch):
        for group, (_, loss, advantages, optimiser) in self.parts.items():
            own = batch.select((group, "observation"), (group, "action"), (group, "action_log_prob"), "next")
            reward = own["next", group, "reward"]
            own = own.clone()
            own["next", group, "over"] = batch["next", "done"].unsqueeze(-2).expand_as(reward).clone()
            with torch.no_grad():
                advantages(own)
            frames = own.reshape(-1)
            for _ in range(2):
                for part in frames[torch.randperm(len(frames))].split(256):
                    found = loss(part)
                    optimiser.zero_grad()
                    (found["loss_objective"] + found["loss_critic"]).backward()
                    optimiser.step()


OTHERWISE = {
    "15.1": by_unbinding_shared_reward,
    "15.2": by_the_two_closest_credit,
    "15.3": by_filling_mean_of_present,
    "15.6": [WithoutLosses, WithAClippedLoss],
}
