"""CartPole with TorchRL's DQN parts and a penalty on large values added to the loss."""

import torch
from judge import main
from tensordict.nn import TensorDictSequential
from torchrl.collectors import Collector
from torchrl.data import Categorical, LazyTensorStorage, TensorDictReplayBuffer
from torchrl.envs import GymEnv
from torchrl.modules import MLP, EGreedyModule, QValueActor
from torchrl.objectives import DQNLoss, HardUpdate


def make_env():
    return GymEnv("CartPole-v1", categorical_action_encoding=True)


def train(seed, judge):
    torch.manual_seed(seed)
    env = make_env()
    env.set_seed(seed)
    network = MLP(in_features=4, out_features=2, num_cells=[120, 84], activation_class=torch.nn.ReLU)
    agent = QValueActor(network, in_keys=["observation"], spec=Categorical(2))
    explore = EGreedyModule(Categorical(2), eps_init=1.0, eps_end=0.05, annealing_num_steps=250_000)
    collector = Collector(
        env,
        TensorDictSequential(agent, explore),
        frames_per_batch=1_000,
        total_frames=500_000,
        init_random_frames=10_000,
        auto_register_policy_transforms=False,
    )
    memory = TensorDictReplayBuffer(storage=LazyTensorStorage(10_000), batch_size=128)
    loss_module = DQNLoss(agent, loss_function="l2", delay_value=True)
    loss_module.make_value_estimator(gamma=0.99)
    target = HardUpdate(loss_module, value_network_update_interval=50)
    optimiser = torch.optim.Adam(loss_module.parameters(), lr=2.5e-4)

    def act(observations):
        with torch.no_grad():
            return network(torch.as_tensor(observations)).argmax(1).numpy()

    frames = 0
    for batch in collector:
        frames += batch.numel()
        memory.extend(batch.reshape(-1))
        explore.step(batch.numel())
        if frames >= 10_000:
            for _ in range(100):
                sample = memory.sample()
                penalty = network(sample["observation"]).pow(2).mean()
                loss = loss_module(sample)["loss"] + 1e-3 * penalty
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                target.step()
        if judge(act, frames):
            break
    collector.shutdown()


if __name__ == "__main__":
    main(train, frames=500_000, every=5_000)
