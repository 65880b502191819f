import torch


def looped_turn_target(reward, turn, next_turn, next_values, next_mask, terminated, gamma):
    targets = []
    for row in range(len(reward)):
        target = float(reward[row])
        if not terminated[row]:
            best = max(next_values[row][next_mask[row]].tolist())
            target += gamma * (best if turn[row] == next_turn[row] else -best)
        targets.append([target])
    return torch.tensor(targets)


def sigmoid_after_game(first, second, score, k):
    for_first = torch.sigmoid((first - second) * torch.log(torch.tensor(10.0)) / 400)
    return [first + k * (score - for_first), second + k * ((1 - score) - (1 - for_first))]


OTHERWISE = {"15.4": looped_turn_target, "15.5": sigmoid_after_game}
