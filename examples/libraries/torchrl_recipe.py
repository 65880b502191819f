"""CartPole with TorchRL's DQN parts, and lesson 07's recipe."""

import gymnasium as gym
import torch
from gymnasium.vector import AutoresetMode
from judge import main
from tensordict.nn import TensorDictSequential
from torchrl.collectors import Collector
from torchrl.data import Categorical, LazyTensorStorage, TensorDictReplayBuffer
from torchrl.envs import GymWrapper
from torchrl.modules import MLP, EGreedyModule, QValueActor
from torchrl.objectives import DQNLoss, HardUpdate


class Scale(torch.nn.Module):
    def forward(self, seen):
        return seen * torch.tensor([1.0, 1.0, 5.0, 1.0])


def make_env():
    same_step = {"autoreset_mode": AutoresetMode.SAME_STEP}
    copies = gym.make_vec("CartPole-v1", 16, "sync", vector_kwargs=same_step, sutton_barto_reward=True)
    return GymWrapper(copies, categorical_action_encoding=True)


def train(seed, judge):
    torch.manual_seed(seed)
    env = make_env()
    env.set_seed(seed)
    layers = MLP(in_features=4, out_features=2, num_cells=[256, 256], activation_class=torch.nn.ReLU)
    network = torch.nn.Sequential(Scale(), layers)
    agent = QValueActor(network, in_keys=["observation"], spec=Categorical(2))
    explore = EGreedyModule(Categorical(2), eps_init=1.0, eps_end=0.15, annealing_num_steps=5_000)
    collector = Collector(
        env,
        TensorDictSequential(agent, explore),
        frames_per_batch=256,
        total_frames=20_480,
        auto_register_policy_transforms=False,
        track_traj_ids=False,
    )
    memory = TensorDictReplayBuffer(storage=LazyTensorStorage(50_000), batch_size=128)
    loss_module = DQNLoss(agent, loss_function="l2", delay_value=True)
    loss_module.make_value_estimator(gamma=0.95)
    target = HardUpdate(loss_module, value_network_update_interval=32)
    optimiser = torch.optim.Adam(loss_module.parameters(), lr=5e-4)

    def act(observations):
        with torch.no_grad():
            return network(torch.as_tensor(observations)).argmax(1).numpy()

    frames = 0
    for batch in collector:
        frames += batch.numel()
        memory.extend(batch.reshape(-1))
        explore.step(batch.numel())
        if frames >= 1_000:
            for _ in range(32):
                loss = loss_module(memory.sample())["loss"]
                optimiser.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(loss_module.parameters(), 10.0)
                optimiser.step()
                target.step()
        if judge(act, frames):
            break
    collector.shutdown()


if __name__ == "__main__":
    main(train, frames=20_480, every=256)
