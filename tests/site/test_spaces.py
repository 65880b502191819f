"""docs/spaces.md: its code runs from top to bottom, and gives what its lines `# ->` say."""

from __future__ import annotations

import ast
import contextlib
import io
import re

import pytest
from conftest import ROOT

BLOCKS = re.findall(r"^```python\n(.+?)^```", (ROOT / "docs" / "spaces.md").read_text(), flags=re.MULTILINE | re.DOTALL)


def run(code: str, space: dict) -> str:
    """What a block prints, or gives at its end."""
    lines = ast.parse(code).body
    last = lines.pop() if isinstance(lines[-1], ast.Expr) else None
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(ast.Module(lines, []), "docs/spaces.md", "exec"), space)
        value = eval(compile(ast.Expression(last.value), "docs/spaces.md", "eval"), space) if last else None
    return printed.getvalue().strip() or ("" if value is None else repr(value))


@pytest.mark.filterwarnings("ignore")
def test_every_block_runs_and_gives_what_the_page_says(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    space: dict = {}
    for code in BLOCKS:
        said = re.findall(r"^# -> (.+)$", code, flags=re.MULTILINE)
        found = run(code, space)
        assert not said or found == said[0], code


def test_traps_are_shown_and_blocks_are_short():
    assert len(BLOCKS) > 25 and sum("# ->" in code for code in BLOCKS) > 15
    assert max(len(code.splitlines()) for code in BLOCKS) <= 25
