"""The watcher: right loops in many writings are let be, and each mistake gets its sentence."""

from __future__ import annotations

import sys
import threading
from copy import deepcopy

import pytest
import torch
from tensordict.nn import TensorDictModule, TensorDictSequential
from torchrl.collectors import BaseCollector, Collector
from torchrl.data import (
    Bounded,
    Categorical,
    LazyTensorStorage,
    ListStorage,
    ReplayBuffer,
    SamplerWithoutReplacement,
    TensorDictReplayBuffer,
)
from torchrl.envs import EnvBase
from torchrl.envs.utils import ExplorationType, set_exploration_type, step_mdp
from torchrl.modules import MLP, AdditiveGaussianModule, ProbabilisticActor, QValueActor, ValueOperator
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
    TargetNetUpdaterHook(target_updater).register(trainer, "target")
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


# Wrong loops: one thing is wrong with each.


def never_collects(collector, buffer, loss_module, optimiser, target_updater):
    buffer.extend(Walk().fake_tensordict().expand(20))
    for _ in range(3):
        optimiser.zero_grad()
        loss_module(buffer.sample())["loss"].backward()
        optimiser.step()
        target_updater.step()


def never_stores(collector, buffer, loss_module, optimiser, target_updater, egreedy):
    for batch in collector:
        egreedy.step(batch.numel())
        optimiser.zero_grad()
        loss_module(batch)["loss"].backward()
        optimiser.step()
        target_updater.step()
    collector.shutdown()


def never_samples(collector, buffer, loss_module, optimiser, target_updater, egreedy):
    for batch in collector:
        buffer.extend(batch)
        egreedy.step(batch.numel())
        optimiser.zero_grad()
        loss_module(batch)["loss"].backward()
        optimiser.step()
        target_updater.step()
    collector.shutdown()


def samples_and_looks_away(collector, buffer, loss_module, optimiser, target_updater, egreedy):
    for batch in collector:
        buffer.extend(batch)
        egreedy.step(batch.numel())
        buffer.sample()
        optimiser.zero_grad()
        loss_module(batch)["loss"].backward()
        optimiser.step()
        target_updater.step()
    collector.shutdown()


def samples_first(collector, buffer, loss_module, optimiser, target_updater, egreedy):
    for batch in collector:
        sample = buffer.sample()
        buffer.extend(batch)
        egreedy.step(batch.numel())
        optimiser.zero_grad()
        loss_module(sample)["loss"].backward()
        optimiser.step()
        target_updater.step()
    collector.shutdown()


def no_loss(collector, buffer, loss_module, optimiser, egreedy):
    for batch in collector:
        buffer.extend(batch)
        egreedy.step(batch.numel())
        buffer.sample()
        optimiser.step()
    collector.shutdown()


def no_backward(collector, buffer, loss_module, optimiser, target_updater, egreedy):
    for batch in collector:
        buffer.extend(batch)
        egreedy.step(batch.numel())
        loss_module(buffer.sample())
        optimiser.zero_grad()
        optimiser.step()
        target_updater.step()
    collector.shutdown()


def no_step(collector, buffer, loss_module, optimiser, target_updater, egreedy):
    for batch in collector:
        buffer.extend(batch)
        egreedy.step(batch.numel())
        optimiser.zero_grad()
        loss_module(buffer.sample())["loss"].backward()
        target_updater.step()
    collector.shutdown()


def learning(update):
    """A loop whose way of learning from a sample is `update(sample, loss_module, optimiser, target_updater)`."""

    def loop(collector, buffer, loss_module, optimiser, target_updater, egreedy):
        for batch in collector:
            buffer.extend(batch)
            egreedy.step(batch.numel())
            for _ in range(3):
                update(buffer.sample(), loss_module, optimiser, target_updater)
        collector.shutdown()

    loop.__name__ = update.__name__
    return loop


