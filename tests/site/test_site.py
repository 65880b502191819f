"""The web pages: everything is there, leads somewhere, can be read, and asks nobody else for anything."""

from __future__ import annotations

import functools
import json
import re
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import nbformat
import pytest
from bs4 import BeautifulSoup
from conftest import ROOT
from decks import slides_of

from tools import browser, site, slides
from tools.course import Publication, lessons

PLACES = site.sources()
NOTEBOOKS = [f"{place.removesuffix('.ipynb')}.html" for place in PLACES if place.endswith(".ipynb")]
GUIDES = [f"{place.removesuffix('.md')}.html" for place in PLACES if place.endswith(".md")]
PAGES = [*GUIDES, *NOTEBOOKS, "slides/index.html", "search.html"]
DECKS = slides.decks()
FOREIGN = {
    "github.com",
    "colab.research.google.com",
    "arxiv.org",
    # the documentation of lesson 13's libraries
    "docs.cleanrl.dev",
    "docs.pytorch.org",
    "docs.ray.io",
    "facebookresearch.github.io",
    "puffer.ai",
    "stable-baselines3.readthedocs.io",
    "tianshou.org",
    # what the collections of records are, by their own pages
    "huggingface.co",
    "minari.farama.org",
    "www.tensorflow.org",
}
STILL = "course-still"  # the class of a widget's still form
DESKTOP, PHONE = {"width": 1400, "height": 1000}, {"width": 390, "height": 850}
GROUND = "() => Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])"  # its red, of 255

# Contrast is what takes long, and the tokens of a kind have one colour on one ground, so one of them will do.
ONE_OF_EACH_TOKEN = """() => {
  const seen = new Set();
  for (const token of document.querySelectorAll("main .highlight span[class]")) {
    if (seen.has(token.className)) token.style.visibility = "hidden";
    seen.add(token.className);
  }
}"""


@pytest.mark.parametrize(
    ("link", "place", "wanted"),
    [
        (
            "REPO/blob/0123abc/docs/glossary.md#td-error",
            "notebooks/01_environments.ipynb",
            "../docs/glossary.md#td-error",
        ),
        ("02_tensordict.ipynb", "notebooks/01_environments.ipynb", "02_tensordict.ipynb"),
        ("notebooks/07_dqn.ipynb", "index.md", "notebooks/07_dqn.ipynb"),
        ("../README.md#two-commands", "docs/teaching.md", "../index.md#two-commands"),
        ("../benchmarks/results", "docs/benchmark.md", "REPO/tree/0123abc/benchmarks/results"),
        ("LICENSE", "index.md", "REPO/blob/0123abc/LICENSE"),
        ("REPO/blob/0123abc/pyproject.toml", "notebooks/01_environments.ipynb", "REPO/blob/0123abc/pyproject.toml"),
        ("#2-five-plans", "docs/teaching.md", "#2-five-plans"),
        ("https://arxiv.org/abs/2108.13264", "docs/benchmark.md", "https://arxiv.org/abs/2108.13264"),
        ("nowhere.md", "docs/teaching.md", "nowhere.md"),
    ],
)
def test_a_link_leads_to_a_page_where_there_is_one_and_else_to_the_repository(monkeypatch, link, place, wanted):
    published = Publication("https://example.org/owner/name", "0123abc")
    monkeypatch.setattr(site, "publication", lambda: published)
    link, wanted = (address.replace("REPO", published.address) for address in (link, wanted))
    assert site.relinked(f"see [it]({link}).", place, PLACES) == f"see [it]({wanted})."


def test_without_an_address_words_that_linked_to_what_is_no_page_are_words(monkeypatch):
    monkeypatch.setattr(site, "publication", lambda: None)
    assert (
        site.relinked("[a](../benchmarks/results) and [b](glossary.md)", "docs/benchmark.md", PLACES)
        == "a and [b](glossary.md)"
    )


