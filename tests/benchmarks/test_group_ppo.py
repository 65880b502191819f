"""PPO on two tasks."""

from __future__ import annotations

from made_up_results import told


def test_each_task_is_passed_at_its_own_mark(tmp_path):
    made_up = {
        name: {
            str(seed): {"test_return": best, "frames": 40_960, "cpu_seconds": 9.0, "curve": [[1, 40.0]]}
            for seed in (100, 101)
        }
        for name, best in {"CartPole": 470.0, "Pendulum": -160.0}.items()
    }
    text = told(tmp_path, "ppo", made_up)
    assert "Solved: CartPole 0 of 2; Pendulum 2 of 2." in text
    assert "| Pendulum | 2 of 2 | -160, -160 | 40,960 | 9.0 |" in text
