FILLED = "Every entry of this tensor is written in the loop, so what it is filled with at first does not matter."
AS_LONG = "All of these tensors have shape `[time, 1]`, so each is as long as the other."

EQUIVALENT = {
    "4.1": {"returns = torch.zeros_like(reward) → returns = torch.ones_like(reward)": FILLED},
    "4.3": {
        "advantage = torch.zeros_like(reward) → advantage = torch.ones_like(reward)": FILLED,
        "advantage = torch.zeros_like(reward) → advantage = torch.zeros_like(value)": AS_LONG,
        "advantage = torch.zeros_like(reward) → advantage = torch.zeros_like(next_value)": AS_LONG,
        **{
            f"for step in reversed(range(len(reward))): → for step in reversed(range(len({other}))):": AS_LONG
            for other in ("value", "next_value", "terminated", "done")
        },
    },
    "4.4": {
        "log_prob = logits.log_softmax(-1).gather(1, action[:, None]).squeeze(1) → "
        "log_prob = logits.log_softmax(-1).gather(1, action[:, None]).squeeze()": (
            "A batch of one would lose its dimension, too, and the mean over one number is that number."
        ),
    },
    "4.5": {
        "return sum((value for name, value in losses.items() if name.startswith('loss_'))) → "
        "return sum((value for name, value in reversed(list(losses.items())) if name.startswith('loss_')))": (
            "A sum does not depend on the order of what is added."
        ),
        "return sum((value for name, value in losses.items() if name.startswith('loss_'))) → "
        "return sum((value for name, value in losses.items() if name.startswith('loss')))": (
            "In TorchRL's loss modules whatever begins with `loss` is a loss; no figure to look at does."
        ),
    },
}
