EQUIVALENT = {
    "5.5": {
        "for first in range(len(reward) - n): → for first in range(len(done) - n):": (
            "Rewards and flags both have shape `[frames]`, so they are equally long."
        ),
    },
}
