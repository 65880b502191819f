"""Right loops as people write them elsewhere are let be, in worlds of few states, too; wrong ones are still told."""

from __future__ import annotations

import random
import time
from contextlib import contextmanager

import pytest
import torch
from tensordict import TensorDict
from test_loop_watch import ddpg_parts
from torchrl.collectors import Collector
from torchrl.data import (
    Categorical,
    Composite,
    LazyTensorStorage,
    SamplerWithoutReplacement,
    TensorDictReplayBuffer,
    Unbounded,
)
from torchrl.envs import EnvBase
from torchrl.envs.utils import ExplorationType, exploration_type, set_exploration_type, step_mdp
from torchrl.objectives.utils import group_optimizers

from course_utils import watch_loop
from course_utils.exercises.tiny_parts import Walk


def update(buffer, loss_module, optimiser, target_updater, times=1):
    for _ in range(times):
        optimiser.zero_grad()
        loss_module(buffer.sample())["loss"].backward()
        optimiser.step()
        target_updater.step()


@contextmanager
def greedily():
    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        yield


def half_precision(collector, buffer, loss_module, optimiser, target_updater, egreedy):
    scaler = torch.amp.GradScaler("cpu")
    for batch in collector:
        buffer.extend(batch)
        egreedy.step(batch.numel())
        optimiser.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = loss_module(buffer.sample())["loss"]
        scaler.scale(loss).backward()
        scaler.unscale_(optimiser)
        torch.nn.utils.clip_grad_norm_(loss_module.parameters(), 1.0)
        scaler.step(optimiser)
        scaler.update()
        target_updater.step()
    collector.shutdown()


def closures(collector, buffer, loss_module, target_updater, egreedy):
    optimiser = torch.optim.LBFGS(loss_module.parameters(), lr=0.01, max_iter=3)
    for batch in collector:
        buffer.extend(batch)
        egreedy.step(batch.numel())
        sample = buffer.sample()

        def closure(sample=sample):
            optimiser.zero_grad()
            loss = loss_module(sample)["loss"]
            loss.backward()
            return loss

        optimiser.step(closure)
        target_updater.step()
    collector.shutdown()


def gradients_handed_out(collector, buffer, loss_module, optimiser, target_updater, egreedy):
    weights = [weight for weight in loss_module.parameters() if weight.requires_grad]
    for batch in collector:
        buffer.extend(batch)
        egreedy.step(batch.numel())
        loss = loss_module(buffer.sample())["loss"]
        for weight, gradient in zip(weights, torch.autograd.grad(loss, weights), strict=True):
            weight.grad = gradient
        optimiser.step()
        target_updater.step()
    collector.shutdown()


def slower_and_slower(collector, buffer, loss_module, optimiser, target_updater, egreedy):
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.1, 4)
    for batch in collector:
        buffer.extend(batch)
        egreedy.step(batch.numel())
        update(buffer, loss_module, optimiser, target_updater)
        schedule.step()
    collector.shutdown()


def make_collector(policy, **options):
    options = {"frames_per_batch": 10, "total_frames": 40, "auto_register_policy_transforms": False} | options
    return Collector(Walk(), policy, **options)


def two_collectors(policy, buffer, loss_module, optimiser, target_updater, egreedy):
    both = [make_collector(policy), make_collector(policy)]
    for batches in zip(*both, strict=True):
        for batch in batches:
            buffer.extend(batch)
            egreedy.step(batch.numel())
        update(buffer, loss_module, optimiser, target_updater)
    for collector in both:
        collector.shutdown()


def judged_by_a_collector(actor, policy, buffer, loss_module, optimiser, target_updater, egreedy):
    collector = make_collector(policy)
    judge = make_collector(actor, total_frames=-1, exploration_type=ExplorationType.DETERMINISTIC)
    judged = iter(judge)
    for batch in collector:
        buffer.extend(batch)
        egreedy.step(batch.numel())
        update(buffer, loss_module, optimiser, target_updater)
        next(judged)
    collector.shutdown()
    judge.shutdown()


def asks_for_the_iterator(collector, buffer, loss_module, optimiser, target_updater, egreedy):
    for batch in collector.iterator():
        buffer.extend(batch)
        egreedy.step(batch.numel())
        update(buffer, loss_module, optimiser, target_updater)
    collector.shutdown()


def asks_for_rollouts(collector, buffer, loss_module, optimiser, target_updater, egreedy):
    for _ in range(4):
        batch = collector.rollout()
        buffer.extend(batch)
        egreedy.step(batch.numel())
        update(buffer, loss_module, optimiser, target_updater)
    collector.shutdown()


def in_a_thread_of_its_own(policy, buffer, loss_module, optimiser, target_updater, egreedy):
    collector = make_collector(policy, total_frames=200, replay_buffer=buffer)
    collector.start()
    while len(buffer) < 20:
        time.sleep(0.01)
    for _ in range(5):
        update(buffer, loss_module, optimiser, target_updater)
        egreedy.step(10)
    collector.async_shutdown()


