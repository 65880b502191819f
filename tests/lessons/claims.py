"""What the training cells of a lesson reach: assertions that are run as its last cell, after its own cells.

Seconds of the wall are compared in no claim, since other tests run beside it, and core seconds only with a wide margin.

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
        assert all(play >= STEPS * wait / 1_000 for wait, (play, _) in clock.items()), "a slow simulator is waited for"
        slow, learned = STEPS * 0.1, statistics.median(run["learn"] for run in speeds["async"].values())
        many, some = (batches_per_second("async", count, slow, learned, carry) for count in (1000, 30))
        assert some < many == 1 / (learned + carry), "with a tenth of a second a step, many more than thirty pay"
        assert lags[0] == (0, 0) and statistics.mean(high for low, high in lags) < 4, "two workers: a batch or two"
        assert found.min() < 0.5 and found.max() > 1.3, "16 batches later the ratios have spread"
        assert (advantage - theirs[0].squeeze(-1)).abs().max() < 1e-4, "V-trace by hand is TorchRL's"
        assert abs(believed_value(torch.ones(256, 32)) - 5) < 0.3, "uncorrected: what it is worth to the player"
        assert abs(believed_value(probability / 0.5) - 25 / 3) < 0.3, "corrected: near the learner's 9, below it"
        falls = live.curve("falls")[1]
        assert statistics.mean(falls[-20:]) < 0.5 * statistics.mean(falls[:5]), "IMPALA learns: it falls less often"
        assert len(seen) == 160 and statistics.mean(seen) < 4, "from frames a little old"
        assert needs["sleeps"] < 1_000 * step, "who sleeps leaves the core to others for most of its step"
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
        halfway = {name: [one["curve"][14] for one in runs.values()] for name, runs in paid_for.items()}
        assert all(mine > team for mine, team in zip(halfway["difference reward"], halfway["team reward"], strict=True))
        assert flown["after"] > 2 > 0 > flown["before"], "the same code learns to navigate"
    """,
    "16_world_models": """
        assert error[19] > 4 * error[0], "errors grow along an imagined road"
        assert min(run["errors"][-1] / run["errors"][0] for run in learned) > 3, "for every seed"
        assert wild > 1.5 * road and min(run["wild"] / run["road"] for run in learned) > 1.5, "the ensemble knows"
        assert solved >= 0.9 * len(learned), "planning is solved in nine of ten seeds within 600 real frames"
        assert imagined_states.shape == (200, 5, 20, 3) and real_states.shape == (200, 3)
        too_much = {name: promised - paid for name, (promised, paid) in means.items()}
        assert too_much["trusting"] > 10 and too_much["cautious"] < too_much["agreeing"] < too_much["trusting"] + 5
        there = {arm: sum(run["exam"] >= -200 for run in runs.values()) for arm, runs in dreamers.items()}
        assert there["dream SAC"] < there["SAC alone"] < 5, "the dream did not help SAC"
        assert min(judged[ahead] for ahead in (1, 2, 3, 4)) > 0.9, "the loaded model knows how a game goes on"
        assert caught > 60, "trained in dreams alone, it catches most of the real balls, and chance a third"
    """,
    "17_language_models": """
        assert after_imitation[DRAWN] <= 0.4 and after_imitation[GREEDY] <= 0.4, "no better than the teacher"
        assert min(after_rewards.values()) >= 0.85, "the pupil passes the teacher, greedily and drawn"
        last = chances[-1][good], chances[-1][~good]
        assert last[0].mean() > last[1].mean() + 0.2, "what was right has become likely, what was wrong unlikely"
        assert max(alike) == 0 and unchanged, "greedy groups teach nothing"
        assert len(LESSONS) == 3_145, "the text says how many sums training draws from"
        assert sum(rewards[-5:]) / 5 > 0.85 and truth[-1] < 0.1, "the reward looks fine, and the exam does not"
        assert max(truth) > after_imitation[DRAWN] + 0.1, "at first even the exam got better"
    """,
    "18_worlds_and_records": """
        assert len(tried) == 28 and len(ran) == 16, "the deck says so, too"
        assert (purchases + 0.1).abs().max() < 0.05, "a purchase costs a tenth, whatever it earns"
        assert max(earned["any action"]) < -500 and min(earned["allowed ones"]) > -260, "a mask is worth hundreds"
        assert misses[-1] < 0.2 and rights[-1] > 0.9, "joint and gripper learn from one loss"
        assert [*differences(written, data[:][:21].select(*written.keys(True, True)))] == [("next", "reward")]
        assert jumps(SliceSampler(slice_len=4, end_key=("next", "done")))[0].startswith("0 of"), "no slice jumps"
        assert not jumps(SliceSampler(slice_len=4, trajectories=counted, cache_values=True))[0].startswith("0 of")
        assert differences(own, own_loaded) == {} and len(differences(own, damaged)) == 3, "all damages are found"
        assert many > 5 * first, "64 copies at once are worth it"
        assert speeds["third way: batched, 1,024 copies"] > 100 * speeds["first way: GymWrapper"], "stored, too"
        assert not check_simulator(lambda: Drones(4)).faults, "mended"
        assert apart >= 5 and exams["one frame"][-1] < blind + 5, "the rule: worst with four less best with one"
        assert exams["two frames"][-1] < exams["one frame"][-1] + 5, "two frames are nearly as bad as one"
        assert exams["four frames"][0] > 0.75 * best, "three quarters of what can be gained"
        assert later > halfway, "what was trained on live got better"
        hidden_of_each = [hidden] + [run["hidden"] for run in pixel_runs["four frames"].values()]
        assert all(found[2] > found[3] + 5 and found[0] < 10 for found in hidden_of_each), "the oldest is used"
    """,
    "19_take_it_along": """
        assert at_home.mean() >= 450, "an agent that is worth taking along"
        assert torch.equal(with_norm, at_home) and torch.equal(abroad, at_home), "outside TorchRL, seed by seed"
        assert left_behind.mean() < 0.8 * at_home.mean(), "the accident is seen in the exam"
        assert lucky > 0, "and may be missed in one video"
        assert 20 < (exploring != greedy).sum() < 140 and (told_not_to == greedy).all()
        assert card["exam"]["mean"] == at_home.mean()
        assert torch.equal(loaded(states), portable(states)), "the saved program is the network"
        for function in values.values():
            assert (function(states) - right).abs().max() < 1e-4
            assert torch.equal(function(states).argmax(-1), right.argmax(-1))
        assert (returns == at_home).all(), "the last of the exports, too"
        assert found["states"] == 1_000 and found["different"] == 0, "page and agent decide alike"
        assert found["largest_difference"] < 1e-5 < gaps.min(), "and rounding decides in no state"
        assert apart["the agent"] == 0 < apart["LeakyReLU"] < apart["no factor 5"], "both copies are other agents"
        assert stays["no factor 5"] < 100 and stays["LeakyReLU"] == stays["the agent"] == 500, "one of them plays well"
        assert 0.8 * len(page.page) < len(data) < 500_000, "nearly all of the page is weights"
        if has_deploy:
            assert [status for status, _ in replies.values()] == [200, 422, 401, 500], "NaN breaks the refusal itself"
            assert got == [(200, words) for words in expected] and sum(calls) == 64 > len(calls), "batched"
            assert [name for name, words in said.items() if not words] == ["an honest one"], "the others are refused"
        assert saved[2] > 3 and gained["width 4,096"] > 3 > 1.5 > gained["width 64"], "large ones gain, small hardly"
        assert refused.startswith("Weights only load failed"), "torch.load runs no stranger's code"
        assert same(loop.loss.state_dict(), trained.loss.state_dict()), "packed, it is the same loop"
        assert torch.equal(loop.memory[:]["observation"], trained.memory[:]["observation"]), "frame by frame"
        assert turns.count("post_optim") == 3 * turns.count("post_steps") == 6, "for each update, and for each batch"
        assert not logged() and len(logged(log_interval=255)) > len(logged(log_interval=256)), "more than the interval"
        assert len(steps) == 2 and flattened[:]["next", "truncated"].all(), "two traps"
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