def test_minutes_stand_below_their_heading():
    page = site.readable(
        "## Look  (about 3 min to here)\nfirst\n### Try it  (4 min)\n## f(x) and (more)\n"
        "## Far  (about 9 min to here) (deeper)"
    )
    headings = [line for line in page.splitlines() if line.startswith("#")]
    assert headings == ["## Look", "### Try it", "## f(x) and (more)", "## Far (deeper)"]
    assert "about 3 min to here" in page and "\n\nfirst" in page


def test_a_picture_that_is_another_one_in_the_dark_follows_the_theme_of_the_page():
    page = site.readable(
        '# A\n\n<picture>\n  <source media="(prefers-color-scheme: dark)" srcset="docs/dark.webp">\n'
        '  <img src="docs/light.webp" alt="a pole" width="800">\n</picture>\n\nWords.'
    )
    assert "<picture" not in page and page.endswith("```\n\nWords.") and page.startswith("# A\n\n```{image} docs/light")
    for theme in ("light", "dark"):
        assert f"```{{image}} docs/{theme}.webp\n:alt: a pole\n:class: only-{theme}\n```" in page


def test_every_term_of_the_glossary_stands_under_its_letter():
    headings = re.findall(r"^(##+) (.+)$", (ROOT / "docs" / "glossary.md").read_text(), flags=re.MULTILINE)
    letter = ""
    for level, words in headings:
        letter = words if level == "##" else letter
        assert words[0].upper() == letter, f"{words!r} stands under {letter!r}"


def test_a_missing_npm_is_named_with_the_fix(monkeypatch, tmp_path):
    (tmp_path / "package-lock.json").write_bytes((site.SETTINGS / "package-lock.json").read_bytes())
    monkeypatch.setattr(site, "SETTINGS", tmp_path)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(site.SiteError, match="install Node.js"):
        site.fetch_scripts()


def test_scripts_are_fetched_again_when_the_lock_has_moved_on(monkeypatch, tmp_path):
    lock = {"packages": {"": {}, "node_modules/mathjax": {"version": "2"}}}
    (tmp_path / "package-lock.json").write_text(json.dumps(lock))
    (tmp_path / "node_modules").mkdir()
    installed = tmp_path / "node_modules" / ".package-lock.json"
    monkeypatch.setattr(site, "SETTINGS", tmp_path)
    monkeypatch.setenv("PATH", "")  # whoever wants npm now fails
    installed.write_text(json.dumps({"packages": {"node_modules/mathjax": {"version": "2"}}}))
    site.fetch_scripts()
    installed.write_text(json.dumps({"packages": {"node_modules/mathjax": {"version": "1"}}}))
    with pytest.raises(site.SiteError):
        site.fetch_scripts()


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    if browser.find() is None and not browser.required():
        pytest.skip(f"There is no browser on this machine. {browser.FIX}")
    folder = tmp_path_factory.mktemp("site")
    site.build(folder / "pages", folder / "work")
    return folder / "pages"


@functools.cache
def soup(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(), "html.parser")


def addresses(page: BeautifulSoup) -> tuple[set[str], set[str]]:
    """What a page leads to, and what it loads."""
    loaded = {tag[name] for name in ("src", "poster", "data") for tag in page.find_all(attrs={name: True})}
    loaded |= {tag["href"] for tag in page.find_all("link", href=True)}
    leads = {tag["href"] for tag in page.find_all("a", href=True)}
    return leads, {address for address in loaded if not address.startswith("data:")}


def problem(page: Path, address: str, root: Path) -> str | None:
    """Why an address within the site leads nowhere; None where it does not."""
    parts = urlsplit(urljoin(page.as_uri(), address))
    file = Path(unquote(parts.path))
    if not file.is_relative_to(root):
        return f"{address} leaves the site"
    if not file.is_file():
        return f"{address}: no such file"
    anchor = unquote(parts.fragment)
    if anchor and file.suffix == ".html" and not soup(file).find(attrs={"id": anchor}):
        return f"{address}: no such anchor"
    return None


