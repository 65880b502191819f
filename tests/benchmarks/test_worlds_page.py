"""docs/worlds.md is what the stored results say: a card for each family, none of them empty."""

from __future__ import annotations

import re

import pytest
from made_up_results import arms

from benchmarks import page, store, worlds, worlds_page
from benchmarks.groups import worlds as group

PAGE = page.DOCS / "worlds.md"


@pytest.fixture(scope="module")
def records():
    return {name: next(iter(runs.values())) for name, runs in arms("worlds").items()}


def test_the_page_is_what_the_stored_results_say(records):
    assert PAGE.read_bytes() == worlds_page.build(store.RESULTS), "make bench-page"


def test_every_family_has_a_record_made_by_the_script_and_pins_of_now(records):
    missing = set(worlds.families()) - set(records)
    assert missing == set(), "make bench ARGS='--groups worlds'"
    stale = [name for name, record in records.items() if group.stale(name, record)]
    assert stale == [], "make bench ARGS='--groups worlds'"


def test_pictures_are_those_of_the_records_and_small(records):
    there = {path.name: path.read_bytes() for path in (page.DOCS / "worlds").glob("*")}
    assert set(there) == worlds_page.pictures(store.RESULTS)
    for name, content in there.items():
        assert name == worlds.picture_name(name.rpartition("-")[0], content), "another picture under its name"
        assert len(content) <= 30_000, name


def cards() -> dict[str, str]:
    return dict(re.findall(r"^### (.+?)\n(.*?)(?=^##|\Z)", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL))


def test_no_card_is_empty(records):
    by_title = {entry["title"]: name for name, entry in worlds.families().items()}
    assert set(cards()) == {entry["title"] for name, entry in worlds.families().items() if name in records}
    for title, text in cards().items():
        record = records[by_title[title]]
        assert "**Install**" in text and "Licence: " in text and "Platform: " in text
        assert record["ran"] or "**Does not run here**" in text
        toured = "![" in text and "**Observation**" in text
        told = any(words in text for words in ("**Runs here**, as far as", "** stops here, too: `"))
        assert toured or told or not (record["ran"] or "stand_in" in record)
        assert "stand-in" not in text or "over a [stand-in]" in text or record["ran"], title


def test_what_does_not_run_names_the_first_error(records):
    for name, record in records.items():
        assert record["ran"] or (record["error"] and record["step"] in ("install", "run")), name


def test_links_and_anchors_of_the_page_lead_somewhere():
    text = PAGE.read_text()
    headings = {worlds_page.anchor(title) for title in re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)}
    for target in re.findall(r"\]\(([^)]+)\)", text):
        assert target[1:] in headings if target.startswith("#") else (page.DOCS / target).exists(), target


def test_without_results_it_says_how_to_get_them(tmp_path):
    assert "Not measured yet: `make bench" in worlds_page.build(tmp_path).decode()


def test_a_record_that_ran_and_one_that_did_not_differ_on_the_page(records):
    ran = next(name for name, record in records.items() if record["ran"])
    entry = worlds.families()[ran]
    assert not [line for line in worlds_page.card(ran, entry, records[ran]) if "Does not run" in line]
    broken = records[ran] | {"ran": False, "error": "E: `no`|x"}
    assert [line for line in worlds_page.card(ran, entry, broken) if "`E: 'no'/x`" in line]
