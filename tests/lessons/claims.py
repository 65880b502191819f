"""What the training cells of a lesson reach: assertions that are run as its last cell, after its own cells.

`python tests/lessons/claims.py` writes every notebook with that cell added into `build/claimed`, for `make test`.
"""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CLAIMED = ROOT / "build" / "claimed"
CLAIMS = {
    "05_collectors_and_buffers": """
        for word, fault in zip(["zero_grad", "Exploration", "shutdown"], seen.faults, strict=True):
            assert word in fault, "three things are missing"
    """,
    "06_logging_and_watching": """
        assert steps["trained for speed"] < steps["random actions"] < 30, "its curve rose, and it falls sooner"
        assert steps["trained to stay up"] > 100, "the mended reward keeps the pole up"
        assert returns[-8:].min() > 2 * returns[0], "the curve that fools"
        found = checkup(run)
        assert found["check/spread"] > 0 < found["check/lag"] < 1, "states differ, and the slower copy lags a little"
        assert found["memory/done"] == found["memory/terminated"] > 0, "all ends in its memory are falls"
        assert found["check/q_at_end"] < 0.5 * log["train/q_value"][-1, 1], "and little is expected of them"
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
    "08_ppo": """
        assert cartpole_returns.mean() >= 475 and len(cartpole_returns) == 100, "two actions"
        assert pendulum_returns.mean() >= -200 and len(pendulum_returns) == 100, "and a torque, by the same loop"
        assert means["return"][0] < 0.5 < 0.9 < means["return"][-1], "more episodes agree better"
        assert min(b - a for a, b in zip(means["return"], means["return - mean"])) > 0, "so does better than usual"
        first = {name: noted[0] for name, noted in logs.items()}
        assert first["too small"]["clip_fraction"] == 0 < first["as above"]["clip_fraction"] < 0.5
        assert first["too large"]["clip_fraction"] > 0.9 and first["too large"]["kl_approx"] > 1
        assert first["too large"]["entropy"] < 0.05 < 0.6 < first["as above"]["entropy"] < first["too small"]["entropy"]
        assert max(readings["kl_approx"] for readings in log) > 0.03, "and nothing broke"
        assert before.mean() < 50 and after.mean() >= 400, "an update without the loss learns, too"
    """,
    "09_continuous_control": """
        assert all(exam(run).mean() >= -200 for run in runs.values()), "both live runs are solved"
        full = {name: (torques(run).abs() > 1.9).float().mean() for name, run in runs.items()}
        assert full["DDPG"] > 0.75 and full["SAC"] < full["DDPG"] - 0.15, "in most states it would; SAC's are soft"
        assert (pushed > 1.9).float().mean() < full["DDPG"] - 0.2, "of the steps it is a smaller share"
        fresh, trained = (run.loss(batch.clone()) for run in (build(sac, seed), runs["SAC"]))
        assert fresh["entropy"] > 0 and trained["alpha"] < 0.5, "the entropy began above its target, the price fell"
        assert milliseconds["REDQ"] < 3 * milliseconds["SAC"], "not five times"
        assert by_hand_returns.mean() > -300, "an update without the loss learns, too"
    """,
    "10_offline_rl": """
        reached = {name: returns.mean().item() for name, returns in exams.items()}
        assert reached["early shift"] == 1 and reached["the shortest way"] == 10, "what the record and the map allow"
        assert min(reached["CQL"], reached["IQL"]) > 7, "both drive a way that nobody ever drove"
        assert max(reached["cloning"], reached["cloning the best tenth"]) <= 1, "cloning does not"
        assert reached["DQN"] < 0.5, "nor DQN, which gets nowhere"
        ends = {name: list(noted.values())[-1] for name, noted in promises.items()}
        assert ends["DQN"] > 1.2 * worth["the shortest way"], "DQN promises what nobody can reach"
        assert 0.5 * worth["CQL"] < ends["CQL"] < worth["CQL"], "CQL less than it keeps"
        assert tried.all(1).sum() < 0.05 * tried.any(1).sum(), "nearly everywhere one command was tried"
    """,
    "11_memory_and_pixels": """
        assert exams["no memory"] < 100 and exams["memory"] >= 475, "a memory solves what nobody solves without"
        assert explained["one look"] < 0.3 < 0.6 < explained["memory"], "the velocity is in the memory"
        assert returns.mean() < 0.2 * exams["memory"], "and it is used"
        assert catches[1] < 85 and catches[2] >= 95, "two looks solve what one does not"
        assert saved[1][2] > 95 > 70 > max(saved[1][0], saved[1][4]), "one look suffices for a ball without drift"
        assert share < catches[2] - 20, "and the frame before is used"
        assert reach == {True: [True] * 9, False: [False] * 8 + [True]}, "gradients go back where the mode is on"
        assert abs(remembered[0]) < 0.4 and sum(remembered[-10:]) / 10 > 0.95, "a memory carries the sign to the end"
    """,
    "12_scaling_out": """
        share = {wait: play / (play + learned) for wait, (play, learned) in clock.items()}
        assert share[0] < share[5] < share[20] and share[20] > 0.8, "a slower simulator leaves more to spread"
        slow = clock[0][0] + STEPS * 0.1
        many, some = (batches_per_second("async", count, slow, learning, carry) for count in (1000, 30))
        assert some < many == 1 / (learning + carry), "with a tenth of a second a step, many more than thirty pay"
        assert lags[0] == (0, 0) and statistics.mean(high for low, high in lags) < 4, "two workers: a batch or two"
        assert found.min() < 0.5 and found.max() > 1.3, "16 batches later the ratios have spread"
        assert (advantage - theirs[0].squeeze(-1)).abs().max() < 1e-4, "V-trace by hand is TorchRL's"
        assert abs(believed_value(torch.ones(256, 32)) - 5) < 0.3, "uncorrected: what it is worth to the player"
        assert abs(believed_value(probability / 0.5) - 25 / 3) < 0.3, "corrected: near the learner's 9, below it"
        falls = live.curve("falls")[1]
        assert statistics.mean(falls[-20:]) < 0.5 * statistics.mean(falls[:5]), "IMPALA learns: it falls less often"
        assert len(seen) == 160 and statistics.mean(seen) < 4, "from frames a little old"
        assert needs["sleeps"] < min(10, needs["computes"]), "who sleeps leaves the core to others"
        assert copied[:8] == list(range(8)), "copies age until something is sent"
        assert statistics.mean(copied) > statistics.mean(shared) + 1, "and shared weights do not"
    """,
    "13_choosing_a_library": """
        lengths = {library: len(lines_of(library, "dqn")) for library in libraries}
        assert min(lengths, key=lengths.get) == "Stable-Baselines3" and max(lengths, key=lengths.get) == "plain PyTorch"
        assert sum(result["solved"] for result in live.values()) >= len(live) - 1, "the recipe solves it"
        paces = {library: result["frames"] / result["cpu_seconds"] for library, result in live.items()}
        assert paces["plain PyTorch"] > paces["TorchRL"], "a TensorDict at every turn has its price"
        assert not pace or pace["frames"] / pace["cpu_seconds"] < paces["plain PyTorch"], "RLlib's a higher one"
        assert max(cost["plain PyTorch"], cost["Stable-Baselines3"]) < cost["TorchRL"] < cost["RLlib"]
        dear = {library: (10**5 + cost[library]) / (10**5 + cost["TorchRL"]) for library in cost}
        assert all(abs(share - 1) < 0.1 for share in dear.values()), "all near 1 at 100,000"
    """,
    "14_tuning": """
        assert trials[0].setting == default and claim >= trials[0].means[-1], "a search does not end below its start"
        assert budget <= frames < budget + whole, "no more than one trial over its budget"
        assert len(trials) * whole > 1.1 * frames, "stopping early paid for more trials"
        assert difference.mean() > (2 if has_optuna else 1) * error, "tuned beats the first guess on fresh seeds"
        assert claimed[1] - true[1] > 2 * (claimed[20] - true[20]) > 0, "one seed claims much more than it is worth"
        assert max(true.values()) > true[20] + 10, "and three settings are too few to choose from"
        assert min(worth[arm].min() for arm in searches) > worth["first guess"].max(), "tuning paid, ten times of ten"
        assert min(won) > 30, "no stored winner has few updates"
        assert front.sum() >= 1 and reached[front].max() == claim, "the best is on the front, whatever it costs"
    """,
    "15_many_agents": """
        held = [all_held(play(policy, 300, exam_seed)) for policy in (untrained, *(t.actor for t in teams.values()))]
        assert held[0] < 0.1 and min(held[1:]) >= 0.8, "both teams hold all three posts"
        shared_roles, own_roles = (at_posts(play(t.actor, 300, exam_seed)).float().mean(0) for t in teams.values())
        assert shared_roles.min() > 0.15 and shared_roles.max() < 0.55, "one policy: each rover at each post"
        assert own_roles.min() < 0.05, "own policies: there are posts to which a rover never goes"
        stubborn_mate = broken["takes the top post"]
        assert stubborn_mate[0][0] > stubborn_mate[1][0] + 0.1, "one policy makes up for a stubborn mate more often"
        assert max(held for held, _ in broken["stands still"] + broken["acts at random"]) < 0.3, "they need three"
        assert broken["is blind"][0][0] < 0.2, "blindness costs one policy everything"
        assert abs(agreement) < 0.8, "advantages of shuffled frames are others"
        means = {name: np.mean([one["held"] for one in runs.values()]) for name, runs in measured.items()}
        assert min(means["as in the lesson"], means["critic sees one"], means["own policies"]) > 0.8
        assert max(means["own rewards"], means["blind"]) < 0.2 and means["blind, own policies"] > 0.6
    """,
}


def claims_of(lesson: str) -> list[nbformat.NotebookNode]:
    """The cell that asserts what a lesson claims; none where it claims nothing of its run."""
    if lesson not in CLAIMS:
        return []
    return [nbformat.v4.new_code_cell(textwrap.dedent(CLAIMS[lesson]).strip(), id="claims")]


def with_claims(path: Path) -> nbformat.NotebookNode:
    """A notebook as it is, and its claims at its end."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells += claims_of(path.stem)
    return notebook


if __name__ == "__main__":
    shutil.rmtree(CLAIMED, ignore_errors=True)
    CLAIMED.mkdir(parents=True)
    for path in NOTEBOOKS:
        nbformat.write(with_claims(path), CLAIMED / path.name)
