"""The decks of `slides/`, for the tests of what is written and of what is built."""

from __future__ import annotations

import re
from pathlib import Path


def slides_of(deck: Path) -> list[str]:
    """The slides of a deck as Markdown, without its front matter."""
    return re.split(r"^---$", deck.read_text().split("---", 2)[2], flags=re.MULTILINE)
