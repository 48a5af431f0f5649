"""The pages of the book as a reader sees them: over http, as a file, by day and by night, on a desk and on a phone.

Every page is read once; of the listings of source code, which all look alike, one. What takes longer is done with one page
of each kind, and by night with all.
"""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, TimeoutError

PATIENCE = 180_000  # milliseconds: a surface drawn by software on two busy cores takes a minute
ROOT = Path(__file__).parents[2]
HTML = ROOT / "_build/html"
WRITTEN = [path for path in HTML.rglob("*.html") if "_static" not in path.parts]  # there lie the theme's templates
FOUND = sorted(path.relative_to(HTML).as_posix() for path in WRITTEN if path.name != "index.html" or path.parent != HTML)
LISTINGS = [page for page in FOUND if page.startswith("_modules/")]
PAGES = [page for page in FOUND if page not in LISTINGS] + LISTINGS
SCREENSHOTS = ROOT / "_build/screenshots"
PREVIEW = re.compile("<template.*?</template>", re.DOTALL)
WITH_MATH = {page for page in PAGES if 'class="math' in PREVIEW.sub("", (HTML / page).read_text(encoding="utf-8"))}
WITH_PLOTLY = {page for page in PAGES if "plotly-graph-div" in (HTML / page).read_text(encoding="utf-8")}
CHAPTERS = [page for page in PAGES if (HTML / "notebooks" / f"{Path(page).stem}.ipynb").is_file() and "chapters/" in page]
MODES = (("light", 1400), ("dark", 390), ("dark", 1400), ("light", 390))
AXE = Axe()


def kind(page: str) -> str:
    """Name what a page has in common with others, so that one can stand for them."""
    if page in LISTINGS:
        return "listing"
    if page in CHAPTERS:
        return "chapter with a surface" if page in WITH_PLOTLY else "chapter"
    return "reference" if page.startswith("package/") else page  # the others are each of a kind of their own


READ = {page for page in PAGES if page not in LISTINGS[1:]}
OF_EACH_KIND = set({kind(page): page for page in reversed(PAGES)}.values())


def among(daily: set[str], pages: list[str] = PAGES) -> list:
    """Return the pages, in their order, all but the `daily` ones for the nightly tests."""
    return [page if page in daily else pytest.param(page, marks=pytest.mark.nightly) for page in pages] or ["no page"]


every_page = pytest.mark.parametrize("visited", among(READ), indirect=True, scope="module")
one_of_each_kind = pytest.mark.parametrize("visited", among(OF_EACH_KIND), indirect=True, scope="module")


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
    page.evaluate("() => [...document.images].forEach(image => { image.loading = 'eager' })")
    page.wait_for_function("() => [...document.images].every(image => image.complete)", timeout=PATIENCE)
    if page.locator(".plotly-graph-div").count():
        page.wait_for_function("() => !document.querySelector('.plotly-graph-div:not(:has(.main-svg))')", timeout=PATIENCE)
    return seen


# the theme looks 300 ms after a change what scrolls now, and lets the keyboard go there; the page counts, for it may be busy
SETTLED = "() => new Promise(done => requestAnimationFrame(() => setTimeout(done, 500)))"
REACHED = """() => [...document.querySelectorAll("pre")].every(
    (pre) => !pre.offsetParent || pre.scrollWidth <= pre.clientWidth || pre.tabIndex >= 0)"""


def show(page: Page, theme: str, width: int = 1400) -> None:
    """Show an open page by day or by night, on a desk or on a phone."""
    page.emulate_media(color_scheme=theme, reduced_motion="reduce")
    page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
    page.set_viewport_size({"width": width, "height": 900})
    page.wait_for_function("width => innerWidth === width", arg=width)
    page.evaluate(SETTLED)
    with suppress(TimeoutError):  # then the test of accessibility says what cannot be reached
        page.wait_for_function(REACHED, timeout=5000)


@pytest.fixture(scope="module")
def visited(request: pytest.FixtureRequest, html: Path, address: str, browser: Browser) -> Iterator[tuple[str, Visit]]:
    """Each page in turn, opened once for all tests of this file."""
    seen = visit(browser, f"{address}/{request.param}")
    yield request.param, seen
    seen.page.context.close()


