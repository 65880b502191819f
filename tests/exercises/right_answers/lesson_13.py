from copy import deepcopy

import torch


def loop_new_lines(before, after):
    def code(text):
        return [line.strip() for line in text.split("\n") if line.strip() and line.strip()[0] != "#"]

    left, new = code(before), 0
    for line in code(after):
        if line in left:
            left.remove(line)
        else:
            new += 1
    return new


def where_target(rewards, best_next, dones, timeouts, gamma):
    terminated = dones.bool() & ~timeouts.bool()
    return torch.where(terminated, rewards, rewards + gamma * best_next)


def loop_frames(over):
    frames = 0
    for copy in over.tolist():
        frames += sum(not was_over for was_over in [False, *copy[:-1]])
    return frames


def loop_candidates(has, needs):
    wanted = [place for place, need in enumerate(needs.tolist()) if need]
    return torch.tensor([all(row[place] for place in wanted) for row in has.tolist()])


def by_parameters_port(network, target, gamma, tau):
    """A copy of the network; the target's weights written into the loss, after the updater; done made by hand."""
    from tensordict import TensorDict
    from tensordict.nn import TensorDictModule, TensorDictSequential
    from torchrl.data import Categorical
    from torchrl.modules import QValueModule
    from torchrl.objectives import DQNLoss, SoftUpdate

    values = TensorDictModule(deepcopy(network), in_keys=["seen"], out_keys=["action_value"])
    agent = TensorDictSequential(values, QValueModule(spec=Categorical(2)))
    loss_module = DQNLoss(agent, action_space="categorical", loss_function="l2", delay_value=True)
    loss_module.make_value_estimator(gamma=gamma)
    updater = SoftUpdate(loss_module, eps=1 - tau)
    theirs = TensorDict.from_module(target).data
    loss_module.target_value_network_params.data["module", "0", "module"].update_(theirs)

    def to_tensordict(batch):
        size = batch["action"].shape[0]
        found = TensorDict({"seen": batch["seen"], "action": batch["action"]}, [size])
        found["next"] = TensorDict({"seen": batch["seen_next"]}, [size])
        found["next", "reward"] = batch["reward"].unsqueeze(-1)
        found["next", "terminated"] = batch["terminated"].reshape(size, 1)
        found["next", "done"] = batch["terminated"].reshape(size, 1)
        return found

    @torch.no_grad()
    def act(observations):
        return values(TensorDict({"seen": torch.from_numpy(observations)}))["action_value"].argmax(-1).numpy()

    return act, loss_module, updater, to_tensordict


class OwnUpdater:
    def __init__(self, loss_module, tau):
        self.loss_module, self.tau = loss_module, tau

    def step(self):
        parameters = self.loss_module.value_network_params.data
        self.loss_module.target_value_network_params.data.lerp_(parameters, self.tau)


def by_state_dict_port(network, target, gamma, tau):
    """One-hot actions inside, an updater of one's own, and the loss's state_dict."""
    import numpy as np
    from tensordict import TensorDict
    from torchrl.data import OneHot
    from torchrl.modules import QValueActor
    from torchrl.objectives import DQNLoss

    agent = QValueActor(network, in_keys=["observation"], spec=OneHot(2))
    loss_module = DQNLoss(agent, loss_function="l2", delay_value=True, gamma=None)
    state = loss_module.state_dict()
    for name in state:
        if name.startswith("target"):
            state[name] = target.state_dict()[".".join(name.split(".")[-2:])]
    loss_module.load_state_dict(state)
    loss_module.make_value_estimator(gamma=gamma)

    def to_tensordict(batch):
        rows = []
        for place in range(len(batch["action"])):
            over = batch["terminated"][place : place + 1]
            after = {"observation": batch["seen_next"][place], "reward": batch["reward"][place : place + 1]}
            after |= {"terminated": over, "done": over | False}
            action = torch.nn.functional.one_hot(batch["action"][place], 2)
            rows.append(TensorDict({"observation": batch["seen"][place], "action": action, "next": after}))
        return torch.stack(rows)

    def act(observations):
        with torch.no_grad():
            return np.array([int(agent(observation=torch.as_tensor(row))[0].argmax()) for row in observations])

    return act, loss_module, OwnUpdater(loss_module, tau), to_tensordict


OTHERWISE = {
    "13.1": lambda env, ours, theirs: 1 / ((env + ours) / (env + theirs)),
    "13.2": loop_new_lines,
    "13.3": where_target,
    "13.4": loop_frames,
    "13.5": loop_candidates,
    "13.6": [by_parameters_port, by_state_dict_port],
}
