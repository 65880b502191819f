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
}
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
        ("#2-four-plans", "docs/teaching.md", "#2-four-plans"),
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
    page = site.readable("## Look  (about 3 min to here)\nfirst\n### Try it  (4 min)\n## f(x) and (more)")
    headings = [line for line in page.splitlines() if line.startswith("#")]
    assert headings == ["## Look", "### Try it", "## f(x) and (more)"]
    assert "about 3 min to here" in page and "\n\nfirst" in page


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
        assert (one.foreign, one.failed, one.errors) == ([], [], [])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("viewport", "theme"), [(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop-light", "phone-dark"]
)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_opens_without_a_complaint_fits_its_screen_and_is_accessible(name, viewport, theme, reader):
    from axe_playwright_python.sync_playwright import Axe

    page = reader(viewport, theme).open(name)
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    unseen = "images => images.filter(image => !image.complete || !image.naturalWidth).map(image => image.alt)"
    assert page.locator("main img:not([loading=lazy])").evaluate_all(unseen) == []

    page.locator("main details").evaluate_all("all => all.forEach(one => one.open = true)")
    # What is opened fades in, and is pale until it has.
    page.evaluate("() => Promise.allSettled(document.getAnimations().map(one => one.finished))")
    page.evaluate(ONE_OF_EACH_TOKEN)
    # `preload` would fetch the style sheets once more.
    options = {"preload": False, "resultTypes": ["violations"]}
    found = Axe().run(page, options=options).response["violations"]
    found = [item for item in found if item["impact"] in ("serious", "critical")]
    assert not found, [(item["id"], node["html"][:200]) for item in found for node in item["nodes"]]


@pytest.mark.slow
def test_formulas_are_drawn(reader, built):
    with_formulas = [name for name in PAGES if soup(built / name).select("span.math, div.math")]
    assert set(with_formulas) & set(NOTEBOOKS) and "docs/glossary.html" in with_formulas
    one = reader()
    for name in with_formulas:
        page = one.open(name)
        written, drawn = page.locator(".math").count(), page.locator(".math mjx-container svg").count()
        assert written == drawn > 0, name
        assert page.locator("mjx-merror, [data-mjx-error]").count() == 0, name


@pytest.mark.slow
def test_videos_play(reader, built):
    with_videos = [name for name in PAGES if soup(built / name).find("video")]
    assert with_videos
    one = reader()
    for name in with_videos:
        page = one.open(name)
        for video in page.locator("video").all():
            video.evaluate("video => video.play()")
            handle = video.element_handle()
            page.wait_for_function("video => video.currentTime > 0 && video.duration > 0", arg=handle, timeout=20_000)


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


def outputs(name: str) -> list[str]:
    """What the cells of a page's notebook show as HTML."""
    notebook = nbformat.read(ROOT / name.replace(".html", ".ipynb"), as_version=4)
    shown = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
    return [data["text/html"] for data in shown if "text/html" in data]


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_whatever_the_notebook_shows_is_there_to_see(name, reader):
    page = reader().open(name)
    shown = page.locator(".cell_output .text_html")
    expected = outputs(name)
    assert shown.count() == len(expected) > 0
    for place, html in zip(shown.all(), expected, strict=True):
        content = place.locator("xpath=./*").first
        assert content.is_visible() and content.bounding_box()["height"] > 10, html[:200]
        words = BeautifulSoup(html, "html.parser").get_text()
        assert re.sub(r"\s", "", place.inner_text())[:20] in re.sub(r"\s", "", words)


@pytest.mark.slow
def test_widgets_leave_their_still_form(reader):
    invitation = "Run this cell to"
    with_widgets = [name for name in NOTEBOOKS if any(invitation in html for html in outputs(name))]
    assert with_widgets
    one = reader()
    for name in with_widgets:
        forms = one.open(name).locator(".cell_output .text_html", has_text=invitation)
        assert forms.count() == sum(invitation in html for html in outputs(name))
        for form in forms.all():
            for summary in form.locator("summary").all():
                summary.click()
            assert form.get_by_text(invitation).is_visible()
            assert form.locator("img, table").first.is_visible()


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_solutions_are_folded_and_open_on_a_click(name, reader):
    notebook = nbformat.read(ROOT / name.replace(".html", ".ipynb"), as_version=4)
    solutions = [cell for cell in notebook.cells if "solution" in cell.metadata.get("tags", [])]
    page = reader().open(name)
    folded = page.locator("details.hide.below-input, details.hide.above-input", has_text="Solution")
    assert folded.count() == len(solutions) > 0
    for fold, cell in zip(folded.all(), solutions, strict=True):
        code = fold.locator("pre")
        assert not code.is_visible()
        fold.locator("summary").click()
        assert code.is_visible()
        assert code.inner_text().strip() == re.sub(r"# @title.*\n", "", cell.source).strip()


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
