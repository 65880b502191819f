import numpy as np

OTHERWISE = {
    "0.1": lambda returns: bool(np.sum(returns.numpy(), dtype=np.float64) / len(returns) >= 475),
}
