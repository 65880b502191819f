"""Build the workshop's decks, slides/*.md, into build/slides/: `make slides`.

A deck is Marp Markdown (https://marp.app). Pictures come from slides/figures/ or straight from a notebook's outputs,
`![w:900](notebook:07_dqn#id-or-words-of-its-cell)`, with the alternative text they have there. They are written into
the page itself, so that a deck is one file that asks for nothing.
"""

from __future__ import annotations

import base64
import html
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat

from tools import browser
from tools.course import start_commands

ROOT = Path(__file__).resolve().parents[1]
SLIDES = ROOT / "slides"
TARGET = ROOT / "build" / "slides"
PICTURE = re.compile(r"!\[([^\]]*)\]\(((?:notebook:|figures/)[^)]+)\)")
TYPES = {".svg": "image/svg+xml", ".png": "image/png"}


class SlideError(Exception):
    """A deck cannot be built; the message names the deck and the fix."""


def decks() -> list[Path]:
    return sorted(SLIDES.glob("[0-9]*.md"))


def notebook_picture(address: str) -> tuple[str, str]:
    """The first picture that a notebook's cell shows, as (data address, alternative text).

    Args:
        address: "07_dqn#what", where `what` is the id of a cell, or words that stand in one code cell only.

    Raises:
        SlideError: no such notebook, no or several such cells, or the cell shows no picture.
    """
    stem, _, words = address.partition("#")
    path = ROOT / "notebooks" / f"{stem}.ipynb"
    if not path.exists():
        raise SlideError(f"notebook:{address}: there is no notebooks/{stem}.ipynb")
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    found = [cell for cell in cells if words in (cell.id, *cell.id.split()) or words in cell.source]
    if len(found) != 1:
        raise SlideError(f"notebook:{address}: {len(found)} code cells match {words!r}; it takes exactly one.")
    shown = "".join(output.get("data", {}).get("text/html", "") for output in found[0].outputs)
    image = re.search(r'<img[^>]*? src="(data:[^"]+)" alt="([^"]*)"', shown)
    if not image:
        raise SlideError(f"notebook:{address}: the cell shows no picture.")
    return image[1], html.unescape(image[2])


def figure(name: str) -> tuple[str, str]:
    """A file of slides/figures/ as (data address, no alternative text: the deck gives it)."""
    path = SLIDES / name
    if not path.exists() or path.suffix not in TYPES:
        raise SlideError(f"{name}: there is no such .svg or .png in slides/")
    return f"data:{TYPES[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}", ""


def picture_tag(label: str, address: str) -> str:
    """An `<img>` for a deck's picture; `label` holds Marp's sizes (w:900, h:400) and the alternative text.

    Raises:
        SlideError: the picture is not there, or has no alternative text.
    """
    sizes = dict(re.findall(r"\b([wh]):(\d+)", label))
    words = re.sub(r"\b[wh]:\d+\s*", "", label).strip()
    named = address.startswith("notebook:")
    source, own = notebook_picture(address.removeprefix("notebook:")) if named else figure(address)
    if not (words or own):
        raise SlideError(f"{address} has no alternative text: write it between the brackets.")
    style = "".join(f"{name}:{sizes[key]}px;" for key, name in (("w", "width"), ("h", "height")) if key in sizes)
    return f'<img src="{source}" alt="{html.escape(words or own)}" style="{style}">'


def expand(text: str) -> str:
    """A deck with its pictures written into it, and the commands that open the course in place of `{{start commands}}`.

    Raises:
        SlideError: as `picture_tag`.
    """
    return PICTURE.sub(lambda found: picture_tag(*found.groups()), text.replace("{{start commands}}", start_commands()))


def marp(*arguments: str) -> None:
    """Run Marp's command line.

    Raises:
        SlideError: Node.js or a browser is missing, or Marp fails.
    """
    program = SLIDES / "node_modules" / ".bin" / "marp"
    if not program.exists():
        if not shutil.which("npm"):
            raise SlideError("The decks are built with Marp, which needs Node.js 18 or newer: install it, then again.")
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], cwd=SLIDES, check=True)
    chrome = browser.find()
    if not chrome:
        raise SlideError(f"PDFs are printed with a browser. {browser.FIX}")
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    env = {**os.environ, **({"CHROME_NO_SANDBOX": "1"} if root else {})}
    command = [program, "--no-stdin", "--html", "--theme", SLIDES / "theme.css", "--browser-path", chrome, *arguments]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode:
        raise SlideError(done.stderr)


def build(paths: list[Path], target: Path = TARGET) -> None:
    """HTML and PDF (with the notes as annotations) of some decks.

    Raises:
        SlideError: as `expand` and `marp`.
    """
    sources = target / "sources"
    shutil.rmtree(target, ignore_errors=True)
    sources.mkdir(parents=True)
    for deck in paths:
        try:
            (sources / deck.name).write_text(expand(deck.read_text()))
        except SlideError as error:
            raise SlideError(f"{deck.name}: {error}") from error
    marp("--input-dir", str(sources), "--output", str(target))
    marp("--input-dir", str(sources), "--output", str(target), "--pdf", "--pdf-notes", "--pdf-outlines")


def main() -> None:
    wanted = [SLIDES / f"{Path(name).stem}.md" for name in sys.argv[1:]] or decks()
    try:
        build(wanted)
    except SlideError as error:
        sys.exit(str(error))
    for deck in wanted:
        print(f"build/slides/{deck.stem}.html and .pdf")


if __name__ == "__main__":
    main()
