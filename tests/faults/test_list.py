"""docs/faults.md names a test for each fault: it has to be there."""

from __future__ import annotations

import re

from conftest import ROOT


def test_every_fault_of_the_list_has_a_test_that_is_there():
    lines = [line for line in (ROOT / "docs" / "faults.md").read_text().splitlines() if line.startswith("- ")]
    assert len(lines) > 40
    for line in lines:
        file, name = re.search(r"`(tests/\S+\.py)::(test_\w+)`$", line).groups()
        assert re.search(rf"^ *def {name}\(", (ROOT / file).read_text(), re.MULTILINE), line