@pytest.mark.slow
def test_every_link_and_anchor_leads_somewhere(built):
    pages = sorted(built.rglob("*.html"))
    pages = [page for page in pages if "_static" not in page.parts]
    assert {page.relative_to(built).as_posix() for page in pages} >= {*PAGES, *(f"slides/{d.stem}.html" for d in DECKS)}
    wrong = []
    for page in pages:
        leads, loaded = addresses(soup(page))
        for address in leads | loaded:
            parts = urlsplit(address)
            if not parts.scheme and not parts.netloc:
                found = problem(page, address, built)
            elif parts.scheme != "https" or parts.hostname not in FOREIGN or " " in address:
                found = f"{address} is no address that this course leads to"
            else:
                found = f"{address} is loaded from elsewhere" if address in loaded else None
            wrong += [f"{page.relative_to(built)}: {found}"] if found else []
    assert wrong == []


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_its_language_and_its_title_and_its_headings_do_not_jump(name, built):
    page = soup(built / name)
    assert page.html["lang"] == "en"
    assert re.fullmatch(r".+ [—-] TorchRL course", page.title.text.strip())
    levels = [
        int(tag.name[1]) for tag in page.select("#main-content :is(h1, h2, h3, h4, h5, h6):not(#jb-print-docs-body *)")
    ]
    assert levels.count(1) == 1
    assert all(below <= above + 1 for above, below in zip(levels, levels[1:], strict=False)), levels


@pytest.mark.slow
def test_navigation_lists_every_lesson_and_the_lessons_lead_to_the_sites_own_glossary(built):
    listed = [link["href"] for link in soup(built / "index.html").select("nav.bd-links a")]
    assert [place for place in listed if place.startswith("notebooks/")] == NOTEBOOKS
    assert len(NOTEBOOKS) == len(lessons())
    for name in NOTEBOOKS:
        leads, _ = addresses(soup(built / name))
        assert any(address.startswith("../docs/glossary.html") for address in leads), name
        assert not any("glossary.md" in address for address in leads), name


class Reader:
    """A browser on the site that may go nowhere else.

    Attributes:
        foreign: addresses that were asked for outside the site; they were refused.
        failed: addresses that were not answered.
        errors: what the pages complained about.
    """

    def __init__(self, chromium, base: str, viewport: dict, theme: str) -> None:
        self.base, self.foreign, self.failed, self.errors = base, [], [], []
        self.context = chromium.new_context(viewport=viewport, color_scheme=theme)
        self.context.route("**/*", self._let)
        self.page = self.context.new_page()
        self.page.on("requestfailed", self._note)
        self.page.on("response", lambda answer: answer.status >= 400 and self.failed.append(answer.url))
        self.page.on("console", lambda said: said.type in ("error", "warning") and self.errors.append(said.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _note(self, request) -> None:
        if request.failure != "net::ERR_ABORTED":  # a page that is left breaks off what it was still fetching
            self.failed.append(request.url)

    def _let(self, route) -> None:
        if route.request.url.startswith((self.base, "data:", "blob:")):
            route.continue_()
        else:
            self.foreign.append(route.request.url)
            route.abort()

    def complaints(self) -> tuple[list[str], list[str], list[str]]:
        return self.foreign, self.failed, self.errors

    def open(self, name: str):
        self.page.goto(f"{self.base}/{name}", wait_until="load")
        self.page.evaluate("() => window.MathJax?.startup?.promise")
        return self.page


@pytest.fixture(scope="module")
def address(built):
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=built))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def chromium(built):
    from lab_page import ARGUMENTS
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=browser.find(), args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture
def reader(chromium, address):
    readers = []

    def start(viewport=DESKTOP, theme="light"):
        readers.append(Reader(chromium, address, viewport, theme))
        return readers[-1]

    yield start
    for one in readers:
        one.context.close()
        assert one.complaints() == ([], [], [])


@pytest.fixture(scope="module", params=PAGES)
def visited(request, chromium, address):
    """The name of a page, and the page: opened once on a large light screen for all that is looked at there."""
    one = Reader(chromium, address, DESKTOP, "light")
    yield request.param, one.open(request.param)
    one.context.close()
    assert one.complaints() == ([], [], [])


def assert_it_fits(page, viewport: dict) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    unseen = "images => images.filter(image => !image.complete || !image.naturalWidth).map(image => image.alt)"
    assert page.locator("main img:not([loading=lazy])").evaluate_all(unseen) == []


