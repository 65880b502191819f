"""Right answers to lesson 18, part one, written in other ways than the lesson's."""

import math

import torch


def by_walking_traps(data):
    """Step by step, and down the tree by itself."""

    def double(tree):
        return any(double(leaf) if hasattr(leaf, "keys") else leaf.dtype is torch.float64 for leaf in tree.values())

    steps, found = list(data), {"double": double(data), "no clock": True, "no reset": False}
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        flag = step["next"].get("truncated")
        if flag is not None and flag.item():
            found["no clock"] = False
        if following is not None and step["next", "done"].item():
            found["no reset"] |= torch.equal(following["observation"], step["next", "observation"])
    return found


def by_formula_log_prob(loc, scale, logits, mask, joint, gripper):
    """The density written out, and a softmax over what is allowed."""
    bell = -0.5 * ((joint - loc) / scale).square() - scale.log() - 0.5 * math.log(2 * math.pi)
    chosen = logits.gather(1, gripper[:, None]).squeeze(1)
    return bell.sum(1) + chosen - torch.logsumexp(logits.masked_fill(~mask, float("-inf")), 1)


OTHERWISE = {"18.1": by_walking_traps, "18.2": by_formula_log_prob}
