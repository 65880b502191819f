"""Unity ML-Agents: worlds made with a game engine's editor, joined to Python by a socket.

For your own three-dimensional world, drawn by artists rather than written in code.
Agents may end at different times, so each has its own `done`.
Here TorchRL's wrapper runs over a stand-in: two balls on boards, without the engine.
"""

from stand_ins import unity_mlagents

unity_mlagents.install()

from torchrl.envs import StepCounter, TransformedEnv, UnityMLAgentsEnv  # noqa: E402
from tour import Tour  # noqa: E402

BALL = ("group_0", "agent_0", "VectorSensor_size4")


def make(**options):
    return UnityMLAgentsEnv(registered_name="3DBall", **options)


def main() -> None:
    tour = Tour("3DBall, stand-in")
    env = make()
    tour.specs(env)
    tour.check(env)
    data = tour.rollout(env, steps=50)
    tour.transform("StepCounter(): the number of the step", TransformedEnv(make(), StepCounter()))
    tour.strip(lambda: data[BALL])
    tour.breaks("the step in which agent_0 falls off", falling)
    tour.breaks("set_seed(0)", lambda: make().set_seed(0))


def falling() -> str:
    """Tilt one way until the ball falls, then look at what the wrapper says of that step."""
    env = make()
    data = env.reset()
    for _ in range(20):
        data = env.rand_action(data)
        data["group_0", "agent_0", "continuous_action"].fill_(1.0)
        data = env.step(data)
        now = data["next", "group_0", "agent_0"]
        if now["done"].any():
            return f"done, reward {now['reward'].item():.1f}, last observation up to {now[BALL[-1]].abs().max():.2f}"
        data = env.step_mdp(data)
    return "twenty steps, and it never ended"


if __name__ == "__main__":
    main()