@learning
def gradients_add_up(sample, loss_module, optimiser, target_updater):
    loss_module(sample)["loss"].backward()
    optimiser.step()
    target_updater.step()


@learning
def clears_another_network(sample, loss_module, optimiser, target_updater):
    torch.nn.Linear(2, 2).zero_grad()
    loss_module(sample)["loss"].backward()
    optimiser.step()
    target_updater.step()


@learning
def no_target(sample, loss_module, optimiser, target_updater):
    optimiser.zero_grad()
    loss_module(sample)["loss"].backward()
    optimiser.step()


@learning
def target_too_early(sample, loss_module, optimiser, target_updater):
    optimiser.zero_grad()
    loss_module(sample)["loss"].backward()
    target_updater.step()
    optimiser.step()


@learning
def target_first(sample, loss_module, optimiser, target_updater):
    target_updater.step()
    optimiser.zero_grad()
    loss_module(sample)["loss"].backward()
    optimiser.step()


@learning
def step_before_backward(sample, loss_module, optimiser, target_updater):
    loss = loss_module(sample)["loss"]
    optimiser.step()
    optimiser.zero_grad()
    loss.backward()
    target_updater.step()


@learning
def cleared_before_the_step(sample, loss_module, optimiser, target_updater):
    loss_module(sample)["loss"].backward()
    optimiser.zero_grad()
    optimiser.step()
    target_updater.step()


@learning
def cut_off(sample, loss_module, optimiser, target_updater):
    optimiser.zero_grad()
    loss_module(sample)["loss"].detach().requires_grad_().backward()
    optimiser.step()
    target_updater.step()


@learning
def under_no_grad(sample, loss_module, optimiser, target_updater):
    optimiser.zero_grad()
    with torch.no_grad():
        loss = loss_module(sample)["loss"]
    loss.backward()
    optimiser.step()
    target_updater.step()


@learning
def clipped_after_the_step(sample, loss_module, optimiser, target_updater):
    optimiser.zero_grad()
    loss_module(sample)["loss"].backward()
    optimiser.step()
    torch.nn.utils.clip_grad_norm_(loss_module.parameters(), 0.1)
    target_updater.step()


clip_by_its_own_name = torch.nn.utils.clip_grad_norm_


@learning
def clipped_after_the_step_by_another_name(sample, loss_module, optimiser, target_updater):
    optimiser.zero_grad()
    loss_module(sample)["loss"].backward()
    optimiser.step()
    clip_by_its_own_name(loss_module.parameters(), 0.01)
    target_updater.step()


@learning
def clipped_before_backward(sample, loss_module, optimiser, target_updater):
    loss = loss_module(sample)["loss"]
    optimiser.zero_grad()
    torch.nn.utils.clip_grad_norm_(loss_module.parameters(), 0.1)
    loss.backward()
    optimiser.step()
    target_updater.step()


@learning
def uphill(sample, loss_module, optimiser, target_updater):
    optimiser.zero_grad()
    (-loss_module(sample)["loss"]).backward()
    optimiser.step()
    target_updater.step()


@learning
def another_networks_optimiser(sample, loss_module, optimiser, target_updater):
    other = torch.optim.Adam(torch.nn.Linear(3, 2).parameters())
    optimiser.zero_grad()
    loss_module(sample)["loss"].backward()
    other.step()
    target_updater.step()


@learning
def half_of_the_weights(sample, loss_module, optimiser, target_updater):
    half = torch.optim.SGD(list(loss_module.parameters())[:2], lr=0.01)
    optimiser.zero_grad()
    loss_module(sample)["loss"].backward()
    half.step()
    target_updater.step()


@learning
def target_among_the_trained(sample, loss_module, optimiser, target_updater):
    far = [weight.data for weight in loss_module.target_value_network_params.values(True, True)]
    everything = torch.optim.SGD([*loss_module.parameters(), *far], lr=0.01)
    everything.zero_grad()
    loss_module(sample)["loss"].backward()
    everything.step()
    target_updater.step()


