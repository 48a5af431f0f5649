"""Every page of the book as a reader sees it: over http, as a file, by day and by night, on a desk and on a phone."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

PATIENCE = 180_000  # milliseconds: a surface drawn by software on two busy cores takes a minute
ROOT = Path(__file__).parents[2]
HTML = ROOT / "_build/html"
PAGES = sorted(path.relative_to(HTML).as_posix() for path in (HTML / "chapters").glob("*.html"))
SCREENSHOTS = ROOT / "_build/screenshots"
WITH_MATH = {page for page in PAGES if 'class="math' in (HTML / page).read_text(encoding="utf-8")}
WITH_PLOTLY = {page for page in PAGES if "plotly-graph-div" in (HTML / page).read_text(encoding="utf-8")}


@dataclass
class Visit:
    """A page that was opened, and what went wrong meanwhile."""

    page: Page
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def visit(browser: Browser, url: str) -> Visit:
    """Open `url` on a desk by day, and wait until math and surfaces are drawn."""
    page = browser.new_context(viewport={"width": 1400, "height": 900}, color_scheme="light").new_page()
    seen = Visit(page)
    page.on("request", lambda request: seen.requests.append(request.url))
    page.on("requestfailed", lambda request: seen.errors.append(f"{request.url}: {request.failure}"))
    page.on("console", lambda message: seen.errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.goto(url, timeout=PATIENCE)
    page.evaluate("async () => { await window.MathJax?.startup?.promise; await document.fonts.ready }")
    if page.locator(".plotly-graph-div").count():
        page.wait_for_function("() => !document.querySelector('.plotly-graph-div:not(:has(.main-svg))')", timeout=PATIENCE)
    return seen


@pytest.fixture(scope="module", params=PAGES or ["no page"])
def visited(request: pytest.FixtureRequest, html: Path, address: str, browser: Browser) -> Iterator[tuple[str, Visit]]:
    """Each page in turn, opened once for all tests of this file."""
    seen = visit(browser, f"{address}/{request.param}")
    yield request.param, seen
    seen.page.context.close()


def test_a_page_asks_no_other_host(visited, address):
    _, seen = visited
    assert [url for url in seen.requests if not url.startswith((f"{address}/", "data:", "blob:"))] == []


def test_a_page_loads_without_an_error(visited):
    _, seen = visited
    assert seen.errors == []


def test_every_image_is_there(visited):
    _, seen = visited
    broken = "() => [...document.images].filter(image => !image.complete || !image.naturalWidth).map(image => image.src)"
    assert seen.page.evaluate(broken) == []


def test_math_is_typeset_and_none_is_left_as_source(visited):
    name, seen = visited
    drawn = seen.page.locator("mjx-container > mjx-math > *").count()
    assert (drawn > 0) is (name in WITH_MATH)
    assert seen.page.locator("mjx-merror, .MathJax_Error").count() == 0
    prose = seen.page.locator("article").evaluate("""(article) => {
        const copy = article.cloneNode(true);
        copy.querySelectorAll('pre, code, script, mjx-container, .plotly-graph-div').forEach((node) => node.remove());
        return copy.textContent }""")
    assert re.findall(r"\$[^$\n]+\$|\\[()\[\]]|\\(?:frac|rho|theta|mathbb|tfrac)\b", prose) == []


def test_surfaces_are_drawn(visited):
    name, seen = visited
    assert (seen.page.locator(".plotly-graph-div .main-svg").count() > 0) is (name in WITH_PLOTLY)
    scenes = seen.page.locator(".plotly-graph-div:has(.gl-container > *)")
    assert scenes.locator("canvas").count() >= scenes.count()
    assert seen.page.get_by_text("WebGL is not supported").count() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 390])
def test_a_page_does_not_scroll_sideways_and_is_photographed(visited, theme, width):
    name, seen = visited
    seen.page.emulate_media(color_scheme=theme)
    seen.page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
    seen.page.set_viewport_size({"width": width, "height": 900})
    seen.page.wait_for_function("width => innerWidth === width", arg=width)
    wide = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert seen.page.evaluate(wide) <= 0
    path = SCREENSHOTS / f"{Path(name).stem}-{theme}-{width}.png"
    seen.page.screenshot(path=path, full_page=True, timeout=PATIENCE, animations="disabled")  # sidebars slide
    assert path.stat().st_size > 0


def test_a_figure_lies_on_white_in_the_dark(visited):
    _, seen = visited
    seen.page.evaluate("() => { document.documentElement.dataset.theme = 'dark' }")
    colours = seen.page.locator(".cell_output img").evaluate_all(
        "images => images.map(i => getComputedStyle(i).backgroundColor)"
    )
    assert set(colours) <= {"rgb(255, 255, 255)"}


@pytest.mark.parametrize("name", sorted(WITH_PLOTLY)[:1] or ["no page with a surface"])
def test_a_page_works_as_a_file(html, browser, name):
    seen = visit(browser, (html / name).as_uri())
    assert seen.errors == []
    assert [url for url in seen.requests if not url.startswith((html.as_uri(), "data:", "blob:"))] == []
    assert seen.page.locator("mjx-container > mjx-math > *").count() > 0
    assert seen.page.locator(".plotly-graph-div .main-svg").count() > 0
    seen.page.context.close()


def test_the_first_page_is_found_from_the_index(html, browser, address):
    page = browser.new_page()
    page.goto(f"{address}/index.html", timeout=PATIENCE)
    page.wait_for_url("**/chapters/*.html", timeout=PATIENCE)
    assert page.locator(".bd-article h1").count() == 1
    page.close()


def test_the_book_can_be_searched_without_a_network(html, browser, address):
    page = browser.new_page()
    page.goto(f"{address}/search.html?q=landscape", timeout=PATIENCE)
    page.wait_for_selector("ul.search li a", timeout=PATIENCE)
    assert page.locator("ul.search li a", has_text=re.compile("landscape", re.IGNORECASE)).count() > 0
    page.close()
