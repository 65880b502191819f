EQUIVALENT = {
    "10.1": {
        "seen = torch.zeros(cell_count, 2, dtype=torch.bool) → seen = torch.zeros(cell_count, 2)": (
            "any and all take a number that is not 0 for True, and give flags"
        ),
        "return seen.all(1).sum() / seen.any(1).sum() → return seen.all(1, keepdim=True).sum() / seen.any(1).sum()": (
            "a sum over all entries does not ask for their shape"
        ),
        "return seen.all(1).sum() / seen.any(1).sum() → return seen.all(1).sum() / seen.any(1, keepdim=True).sum()": (
            "a sum over all entries does not ask for their shape"
        ),
    },
    "10.3": {
        "recorded = values.gather(1, action[:, None]).squeeze(1) → recorded = values.gather(1, action[:, None])": (
            "between [batch] and [batch, 1] the mean of all differences is that of the pairs"
        ),
        (
            "recorded = values.gather(1, action[:, None]).squeeze(1) → recorded = values.gather(1, action[:, "
            "None]).squeeze()"
        ): "only the last dimension has size 1, so this is the same as squeeze(1)",
        (
            "recorded = values.gather(1, action[:, None]).squeeze(1) → recorded = values.gather(1, action[:, "
            "None]).unsqueeze(1)"
        ): "between [batch] and [batch, 1, 1] the mean of all differences is that of the pairs",
        (
            "recorded = values.gather(1, action[:, None]).squeeze(1) → recorded = values.gather(1, action[:, "
            "None]).squeeze(0)"
        ): "between [batch] and [batch, 1] the mean of all differences is that of the pairs",
        (
            "return (values.logsumexp(1) - recorded).mean() → return (values.logsumexp(1, keepdim=True) - "
            "recorded).mean()"
        ): "between [batch, 1] and [batch] the mean of all differences is that of the pairs",
    },
    "10.4": {
        (
            "weight = torch.where(difference > 0, expectile, 1 - expectile) → weight = torch.where(difference >= 0, "
            "expectile, 1 - expectile)"
        ): "a difference of 0 adds 0 whatever it weighs",
    },
}