def trains_a_copy(collector, buffer, target_updater, egreedy):
    twin = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
    loss_module = DQNLoss(QValueActor(twin, in_keys=["observation"], spec=Categorical(2)), delay_value=True)
    target = SoftUpdate(loss_module, eps=0.9)
    optimiser = torch.optim.Adam(loss_module.parameters())
    for batch in collector:
        buffer.extend(batch)
        egreedy.step(batch.numel())
        optimiser.zero_grad()
        loss_module(buffer.sample())["loss"].backward()
        optimiser.step()
        target.step()
    collector.shutdown()


def never_synced(env, network, policy, buffer, loss_module, optimiser, target_updater, egreedy):
    collector = Collector(
        env,
        policy_factory=lambda: deepcopy(policy),
        frames_per_batch=10,
        total_frames=40,
        auto_register_policy_transforms=False,
    )
    for batch in collector:
        buffer.extend(batch)
        egreedy.step(batch.numel())
        optimiser.zero_grad()
        loss_module(buffer.sample())["loss"].backward()
        optimiser.step()
        target_updater.step()
    collector.shutdown()


def old_sample(collector, buffer, loss_module, optimiser, target_updater, egreedy):
    sample = None
    for batch in collector:
        buffer.extend(batch)
        egreedy.step(batch.numel())
        sample = buffer.sample() if sample is None else sample
        optimiser.zero_grad()
        loss_module(sample)["loss"].backward()
        optimiser.step()
        target_updater.step()
    collector.shutdown()


def new_buffer_each_turn(collector, loss_module, optimiser, target_updater, egreedy):
    for batch in collector:
        memory = TensorDictReplayBuffer(storage=LazyTensorStorage(100), batch_size=8)
        memory.extend(batch)
        egreedy.step(batch.numel())
        optimiser.zero_grad()
        loss_module(memory.sample())["loss"].backward()
        optimiser.step()
        target_updater.step()
    collector.shutdown()


def emptied_each_turn(collector, buffer, loss_module, optimiser, target_updater, egreedy):
    for batch in collector:
        buffer.empty()
        buffer.extend(batch)
        egreedy.step(batch.numel())
        optimiser.zero_grad()
        loss_module(buffer.sample())["loss"].backward()
        optimiser.step()
        target_updater.step()
    collector.shutdown()


def explores_forever(collector, buffer, loss_module, optimiser, target_updater):
    by_the_book(collector, buffer, loss_module, optimiser, target_updater, SILENT, 2)


class Silent:
    def step(self, frames):
        pass


SILENT = Silent()


def epsilon_per_update(collector, buffer, loss_module, optimiser, target_updater, egreedy):
    for batch in collector:
        buffer.extend(batch)
        for _ in range(3):
            optimiser.zero_grad()
            loss_module(buffer.sample())["loss"].backward()
            optimiser.step()
            target_updater.step()
            egreedy.step()
    collector.shutdown()


def told_of_too_many_frames(collector, buffer, loss_module, optimiser, target_updater, egreedy):
    for number, batch in enumerate(collector, start=1):
        buffer.extend(batch)
        egreedy.step(batch.numel() * number)
        optimiser.zero_grad()
        loss_module(buffer.sample())["loss"].backward()
        optimiser.step()
        target_updater.step()
    collector.shutdown()


def judged_while_exploring(env, policy, collector, buffer, loss_module, optimiser, target_updater, egreedy):
    for batch in collector:
        buffer.extend(batch)
        egreedy.step(batch.numel())
        optimiser.zero_grad()
        loss_module(buffer.sample())["loss"].backward()
        optimiser.step()
        target_updater.step()
        with torch.no_grad():
            env.rollout(5, policy)
    collector.shutdown()


