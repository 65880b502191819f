"""What the training cells of a lesson reach: assertions that are run as its last cell, after its own cells."""

from __future__ import annotations

CLAIMS = {
    "06_logging_and_watching": """
        assert steps["trained for speed"] < steps["random actions"] < 30, "its curve rose, and it falls sooner"
        assert steps["trained to stay up"] > 100, "the mended reward keeps the pole up"
        assert returns[-8:].min() > 2 * returns[0], "the curve that fools"
    """,
    "07_dqn": """
        assert 50 < textbook_curve[1][-1] < 475, "act one learns, and does not solve it"
        assert abs(believed[0].item() - reachable) < 0.3 * reachable, "the arithmetic explains the flat values"
        assert test_return >= 475 and len(test_returns) == 100, "act two solves it"
        assert same(two_legs.loss.state_dict(), resumed.loss.state_dict()), "a resumed run is the same run"
        import gymnasium
        from tensordict import TensorDict
        env, total, done = gymnasium.make("CartPole-v1"), 0.0, False
        seen, _ = env.reset(seed=7)
        while not done:
            action = agent(TensorDict({"observation": torch.as_tensor(seen, device=device)}))["action"]
            seen, reward, terminated, truncated, _ = env.step(action.item())
            total, done = total + reward, terminated or truncated
        assert total > 300, "the agent plays anybody's CartPole, observations as they come"
    """,
}
