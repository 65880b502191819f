EQUIVALENT = {
    "14.4": {
        "winner = search.mean(1).argmax() → winner = search.mean(1, keepdim=True).argmax()": (
            "argmax of [settings, 1] is that of [settings], since it counts all entries"
        ),
        "winner = search.mean(1).argmax() → winner = search.sum(1).argmax()": (
            "every setting has as many seeds, so the largest sum is the largest mean"
        ),
    },
}