def judged_and_stored(env, policy, collector, buffer, loss_module, optimiser, target_updater, egreedy):
    for batch in collector:
        buffer.extend(batch)
        egreedy.step(batch.numel())
        optimiser.zero_grad()
        loss_module(buffer.sample())["loss"].backward()
        optimiser.step()
        target_updater.step()
        with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
            buffer.extend(env.rollout(5, policy, auto_cast_to_device=True).exclude("collector"))
    collector.shutdown()


def never_shut_down(collector, buffer, loss_module, optimiser, target_updater, egreedy):
    for batch in collector:
        buffer.extend(batch)
        egreedy.step(batch.numel())
        optimiser.zero_grad()
        loss_module(buffer.sample())["loss"].backward()
        optimiser.step()
        target_updater.step()


def nothing_at_all(collector):
    return 3


WRONG = [
    (never_collects, "Your loop never collects"),
    (never_stores, "Your loop never stores"),
    (never_samples, "Your loop never samples"),
    (samples_and_looks_away, "The loss is given the batch just collected, not a sample"),
    (samples_first, "You sample before anything is stored"),
    (no_loss, "Your loop never computes a loss"),
    (no_backward, "Your loop never calls `backward`"),
    (no_step, "Your loop never calls the optimiser's `step`"),
    (gradients_add_up, "Your loop never calls `zero_grad`"),
    (clears_another_network, "`zero_grad` does not come once in each update, or clears other weights"),
    (no_target, "The target network never follows"),
    (target_too_early, "The target network follows before the optimiser has moved the network"),
    (target_first, "The target network follows before the optimiser has moved anything"),
    (step_before_backward, "The optimiser steps before `backward`"),
    (cleared_before_the_step, "`zero_grad` stands between `backward` and `step`"),
    (cut_off, "`backward` ran, but no gradient reached any weight"),
    (under_no_grad, "The loss asks for no gradient"),
    (clipped_after_the_step, "The gradient is clipped after the `step`"),
    (clipped_after_the_step_by_another_name, "The gradient is clipped after the `step`"),
    (clipped_before_backward, "The gradient is clipped before `backward`"),
    (uphill, "`loss` goes into `backward` with a minus sign"),
    (another_networks_optimiser, "The optimiser holds other weights than those that get a gradient"),
    (half_of_the_weights, "2 of 4 weight tensors get a gradient, but no optimiser moves them"),
    (target_among_the_trained, "The optimiser holds 4 tensors of the target network, too"),
    (trains_a_copy, "The network you train is not the one that plays"),
    (never_synced, "nobody sends it the new ones"),
    (old_sample, "updates learned from an old sample"),
    (new_buffer_each_turn, "You stored into 4 buffers, a new one each turn"),
    (emptied_each_turn, "the buffer holds only the newest 10 frames"),
    (explores_forever, "Exploration never becomes less"),
    (epsilon_per_update, "Exploration falls with the updates, not with the frames"),
    (told_of_too_many_frames, "Exploration was told of 100 frames, and 40 were collected"),
    (judged_while_exploring, "You evaluate with exploration: "),
    (judged_and_stored, "Your evaluation trains: "),
    (never_shut_down, "`collector.shutdown()` is never called"),
    (nothing_at_all, "Nothing happened"),
]


@pytest.mark.parametrize(("loop", "words"), WRONG, ids=[loop.__name__ for loop, _ in WRONG])
def test_each_mistake_gets_its_sentence_first(loop, words):
    seen = watch_loop(loop)
    assert seen.faults, seen.text
    assert words in seen.faults[0] and words in seen.text, seen.text


# Other lessons' loops, and other parts.


def ppo_parts():
    torch.manual_seed(0)
    network = TensorDictModule(MLP(3, 2, num_cells=[8]), ["observation"], ["logits"])
    actor = ProbabilisticActor(
        network, in_keys=["logits"], distribution_class=torch.distributions.Categorical, return_log_prob=True
    )
    critic = ValueOperator(MLP(3, 1, num_cells=[8]), in_keys=["observation"])
    loss_module = ClipPPOLoss(actor, critic)
    advantage = GAE(gamma=0.9, lmbda=0.9, value_network=critic)
    optimiser = torch.optim.Adam(loss_module.parameters(), lr=1e-3)
    return {"actor": actor, "loss_module": loss_module, "advantage": advantage, "optimiser": optimiser}


