"""Write docs/benchmark.md with its figures, and docs/worlds.md, from the stored results: `make bench-page`.

No number of the page is typed: each is computed from benchmarks/results/. A group that was not measured says so.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import store, targets, worlds_page
from benchmarks.group import Group
from benchmarks.groups import groups
from benchmarks.section import Section

DOCS = store.ROOT / "docs"


def section_of(group: Group, results: Path) -> Section:
    """What a group says of its results, or that there are none."""
    section = Section(*store.read_group(results, group.file, group.name))
    section.say(f"## {group.question}")
    if section.arms:
        group.tell(section, section.arms)
    else:
        usual = f"Not measured yet: there is no stored result. `make bench ARGS='--groups {group.name}'` measures it."
        section.say(group.unmeasured or usual)
    return section


def build(results: Path) -> dict[str, bytes]:
    """The page and its figures.

    Args:
        results: the folder where results are.

    Returns:
        The files' bytes by their path in docs/; the same results give the same bytes.
    """
    paragraphs = [
        "<!-- Made by `make bench-page` from benchmarks/results/; do not edit. -->",
        "# Benchmark",
        "How often, how fast and at what cost the course's code does what its lessons say. Every number is computed "
        "from [stored results](../benchmarks/results), which `make bench` measures by running the lessons' own code.",
        "## Did it reach its targets?",
        targets.targets_table(results),
    ]
    files: dict[str, bytes] = {}
    for group in groups().values():
        section = section_of(group, results)
        paragraphs += section.paragraphs
        files |= section.files
    return {"benchmark.md": ("\n\n".join(paragraphs) + "\n").encode(), **files}


def write(results: Path, docs: Path) -> None:
    """Write the page into a folder of documents and remove figures it no longer has."""
    files = build(results)
    (docs / "benchmark").mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (docs / name).write_bytes(content)
    for old in (docs / "benchmark").glob("*.svg"):
        if f"benchmark/{old.name}" not in files:
            old.unlink()
    worlds_page.write(results, docs)
    print(f"Wrote {docs} and {sum(name.endswith('.svg') for name in files)} figures")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=store.RESULTS)
    parser.add_argument("--docs", type=Path, default=DOCS)
    chosen = parser.parse_args()
    write(chosen.results, chosen.docs)


if __name__ == "__main__":
    main()