def assert_it_is_accessible(page) -> None:
    """Opens all that is folded, and hides what need not be looked at."""
    from axe_playwright_python.sync_playwright import Axe

    page.locator("main details").evaluate_all("all => all.forEach(one => one.open = true)")
    # What is opened fades in, and is pale until it has.
    page.evaluate("() => Promise.allSettled(document.getAnimations().map(one => one.finished))")
    page.evaluate(ONE_OF_EACH_TOKEN)
    # `preload` would fetch the style sheets once more.
    options = {"preload": False, "resultTypes": ["violations"]}
    found = Axe().run(page, options=options).response["violations"]
    found = [item for item in found if item["impact"] in ("serious", "critical")]
    assert not found, [(item["id"], node["html"][:200]) for item in found for node in item["nodes"]]


def outputs(name: str) -> list[str]:
    """What the cells of a page's notebook show as HTML; nothing where it is none's."""
    if name not in NOTEBOOKS:
        return []
    notebook = nbformat.read(ROOT / name.replace(".html", ".ipynb"), as_version=4)
    shown = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
    return [data["text/html"] for data in shown if "text/html" in data]


def solutions(name: str) -> list[str]:
    """The code of the solutions in a page's notebook."""
    if name not in NOTEBOOKS:
        return []
    notebook = nbformat.read(ROOT / name.replace(".html", ".ipynb"), as_version=4)
    found = [cell.source for cell in notebook.cells if "solution" in cell.metadata.get("tags", [])]
    return [re.sub(r"# @title.*\n", "", source).strip() for source in found]


@pytest.mark.slow
class TestPage:
    """In this order: what is folded is looked at before it is opened, and what hides something comes last."""

    def test_it_fits_its_screen(self, visited):
        assert_it_fits(visited[1], DESKTOP)

    def test_solutions_are_folded_and_open_on_a_click(self, visited):
        name, page = visited
        folded = page.locator("details.hide.below-input, details.hide.above-input", has_text="Solution")
        assert folded.count() == len(solutions(name)) and bool(solutions(name)) == (name in NOTEBOOKS)
        for fold, source in zip(folded.all(), solutions(name), strict=True):
            code = fold.locator("pre")
            assert not code.is_visible()
            fold.locator("summary").click()
            assert code.is_visible()
            assert code.inner_text().strip() == source

    def test_whatever_the_notebook_shows_is_there_to_see(self, visited):
        name, page = visited
        shown = page.locator(".cell_output .text_html")
        assert shown.count() == len(outputs(name)) and bool(outputs(name)) == (name in NOTEBOOKS)
        for place, html in zip(shown.all(), outputs(name), strict=True):
            content = place.locator("xpath=./*[not(self::style)]").first
            assert content.is_visible() and content.bounding_box()["height"] > 10, html[:200]
            words = re.sub(r"\s", "", BeautifulSoup(html, "html.parser").get_text())
            seen = re.sub(r"\s", "", place.inner_text())
            # An episode that can be played says first at which step it stands.
            assert seen[:20] in words or "course-scrubber" in html and seen.startswith("step0,")

    def test_widgets_leave_their_still_form(self, visited):
        name, page = visited
        forms = page.locator(f".cell_output .{STILL}")
        assert forms.count() == sum(STILL in html for html in outputs(name))
        for form in forms.all():
            form.evaluate("form => form.querySelectorAll('details').forEach(fold => { fold.open = true })")
            assert form.locator("img, table, video, details").first.is_visible()

    def test_formulas_are_drawn(self, visited, built):
        name, page = visited
        formulas = soup(built / name).select("span.math, div.math")
        assert page.locator(".math").count() == page.locator(".math mjx-container svg").count() >= len(formulas)
        assert page.locator("mjx-merror, [data-mjx-error]").count() == 0

    def test_videos_play(self, visited):
        for video in visited[1].locator("video").all():
            video.evaluate("video => video.play()")
            handle = video.element_handle()
            visited[1].wait_for_function(
                "video => video.currentTime > 0 && video.duration > 0", arg=handle, timeout=20_000
            )

    def test_it_is_accessible(self, visited):
        assert_it_is_accessible(visited[1])


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_a_phone_and_is_accessible_in_the_dark(name, reader):
    page = reader(PHONE, "dark").open(name)
    assert_it_fits(page, PHONE)
    assert_it_is_accessible(page)


