"""`python -m benchmarks` and what it takes."""

from __future__ import annotations

import pytest

from benchmarks import store
from benchmarks.__main__ import command_for, parse
from benchmarks.groups import groups


class TestCommand:
    def test_the_stored_command_chooses_the_group_and_its_seeds(self):
        assert command_for("time", 3) == "make bench ARGS='--groups time --seeds 3'"
        chosen = parse(["--groups", "time", "peers", "--seeds", "3"])
        assert chosen.groups == ["time", "peers"] and chosen.seeds == 3 and chosen.results == store.RESULTS
        assert parse([]).groups == list(groups())

    @pytest.mark.parametrize("wrong", [["--groups", "tim"], ["--seeds", "0"], ["--workers", "-1"]])
    def test_wrong_arguments_are_named(self, wrong, capsys):
        with pytest.raises(SystemExit):
            parse(wrong)
        assert "invalid choice: 'tim'" in (said := capsys.readouterr().err) or "have to be 1 or more" in said
