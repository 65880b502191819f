"""docs/worlds.md from the stored results: a card for each family of worlds, with its picture."""

from __future__ import annotations

from pathlib import Path

from benchmarks import store, worlds
from benchmarks.section import measured_with, table, upper

GROUP, FILE = "worlds", "18_worlds"
MOST_KEYS = 6  # of an observation on a card
INTRODUCTION = (
    "TorchRL wraps the environments of many libraries. This page tells which of them run, how they are installed, what "
    "their data look like, how fast they are, and where a newcomer falls. Each was tried by one script, all alike, in "
    "[examples/worlds](../examples/worlds/README.md); what it found is printed here as it was found.",
    "*Speed* is frames of all copies in a second of CPU time, with random actions, and beside it how many times the "
    "speed of one Gymnasium CartPole that is, measured in the same run. *Weighs* is what is installed beyond the "
    "course. *Tried* is what a newcomer would try, with what came of it. Licences of what was installed are those that "
    "its packages name; for the rest, and for platforms, we repeat what the projects say.",
)
KINDS = {
    "runs": "Runs here",
    "stand-in": "Does not run here; seen over a stand-in",
    "not": "Does not run here",
}


def records_of(results: Path) -> dict[str, dict]:
    """The stored record of each family, in the order of families.toml."""
    _, arms = store.read_group(results, FILE, GROUP)
    return {name: next(iter(arms[name].values())) for name in worlds.families() if name in arms}


def kind_of(record: dict) -> str:
    stood_in = "error" not in record.get("stand_in", {"error": "there is none"})
    return "runs" if record["ran"] else "stand-in" if stood_in else "not"


def seen_of(record: dict) -> dict:
    """What was seen of the world, or of its stand-in."""
    return record.get("stand_in", record) if not record["ran"] else record


def build(results: Path) -> bytes:
    """The page; the same results give the same bytes."""
    records, entries = records_of(results), worlds.families()
    lines = ["<!-- Made by `make bench-page` from benchmarks/results/; do not edit. -->", "# Worlds", *INTRODUCTION]
    stamp, arms = store.read_group(results, FILE, GROUP)
    if not records:
        return ("\n\n".join([*lines, "Not measured yet: `make bench ARGS='--groups worlds'`."]) + "\n").encode()
    lines += [measured_with(stamp, arms), overview(records, entries)]
    for kind, heading in KINDS.items():
        of_kind = [name for name, record in records.items() if kind_of(record) == kind]
        lines += [f"## {heading}"] if of_kind else []
        lines += [paragraph for name in of_kind for paragraph in card(name, entries[name], records[name])]
    if missing := [entries[name]["title"] for name in entries if name not in records]:
        lines += [
            "## Not measured yet",
            f"{', '.join(missing)}: `make bench ARGS='--groups worlds'` goes on with them.",
        ]
    return ("\n\n".join(lines) + "\n").encode()


def overview(records: dict[str, dict], entries: dict[str, dict]) -> str:
    rows = []
    for name, record in records.items():
        copies = record.get("speed", {}).get("copies", {}) if record["ran"] else {}
        speeds = ", ".join(f"{fact['cart_poles']:.2g} ({count})" for count, fact in copies.items())
        rows.append(
            [
                f"[{entries[name]['title']}](#{anchor(entries[name]['title'])})",
                {"runs": "runs", "stand-in": "no; stand-in", "not": "no"}[kind_of(record)],
                "-" if record["step"] == "install" else f"{record['megabytes']} MB",
                speeds or "-",
                entries[name]["licence"],
            ]
        )
    return table(["family", "here", "weighs", "CartPoles (at so many copies)", "licence"], rows)


def anchor(title: str) -> str:
    """The anchor that GitHub and Sphinx make of a heading."""
    kept = "".join(letter for letter in title.lower() if letter.isalnum() or letter in " -_")
    return kept.replace(" ", "-")


