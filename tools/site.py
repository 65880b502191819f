"""Build the course as web pages into build/site: `make site`.

The pages are the committed notebooks, the guides in docs/, the decks and the README, laid out as in the repository;
for assistants there are the lessons as plain Markdown, and `llms.txt`. On the home page an agent plays (`play.html`).
Sphinx reads a copy in which links between them lead to pages, and solutions are folded. The pages ask nobody else for
anything: fonts, icons and the formulas' script are among them.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath

import nbformat
import yaml
from nbformat import NotebookNode

from tools import plain, slides
from tools.course import ROOT, course_of, lessons, publication

SETTINGS = ROOT / "site"
TARGET = ROOT / "build" / "site"
WORK = ROOT / "build" / "site-work"
HOME = "index.md"
PLAYED = "play.html"
NOWHERE = "not-on-the-site"
LINK = re.compile(r"(?<=\]\()[^()\s]+(?=\))")
PICTURE = re.compile(r"!\[([^\]]*)\]\((data:[^)]+)\)")
THEMED = re.compile(
    r'<picture>\s*<source [^>]*srcset="([^"]+)"[^>]*>\s*<img src="([^"]+)" alt="([^"]+)"[^>]*>\s*</picture>'
)
MINUTES = re.compile(r"^(#+ .+?)  \(((?:about )?\d+ min[^)]*)\)( \(deeper\))?$", re.MULTILINE)
BOX = re.compile(r"^- \[ \] ", re.MULTILINE)
FORM = re.compile(r"# @title (.+)\n")


class SiteError(Exception):
    """The site cannot be built; the message names the fix."""


def sources() -> dict[str, Path]:
    """What Sphinx reads: {place in the copy: file}. Places are the repository's, but for the README: it is the home."""
    files = [*sorted((ROOT / "docs").rglob("*")), *sorted((ROOT / "notebooks").glob("*.ipynb"))]
    places = {path.relative_to(ROOT).as_posix(): path for path in files if path.is_file()}
    return {HOME: ROOT / "README.md", **places}


def relinked(text: str, place: str, places: dict[str, Path]) -> str:
    """Markdown whose links lead to pages of the site where there is one, else to the repository's.

    Without an address of the repository, words that linked to its other files are left as words.

    Args:
        text: the Markdown.
        place: where it stands in the copy.
        places: as `sources` returns them.
    """
    folder = places[place].relative_to(ROOT).parent.as_posix()
    on_site = {path.relative_to(ROOT).as_posix(): to for to, path in places.items()}
    published = publication()
    public = re.compile(re.escape(published.address) + r"/(?:blob|tree)/\w+/" if published else r"(?!)")

    def leads_to(found: re.Match) -> str:
        address, mark, part = public.sub("/", found[0]).partition("#")
        file = normpath(address[1:] if address.startswith("/") else f"{folder}/{address}")
        if not address or not (ROOT / file).exists():
            return found[0]
        if file in on_site:
            return relpath(on_site[file], PurePosixPath(place).parent) + mark + part
        return published.page(file) + mark + part if published else NOWHERE

    return re.sub(rf"\[([^\[\]]*)\]\({NOWHERE}\)", r"\1", LINK.sub(leads_to, text))


def readable(text: str) -> str:
    """Markdown for a page. Minutes stand below their heading, where navigation and anchors leave them out; pictures
    that are written into the text become HTML, because Sphinx wants a file for each; a box to tick on paper is drawn,
    because a form's would need a name of its own. A picture that is another one in the dark follows the page's theme,
    which a reader can choose, where a code host's follows the machine's.
    """
    text = THEMED.sub(themed, text)
    text = MINUTES.sub(r'\1\3\n\n<p class="minutes">\2</p>\n', text)
    text = PICTURE.sub(r'<img src="\2" alt="\1">', text)
    return BOX.sub("- ☐ ", text)


def themed(found: re.Match) -> str:
    """Two pictures, of which the site's theme shows one; one paragraph, as it was."""
    dark, light, alt = found.groups()
    return "\n".join(
        f"```{{image}} {file}\n:alt: {alt}\n:class: only-{theme}\n```"
        for file, theme in ((light, "light"), (dark, "dark"))
    )


def fold(cell: NotebookNode) -> None:
    """Fold the set-up, and what JupyterLab and Colab fold, under the title that Colab shows."""
    form = FORM.match(cell.source)
    if "setup" in cell.metadata.get("tags", []):
        name = "Set-up"
    elif cell.metadata.get("jupyter", {}).get("source_hidden"):
        name = form[1] if form else "Code"
    else:
        return
    cell.source = cell.source[form.end() :] if form else cell.source
    cell.metadata["tags"] = [*cell.metadata.get("tags", []), "hide-input"]
    cell.metadata["mystnb"] = {"code_prompt_show": name, "code_prompt_hide": name}


