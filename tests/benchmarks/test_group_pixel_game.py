"""Whether the frames decide on lesson 18's road, and what Atari costs."""

from __future__ import annotations

from conftest import ROOT
from made_up_results import arms, told

from benchmarks.groups import pixel_game
from benchmarks.groups.pixel_game import GROUP


def run(exam: float, hidden: list[float] | None = None) -> dict:
    return {"curve": [[50, 4.0], [100, exam]], "exam": exam, "hidden": hidden or [], "cpu_seconds": 7.0}


def test_answers_are_computed(tmp_path):
    made_up = {
        "one frame": {"100": run(9.0), "101": run(7.5)},
        "four frames": {"100": run(20.0, [5.0, 8.0]), "101": run(22.0, [7.0, 9.0])},
        "Atari": {"100": {"torchrl": 500, "vector": 2_000, "update": 0.0288}},
    }
    page = told(tmp_path, "pixel_game", made_up)
    assert "20.0 to 22.0 by 2 agents that see four frames, 7.5 to 9.0 by 2 that see one." in page
    assert "| one frame | 4.0, 4.0 | 7.5, 9.0 | 7.0, 7.0 |" in page
    assert "from the newest to the oldest: 6.0, 8.5 rows in the mean" in page
    assert "12,500,000 updates and 50,000,000 steps would take 100 and 7 hours of this core." in page


def test_atari_is_measured_once_and_each_number_of_frames_as_often_as_asked_for():
    jobs = GROUP.jobs(4)
    assert [sum(arm == name for arm, _ in jobs) for name in GROUP.arms()] == [4, 4, 4, 1]


def test_the_deck_tells_the_hours_that_were_measured():
    (costs,) = arms("pixel_game")["Atari"].values()
    hours = [pixel_game.ATARI_UPDATES * costs["update"] / 3600]
    hours += [pixel_game.ATARI_STEPS / costs[way] / 3600 for way in ("torchrl", "vector")]
    deck = (ROOT / "slides" / "18_worlds_and_records.md").read_text()
    rows = ["| 12.5 million updates |", "| 50 million steps, TorchRL's transforms |", "| the same, `AtariVectorEnv` |"]
    for row, long in zip(rows, hours, strict=True):
        assert f"{row} {long:.0f} |" in deck