def scaled_before_it_is_stored(env, policy, buffer, loss_module, optimiser, target_updater, egreedy, blocks):
    for _ in range(blocks):
        with torch.no_grad():
            batch = env.rollout(10, policy, break_when_any_done=False)
        for part in (batch, batch["next"]):
            part["observation"] = part["observation"] * 2
        buffer.extend(batch)
        egreedy.step(len(batch))
        update(buffer, loss_module, optimiser, target_updater)


def explores_by_a_coin(env, actor, buffer, loss_module, optimiser, target_updater, total_frames):
    now = env.reset()
    for frame in range(total_frames):
        with torch.no_grad():
            now = actor(now)
        if random.random() < 0.3:
            now["action"] = env.action_spec.rand()
        step = env.step(now.select("observation", "action"))
        buffer.add(step.clone())
        now = env.reset() if step["next", "done"].any() else step_mdp(step)
        if frame > 10:
            update(buffer, loss_module, optimiser, target_updater)


def frame_by_frame(collector, buffer, loss_module, optimiser, target_updater, egreedy):
    for batch in collector:
        for frame in batch.unbind(0):
            buffer.add(frame)
        egreedy.step(batch.numel())
        loss_module.zero_grad()
        loss_module(buffer.sample().clone())["loss"].backward()
        optimiser.step()
        target_updater.step()
    collector.shutdown()


def whole_buffer_each_turn(collector, loss_module, optimiser, target_updater, egreedy):
    sampler, storage = SamplerWithoutReplacement(), LazyTensorStorage(1_000)
    memory = TensorDictReplayBuffer(storage=storage, sampler=sampler, batch_size=8)
    for batch in collector:
        memory.extend(batch)
        egreedy.step(batch.numel())
        for sample in memory:
            optimiser.zero_grad()
            loss_module(sample)["loss"].backward()
            optimiser.step()
            target_updater.step()
    collector.shutdown()


def builds_an_environment_to_judge(env, network, collector, buffer, loss_module, optimiser, target_updater, egreedy):
    for batch in collector:
        buffer.extend(batch)
        egreedy.step(batch.numel())
        update(buffer, loss_module, optimiser, target_updater)
        with torch.no_grad():
            network(torch.zeros(2, 3))
        TriesItself()  # after a network has run, and before the next frame


class TriesItself(Walk):
    def __init__(self):
        super().__init__()
        self.rollout(2)


@pytest.mark.parametrize(
    "loop",
    [
        half_precision,
        closures,
        gradients_handed_out,
        slower_and_slower,
        two_collectors,
        judged_by_a_collector,
        asks_for_the_iterator,
        asks_for_rollouts,
        in_a_thread_of_its_own,
        scaled_before_it_is_stored,
        explores_by_a_coin,
        frame_by_frame,
        whole_buffer_each_turn,
    ],
)
def test_a_right_loop_is_let_be(loop):
    seen = watch_loop(loop)
    assert seen.faults == [] and {"collect", "store", "sample", "loss", "backward"} <= {n.kind for n in seen.notes}
    assert seen.text.endswith("- Nothing is missing."), seen.text


def leaves_exploration_off(env, policy):
    set_exploration_type(ExplorationType.DETERMINISTIC).__enter__()
    env.rollout(3, policy)


def test_the_exploration_type_is_as_it_was_before():
    with set_exploration_type(ExplorationType.RANDOM):
        watch_loop(leaves_exploration_off)
        assert exploration_type() is ExplorationType.RANDOM


def test_frames_of_an_environment_that_is_built_are_not_play():
    seen = watch_loop(builds_an_environment_to_judge)
    assert sum(note.frames for note in seen.notes if note.kind in ("collect", "evaluate")) == 40, seen.text


# With actor and critic.


def grouped_optimisers(collector, buffer, loss_module, target_updater, for_actor, for_critic):
    optimiser = group_optimizers(for_actor, for_critic)
    for batch in collector:
        buffer.extend(batch)
        losses = loss_module(buffer.sample())
        (losses["loss_actor"] + losses["loss_value"]).backward()
        optimiser.step()
        optimiser.zero_grad()
        target_updater.step()
    collector.shutdown()


def losses_one_by_one(collector, buffer, loss_module, target_updater, for_actor, for_critic):
    for batch in collector:
        buffer.extend(batch)
        sample = buffer.sample()
        for part, optimiser in ((loss_module.loss_value, for_critic), (loss_module.loss_actor, for_actor)):
            optimiser.zero_grad()
            part(sample)[0].mean().backward()
            optimiser.step()
        target_updater.step()
    collector.shutdown()


@pytest.mark.parametrize("loop", [grouped_optimisers, losses_one_by_one])
def test_actor_and_critic_in_other_writings_are_let_be(loop):
    assert watch_loop(loop, **ddpg_parts()).faults == []


# A world of few states: most frames look like others, those of an evaluation like those of the training.


