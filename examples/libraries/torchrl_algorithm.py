"""CartPole with TorchRL's PPO parts; settings of RL-Zoo, but the clip range stays."""

import gymnasium as gym
import torch
from gymnasium.vector import AutoresetMode
from judge import main
from tensordict.nn import TensorDictModule
from torchrl.collectors import Collector
from torchrl.envs import GymWrapper
from torchrl.modules import MLP, ProbabilisticActor, ValueOperator
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE


def make_env():
    same_step = {"autoreset_mode": AutoresetMode.SAME_STEP}
    copies = gym.make_vec("CartPole-v1", 8, "sync", vector_kwargs=same_step)
    return GymWrapper(copies, categorical_action_encoding=True)


def train(seed, judge):
    torch.manual_seed(seed)
    env = make_env()
    env.set_seed(seed)
    network = MLP(in_features=4, out_features=2, num_cells=[64, 64], activation_class=torch.nn.Tanh)
    actor = ProbabilisticActor(
        TensorDictModule(network, ["observation"], ["logits"]),
        in_keys=["logits"],
        distribution_class=torch.distributions.Categorical,
        return_log_prob=True,
    )
    critic_network = MLP(in_features=4, out_features=1, num_cells=[64, 64], activation_class=torch.nn.Tanh)
    critic = ValueOperator(critic_network, in_keys=["observation"])
    collector = Collector(
        env,
        actor,
        frames_per_batch=256,
        total_frames=100_000,
        auto_register_policy_transforms=False,
    )
    advantage = GAE(gamma=0.98, lmbda=0.8, value_network=critic, average_gae=True)
    loss_module = ClipPPOLoss(actor, critic, clip_epsilon=0.2, entropy_coeff=0.0, loss_critic_type="l2")
    optimiser = torch.optim.Adam(loss_module.parameters(), lr=1e-3)

    def act(observations):
        with torch.no_grad():
            return network(torch.as_tensor(observations)).argmax(1).numpy()

    frames = 0
    for batch in collector:
        frames += batch.numel()
        advantage(batch)
        for _ in range(20):
            losses = loss_module(batch.reshape(-1))
            loss = losses["loss_objective"] + losses["loss_critic"]
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        for group in optimiser.param_groups:
            group["lr"] = 1e-3 * (1 - frames / 100_000)
        if judge(act, frames):
            break
    collector.shutdown()


if __name__ == "__main__":
    main(train, frames=100_000)
