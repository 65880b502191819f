"""The card that travels with an agent: what a stranger has to know to let it decide, as one small JSON file."""

from __future__ import annotations

import importlib.metadata
import json
import math
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from course_utils.runs.drafts import draft_in, put_in_place

FORMAT = 1
FIELDS = {
    "name": "a text",
    "task": "a text, Gymnasium's id where it has one",
    "observation": "a list that is not empty",
    "actions": "a list that is not empty",
    "reads": "a list of keys",
    "writes": "a list of keys",
    "exam": 'a dictionary such as {"mean": 496.2, "episodes": 100, "seeds": [1000, 1099]}',
    "made_with": "a dictionary of versions",
    "licence": "a text, such as MIT",
}
LIBRARIES = ("torch", "torchrl", "tensordict", "gymnasium", "numpy")


class CardError(ValueError):
    """A card could not be written or read; the message says what is wrong with it, and the fix."""


def write_card(
    path: str | Path,
    *,
    name: str,
    task: str,
    observation: Sequence[Mapping[str, Any]],
    actions: Sequence[str] | Sequence[Mapping[str, Any]],
    exam: Mapping[str, Any],
    licence: str,
    reads: Sequence[str] = ("observation",),
    writes: Sequence[str] = ("action",),
    made_with: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Write what has to be known of an agent into a JSON file; one that is there is replaced.

    Args:
        path: where to write; missing folders are made.
        name: what the agent is called, such as "dqn-seed-0".
        task: the task it was made for, as Gymnasium's id (`CartPole-v1`) where it has one.
        observation: one entry for each number the agent sees, in its order: its `name`, and where it is known its
            range `low` and `high` in the world's units (None or infinite: no bound). `loc` and `scale` (0 and 1 where
            they are not given) say what the agent's file expects of whoever calls it: `(raw - loc) / scale`.
        actions: of whole-numbered actions the meaning of each, action 0 first; else one entry for each number of the
            action with its `name`, `low` and `high`.
        exam: its result: `mean` (of the returns), `episodes`, and `seeds`, the first and the last.
        licence: under which others may use it, such as "MIT".
        reads: the keys the agent reads, memory included.
        writes: the keys it writes, memory included.
        made_with: names and versions; None: those of Python and of the libraries that are installed here.

    Returns:
        The card as `read_card` gives it.

    Raises:
        CardError: a field is missing or is not what it should be; it could not be written.
    """
    path = Path(path)
    card = {
        "format": FORMAT,
        "name": name,
        "task": task,
        "observation": [observed(entry) for entry in listed("observation", observation)],
        "actions": [acted(entry) for entry in listed("actions", actions)],
        "reads": list(reads),
        "writes": list(writes),
        "exam": dict(exam),
        "made_with": versions() if made_with is None else dict(made_with),
        "licence": licence,
    }
    if wrong := problem(card):
        raise CardError(f"The card was not written: {wrong}")
    try:
        text = json.dumps(card, indent=1, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise CardError(f"The card was not written: it holds more than JSON knows ({error}).") from error
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft_in(path.parent) as file:
            file.write((text + "\n").encode())
            put_in_place(file, path)
    except OSError as error:
        raise CardError(f"{path} could not be written ({error}). Name another path.") from error
    return json.loads(text)


def read_card(path: str | Path) -> dict[str, Any]:
    """Read a card that `write_card` wrote, and look at every field of it.

    Returns:
        name, task, licence: texts. observation: for each number a dictionary of name, low, high (None: no bound), loc
        and scale. actions: texts, or dictionaries of name, low and high. reads, writes: lists of keys. exam: mean,
        episodes and seeds. made_with: versions by name.

    Raises:
        CardError: there is no such file, it is no card, or a field is missing or is not what it should be.
    """
    path = Path(path)
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CardError(f"There is no card {path}. `write_card` writes one beside the agent's file.") from error
    except OSError as error:
        raise CardError(f"{path} could not be read ({error}).") from error
    except ValueError as error:
        raise CardError(f"{path} is no card: it is not JSON ({error}).") from error
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise CardError(f'{path} is no card of this format: it should be a dictionary with "format": {FORMAT}.')
    if wrong := problem(card):
        raise CardError(f"{path} is not a whole card: {wrong}")
    return card


def versions() -> dict[str, str]:
    """Python's version, and those of the libraries that are installed here."""
    found = {"python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def listed(field: str, value: Any) -> list:
    if isinstance(value, str | Mapping) or not isinstance(value, Sequence):
        raise CardError(f"The card was not written: `{field}` should be {FIELDS[field]}, not {value!r}.")
    return list(value)


def observed(entry: Any) -> Any:
    if not isinstance(entry, Mapping):
        return entry
    return {**bounded(entry), "loc": entry.get("loc", 0.0), "scale": entry.get("scale", 1.0)}


def acted(entry: Any) -> Any:
    return bounded(entry) if isinstance(entry, Mapping) else entry


def bounded(entry: Mapping) -> dict[str, Any]:
    """Name, low and high; JSON has no infinite numbers, so these become None."""
    ends = {end: entry.get(end) for end in ("low", "high")}
    return {"name": entry.get("name"), **{end: None if unbounded(value) else value for end, value in ends.items()}}


def unbounded(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isinf(value))


def problem(card: Mapping) -> str:
    """What is wrong with the fields of a card, the first thing found; empty where nothing is."""
    for field, wanted in FIELDS.items():
        if field not in card:
            return f"`{field}` is missing ({wanted})."
        value = card[field]
        kind = {"a text": str, "a list": list, "a dict": Mapping}[wanted[:6]]
        if not isinstance(value, kind) or (wanted.endswith("not empty") and not value) or value == "":
            return f"`{field}` should be {wanted}, not {value!r}."
    for field in ("reads", "writes"):
        if not all(isinstance(key, str) for key in card[field]):
            return f'`{field}` should be {FIELDS[field]}, each a text ("a/b" for a nested one), not {card[field]!r}.'
    return problem_of_entries(card) or problem_of_exam(card["exam"])


def problem_of_entries(card: Mapping) -> str:
    for place, entry in enumerate(card["observation"]):
        if wrong := problem_of_range(entry):
            return f"number {place} of `observation` {wrong}"
        if not (number(entry.get("loc")) and number(entry.get("scale")) and entry["scale"] != 0):
            return f"number {place} of `observation` needs a number as `loc`, and as `scale` one that is not 0."
    if all(isinstance(entry, str) for entry in card["actions"]):
        return ""
    for place, entry in enumerate(card["actions"]):
        if wrong := problem_of_range(entry):
            return f"number {place} of `actions` {wrong} Whole-numbered actions are all given by their meaning, a text."
    return ""


def problem_of_range(entry: Any) -> str:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
        return f'should be a dictionary such as {{"name": "pole angle", "low": -0.42, "high": 0.42}}, not {entry!r}.'
    low, high = entry.get("low"), entry.get("high")
    if not all(end is None or number(end) for end in (low, high)) or (None not in (low, high) and low >= high):
        return f"({entry['name']}) should have a `low` that is smaller than its `high`, not {low!r} and {high!r}."
    return ""


def problem_of_exam(exam: Mapping) -> str:
    seeds = exam.get("seeds")
    if not number(exam.get("mean")) or not whole(exam.get("episodes")) or exam["episodes"] < 1:
        return f"`exam` should be {FIELDS['exam']}, not {dict(exam)!r}."
    if not (isinstance(seeds, list | tuple) and len(seeds) == 2 and all(map(whole, seeds)) and seeds[0] <= seeds[1]):
        return f"the `seeds` of `exam` should be the first and the last, such as [1000, 1099], not {seeds!r}."
    return ""


def number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
