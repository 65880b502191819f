import torch


def dictionary_returns(ids, reward, done):
    running, finished = {}, {}
    for number, value, end in zip(ids.tolist(), reward.tolist(), done.tolist(), strict=True):
        running[number] = running.get(number, 0.0) + value
        if end:
            finished[number] = running.pop(number)
    return torch.tensor([finished[number] for number in sorted(finished)])


def played_frames(total_frames, frames_per_batch, init_random_frames):
    played = random = 0
    while played < total_frames:
        random += frames_per_batch if played < init_random_frames else 0
        played += frames_per_batch
    return [played, random]


def list_memory(size, batch_size):
    from torchrl.data import ListStorage, RandomSampler, ReplayBuffer

    # RandomSampler(replacement=False) is TorchRL's other name for the sampler without replacement.
    sampler = RandomSampler(replacement=False)
    return ReplayBuffer(storage=ListStorage(size), sampler=sampler, batch_size=batch_size, collate_fn=torch.stack)


def logarithms(priority, alpha, beta):
    probability = (alpha * priority.log()).softmax(0)
    return probability, (probability.min() / probability) ** beta


def shifted_sums(reward, done, gamma, n):
    count = len(reward) - n
    sums, running = torch.zeros(count), torch.ones(count, dtype=torch.bool)
    for step in range(n):
        sums = sums + gamma**step * reward[step : step + count] * running
        running = running & ~done[step : step + count]
    return sums


def rollouts(env, policy, buffer, loss_module, optimizer, target_updater, egreedy, blocks, frames_per_batch, updates):
    for _ in range(blocks):
        with torch.no_grad():
            batch = env.rollout(frames_per_batch, policy, break_when_any_done=False)
        buffer.extend(batch)
        egreedy.step(len(batch))
        for _ in range(updates):
            optimizer.zero_grad()
            loss_module(buffer.sample())["loss"].backward()
            optimizer.step()
            target_updater.step()


def one_sample_a_block(collector, memory, loss, optim, updater, explore, updates, batch_size):
    for batch in collector:
        memory.extend(batch.reshape(-1))
        for piece in memory.sample(updates * batch_size).split(batch_size):
            value = loss(piece)["loss"]
            loss.zero_grad()
            value.backward()
            optim.step()
            updater.step()
        explore.step(batch.numel())
    collector.shutdown()


def plain_buffer(collector, loss_module, optimiser, target_updater, egreedy, updates, batch_size):
    from torchrl.data import ListStorage, ReplayBuffer

    memory = ReplayBuffer(storage=ListStorage(100), batch_size=batch_size, collate_fn=torch.stack)
    for batch in collector:
        memory.extend(batch)
        egreedy.step(batch.numel())
        for _ in range(updates):
            losses = loss_module(memory.sample())
            sum(value for name, value in losses.items() if name.startswith("loss")).backward()
            torch.nn.utils.clip_grad_norm_(loss_module.parameters(), 10.0)
            optimiser.step()
            optimiser.zero_grad()
            target_updater.step()
    collector.shutdown()


def filled_by_the_collector(
    env, policy, buffer, loss_module, optimiser, target_updater, egreedy, updates, frames_per_batch, total_frames
):
    from torchrl.collectors import Collector

    collector = Collector(
        env,
        policy,
        frames_per_batch=frames_per_batch,
        total_frames=total_frames,
        replay_buffer=buffer,
        auto_register_policy_transforms=False,
    )
    try:
        for _ in collector:
            egreedy.step(frames_per_batch)
            for _ in range(updates):
                optimiser.zero_grad()
                loss_module(buffer.sample())["loss"].backward()
                optimiser.step()
                target_updater.step()
    finally:
        collector.shutdown()


def trainer(
    collector, buffer, loss_module, optimiser, target_updater, egreedy, updates, total_frames, frames_per_batch
):
    from torchrl.trainers import ReplayBufferTrainer, TargetNetUpdaterHook, Trainer

    collector.init_random_frames = 0
    made = Trainer(
        collector=collector,
        total_frames=total_frames,
        frame_skip=1,
        optim_steps_per_batch=updates,
        loss_module=loss_module,
        optimizer=optimiser,
        progress_bar=False,
    )
    ReplayBufferTrainer(buffer).register(made)
    TargetNetUpdaterHook(target_updater).register(made, "target")
    made.register_op("post_steps", lambda: egreedy.step(frames_per_batch))
    made.train()


def step_by_step(
    env, policy, buffer, loss_module, optimiser, target_updater, egreedy, blocks, frames_per_batch, updates
):
    from torchrl.envs.utils import step_mdp

    current = env.reset()
    for _ in range(blocks):
        for _ in range(frames_per_batch):
            with torch.no_grad():
                frame = env.step(policy(current))
            buffer.add(frame.clone())
            egreedy.step()
            current = env.reset() if frame["next", "done"].any() else step_mdp(frame)
        for _ in range(updates):
            optimiser.zero_grad()
            loss_module(buffer.sample())["loss"].backward()
            optimiser.step()
            target_updater.step()


def judged_in_between(env, actor, collector, buffer, loss_module, optimiser, target_updater, egreedy, updates):
    from torchrl.envs.utils import ExplorationType, set_exploration_type

    for batch in collector:
        buffer.extend(batch)
        egreedy.step(batch.numel())
        for _ in range(updates):
            optimiser.zero_grad()
            loss_module(buffer.sample())["loss"].backward()
            optimiser.step()
            target_updater.step()
        with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
            env.rollout(5, actor)
    collector.shutdown()


OTHERWISE = {
    "5.1": dictionary_returns,
    "5.2": played_frames,
    "5.3": list_memory,
    "5.4": logarithms,
    "5.5": shifted_sums,
    "5.6": [
        rollouts,
        one_sample_a_block,
        plain_buffer,
        filled_by_the_collector,
        trainer,
        step_by_step,
        judged_in_between,
    ],
}
