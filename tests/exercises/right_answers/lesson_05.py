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


OTHERWISE = {
    "5.1": dictionary_returns,
    "5.2": played_frames,
    "5.3": list_memory,
    "5.4": logarithms,
    "5.5": shifted_sums,
}
