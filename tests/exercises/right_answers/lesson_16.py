"""Right answers to lesson 16, written in other ways than the lesson's."""

import itertools

import torch


def by_joining_next_state(network, state, action, scale):
    change = network(torch.hstack((state, action)))
    return torch.addcmul(state, change, scale)


def by_filling_unroll(network, state, actions):
    states = torch.empty(len(actions), *state.shape)
    last = state
    for number in range(len(actions)):
        states[number] = last + network(torch.cat((last, actions[number]), dim=1))
        last = states[number].clone()
    return states


def by_hand_disagreement(said):
    away = said - said.mean(0)
    return ((away**2).sum(0) / (len(said) - 1)).sqrt().sum(-1) / said.shape[-1]


def by_sorting_refit(actions, returns, elites):
    found = [one[order[-elites:]] for one, order in zip(actions, returns.argsort(1), strict=True)]
    return torch.stack([one.mean(0) for one in found]), torch.stack([one.std(0) for one in found])


def by_going_forward_branch_return(rewards, value, terminated, gamma):
    total, weight = torch.zeros_like(value), torch.ones_like(value)
    for reward, over in zip(rewards, terminated, strict=True):
        total = total + weight * reward
        weight = gamma * weight * (1 - over.float())
    return total + weight * value


def by_searching_backwards_plan(step, state, actions, horizon):
    """The value of each action, from itself one step shorter."""

    def worth(state, left):
        values = []
        for action in range(actions):
            after, reward, over = step(state, torch.full((len(state),), action))
            if left > 1:
                reward = reward + torch.where(over, 0.0, worth(after, left - 1).amax(1))
            values.append(reward)
        return torch.stack(values, 1)

    return worth(state, horizon).argmax(1)


def by_random_shooting_plan(step, state, actions, horizon):
    best, chosen = torch.full((len(state),), -torch.inf), torch.zeros(len(state), dtype=torch.int64)
    for _ in range(20 * actions**horizon // 4):
        tried = torch.randint(actions, (horizon, len(state)))
        place, total, alive = state, torch.zeros(len(state)), torch.ones(len(state))
        for action in tried:
            place, reward, over = step(place, action)
            total = total + reward * alive
            alive = alive * (~over).float()
        chosen = torch.where(total > best, tried[0], chosen)
        best = torch.maximum(total, best)
    return chosen


def one_copy_after_the_other_plan(step, state, actions, horizon):
    found = []
    for one in state:
        totals = {}
        for sequence in itertools.product(range(actions), repeat=horizon):
            place, total = one.unsqueeze(0), 0.0
            for action in sequence:
                place, reward, over = step(place, torch.tensor([action]))
                total += reward.item()
                if over:
                    break
            totals[sequence] = total
        found.append(max(totals, key=totals.get)[0])
    return torch.tensor(found)


OTHERWISE = {
    "16.1": by_joining_next_state,
    "16.2": by_filling_unroll,
    "16.3": by_hand_disagreement,
    "16.4": by_sorting_refit,
    "16.5": by_going_forward_branch_return,
    "16.6": [by_searching_backwards_plan, by_random_shooting_plan, one_copy_after_the_other_plan],
}
