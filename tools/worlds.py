"""Pin what families of worlds add, run one, or try all with their newest releases: `python -m tools.worlds`.

`lock brax` writes its examples/worlds/requirements/brax.txt anew; `try brax` runs its script in an environment of its
own and prints the record; `newest` leaves out the upper bounds of what each family needs, runs all scripts and tells
which of them that mends or breaks, compared with the stored results.
"""

from __future__ import annotations

import argparse
import json

from benchmarks import store, worlds, worlds_page
from benchmarks.section import table
from tools.drift import without_caps

REPORT = worlds.BUILT / "newest.md"


def newest_pins(name: str) -> list[str]:
    """The newest releases that go with torch, TorchRL and TensorDict as the course has them.

    Raises:
        worlds.Refused: none do.
    """
    entry, held = worlds.families()[name], worlds.held_pins()
    kept = {package: held[package] for package in worlds.HELD}
    found = worlds.resolve([without_caps(need) for need in entry["needs"]], kept, entry.get("source", []))
    new = [pin for pin in found if held.get(worlds.name_of(pin)) != pin.split("==")[1]]
    return [pin for pin in new if not pin.startswith(("nvidia-", "cuda-", "triton", *worlds.HELD))]


def outcome(record: dict) -> str:
    return "runs" if record["ran"] else f"does not run: {record['error']}"


def compare(name: str, stored: dict, now: dict) -> list[str]:
    """A row of the report: mended, broken, the same; what came of it; what differs in its releases."""
    change = {(True, False): "broken", (False, True): "mended"}.get((stored["ran"], now["ran"]), "the same")
    before = dict(pin.split("==") for pin in stored["pins"] if "==" in pin)
    differ = [pin for pin in now["pins"] if "==" in pin and before.get(pin.split("==")[0]) != pin.split("==")[1]]
    return [name, change, worlds_page.plain(outcome(now)), ", ".join(differ[:6]) or "none"]


def newest(names: list[str]) -> str:
    """Run each family with its newest releases and tell what changed."""
    stored, rows = worlds_page.records_of(store.RESULTS), []
    for name in names:
        print(f"{name} ...", flush=True)
        try:
            now = worlds.try_family(name, pins=newest_pins(name))
        except worlds.Refused as refusal:
            now = {"ran": False, "error": str(refusal), "pins": []}
        rows.append(compare(name, stored[name], now))
    return "# Worlds with their newest releases\n\n" + table(["family", "", "now", "releases that differ"], rows) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["lock", "try", "newest"])
    parser.add_argument("families", nargs="*", default=[], metavar="FAMILY", help="all of them if none is named")
    chosen = parser.parse_args()
    names = chosen.families or list(worlds.families())
    if unknown := [name for name in names if name not in worlds.families()]:
        parser.error(f"examples/worlds/families.toml has no {' and no '.join(unknown)}")
    if chosen.what == "lock":
        for name in names:
            print(f"{name}: {' '.join(worlds.lock(name)) or 'nothing beside the course'}")
    elif chosen.what == "try":
        for name in names:
            print(json.dumps({name: worlds.try_family(name)}, indent=1))
    else:
        text = newest(names)
        REPORT.parent.mkdir(parents=True, exist_ok=True)
        REPORT.write_text(text)
        print(text)


if __name__ == "__main__":
    main()
