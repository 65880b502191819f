"""Teams of several groups for exercise 15.6: a right one, and what goes wrong."""

from __future__ import annotations

from typing import Any

import torch
from tensordict.nn import NormalParamExtractor, TensorDictModule, TensorDictSequential
from torchrl.modules import IndependentNormal, MultiAgentMLP, ProbabilisticActor, TanhNormal
from torchrl.objectives.multiagent import MAPPOLoss

from course_utils.exercises.exercise import Mutant


class Team:
    """An actor, a critic, a `MAPPOLoss` and an optimiser for each group of an environment.

    Args:
        env: an environment of several groups, which it names in `group_map`.
        sees_all: do agents act by what their whole group sees?
        limited: are actions kept between -1 and 1?
        sign: of the loss.
    """

    def __init__(
        self,
        env: Any,
        sees_all: bool = False,
        limited: bool = True,
        sign: float = 1.0,
    ) -> None:
        self.sign, self.losses = sign, {}
        actors = []
        for group in env.group_map:
            actor, critic = self.actor(env, group, sees_all, limited), self.critic(env, group)
            loss = MAPPOLoss(actor, critic, entropy_coeff=0.0)
            loss.set_keys(
                value=(group, "state_value"),
                reward=(group, "reward"),
                advantage=(group, "advantage"),
                value_target=(group, "value_target"),
            )
            loss.make_value_estimator(gamma=0.9, lmbda=0.9)
            actors.append(actor)
            self.losses[group] = loss
        self.policy = TensorDictSequential(*actors)
        self.optimisers = {g: torch.optim.Adam(loss.parameters(), lr=0.01) for g, loss in self.losses.items()}

    @staticmethod
    def network(env: Any, group: str, outputs: int, central: bool) -> torch.nn.Module:
        _, agents, inputs = env.observation_spec[group, "observation"].shape
        return MultiAgentMLP(
            n_agent_inputs=inputs,
            n_agent_outputs=outputs,
            n_agents=agents,
            centralized=central,
            share_params=not central or outputs == 1,
            depth=2,
            num_cells=64,
            activation_class=torch.nn.Tanh,
        )

    def actor(self, env: Any, group: str, sees_all: bool, limited: bool) -> ProbabilisticActor:
        outputs = 2 * env.full_action_spec[group, "action"].shape[-1]
        parameters = [(group, "loc"), (group, "scale")]
        net = torch.nn.Sequential(self.network(env, group, outputs, sees_all), NormalParamExtractor())
        return ProbabilisticActor(
            TensorDictModule(net, in_keys=self.seen(env, group), out_keys=parameters),
            in_keys=parameters,
            out_keys=[(group, "action")],
            distribution_class=TanhNormal if limited else IndependentNormal,
            return_log_prob=True,
        )

    @staticmethod
    def seen(env: Any, group: str) -> list:
        return [(group, "observation")]

    def critic(self, env: Any, group: str) -> TensorDictModule:
        net = self.network(env, group, 1, True)
        return TensorDictModule(net, in_keys=[(group, "observation")], out_keys=[(group, "state_value")])

    def learn(self, batch: Any) -> None:
        batch = batch.copy()
        for group in self.losses:
            self.learn_group(group, batch)

    def learn_group(self, group: str, batch: Any) -> None:
        loss, optimiser = self.losses[group], self.optimisers[group]
        with torch.no_grad():
            loss.value_estimator(batch)
        frames = batch.reshape(-1)
        for _ in range(4):
            readings = loss(frames)
            optimiser.zero_grad()
            (self.sign * readings["loss_objective"] + readings["loss_critic"]).backward()
            torch.nn.utils.clip_grad_norm_(loss.parameters(), 1.0)
            optimiser.step()


class FirstLearns(Team):
    def learn(self, batch: Any) -> None:
        self.learn_group(next(iter(self.losses)), batch.copy())


class SharesRewards(Team):
    def learn(self, batch: Any) -> None:
        batch = batch.clone()
        total = sum(batch["next", group, "reward"].mean(-2, keepdim=True) for group in self.losses)
        for group in self.losses:
            batch["next", group, "reward"] = total.expand_as(batch["next", group, "reward"])
        super().learn(batch)


class Normalises(Team):
    def learn(self, batch: Any) -> None:
        for group in self.losses:
            reward = batch["next", group, "reward"]
            batch["next", group, "reward"] = (reward - reward.mean()) / reward.std()
        super().learn(batch)


class SeesTheOthers(Team):
    """Of both groups it sees the means, too."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        inner = self.policy

        def policy(tensordict: Any) -> Any:
            given = tensordict.clone()
            groups = list(env.group_map)
            for group, other in zip(groups, groups[::-1], strict=True):
                mean = tensordict[other, "observation"].mean((-1, -2), keepdim=True)
                given[group, "observation"] = tensordict[group, "observation"] + mean
            acted = inner(given)
            for group in groups:
                acted[group, "observation"] = tensordict[group, "observation"]
            return acted

        self.policy = policy


class Determined(Team):
    def __init__(self, env: Any) -> None:
        super().__init__(env)
        inner = self.policy

        def policy(tensordict: Any) -> Any:
            acted = inner(tensordict)
            for group in env.group_map:
                acted[group, "action"] = acted[group, "loc"].tanh()
            return acted

        self.policy = policy


class OneGroupActs(Team):
    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self.policy = self.policy[0]


def paid_as_the_first(env: Any) -> Team:
    """The keys were copied from the first group, and the reward's was not changed."""
    first, second = env.group_map

    class Copied(Team):
        def learn_group(self, group: str, batch: Any) -> None:
            if group == second:
                paid = batch["next", first, "reward"].mean(-2, keepdim=True)
                batch = batch.clone()
                batch["next", second, "reward"] = paid.expand_as(batch["next", second, "reward"])
            super().learn_group(group, batch)

    return Copied(env)


MUTANTS = [
    Mutant(
        "one group acts",
        OneGroupActs,
        '"action"): every group of `env.group_map` has to act.',
    ),
    Mutant(
        "without limits",
        lambda env: Team(env, limited=False),
        "leave the limits of their spec, -1 to 1",
    ),
    Mutant(
        "sees the other group",
        SeesTheOthers,
        "What the other group sees changes how",
    ),
    Mutant(
        "a centralized actor",
        lambda env: Team(env, sees_all=True),
        "an actor must not be centralized.",
    ),
    Mutant(
        "no exploration",
        Determined,
        "do not explore: under `ExplorationType.RANDOM` they do the same twice.",
    ),
    Mutant(
        "changes the batch",
        Normalises,
        "in the batch. Whoever gave it may still need it.",
    ),
    Mutant(
        "only the first group learns",
        FirstLearns,
        "act exactly as before. Every group has to learn.",
    ),
    Mutant(
        "up the loss",
        lambda env: Team(env, sign=-1.0),
        "learn the wrong way: the mean reward of a step goes from",
    ),
    Mutant(
        "paid as the first group",
        paid_as_the_first,
        "learn from what the *other* group is paid, and from nothing else:",
    ),
    Mutant(
        "one sum for both groups",
        SharesRewards,
        "What one group is paid must not reach the other's loss.",
    ),
]
