ORDER = "Both features are set to 0, in whatever order they are named."

EQUIVALENT = {
    "2.1": {
        "return data[data['next', 'terminated'].squeeze(-1)] → return data[data['next', 'terminated'].squeeze()]": (
            "Only a rollout of a single step has a second dimension of 1 to lose, and `play` has many."
        ),
    },
    "2.4": {
        "result['observation'][:, [1, 3]] = 0 → result['observation'][:, [3, 1]] = 0": ORDER,
        "result['next', 'observation'][:, [1, 3]] = 0 → result['next', 'observation'][:, [3, 1]] = 0": ORDER,
    },
    "2.5": {
        "return data.apply(lambda entry: entry.float() / 255 if entry.dtype == torch.uint8 else entry) → "
        "return data.apply(lambda entry: entry / 255 if entry.dtype == torch.uint8 else entry)": (
            "Dividing whole numbers with `/` gives the default type, which is float32 anyway."
        ),
    },
}
