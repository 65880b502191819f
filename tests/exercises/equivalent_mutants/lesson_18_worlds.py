ANSWER = (
    "return {'double': any((leaf.dtype == torch.float64 for leaf in LEAVES)), 'no clock': truncated is None or not "
    "truncated.any(), 'no reset': (done & went_on).any()}"
)


def leaves(written: str) -> str:
    return f"{ANSWER.replace('LEAVES', 'data.values(True, True)')} → {ANSWER.replace('LEAVES', written)}"


EQUIVALENT = {
    "18.1": {
        "done = data['next', 'done'][:-1].squeeze(-1) → done = data['next', 'done'][:-1].squeeze()": (
            "time stays, and where it has one step a lone flag is stretched to it"
        ),
        leaves("data.values(True)"): "a tensordict is of type float64 only if all its leaves are",
        leaves("data.values(True, False)"): "a tensordict is of type float64 only if all its leaves are",
        leaves("reversed(list(data.values(True, True)))"): "whether any is does not depend on their order",
    }
}
