"""What is said of lesson 16's planner, and of SAC in its dream."""

from __future__ import annotations

from made_up_results import told

from benchmarks.groups import dream_sac, world_model


def life(last: float) -> dict:
    return {
        "exams": [[200, -800.0, -900.0], [400, -300.0, -500.0], [600, last, -400.0]],
        "errors": [0.05, 0.5],
        "road": 0.001,
        "wild": 0.01,
        "judges": {name: [-90.0, -110.0] for name in world_model.JUDGES},
        "cpu_seconds": 12.0,
    }


def test_a_planner_is_solved_by_its_last_exam(tmp_path):
    page = told(tmp_path, "world_model", {"planner": {"100": life(-150.0), "101": life(-230.0)}})
    assert "With 600 real frames, the first 200 of them random, planning is solved for 1 of 2 seeds." in page
    assert "| 100 | -800 | -300 | -150 | 0.050, 0.500 | 10.0 |" in page


def test_dreamers_are_counted(tmp_path):
    run = {"exam": -180.0, "real_frames": 1000, "cpu_seconds": 40.0}
    page = told(tmp_path, "dream_sac", {"dream SAC": {"100": run}, "SAC alone": {"100": run | {"exam": -900.0}}})
    assert "Solved with 1,000 real frames: dream SAC 1 of 1; SAC alone 0 of 1." in page


def test_each_seed_is_run_by_both():
    assert len(dream_sac.GROUP.jobs(3)) == 6 and len(world_model.GROUP.jobs(3)) == 3
