"""A part's time is its own, and what was timed is left as it was."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from benchmarks import stopwatch


class TestWhereTimeGoes:
    def test_a_parts_time_is_its_own_and_not_that_of_the_parts_it_calls(self, monkeypatch):
        clock = SimpleNamespace(now=0.0, perf_counter=lambda: clock.now)
        monkeypatch.setattr(stopwatch, "time", clock)

        def work(seconds):
            clock.now += seconds

        watch = stopwatch.Stopwatch()
        inner = watch.part("inner", lambda: work(2))
        watch.part("outer", lambda: (work(4), inner(), inner()))()
        assert watch.calls == {"inner": 2, "outer": 1}
        assert watch.seconds == {"inner": 4, "outer": 4}

    def test_within_a_part_and_whole(self):
        watch = stopwatch.Stopwatch()
        policy = watch.part("policy", lambda: None, within="collector")
        policy()
        watch.part("collector", policy)()
        watch.part("evaluation", policy, whole=True)()
        watch.part("loss", policy)()
        assert watch.calls == {"policy": 1, "collector": 1, "evaluation": 1, "loss": 1}

    def test_the_stopwatch_is_taken_off_again_even_after_an_error(self):
        class Owner:
            def mine(self): ...

        class Heir(Owner): ...

        before = Owner.mine
        with pytest.raises(ZeroDivisionError), stopwatch.replaced(Heir, "mine", lambda self: None):
            assert Heir.mine is not before
            1 / 0  # noqa: B018
        assert Heir.mine is before and "mine" not in vars(Heir)
