"""The watcher: right loops in many writings are let be, and each mistake gets its sentence."""

from __future__ import annotations

import threading

import pytest
import torch
from tensordict.nn import TensorDictModule, TensorDictSequential
from torchrl.collectors import BaseCollector, Collector
from torchrl.data import (
    Categorical,
    LazyTensorStorage,
    ListStorage,
    ReplayBuffer,
    SamplerWithoutReplacement,
    TensorDictReplayBuffer,
)
from torchrl.envs import EnvBase
from torchrl.envs.utils import ExplorationType, set_exploration_type, step_mdp
from torchrl.modules import EGreedyModule, MLP, ProbabilisticActor, QValueActor, ValueOperator
from torchrl.objectives import ClipPPOLoss, DDPGLoss, DQNLoss, HardUpdate, SoftUpdate
from torchrl.objectives.value import GAE

from course_utils import watch_loop
from course_utils.exercises.tiny_parts import Walk
from course_utils.exercises.watching import family, watching

# Right loops, each written in another way.


def by_the_book(collector, buffer, loss_module, optimiser, target_updater, egreedy, updates):
    for batch in collector:
        buffer.extend(batch)
        egreedy.step(batch.numel())
        for _ in range(updates):
            loss = loss_module(buffer.sample())["loss"]
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            target_updater.step()
    collector.shutdown()


def rollouts(env, policy, buffer, loss_module, optimiser, target_updater, egreedy, blocks, frames_per_batch, updates):
    for _ in range(blocks):
        with torch.no_grad():
            batch = env.rollout(frames_per_batch, policy, break_when_any_done=False)
        buffer.extend(batch)
        egreedy.step(len(batch))
        for _ in range(updates):
            optimiser.zero_grad()
            loss_module(buffer.sample())["loss"].backward()
            optimiser.step()
            target_updater.step()


def one_sample_a_block(collector, buffer, loss_module, optimiser, target_updater, egreedy, updates, batch_size):
    for batch in collector:
        buffer.extend(batch)
        egreedy.step(batch.numel())
        for piece in buffer.sample(updates * batch_size).split(batch_size):
            loss = loss_module(piece)["loss"]
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            target_updater.step()
    collector.shutdown()


def plain_buffer(collector, loss_module, optimiser, target_updater, egreedy):
    memory = ReplayBuffer(storage=ListStorage(100), batch_size=8, collate_fn=torch.stack)
    for batch in collector:
        memory.extend(batch)
        egreedy.step(batch.numel())
        optimiser.zero_grad()
        loss_module(memory.sample())["loss"].backward()
        optimiser.step()
        target_updater.step()
    collector.shutdown()


def trainer(collector, buffer, loss_module, optimiser, target_updater, egreedy, updates, total_frames):
    from torchrl.trainers import ReplayBufferTrainer, TargetNetUpdaterHook, Trainer

    trainer = Trainer(
        collector=collector,
        total_frames=total_frames,
        frame_skip=1,
        optim_steps_per_batch=updates,
        loss_module=loss_module,
        optimizer=optimiser,
        progress_bar=False,
    )
    ReplayBufferTrainer(buffer).register(trainer)
    TargetNetUpdaterHook(target_updater).register(trainer)
    trainer.register_op("post_steps", lambda: egreedy.step(10))
    trainer.train()


def summed_by_prefix(collector, buffer, loss_module, optimiser, target_updater, egreedy):
    for batch in collector:
        buffer.extend(batch)
        egreedy.step(batch.numel())
        losses = loss_module(buffer.sample())
        sum(value for name, value in losses.items() if name.startswith("loss")).backward()
        torch.nn.utils.clip_grad_norm_(loss_module.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        target_updater.step()
    collector.shutdown()


def filled_by_the_collector(env, policy, buffer, loss_module, optimiser, target_updater, egreedy):
    collector = Collector(
        env,
        policy,
        frames_per_batch=10,
        total_frames=40,
        replay_buffer=buffer,
        auto_register_policy_transforms=False,
    )
    for _ in collector:
        egreedy.step(10)
        optimiser.zero_grad()
        loss_module(buffer.sample())["loss"].backward()
        optimiser.step()
        target_updater.step()
    collector.shutdown()


def step_by_step(env, policy, buffer, loss_module, optimiser, target_updater, egreedy, total_frames):
    current = env.reset()
    for frame in range(total_frames):
        with torch.no_grad():
            done = env.step(policy(current))
        buffer.add(done.clone())
        egreedy.step()
        current = env.reset() if done["next", "done"].any() else step_mdp(done)
        if frame < 10:
            continue
        optimiser.zero_grad()
        loss_module(buffer.sample())["loss"].backward()
        optimiser.step()
        target_updater.step()


def accumulated(collector, buffer, loss_module, optimiser, target_updater, egreedy):
    for batch in collector:
        buffer.extend(batch)
        egreedy.step(batch.numel())
        optimiser.zero_grad()
        for _ in range(2):  # one step for two samples
            (loss_module(buffer.sample())["loss"] / 2).backward()
        optimiser.step()
        target_updater.step()
    collector.shutdown()


def everything_by_hand(collector, buffer, loss_module, egreedy):
    weights = list(loss_module.parameters())
    for batch in collector:
        buffer.extend(batch)
        egreedy.step(batch.numel())
        loss_module(buffer.sample())["loss"].backward()
        with torch.no_grad():
            for weight in weights:
                weight -= 0.01 * weight.grad
                weight.grad = None
            for near, far in zip(
                loss_module.value_network_params.values(True, True),
                loss_module.target_value_network_params.values(True, True),
                strict=True,
            ):
                far.data.lerp_(near.data, 0.1)
    collector.shutdown()


def warmed_up_and_judged(env, actor, collector, buffer, loss_module, optimiser, target_updater, egreedy):
    for number, batch in enumerate(collector):
        buffer.extend(batch)
        egreedy.step(batch.numel())
        if number < 1:
            continue
        optimiser.zero_grad()
        loss_module(buffer.sample())["loss"].backward()
        optimiser.step()
        target_updater.step()
        with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
            env.rollout(5, actor)
    collector.shutdown()


def copied_whole(env, buffer, collector, loss_module, optimiser, egreedy, updates):
    target = HardUpdate(loss_module, value_network_update_interval=50)
    for batch in collector:
        buffer.extend(batch.reshape(-1))
        for _ in range(updates):
            loss_value = loss_module(buffer.sample())["loss"]
            optimiser.zero_grad()
            loss_value.backward()
            optimiser.step()
        egreedy.step(batch.numel())
        target.step()
    collector.shutdown()


RIGHT = [
    by_the_book,
    rollouts,
    one_sample_a_block,
    plain_buffer,
    trainer,
    summed_by_prefix,
    filled_by_the_collector,
    step_by_step,
    accumulated,
    everything_by_hand,
    warmed_up_and_judged,
    copied_whole,
]


@pytest.mark.parametrize("loop", RIGHT)
def test_a_right_loop_is_let_be(loop):
    seen = watch_loop(loop)
    assert seen.faults == [] and {"collect", "store", "sample", "loss", "backward"} <= {n.kind for n in seen.notes}
    assert seen.text.endswith("- Nothing is missing."), seen.text
