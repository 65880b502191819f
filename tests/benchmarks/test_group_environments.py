"""Frames per second over copies of an environment."""

from __future__ import annotations

from made_up_results import arms

from benchmarks.figures import medians_of
from benchmarks.groups import environments


def test_the_lessons_words_about_costs_hold():
    speed = {
        name: dict(zip(*medians_of(arm, "frames_per_second"), strict=True))
        for name, arm in arms("environments").items()
    }
    serial, vector = speed["SerialEnv"], speed["GymWrapper of a SyncVectorEnv"]
    native = speed["PendulumEnv (tensors)"]
    assert serial[4] > 2 * serial[1] and serial[256] < 1.5 * serial[16], "gains with the first few copies only"
    assert vector[64] > 1.5 * vector[16] and vector[256] < 2 * vector[64], "gains longer"
    assert native[256] > 2.5 * native[64], "goes on gaining"


class TestScaling:
    def test_every_way_plays_as_many_copies_as_asked(self):
        for way in ("raw SyncVectorEnv", "GymWrapper of a SyncVectorEnv", "SerialEnv", "PendulumEnv (tensors)"):
            (speed,) = environments.frames_per_second(way, 2, repeats=1, seconds=0.01)
            assert speed > 10, way
