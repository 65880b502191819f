"""One task in four libraries."""

from __future__ import annotations

import pytest
from made_up_results import told


@pytest.mark.parametrize("group", ["libraries", "recommended"])
def test_the_pace_is_the_median_of_the_runs_paces(tmp_path, group):
    made_up = {
        "TorchRL": {
            seed: {"test_return": 490.0, "frames": frames, "cpu_seconds": 2.0, "startup_cpu_seconds": 4.0}
            for seed, frames in {"100": 2_000, "101": 2_400, "102": 9_000}.items()
        }
    }
    assert "| TorchRL | 3 of 3 | 2,400 | 2.0 | 1,200 | 4.0 |" in told(tmp_path, group, made_up)