@every_page
def test_a_page_asks_no_other_host(visited, address):
    _, seen = visited
    assert [url for url in seen.requests if not url.startswith((f"{address}/", "data:", "blob:"))] == []


@every_page
def test_a_page_loads_without_an_error(visited):
    _, seen = visited
    assert seen.errors == []


@every_page
def test_every_image_is_there(visited):
    _, seen = visited
    broken = "() => [...document.images].filter(image => !image.complete || !image.naturalWidth).map(image => image.src)"
    assert seen.page.evaluate(broken) == []


@every_page
def test_math_is_typeset_and_none_is_left_as_source(visited):
    name, seen = visited
    drawn = seen.page.locator("mjx-container > mjx-math > *").count()
    assert (drawn > 0) is (name in WITH_MATH)
    assert seen.page.locator("mjx-merror, .MathJax_Error").count() == 0
    prose = seen.page.locator("main").evaluate("""(article) => {
        const copy = article.cloneNode(true);
        copy.querySelectorAll('pre, code, script, mjx-container, .plotly-graph-div').forEach((node) => node.remove());
        return copy.textContent }""")
    assert re.findall(r"\$[^$\n]+\$|\\[()\[\]]|\\(?:frac|rho|theta|mathbb|tfrac)\b", prose) == []


@every_page
def test_surfaces_are_drawn(visited):
    name, seen = visited
    assert (seen.page.locator(".plotly-graph-div .main-svg").count() > 0) is (name in WITH_PLOTLY)
    scenes = seen.page.locator(".plotly-graph-div:has(.gl-container > *)")
    assert scenes.locator("canvas").count() >= scenes.count()
    assert seen.page.get_by_text("WebGL is not supported").count() == 0


@every_page
def test_every_figure_has_an_alternative_text(visited):
    _, seen = visited
    silent = "elements => elements.filter(e => !(e.alt ?? e.getAttribute('aria-label') ?? '').trim()).map(e => e.outerHTML)"
    assert seen.page.locator("article img, article svg[role=img], .demod-interactive").evaluate_all(silent) == []
    figures = seen.page.locator("article figure img").evaluate_all("images => images.map(image => image.alt)")
    assert [alt for alt in figures if len(alt) < 20 or alt.startswith(("../", "/"))] == []  # a description, not a name


def look_at(name: str, page: Page, theme: str, width: int) -> None:
    """Show the page in a mode, photograph it, and see that it does not scroll sideways."""
    show(page, theme, width)
    wide = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(wide) <= 0
    path = SCREENSHOTS / f"{name.removesuffix('.html').replace('/', '-')}-{theme}-{width}.png"
    page.screenshot(path=path, full_page=True, timeout=PATIENCE, animations="disabled")  # sidebars slide
    assert path.stat().st_size > 0


@every_page
def test_a_page_does_not_scroll_sideways_and_is_photographed(visited):
    name, seen = visited
    look_at(name, seen.page, *MODES[0])


@one_of_each_kind
def test_a_page_is_as_wide_as_its_window_by_night_and_on_a_phone(visited):
    name, seen = visited
    for theme, width in MODES[1:]:
        look_at(name, seen.page, theme, width)


@one_of_each_kind
def test_a_page_has_no_serious_violation_of_the_rules_of_accessibility(visited):
    _, seen = visited
    for theme, width in MODES[:2]:
        show(seen.page, theme, width)
        found = AXE.run(seen.page).response["violations"]
        serious = [violation for violation in found if violation["impact"] in ("serious", "critical")]
        assert [f"{theme} {width} {v['id']}: {node['html'][:200]}" for v in serious for node in v["nodes"]] == []


@every_page
def test_the_tab_key_goes_to_the_text_in_reading_order_and_shows_where_it_is(visited):
    _, seen = visited
    show(seen.page, "light")
    assert seen.page.locator("[tabindex]").evaluate_all("elements => elements.filter(e => e.tabIndex > 0).length") == 0
    seen.page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0) }")
    seen.page.keyboard.press("Tab")
    assert seen.page.evaluate("() => document.activeElement.textContent").strip() == "Skip to main content"
    link = seen.page.locator("article a:visible").first
    if link.count():
        link.focus()
        seen.page.keyboard.press("Shift+Tab")
        seen.page.keyboard.press("Tab")
        assert link.evaluate("link => link === document.activeElement")
        assert link.evaluate("link => getComputedStyle(link).outlineStyle !== 'none'")


