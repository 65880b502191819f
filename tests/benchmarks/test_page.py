"""docs/benchmark.md is what the stored results say, group by group."""

from __future__ import annotations

import re

import pytest
from made_up_results import results_of, store_made_up, text_of

from benchmarks import page, store
from benchmarks.groups import groups


def test_the_page_is_what_the_stored_results_say():
    files = page.build(store.RESULTS)
    assert {name for name, content in files.items() if (page.DOCS / name).read_bytes() != content} == set(), (
        "make bench-page"
    )
    drawn = {f"benchmark/{path.name}" for path in (page.DOCS / "benchmark").glob("*")}
    assert drawn == {name for name in files if name.startswith("benchmark/")}


def test_links_of_the_page_point_to_files_that_exist():
    targets = re.findall(r"\]\(([^)]+)\)", (page.DOCS / "benchmark.md").read_text())
    local = [target for target in targets if not target.startswith("http")]
    assert local and all((page.DOCS / target).exists() for target in local)


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """A folder with results of every group."""
    folder = tmp_path_factory.mktemp("everything")
    store_made_up(folder, {name: results_of(name) for name in groups()})
    return folder


@pytest.fixture(scope="module")
def built(everything):
    return page.build(everything)


class TestPage:
    def test_without_any_results_it_says_so_for_every_group(self, tmp_path):
        files = page.build(tmp_path)
        text = files["benchmark.md"].decode()
        assert set(files) == {"benchmark.md"} and text.count("Not measured") == len(groups())
        assert text.count("not measured yet") == 6, "and for every target"

    @pytest.mark.parametrize("measured", groups())
    def test_each_group_is_shown_without_the_others(self, tmp_path, measured):
        store_made_up(tmp_path, {measured: results_of(measured)})
        text = text_of(tmp_path)
        missing = re.findall(r"Not measured.*?--groups (\w+)'", text)
        assert missing == [name for name in groups() if name != measured]
        assert text.count("**Answer.**") == text.count("**How it was measured.**") == text.count("**Limits.**") == 1

    def test_the_same_results_give_the_same_bytes(self, everything, built):
        assert page.build(everything) == built

    def test_every_figure_has_words_with_its_numbers(self, built):
        words = dict(re.findall(r"!\[([^\]]+)\]\((.+?)\)", built["benchmark.md"].decode()))
        assert sorted(words.values()) == sorted(name for name in built if name.endswith(".svg")) and len(words) == 10
        assert all(re.search(r"\d", text) for text in words)

    def test_writing_removes_figures_it_no_longer_has(self, tmp_path, capsys):
        store_made_up(tmp_path, {name: results_of(name) for name in ("notebooks", "gpu")})
        docs = tmp_path / "docs"
        for expected in ({"notebooks", "gpu"}, {"notebooks"}):
            page.write(tmp_path, docs)
            assert {path.stem for path in (docs / "benchmark").glob("*.svg")} == expected
            assert f"and {len(expected)} figures" in capsys.readouterr().out
            (tmp_path / "gpu.json").unlink(missing_ok=True)
