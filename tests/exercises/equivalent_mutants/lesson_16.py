EQUIVALENT = {
    "16.2": {
        "return torch.stack(states) → return states": "a list of tensors is compared as if it were stacked",
    },
    "16.4": {
        "best = returns.topk(elites, 1).indices → best = returns.topk(elites).indices": (
            "without a dimension it is the last one, which is the candidates"
        ),
    },
    "16.5": {
        f"for reward, over in zip(rewards.flip(0), terminated.flip(0), strict=True): → "
        f"for reward, over in zip(rewards.flip(0), terminated.flip(0){other}):": "both have as many steps"
        for other in ("", ", strict=False")
    },
}