def card(name: str, entry: dict, record: dict) -> list[str]:
    """What the page says of one family."""
    seen, script = seen_of(record), f"../examples/worlds/{name}_world.py"
    stands_in = kind_of(record) == "stand-in"
    lines = [f"### {entry['title']}", purpose(name) or f"Wrapped by {code_list(entry['wrappers'])}."]
    if record.get("picture_file"):
        words = f"{entry['title']}: {seen.get('title', '')}; {seen.get('picture', '')}"
        lines.append(f"![{words}](worlds/{record['picture_file']})")
    facts = [
        f"**Install**: {install(entry)}; {weight(record)}"
        + (" (source, built here: " + ", ".join(entry["source"]) + ")" if entry.get("source") and record["ran"] else "")
        + f". Licence: {entry['licence']}. Platform: {entry['platform']}.",
        f"**Wrapper**: {code_list(entry['wrappers'])}"
        + (f"; script: [{name}_world.py]({script})." if worlds.script_of(name).exists() else "."),
    ]
    if not record["ran"]:
        when = "installing" if record["step"] == "install" else "running"
        tried = f" (`{entry['attempt']}`)" if record["step"] == "run" and entry.get("attempt") else ""
        facts.append(f"**Does not run here**: the first error, in {when}{tried}: `{plain(record['error'])}`")
    elif "specs" not in seen:
        facts.append(f"**Runs here**, as far as it was tried: `{entry['attempt']}`. No tour was made of it.")
    if "error" in record.get("stand_in", {}):
        facts.append(
            f"**The wrapper over a [stand-in](../examples/worlds/stand_ins/{name}.py)** stops here, too: "
            f"`{plain(record['stand_in']['error'])}`"
        )
    elif stands_in:
        facts.append(
            f"**Seen over a [stand-in](../examples/worlds/stand_ins/{name}.py)**, by the wrapper's real code. Keys and "
            "specs are the wrapper's; sizes are the stand-in's."
        )
    lines.append("\n".join(f"- {fact}" for fact in [*facts, *looks(seen)]))
    return lines


def looks(seen: dict) -> list[str]:
    """What a tour saw, a line each."""
    facts = []
    if "specs" in seen:
        specs = seen["specs"]
        facts.append(f"**World**: {seen['title']}, batch size `{specs['batch size']}`")
        for part in ("action", "observation", "reward"):
            facts.append(f"**{part.capitalize()}**: {spec_list(specs[part])}")
        facts.append(f"**Ends**: {shorten([f'`{key}`' for key in specs['done']])}")
    if "rollout" in seen:
        steps, rewards = seen["rollout"]["shape"], seen["rollout"]["mean reward"]
        facts.append(f"**Random policy**: a rollout of shape `{steps}`, mean reward {', '.join(map(str, rewards))}")
    if "check" in seen:
        facts.append(f"**`check_env_specs`**: {seen['check']}")
    if "transform" in seen:
        changed = seen["transform"]["changed"]
        facts.append(f"**Transform**: {seen['transform']['words']}: {spec_list(changed)}")
    if seen.get("speed", {}).get("copies"):
        speeds = [
            f"{fact['frames_per_core_second']:,.0f} at {count} ({fact['cart_poles']:.2g} CartPoles)"
            for count, fact in seen["speed"]["copies"].items()
        ]
        facts.append(
            f"**Frames per CPU second**: {'; '.join(speeds)}. {upper(seen['speed']['how'])}".rstrip(". ") + "."
        )
    facts += [f"**Tried**: {what}: `{plain(came)}`" for what, came in seen.get("breaks", [])]
    if "error" in seen and "specs" in seen:
        facts.append(f"**Stopped** there: `{plain(seen['error'])}`")
    return facts


def spec_list(specs: dict[str, str]) -> str:
    return shorten([f"`{name}` {spec}" for name, spec in specs.items()])


def shorten(parts: list[str]) -> str:
    more = f" and {len(parts) - MOST_KEYS} more" if len(parts) > MOST_KEYS else ""
    return "; ".join(parts[:MOST_KEYS]) + more


def code_list(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def install(entry: dict) -> str:
    wanted = " ".join(f"'{need}'" if set(need) & set("<>[") else need for need in entry["needs"])
    return f"`pip install {wanted}`" if wanted else "nothing; it comes with the course"


def weight(record: dict) -> str:
    return "nothing was installed" if record["step"] == "install" else f"weighs {record['megabytes']} MB here"


def plain(text: str) -> str:
    """Text that can stand between backticks, in a list."""
    return " ".join(text.replace("`", "'").replace("|", "/").split())


def purpose(name: str) -> str:
    """The three sentences at the top of a family's script, without its first line."""
    script = worlds.script_of(name)
    if not script.exists():
        return worlds.families()[name].get("purpose", "")
    head, _, rest = script.read_text().split('"""')[1].partition("\n\n")
    return " ".join([head.strip(), *rest.split("\n")]).strip()


def pictures(results: Path) -> set[str]:
    """The names of the pictures that the page shows."""
    return {record["picture_file"] for record in records_of(results).values() if record.get("picture_file")}


def write(results: Path, docs: Path) -> None:
    """Write the page and bring its folder of pictures in line with it."""
    (docs / "worlds").mkdir(parents=True, exist_ok=True)
    (docs / "worlds.md").write_bytes(build(results))
    shown = pictures(results)
    for name in shown:
        made = worlds.BUILT / name.rpartition("-")[0] / "picture.webp"
        if not (docs / "worlds" / name).exists() and made.exists():
            (docs / "worlds" / name).write_bytes(made.read_bytes())
    for path in (docs / "worlds").glob("*"):
        if path.name not in shown:
            path.unlink()