@every_page
def test_a_figure_lies_on_white_in_the_dark(visited):
    _, seen = visited
    seen.page.evaluate("() => { document.documentElement.dataset.theme = 'dark' }")
    colours = seen.page.locator(".cell_output img").evaluate_all(
        "images => images.map(i => getComputedStyle(i).backgroundColor)"
    )
    assert set(colours) <= {"rgb(255, 255, 255)"}


@pytest.mark.parametrize("name", among(OF_EACH_KIND))
def test_a_page_works_as_a_file(html, browser, name):
    seen = visit(browser, (html / name).as_uri())
    assert seen.errors == []
    assert [url for url in seen.requests if not url.startswith((html.as_uri(), "data:", "blob:"))] == []
    assert (seen.page.locator("mjx-container > mjx-math > *").count() > 0) is (name in WITH_MATH)
    assert (seen.page.locator(".plotly-graph-div .main-svg").count() > 0) is (name in WITH_PLOTLY)
    seen.page.context.close()


# Figures that move


@pytest.fixture(scope="module")
def moving(html, address, browser) -> Iterator[Page]:
    """The chapter on the population landscape: a surface with a slider."""
    seen = visit(browser, f"{address}/chapters/population.html")
    yield seen.page
    seen.page.context.close()


def test_a_slider_is_moved_by_the_arrow_keys_and_says_its_value(moving):
    slider = moving.locator(".demod-interactive input[type=range]")
    visible = "() => document.querySelector('.plotly-graph-div').data.map(trace => trace.visible)"
    before, value = moving.evaluate(visible), slider.get_attribute("aria-valuetext")
    slider.focus()
    moving.keyboard.press("ArrowRight")
    moving.wait_for_function(f"before => JSON.stringify(({visible})()) !== JSON.stringify(before)", arg=before)
    assert slider.get_attribute("aria-valuetext") != value
    assert moving.evaluate(visible).count(True) == before.count(True)


def test_a_surface_is_turned_by_the_arrow_keys(moving):
    plot = moving.locator(".plotly-graph-div")
    eye = "plot => { const { x, y, z } = plot.layout.scene.camera.eye; return [Math.hypot(x, y, z), Math.atan2(y, x), z] }"
    distance, azimuth, height = plot.evaluate(eye)
    plot.focus()
    moving.keyboard.press("ArrowRight")
    moving.keyboard.press("ArrowUp")
    moving.wait_for_timeout(500)
    now = plot.evaluate(eye)
    assert now[0] == pytest.approx(distance)
    assert now[1] == pytest.approx(azimuth + 3.14159 / 18, abs=1e-4)
    assert now[2] > height


# The book as a whole


@pytest.mark.parametrize("name", among(OF_EACH_KIND, CHAPTERS))
def test_every_chapter_can_be_downloaded_as_a_notebook(html, address, browser, name):
    page = browser.new_page()
    page.goto(f"{address}/{name}", timeout=PATIENCE)
    for link in page.get_by_role("link", name=re.compile("^(the notebook, to be run|with the outputs shown here)$")).all():
        with page.expect_download() as download:
            link.click()
        notebook = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
        assert notebook["nbformat"] == 4
        assert len(notebook["cells"]) > 3
    assert page.get_by_role("link", name="the notebook, to be run").count() == 1
    page.close()


def test_every_name_in_the_table_of_symbols_leads_to_its_entry(html, browser, address):
    page = browser.new_page()
    page.goto(f"{address}/chapters/symbols.html", timeout=PATIENCE)
    names = page.locator("article code.py-obj")
    assert names.count() >= 40
    assert names.evaluate_all("names => names.filter(name => !name.closest('a')).map(name => name.textContent)") == []
    page.close()


def test_the_whole_book_is_at_most_sixty_megabytes(html):
    assert sum(path.stat().st_size for path in html.rglob("*") if path.is_file()) <= 60e6


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
