EQUIVALENT = {
    "8.1": {
        (
            "returns, following = (torch.zeros_like(reward), torch.zeros_like(reward[:, 0])) → returns, following = "
            "(torch.ones_like(reward), torch.zeros_like(reward[:, 0]))"
        ): "every entry is overwritten, so what it was filled with does not matter",
        (
            "returns, following = (torch.zeros_like(reward), torch.zeros_like(reward[:, 0])) → returns, following = "
            "(torch.zeros_like(reward), torch.zeros_like(done[:, 0]))"
        ): "zeros of whole numbers or flags become those of decimals with the first reward that is added",
        (
            "returns, following = (torch.zeros_like(reward), torch.zeros_like(reward[:, 0])) → returns, following = "
            "(torch.zeros_like(reward), torch.zeros_like(reward[:, 1]))"
        ): "column 1 has the shape of column 0, and only its shape is asked for",
        (
            "returns, following = (torch.zeros_like(reward), torch.zeros_like(reward[:, 0])) → returns, following = "
            "(torch.zeros_like(reward), torch.zeros_like(reward[:, -1]))"
        ): "the last column has the shape of column 0, and only its shape is asked for",
        "for step in reversed(range(reward.shape[1])): → for step in reversed(range(done.shape[1])):": (
            "reward and done have the same shape"
        ),
    },
    "8.2": {
        (
            "return -torch.min(ratio * advantage, clipped * advantage).mean() → return -torch.min(clipped * "
            "advantage, ratio * advantage).mean()"
        ): "of two products the smaller one is the same in either order",
    },
    "8.3": {
        "return ((ratio - 1).abs() > eps).float().mean() → return ((ratio - 1).abs() >= eps).float().mean()": (
            "no ratio that comes out of exp lies exactly on a limit, to the last bit"
        ),
        "return ((ratio - 1).abs() > eps).float().mean() → return ((1 - ratio).abs() > eps).float().mean()": (
            "the distance from 1 is the same in both directions"
        ),
    },
}
