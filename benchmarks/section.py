"""What the page says of one group: its paragraphs and figures, and sentences that many groups need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from matplotlib.figure import Figure

from benchmarks import figures
from benchmarks.store import ELSEWHERE, PACKAGES, has_seconds

Arms = Mapping[str, Mapping[str, dict]]


@dataclass
class Section:
    """The text so far, and the figures that belong to it.

    Attributes:
        stamp: what the group was measured with.
        arms: its runs.
        paragraphs: in Markdown.
        files: bytes of figures and of pages of their own, by their path in docs/.
    """

    stamp: Mapping
    arms: Arms
    paragraphs: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)

    def say(self, *paragraphs: str) -> None:
        self.paragraphs += paragraphs

    def show(self, name: str, drawn: tuple[Figure, str]) -> None:
        figure, words = drawn
        self.files[f"benchmark/{name}.svg"] = figures.svg(figure)
        self.say(f"![{words}](benchmark/{name}.svg)")

    def answer(self, words: str) -> None:
        self.say(f"**Answer.** {words}")

    def measured(self, words: str) -> None:
        """How it was measured, to which is added when, on what, and how to do it again."""
        self.say(f"**How it was measured.** {words} {measured_with(self.stamp, self.arms)}")

    def limits(self, words: str) -> None:
        self.say(f"**Limits.** {words}")


def measured_with(stamp: Mapping, arms: Arms) -> str:
    """When, on what, and how to do it again; whose seconds are shown, where runs come from several CPUs."""
    versions = ", ".join(f"{name} {stamp[name]}" for name in PACKAGES if name in stamp)
    gpu = f", {stamp['gpu']}" if "gpu" in stamp else ""
    words = (
        f"Measured on {stamp['date']} on {stamp['cpu']} ({stamp['cores']} cores){gpu} with Python {stamp['python']}, "
        f"{versions}. Again: `{stamp['command']}`."
    )
    if ELSEWHERE in stamp:
        runs = [run for arm in arms.values() for run in arm.values()]
        without = sum(not has_seconds(run) for run in runs)
        words += (
            f" {without} of these {counted(len(runs), 'run')} came later from {' and '.join(stamp[ELSEWHERE])}: they "
            f"count for frames and success, and all seconds are those of {stamp['cpu']}."
        )
    return words


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def seeds_of(arms: Arms) -> str:
    """The seeds of a group in words; each arm's own where they differ."""
    ranges = {name: (len(runs), min(map(int, runs)), max(map(int, runs))) for name, runs in arms.items()}
    if len(set(ranges.values())) == 1:
        count, first, last = next(iter(ranges.values()))
        return f"{count} seeds ({first} to {last})"
    return "seeds: " + ", ".join(f"{name} {count} ({first} to {last})" for name, (count, first, last) in ranges.items())


def per_cent(share: float) -> str:
    return f"{100 * share:.0f} %"


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def upper(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
