EQUIVALENT = {
    "6.2": {
        "return batch['next', 'episode_reward'][done].mean().item() → "
        "return batch['next', 'episode_reward'][done].mean()": (
            "A tensor without dimensions is a number to every check that asks for one."
        ),
    },
    "6.3": {
        "return sum(((gradient ** 2).sum() for gradient in gradients)).sqrt() → "
        "return sum(((gradient ** 2).sum() for gradient in reversed(list(gradients)))).sqrt()": (
            "A sum does not depend on the order of what is added."
        ),
    },
}