class Cells(EnvBase):
    """Five cells in a row; the first and the last end an episode."""

    def __init__(self):
        super().__init__(batch_size=[])
        self.observation_spec = Composite(observation=Unbounded(3))
        self.action_spec, self.reward_spec = Categorical(2), Unbounded(1)
        self.random = torch.Generator().manual_seed(0)

    def _set_seed(self, seed):
        self.random.manual_seed(seed or 0)

    def look(self):
        over = torch.tensor([self.cell in (0, 4)])
        seen = torch.tensor([float(self.cell == 0), self.cell / 4, 1.0])
        return TensorDict({"observation": seen, "done": over, "terminated": over.clone()})

    def _reset(self, tensordict=None):
        self.cell = int(torch.randint(1, 4, (1,), generator=self.random))
        return self.look()

    def _step(self, tensordict):
        self.cell += 1 if int(tensordict["action"]) else -1
        return self.look().set("reward", torch.tensor([float(self.cell == 4)]))


def by_a_collector(env, actor, egreedy, collector, buffer, loss_module, optimiser, target_updater):
    for batch in collector:
        buffer.extend(batch)
        egreedy.step(batch.numel())
        update(buffer, loss_module, optimiser, target_updater, 3)
        with greedily():
            env.rollout(20, actor)
    collector.shutdown()


def by_rollouts(env, actor, policy, egreedy, buffer, loss_module, optimiser, target_updater, blocks):
    for _ in range(blocks):
        with torch.no_grad():
            batch = env.rollout(20, policy, break_when_any_done=False)
        buffer.extend(batch)
        egreedy.step(len(batch))
        update(buffer, loss_module, optimiser, target_updater, 3)
        with greedily():
            env.rollout(20, actor)


def by_steps(env, actor, policy, egreedy, buffer, loss_module, optimiser, target_updater):
    now = env.reset()
    for frame in range(40):
        with torch.no_grad():
            step = env.step(policy(now))
        buffer.add(step.clone())
        egreedy.step()
        now = env.reset() if step["next", "done"].any() else step_mdp(step)
        if frame > 10:
            update(buffer, loss_module, optimiser, target_updater)
        if frame % 20 == 19:
            with greedily():
                env.rollout(20, actor)
            now = env.reset()


def by_episodes(env, actor, policy, egreedy, buffer, loss_module, optimiser, target_updater):
    for _ in range(8):
        now, frames = env.reset(), []
        while not frames or not frames[-1]["next", "done"].any():
            with torch.no_grad():
                step = env.step(policy(now))
            frames.append(step.clone())
            egreedy.step()
            now = step_mdp(step)
        buffer.extend(torch.stack(frames))
        update(buffer, loss_module, optimiser, target_updater)
        with greedily():
            env.rollout(20, actor)


@pytest.mark.parametrize("batch_size", [2, 8])
@pytest.mark.parametrize("loop", [by_a_collector, by_rollouts, by_steps, by_episodes])
def test_frames_that_look_alike_are_told_apart(loop, batch_size):
    seen = watch_loop(loop, env=Cells(), batch_size=batch_size)
    assert seen.faults == [] and "evaluate" in {note.kind for note in seen.notes}, seen.text


def stores_what_was_judged(env, actor, policy, egreedy, buffer, loss_module, optimiser, target_updater, blocks):
    for _ in range(blocks):
        with torch.no_grad():
            buffer.extend(env.rollout(20, policy, break_when_any_done=False))
        egreedy.step(20)
        update(buffer, loss_module, optimiser, target_updater)
        with greedily():
            buffer.extend(env.rollout(20, actor, break_when_any_done=False))


def judges_while_exploring(env, policy, egreedy, buffer, loss_module, optimiser, target_updater, blocks):
    for _ in range(blocks):
        with torch.no_grad():
            buffer.extend(env.rollout(20, policy, break_when_any_done=False))
        egreedy.step(20)
        update(buffer, loss_module, optimiser, target_updater)
        with torch.no_grad():
            env.rollout(20, policy)


def keeps_its_first_sample(env, policy, egreedy, buffer, loss_module, optimiser, target_updater, blocks):
    sample = None
    for _ in range(blocks):
        with torch.no_grad():
            buffer.extend(env.rollout(20, policy, break_when_any_done=False))
        egreedy.step(20)
        sample = buffer.sample() if sample is None else sample
        optimiser.zero_grad()
        loss_module(sample)["loss"].backward()
        optimiser.step()
        target_updater.step()


@pytest.mark.parametrize(
    ("loop", "words"),
    [
        (stores_what_was_judged, "Your evaluation trains"),
        (judges_while_exploring, "You evaluate with exploration"),
        (keeps_its_first_sample, "updates learned from an old sample"),
    ],
)
def test_mistakes_are_found_where_frames_look_alike(loop, words):
    faults = watch_loop(loop, env=Cells()).faults
    assert [fault for fault in faults if words in fault], faults