@pytest.mark.slow
def test_there_are_formulas_videos_and_widgets_to_look_at(built):
    pages = {name: soup(built / name) for name in PAGES}
    with_formulas = {name for name, page in pages.items() if page.select("span.math, div.math")}
    assert with_formulas & set(NOTEBOOKS) and "docs/glossary.html" in with_formulas
    assert any(page.find("video") for page in pages.values())
    assert any(STILL in html for name in NOTEBOOKS for html in outputs(name))


@pytest.mark.slow
def test_search_finds_a_word_and_leads_to_it(reader):
    page = reader().open("index.html")
    page.keyboard.press("Control+k")
    page.keyboard.type("bootstrapping")
    page.keyboard.press("Enter")
    found = page.locator("#search-results li a")
    found.first.wait_for()
    titles = found.all_inner_texts()
    assert any("Glossary" in title or "bootstrapping" in title for title in titles), titles
    found.first.click()
    page.wait_for_load_state()
    assert "bootstrapping" in page.locator("main").inner_text().lower()


@pytest.mark.slow
def test_a_page_is_dark_for_those_who_want_it_dark(reader):
    grounds = [reader(theme=theme).open("index.html").evaluate(GROUND) for theme in ("light", "dark")]
    assert grounds[0] > 200 and grounds[1] < 60


@pytest.mark.slow
def test_the_decks_are_two_clicks_away_on_screen_and_on_paper(reader):
    from playwright.sync_api import expect

    one = reader()
    page = one.open("index.html")
    page.locator("nav.bd-links").get_by_role("link", name="Slides").click()
    printed = page.locator("main table a[href$='.pdf']")
    expect(printed).to_have_count(len(DECKS))
    for link in printed.all():
        answer = one.context.request.get(urljoin(page.url, link.get_attribute("href")))
        assert answer.ok and answer.body().startswith(b"%PDF")
    links = page.locator("main table a[href$='.html']").all()
    decks = [urljoin(page.url, link.get_attribute("href")) for link in links]
    assert len(decks) == len(DECKS)
    for address in decks:
        page.goto(address)
        assert page.locator("section h1").first.is_visible()


@pytest.mark.slow
@pytest.mark.parametrize("deck", DECKS, ids=lambda deck: deck.stem)
def test_no_slide_overflows_and_no_deck_asks_for_anything(deck, built, chromium):
    from axe_playwright_python.sync_playwright import Axe

    page, asked = chromium.new_page(viewport={"width": 1280, "height": 720}), []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((built / "slides" / f"{deck.stem}.html").as_uri())
    too_large = page.locator("section[data-marpit-pagination]").evaluate_all(
        "all => all.filter(s => s.scrollHeight > s.clientHeight || s.scrollWidth > s.clientWidth || "
        "[...s.querySelectorAll('pre')].some(p => p.scrollWidth > p.clientWidth))"
        ".map(s => s.dataset.marpitPagination + ' ' + s.querySelector('h1')?.innerText)"
    )
    assert too_large == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    found = Axe().run(page, options={"runOnly": ["color-contrast", "image-alt"]}).response["violations"]
    assert not found, [node["html"][:200] for item in found for node in item["nodes"]]
    page.close()


@pytest.mark.slow
@pytest.mark.parametrize("deck", DECKS, ids=lambda deck: deck.stem)
def test_the_pdf_of_a_deck_has_a_page_and_a_note_for_every_slide(deck, built):
    from pypdf import PdfReader

    printed = PdfReader(built / "slides" / f"{deck.stem}.pdf").pages
    assert len(printed) == len(slides_of(deck))
    notes = [annotation.get_object().get("/Contents", "") for page in printed for annotation in page.get("/Annots", [])]
    assert sum("Minutes:" in note for note in notes) == len(printed)
