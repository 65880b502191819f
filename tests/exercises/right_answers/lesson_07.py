import torch
from tensordict.nn import TensorDictModule, TensorDictSequential
from torchrl.data import Categorical, LazyTensorStorage, TensorDictReplayBuffer
from torchrl.modules import EGreedyModule, QValueActor
from torchrl.objectives import DQNLoss, SoftUpdate


def loop_first_returns(reward, done):
    totals = []
    for rewards, ends in zip(reward.tolist(), done.tolist(), strict=True):
        total = 0.0
        for value, end in zip(rewards, ends, strict=True):
            total += value
            if end:
                break
        totals.append(total)
    return torch.tensor(totals)


def loop_epsilon(frame, length, start, end):
    if frame >= length:
        return end
    return start * (1 - frame / length) + end * frame / length


def where_target(reward, next_values, terminated, truncated, gamma):
    future = torch.amax(next_values, dim=-1, keepdim=True)
    return torch.where(terminated, reward, reward + gamma * future)


def loop_double_target(reward, online_next, target_next, terminated, gamma):
    rows = []
    for row in range(len(reward)):
        value = target_next[row, int(torch.argmax(online_next[row]))]
        rows.append(reward[row, 0] if terminated[row, 0] else reward[row, 0] + gamma * value)
    return torch.stack(rows)[:, None]


def _parts(task, seed):
    torch.manual_seed(seed)
    envs = task.make_envs(16, seed)
    return envs, envs.observation_spec["observation"].shape[-1], envs.full_action_spec["action"].space.n


def duelling_train_on(task, seed, watch):
    """Value and advantages apart, a soft target, and rollouts in the place of a collector."""
    envs, inputs, actions = _parts(task, seed)
    body = torch.nn.Sequential(torch.nn.Linear(inputs, 64), torch.nn.ReLU())
    value, advantage = torch.nn.Linear(64, 1), torch.nn.Linear(64, actions)

    class Duelling(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.value, self.advantage = body, value, advantage

        def forward(self, observation):
            hidden = self.body(observation * torch.tensor(task.scale))
            advantages = self.advantage(hidden)
            return self.value(hidden) + advantages - advantages.mean(-1, keepdim=True)

    agent = QValueActor(Duelling(), in_keys=["observation"], spec=Categorical(actions))
    explorer = TensorDictSequential(agent, EGreedyModule(Categorical(actions), eps_init=0.5, eps_end=0.5))
    loss_module = DQNLoss(agent, delay_value=True)
    loss_module.make_value_estimator(gamma=task.gamma)
    updater = SoftUpdate(loss_module, tau=0.05)
    optimiser = torch.optim.Adam(loss_module.parameters(), lr=2e-3)
    buffer = TensorDictReplayBuffer(storage=LazyTensorStorage(10_000), batch_size=64)
    for _ in range(task.frames // 256):
        with torch.no_grad():
            buffer.extend(envs.rollout(16, explorer, break_when_any_done=False).reshape(-1))
        for _ in range(32):
            optimiser.zero_grad()
            loss_module(buffer.sample())["loss"].backward()
            optimiser.step()
            updater.step()
        watch(len(buffer), score=task.score(agent))
    return agent


def plain_train_on(task, seed, watch):
    """No loss module: two plain networks, and a list of batches for a memory."""
    envs, inputs, actions = _parts(task, seed)
    scale = torch.tensor(task.scale)
    online, target = (
        torch.nn.Sequential(torch.nn.Linear(inputs, 64), torch.nn.Tanh(), torch.nn.Linear(64, actions)) for _ in "ab"
    )
    agent = TensorDictModule(
        lambda seen: (values := online(seen * scale), values.argmax(-1)),
        in_keys=["observation"],
        out_keys=["action_value", "action"],
    )
    explorer = TensorDictSequential(agent, EGreedyModule(Categorical(actions), eps_init=0.6, eps_end=0.6))
    optimiser, memory = torch.optim.Adam(online.parameters(), lr=3e-3), []
    for _ in range(task.frames // 256):
        with torch.no_grad():
            memory.append(envs.rollout(16, explorer, break_when_any_done=False).reshape(-1))
        frames = torch.cat(memory)
        for update in range(40):
            if update % 20 == 0:
                target.load_state_dict(online.state_dict())
            rows = frames[torch.randint(len(frames), (128,))]
            with torch.no_grad():
                best = target(rows["next", "observation"] * scale).max(1, keepdim=True).values
                answer = rows["next", "reward"] + task.gamma * best * ~rows["next", "terminated"]
            said = online(rows["observation"] * scale).gather(1, rows["action"].reshape(-1, 1))
            optimiser.zero_grad()
            torch.nn.functional.mse_loss(said, answer).backward()
            optimiser.step()
    return agent


OTHERWISE = {
    "7.1": loop_first_returns,
    "7.2": loop_epsilon,
    "7.3": where_target,
    "7.4": loop_double_target,
    "7.5": [duelling_train_on, plain_train_on],
}
