EQUIVALENT = {
    "17.2": {
        (
            "return better / reward.std(1, keepdim=True).clamp_min(1e-06) → "
            "return better / reward.std(1, keepdim=True).clamp_min(1.1e-06)"
        ): "any bound far below the spread of a group that differs keeps 0 divided by 0 away",
    },
    "17.3": {
        (
            "return -torch.min(ratio * advantage, clipped * advantage)[mask].mean() → "
            "return -torch.min(clipped * advantage, ratio * advantage)[mask].mean()"
        ): "the smaller of two numbers does not depend on their order",
    },
    "17.5": {
        (
            "for question, answer in zip(asked, written, strict=True): → for question, answer in zip(asked, written):"
        ): "there are as many answers as questions, so nothing is left over",
        (
            "for question, answer in zip(asked, written, strict=True): → "
            "for question, answer in zip(asked, written, strict=False):"
        ): "there are as many answers as questions, so nothing is left over",
        "said = answer.split('=')[-1] → said = answer.split('=')[-1]": (
            "the last part is the same part, however its place is written"
        ),
    },
}
