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


OTHERWISE = {
    "13.1": lambda env, ours, theirs: 1 / ((env + ours) / (env + theirs)),
    "13.2": loop_new_lines,
    "13.3": where_target,
    "13.4": loop_frames,
    "13.5": loop_candidates,
}
