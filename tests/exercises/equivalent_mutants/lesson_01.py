EQUIVALENT = {
    "1.2": {
        "clock_only = rollout['next', 'truncated'] & ~terminated → "
        "clock_only = rollout['next', 'done'] & ~terminated": (
            "`done` is `terminated` or `truncated`, so where a step is not terminated the two are one and the same."
        ),
    },
    "1.3": {
        "steps = [StepCounter(max_steps=limit), RewardSum(), RewardScaling(loc=0.0, scale=factor)] → "
        "steps = [RewardSum(), StepCounter(max_steps=limit), RewardScaling(loc=0.0, scale=factor)]": (
            "The clock does not look at rewards, and the sum does not look at the clock: either may come first."
        ),
    },
    "1.5": {
        "answer = {'temperature': temperature, 'reward': -(temperature - 20).abs()} → "
        "answer = {'temperature': temperature, 'reward': -(20 - temperature).abs()}": (
            "The absolute value of a difference does not know which one was subtracted."
        ),
    },
}
