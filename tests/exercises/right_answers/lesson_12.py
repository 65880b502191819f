import copy
import math

import torch
from tensordict import TensorDict


def by_seconds_speed_up(workers, simulate, learn, carry):
    seconds = simulate
    for _ in range(workers):
        seconds += learn + carry
    return (simulate + learn) / (seconds / workers)


def counting_enough_workers(simulate, learn, carry):
    workers = 1
    while workers / simulate < 1 / (learn + carry):
        workers += 1
    return workers


def by_table_which_collector(machines, simulate, learn, needs_fresh_frames):
    here = {True: "MultiSyncCollector", False: "MultiAsyncCollector"}[needs_fresh_frames]
    alone = "Collector" if learn >= simulate else here
    return alone if machines == 1 else "RayCollector"


def counting_share_too_old(trained_on, batches, limit):
    old = [value for value in trained_on.flatten().tolist() if value < batches - limit]
    return len(old) / trained_on.numel()


def by_probabilities_clipped_ratio(log_pi, log_mu, limit):
    return torch.minimum(log_pi.exp() / log_mu.exp(), torch.full_like(log_pi, math.fabs(limit)))


class ByHandCollector:
    """An iterator; its weights are a tensordict that is put into the module while it plays."""

    def __init__(self, env, policy, frames_per_batch, total_frames):
        self.env, self.module = env, copy.deepcopy(policy)
        self.weights = TensorDict.from_module(policy).data.clone()
        self.left, self.size, self.sent, self.tensordict = total_frames, frames_per_batch, 0, None
        self.over = False

    def __iter__(self):
        return self

    def __next__(self):
        from torchrl.envs import ExplorationType, set_exploration_type, step_mdp

        if self.left <= 0 or self.over:
            raise StopIteration
        if self.tensordict is None:
            self.tensordict = self.env.reset()
        frames = []
        with torch.no_grad(), set_exploration_type(ExplorationType.RANDOM), self.weights.to_module(self.module):
            while len(frames) * self.env.batch_size[0] < self.size:
                frame = self.env.step(self.module(self.tensordict.clone()))
                self.tensordict = step_mdp(frame)
                done = self.tensordict["done"]
                if done.any():
                    self.tensordict["_reset"] = done
                    self.tensordict = self.env.reset(self.tensordict)
                    self.tensordict.pop("_reset", None)
                frames.append(frame)
        batch = torch.stack(frames, 1).contiguous()
        batch["version"] = torch.full((*batch.shape, 1), self.sent)
        self.left -= batch.numel()
        return batch

    def update_policy_weights_(self, policy):
        self.weights = TensorDict.from_module(policy).data.clone()
        self.sent += 1

    def shutdown(self):
        if not self.over:
            self.over = True
            self.env.close()


class WrappedCollector:
    """TorchRL's own, with a policy of its own."""

    def __init__(self, env, policy, frames_per_batch, total_frames):
        from torchrl.collectors import Collector

        self.policy, self.version, self.open = copy.deepcopy(policy), 0, True
        self.collector = Collector(
            env,
            self.policy,
            frames_per_batch=frames_per_batch,
            total_frames=total_frames,
            auto_register_policy_transforms=False,
        )

    def __iter__(self):
        for batch in self.collector:
            yield batch.clone().set("version", torch.full(batch.shape, self.version))
            if not self.open:
                return

    def update_policy_weights_(self, policy):
        for name, value in self.policy.state_dict().items():
            value.copy_(policy.state_dict()[name])
        self.version += 1

    def shutdown(self):
        if self.open:
            self.collector.shutdown()
        self.open = False


class RolloutCollector:
    def __init__(self, env, policy, frames_per_batch, total_frames):
        self.env, self.policy = env, copy.deepcopy(policy)
        self.steps = frames_per_batch // env.batch_size.numel()
        self.frames_left, self.version, self.now = total_frames, 0, env.reset()

    @torch.no_grad()
    def __iter__(self):
        from torchrl.envs import set_exploration_type, step_mdp

        while self.frames_left and self.env is not None:
            with set_exploration_type("RANDOM"):
                batch = self.env.rollout(
                    self.steps, self.policy, auto_reset=False, tensordict=self.now, break_when_any_done=False
                )
            batch["version"] = torch.ones(batch.shape, dtype=torch.long) * self.version
            self.now = self.env.maybe_reset(step_mdp(batch[:, -1]))
            self.frames_left -= batch.numel()
            yield batch

    def update_policy_weights_(self, policy):
        self.policy = copy.deepcopy(policy)
        self.version = self.version + 1

    def shutdown(self):
        if self.env is not None:
            self.env.close()
        self.env = None


OTHERWISE = {
    "12.1": by_seconds_speed_up,
    "12.2": counting_enough_workers,
    "12.3": by_table_which_collector,
    "12.4": counting_share_too_old,
    "12.5": by_probabilities_clipped_ratio,
    "12.6": [ByHandCollector, WrappedCollector, RolloutCollector],
}