def ppo(collector, loss_module, advantage, optimiser):
    for batch in collector:
        advantage(batch)
        for _ in range(3):
            losses = loss_module(batch)
            total = losses["loss_objective"] + losses["loss_critic"] + losses["loss_entropy"]
            optimiser.zero_grad()
            total.backward()
            torch.nn.utils.clip_grad_norm_(loss_module.parameters(), 1.0)
            optimiser.step()
    collector.shutdown()


def ppo_in_pieces(collector, loss_module, advantage, optimiser):
    deck = TensorDictReplayBuffer(storage=LazyTensorStorage(10), sampler=SamplerWithoutReplacement(), batch_size=5)
    for batch in collector:
        for _ in range(3):
            advantage(batch)
            deck.extend(batch.reshape(-1))
            for piece in deck:
                losses = loss_module(piece)
                optimiser.zero_grad()
                sum(value for name, value in losses.items() if name.startswith("loss_")).backward()
                optimiser.step()
    collector.shutdown()


def ppo_without_critic(collector, loss_module, advantage, optimiser):
    for batch in collector:
        advantage(batch)
        losses = loss_module(batch)
        optimiser.zero_grad()
        (losses["loss_objective"] + losses["loss_entropy"]).backward()
        optimiser.step()
    collector.shutdown()


def test_on_policy_loops_need_no_buffer_and_no_target():
    assert watch_loop(ppo, **ppo_parts()).faults == []
    assert watch_loop(ppo_in_pieces, **ppo_parts()).faults == []


def test_a_loss_that_is_left_out_is_named():
    first = watch_loop(ppo_without_critic, **ppo_parts()).faults[0]
    assert first.startswith("`loss_critic` is left out")


class Continuous(Walk):
    """The walk, to the left or right by the sign of a number."""

    def __init__(self):
        super().__init__()
        self.action_spec = Bounded(-1, 1, (1,))

    def _step(self, tensordict):
        return super()._step(tensordict.clone().set("action", int(tensordict["action"] > 0)))


def ddpg_parts():
    torch.manual_seed(0)
    env = Continuous()
    network = torch.nn.Sequential(torch.nn.Linear(3, 1), torch.nn.Tanh())
    actor = TensorDictModule(network, ["observation"], ["action"])
    critic = ValueOperator(MLP(4, 1, num_cells=[8]), in_keys=["observation", "action"])
    loss_module = DDPGLoss(actor, critic, delay_actor=True, delay_value=True)
    noise = AdditiveGaussianModule(spec=env.action_spec, sigma_init=0.2, sigma_end=0.2)
    critic_weights = loss_module.value_network_params.values(True, True)
    return {
        "env": env,
        "policy": TensorDictSequential(actor, noise),
        "loss_module": loss_module,
        "target_updater": SoftUpdate(loss_module, eps=0.9),
        "for_actor": torch.optim.Adam(loss_module.actor_network_params.values(True, True)),
        "for_critic": torch.optim.Adam(critic_weights),
    }


def two_optimisers(collector, buffer, loss_module, target_updater, for_actor, for_critic):
    for batch in collector:
        buffer.extend(batch)
        losses = loss_module(buffer.sample())
        for name, optimiser in (("loss_value", for_critic), ("loss_actor", for_actor)):
            optimiser.zero_grad()
            losses[name].backward()
            optimiser.step()
        target_updater.step()
    collector.shutdown()


def critic_without_optimiser(collector, buffer, loss_module, target_updater, for_actor):
    for batch in collector:
        buffer.extend(batch)
        losses = loss_module(buffer.sample())
        for_actor.zero_grad()
        (losses["loss_actor"] + losses["loss_value"]).backward()
        for_actor.step()
        target_updater.step()
    collector.shutdown()


