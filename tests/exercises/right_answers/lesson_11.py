import torch


def stack_columns(observation):
    position, _, angle, _ = observation.unbind(-1)
    return torch.stack([position, angle], -1)


def where_memory(memory, is_init):
    return torch.where(is_init[..., None], torch.zeros_like(memory), memory)


def episode_numbers(done, length):
    ended = (done.cumsum(0) - done.int()).tolist()
    return [start for start in range(len(ended)) if ended[start : start + length] == [ended[start]] * length]


def loop_stack(frames, is_init):
    pairs = []
    for step in range(len(frames)):
        before = frames[step] if is_init[step] else frames[step - 1]
        pairs.append(torch.stack([before, frames[step]]))
    return torch.stack(pairs)


def walking_filter(size, kernel, stride):
    stops = list(range(0, size - kernel + 1, stride))
    return [len(stops), size - (stops[-1] + kernel)]


def one_pass(env, cell, head, optimiser, steps):
    now = env.reset()
    memory, log_probs, rewards, dones = torch.zeros(*env.batch_size, cell.hidden_size), [], [], []
    for _ in range(steps):
        memory = torch.where(now["is_init"], torch.zeros_like(memory), memory)
        memory = cell(now["observation"], memory)
        odds = torch.log_softmax(head(memory), -1)
        now["action"] = torch.multinomial(odds.exp().detach(), 1).squeeze(-1)
        log_probs.append(odds.gather(-1, now["action"].unsqueeze(-1)).squeeze(-1))
        step, now = env.step_and_maybe_reset(now)
        rewards.append(step["next", "reward"].squeeze(-1))
        dones.append(step["next", "done"].squeeze(-1))
    total, count = 0.0, 0
    for row in range(env.batch_size[0]):
        to_come = None  # unknown until an end is seen
        for at in reversed(range(steps)):
            if dones[at][row]:
                to_come = 0.0
            if to_come is not None:
                to_come = to_come + rewards[at][row]
                total, count = total - log_probs[at][row] * to_come, count + 1
    optimiser.zero_grad()
    (total / count).backward()
    optimiser.step()


def play_first_learn_later(env, cell, head, optimiser, steps):
    """Plays without gradients in `rollout`, then goes through the sequence once more."""
    from tensordict.nn import TensorDictModule
    from torch.distributions import Categorical

    memory = torch.zeros(*env.batch_size, cell.hidden_size)

    def choose(observation, is_init):
        nonlocal memory
        memory = cell(observation, memory.masked_fill(is_init, 0.0))
        return Categorical(logits=head(memory)).sample()

    policy = TensorDictModule(choose, in_keys=["observation", "is_init"], out_keys=["action"])
    with torch.no_grad():
        batch = env.rollout(steps, policy, break_when_any_done=False)
    reward, done = batch["next", "reward"].squeeze(-1), batch["next", "done"].squeeze(-1)
    returns, known = torch.zeros_like(reward), torch.zeros_like(done)
    for step in reversed(range(steps)):
        known[:, step] = done[:, step] | (known[:, step + 1] if step + 1 < steps else False)
        returns[:, step] = reward[:, step]
        if step + 1 < steps:
            returns[:, step] += returns[:, step + 1] * ~done[:, step]
    again, rows = torch.zeros_like(memory), []
    for step in range(steps):
        again = cell(batch["observation"][:, step], again * (1 - batch["is_init"][:, step].float()))
        rows.append(Categorical(logits=head(again)).log_prob(batch["action"][:, step]))
    loss = -(torch.stack(rows, 1) * returns * known).sum() / known.sum()
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def copy_by_copy(env, cell, head, optimiser, steps):
    now, memories, known = env.reset(), [None] * env.batch_size[0], []
    optimiser.zero_grad()
    for _ in range(steps):
        rows = []
        for row, begins in enumerate(now["is_init"].flatten().tolist()):
            memories[row] = cell(now["observation"][row], None if begins else memories[row])
            rows.append(torch.distributions.Categorical(logits=head(memories[row])))
        action = torch.stack([row.sample() for row in rows])
        log_prob = torch.stack([row.log_prob(chosen) for row, chosen in zip(rows, action, strict=True)])
        step, now = env.step_and_maybe_reset(now.set("action", action))
        known.append((log_prob, step["next", "reward"][:, 0], step["next", "done"][:, 0]))
    later, seen_end, terms, weights = 0.0, torch.zeros(env.batch_size, dtype=torch.bool), [], []
    for log_prob, reward, done in known[::-1]:
        later, seen_end = reward + later * (~done).float(), seen_end | done
        terms.append((log_prob * later)[seen_end])
        weights.append(seen_end.sum())
    loss = -torch.cat(terms).sum() / sum(weights)
    loss.backward()
    optimiser.step()


OTHERWISE = {
    "11.1": stack_columns,
    "11.2": where_memory,
    "11.3": episode_numbers,
    "11.4": loop_stack,
    "11.5": walking_filter,
    "11.6": [one_pass, play_first_learn_later, copy_by_copy],
}
