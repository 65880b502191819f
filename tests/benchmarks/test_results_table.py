"""The tables of results that lessons show."""

from __future__ import annotations

from benchmarks import results_table


class TestTable:
    RUNS = {
        str(seed): {"test_return": 400 + 50 * seed, "frames": 1_000 * seed, "seconds": float(seed)} for seed in range(3)
    }

    def test_it_shows_solved_runs_medians_and_the_worst(self):
        assert results_table.table({"x": self.RUNS}).splitlines()[-1] == "| x | 1 of 3 | 1,000 | 1.0 (2.0) |"

    def test_training_alone_gets_a_column_where_all_arms_know_it(self):
        apart = {seed: run | {"validation_seconds": 0.75 * run["seconds"]} for seed, run in self.RUNS.items()}
        lines = results_table.table({"x": apart}).splitlines()
        assert lines[0].endswith("| without validation |") and lines[-1].endswith("| 1.0 (2.0) | 0.2 |")
        assert len({line.count("|") for line in lines}) == 1
        assert "without" not in results_table.table({"x": apart, "y": self.RUNS})

    def test_runs_that_were_added_on_another_cpu_count_but_for_seconds(self):
        added = self.RUNS | {"3": {"test_return": 500, "frames": 3_000}}
        assert results_table.table({"x": added}).splitlines()[-1] == "| x | 2 of 4 | 1,500 | 1.0 (2.0) |"
        assert results_table.table({"x": {"3": added["3"]}}).splitlines()[-1] == "| x | 1 of 1 | 3,000 | not measured |"