def test_actor_and_critic_may_each_have_an_optimiser():
    assert watch_loop(two_optimisers, **ddpg_parts()).faults == []


def test_a_critic_that_no_optimiser_moves_is_named():
    first = watch_loop(critic_without_optimiser, **ddpg_parts()).faults[0]
    assert "4 of 6 weight tensors get a gradient, but no optimiser moves them (of `value_network`)" in first


def dqn_by_hand(env, network, still):
    """Without a loss module: the target network is a copy, and `still` keeps gradients out of it."""
    target = deepcopy(network)
    optimiser = torch.optim.Adam(network.parameters())
    memory = ReplayBuffer(storage=LazyTensorStorage(100), batch_size=8)
    memory.extend(env.rollout(30, break_when_any_done=False))
    for _ in range(3):
        sample = memory.sample()
        with torch.set_grad_enabled(not still):
            best = target(sample["next", "observation"]).max(-1, keepdim=True).values
        wanted = sample["next", "reward"] + 0.9 * best * ~sample["next", "terminated"]
        values = network(sample["observation"]).gather(-1, sample["action"].unsqueeze(-1))
        optimiser.zero_grad()
        torch.nn.functional.mse_loss(values, wanted).backward()
        optimiser.step()


def test_a_loss_by_hand_is_let_be_and_a_gradient_in_its_target_is_told():
    assert watch_loop(dqn_by_hand, still=True).faults == []
    assert (
        "Gradients reach 4 weight tensors of a network that no optimiser holds"
        in (watch_loop(dqn_by_hand, still=False).faults[0])
    )


def test_nothing_is_left_behind():
    from torch.nn.modules import module
    from torch.optim import Optimizer

    optimizer = sys.modules[Optimizer.__module__]

    def state():
        kinds = [
            *family(BaseCollector),
            *family(EnvBase),
            *family(type(EnvBase)),
            *family(ReplayBuffer),
            *family(torch.optim.Optimizer),
        ]
        return {(kind, name): value for kind in kinds for name, value in vars(kind).items()}

    watch_loop(by_the_book)
    before, backward, grad = state(), torch.autograd.backward, torch.autograd.grad
    there = [module._global_forward_hooks, module._global_forward_pre_hooks, optimizer._global_optimizer_pre_hooks]
    hooks = [dict(one) for one in there]
    for loop in (by_the_book, samples_first, endless):
        watch_loop(loop, seconds=0.5)
        after = state()
        assert not [key for key in before if before[key] is not after.get(key)]
    assert torch.autograd.backward is backward and torch.autograd.grad is grad
    assert hooks == there


def endless(env, policy):
    while True:
        env.rollout(3, policy)


def test_a_loop_that_never_ends_is_cut_off():
    seen = watch_loop(endless, seconds=0.5)
    assert "cut off after 0.5 seconds" in seen.text and seen.notes


def test_other_threads_are_not_noted():
    def elsewhere(buffer):
        buffer.extend(torch.zeros(3, 1))
        thread = threading.Thread(target=lambda: buffer.extend(torch.zeros(5, 1)))
        thread.start()
        thread.join()

    memory = ReplayBuffer(storage=ListStorage(100))
    with watching() as seen:
        elsewhere(memory)
    assert [(note.kind, note.frames) for note in seen.notes] == [("store", 3)]


def test_an_error_is_shown_at_its_line():
    def breaks(collector):
        for batch in collector:
            batch["no such entry"]

    seen = watch_loop(breaks)
    assert seen.faults == [] and "KeyError" in seen.text and 'batch["no such entry"]' in seen.text


def test_a_name_that_no_part_has_gets_a_sentence():
    with pytest.raises(ValueError, match="No part is called `teacher`"):
        watch_loop(lambda teacher: None)
    with pytest.raises(TypeError, match="the function itself"):
        watch_loop(3)