def page(place: str, places: dict[str, Path]) -> str:
    """A source as Sphinx gets it."""
    text = places[place].read_text()
    if place.endswith(".md"):
        text = readable(relinked(text, place, places))
        return played_first(text) + contents() if place == HOME else text
    notebook = nbformat.reads(text, as_version=4)
    notebook.metadata.language_info["pygments_lexer"] = "ipython3"
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = readable(relinked(cell.source, place, places))
        else:
            fold(cell)
    return nbformat.writes(notebook)


def played_first(text: str) -> str:
    """The home's Markdown with the page in which an agent plays, below its title and first paragraph."""
    frame = f'<iframe class="course-play" src="{PLAYED}" title="CartPole: play, or let an agent play"></iframe>'
    link = f'<p><a href="{PLAYED}">This page alone</a>: one file, made in lesson 19.</p>'
    title, first, *others = text.split("\n\n")
    return "\n\n".join([title, first, f"{frame}\n{link}", *others])


def write_played(target: Path) -> None:
    """Write the page in which the course's own agent plays."""
    from course_utils import play_page
    from tools import first_agent

    agents = first_agent.agents()
    # Whoever comes first sees what training is for, and then what it was like before.
    in_order = {name: agents[name] for name in ("after training", "before training")}
    play_page(in_order, target / PLAYED, title="CartPole: play, or let an agent play")


def contents() -> str:
    """What the site's navigation lists."""
    numbered = [f"{lesson.stem[:2]} {course_of(lesson)['title']} <notebooks/{lesson.stem}>" for lesson in lessons()]
    guides = sorted(f"docs/{path.stem}" for path in (ROOT / "docs").glob("*.md"))
    parts = {"Lessons": numbered, "More": ["slides/index", *guides]}
    return "".join(
        f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n" + "\n".join(entries) + "\n```\n"
        for caption, entries in parts.items()
    )


def deck_list() -> str:
    """The page that leads to the decks."""
    rows = ["| deck | to show | to print |", "| --- | --- | --- |"]
    for deck in slides.decks():
        name = yaml.safe_load(deck.read_text().split("---\n")[1])["title"]
        # As HTML: Sphinx takes a link to a file that it did not write for a download.
        links = [
            f'<a href="{deck.stem}.{kind}" aria-label="{words}: {name}">{words}</a>'
            for kind, words in (("html", "slides"), ("pdf", "PDF with notes"))
        ]
        rows.append(f"| {name} | {' | '.join(links)} |")
    return (
        "# Slides\n\nOne deck for each session. With a deck open, **F** is for full screen and **P** for the "
        "presenter's view: notes, next slide, clock.\n\n" + "\n".join(rows) + "\n"
    )


def stage(folder: Path) -> None:
    """Write what Sphinx reads."""
    shutil.rmtree(folder, ignore_errors=True)
    places = sources()
    for place, path in places.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in (".md", ".ipynb"):
            (folder / place).write_text(page(place, places))
        else:
            shutil.copy(path, folder / place)
    (folder / "slides").mkdir()
    (folder / "slides" / HOME).write_text(deck_list())


def versions(lock: Path) -> dict[str, str | None]:
    """The version of each package that a lock file of npm's names."""
    packages = json.loads(lock.read_text())["packages"]
    return {name: package.get("version") for name, package in packages.items()}


def fetch_scripts() -> None:
    """Install what site/package-lock.json pins, unless it is there.

    Raises:
        SiteError: npm is missing or fails.
    """
    installed = SETTINGS / "node_modules" / ".package-lock.json"
    if installed.exists() and versions(installed).items() <= versions(SETTINGS / "package-lock.json").items():
        return
    if not shutil.which("npm"):
        raise SiteError("The script that draws formulas comes from npm: install Node.js 18 or newer, then again.")
    if subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=SETTINGS).returncode:
        raise SiteError("npm could not install site/package-lock.json; what it says is above.")


def build(target: Path = TARGET, work: Path = WORK) -> None:
    """Build the site.

    Args:
        target: where the pages go; what is there is removed.
        work: where the copy that Sphinx reads, its notes and the decks go.

    Raises:
        SiteError: npm or Sphinx fails; a warning of Sphinx's is a failure.
        SlideError: the decks cannot be built.
    """
    fetch_scripts()
    stage(work / "source")
    slides.build(slides.decks(), work / "slides")
    shutil.rmtree(target, ignore_errors=True)
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", "--fresh-env"]
    command += ["--conf-dir", SETTINGS, "--doctree-dir", work / "doctrees", work / "source", target]
    if subprocess.run(command, cwd=ROOT).returncode:
        raise SiteError("The site was not built: mend what is named above in lessons/, docs/ or README.md.")
    for kind in ("html", "pdf"):
        for deck in (work / "slides").glob(f"*.{kind}"):
            shutil.copy(deck, target / "slides")
    plain.write(target)
    write_played(target)


def main() -> None:
    try:
        build()
    except (SiteError, slides.SlideError) as error:
        sys.exit(str(error))
    print(f"{TARGET.relative_to(ROOT)}/index.html")


if __name__ == "__main__":
    main()
