"""Mentions, and what links show before they are followed: by mouse, keyboard and touch, over http and as a file."""

import re
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup
from playwright.sync_api import Browser, Page, expect

from demod_book.pages.mentions import mentions
from demod_book.pages.targets import PAPER

PATIENCE = 60_000  # milliseconds: two busy cores
LINK = 'article a.demod-mention[href$="#theorem-2"]'
NO_PROSE = "a, button, label, code, pre, script, style, .math, h1, h2, h3, h4, h5, .admonition-title, dt, .citation, summary"
OWN_NAME = re.compile(r"^\s*(Claim \w+:|Figure \w+ of the paper)")  # of a box and of a caption
KINDS = {
    "a theorem": ("conditions", LINK, "Theorem 2"),
    "an equation": ("landscape", 'article a.demod-mention[href$="#equation-2"]', ""),
    "a claim": ("verdicts", 'article a[href$="#claim-l6"]', "Claim L6"),
    "a figure": ("population", 'article a.demod-mention[href$="#fig-1a"]', "Figure 1a of the paper"),
    "a work": ("related", 'article a[href*="references.html#"]', "Aghasi"),
    "a chapter": ("intro", 'article a[href="geometry.html"]', "The geometry of the landscape"),
    "a symbol": ("symbols", 'article a[href$="#demod.expectation.contraction"]', "Return ρ_d"),
}


@pytest.fixture(params=["http", "file"])
def place(request, html, address) -> str:
    return address if request.param == "http" else html.as_uri()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of a desk that keeps the addresses it asks for."""
    context = browser.new_context(viewport={"width": 1400, "height": 900}, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    yield page
    context.close()


def preview(page: Page):
    return page.get_by_role("tooltip")


def opened(page: Page, url: str) -> list[str]:
    """Open `url` and return the list that the addresses it asks for are added to."""
    asked = list[str]()
    page.on("request", lambda request: asked.append(request.url))
    page.goto(url)
    return asked


@pytest.mark.parametrize("place", ["http", pytest.param("file", marks=pytest.mark.nightly)], indirect=True)
@pytest.mark.parametrize("kind", KINDS)
def test_a_link_shows_what_it_leads_to_and_asks_no_other_host(page, place, kind):
    name, link, shown = KINDS[kind]
    asked = opened(page, f"{place}/chapters/{name}.html")
    page.locator(link).first.hover()
    expect(preview(page)).to_contain_text(shown) if shown else expect(preview(page).locator("mjx-math")).to_have_count(1)
    page.mouse.move(0, 0)
    expect(preview(page)).to_have_count(0)
    assert [url for url in asked if not url.startswith((f"{place}/", "data:", "blob:"))] == []
    assert page.url == f"{place}/chapters/{name}.html"


def test_the_formulas_of_a_preview_are_typeset_on_a_page_without_formulas_too(page, place):
    opened(page, f"{place}/chapters/architecture.html")
    assert page.locator("mjx-container").count() == 0
    page.locator('article a.demod-mention[href$="#algorithm-1"]').first.hover()
    expect(preview(page).locator("mjx-math").first).to_be_visible()
    expect(preview(page).locator("mjx-merror")).to_have_count(0)
    assert not re.search(r"\\[()\[\]a-z]", preview(page).inner_text())


def test_the_mouse_may_rest_on_a_preview(page, address):
    opened(page, f"{address}/chapters/conditions.html")
    page.locator(LINK).first.hover()
    preview(page).hover()
    page.wait_for_timeout(600)
    expect(preview(page)).to_have_count(1)


def test_focus_shows_a_preview_that_describes_the_link_and_escape_hides_it(page, address):
    opened(page, f"{address}/chapters/conditions.html")
    link = page.locator(LINK).first
    link.focus()
    expect(preview(page)).to_contain_text("Theorem 2")
    assert link.get_attribute("aria-describedby") == preview(page).get_attribute("id")
    page.keyboard.press("Escape")
    expect(preview(page)).to_have_count(0)
    assert link.get_attribute("aria-describedby") is None
    assert link.evaluate("link => link === document.activeElement")
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    expect(preview(page)).to_have_count(1)
    page.keyboard.press("Enter")
    page.wait_for_url("**/paper.html#theorem-2")


def test_the_first_tap_shows_a_preview_and_the_second_follows(browser, address):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{address}/chapters/conditions.html")
    link = page.locator(LINK).first
    link.tap()
    expect(preview(page)).to_contain_text("Theorem 2")
    box = preview(page).bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    page.touchscreen.tap(2, 840)  # the margin
    expect(preview(page)).to_have_count(0)
    link.tap()
    expect(preview(page)).to_have_count(1)
    assert page.url.endswith("conditions.html")
    link.tap()
    page.wait_for_url("**/paper.html#theorem-2")
    context.close()


@pytest.mark.parametrize(("theme", "width"), [("light", 1400), ("dark", 390)])
@pytest.mark.parametrize(
    "kind", ["a theorem", *(pytest.param(kind, marks=pytest.mark.nightly) for kind in ("a claim", "a figure"))]
)
def test_an_open_preview_violates_no_serious_rule_of_accessibility(page, address, kind, theme, width):
    name, link, _ = KINDS[kind]
    opened(page, f"{address}/chapters/{name}.html")
    page.set_viewport_size({"width": width, "height": 900})
    page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
    page.locator(link).first.focus()
    expect(preview(page)).to_be_visible()
    page.wait_for_timeout(1000)  # formulas are typeset
    found = Axe().run(page).response["violations"]
    serious = [violation for violation in found if violation["impact"] in ("serious", "critical")]
    assert [f"{v['id']}: {node['html'][:200]}" for v in serious for node in v["nodes"]] == []


def test_nothing_in_a_preview_is_reached_by_the_keyboard_or_has_an_id(html):
    for path in sorted(html.glob("chapters/*.html")):
        for template in BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser").select("template[data-preview]"):
            assert template.select("a, button, summary, [id], [tabindex]") == []


def test_no_mention_of_the_paper_or_of_a_claim_is_without_a_link(html):
    bare = []
    for path in sorted([*html.glob("chapters/*.html"), *html.glob("package/*.html")]):
        article = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser").select_one("article")
        for tag in article.select(NO_PROSE):
            tag.replace_with(" | ")
        texts = [OWN_NAME.sub("", str(text)) for text in article.find_all(string=True)]
        bare += [f"{path.stem}: {mention.name}" for text in texts for mention in mentions(text)]
    assert bare == []


def test_every_statement_of_the_paper_is_numbered_as_in_the_paper(html):
    page = BeautifulSoup((html / f"{PAPER}.html").read_text(encoding="utf-8"), "html.parser")
    titles = [title.get_text(" ", strip=True) for title in page.select("div.proof > p.admonition-title")]
    shown = [" ".join(title.split()) for title in titles]
    assert [title for title in shown if not title.startswith("Definition")] == [
        "Assumption (A1)",
        "Assumption (A2)",
        "Assumption (A3)",
        "Theorem 1 (Informal)",
        "Theorem 2",
        "Theorem 3",
        "Algorithm 1 (Alternating descent algorithm for (2))",
    ]


def test_every_node_of_the_graph_is_a_link_and_the_chosen_one_shows_what_it_rests_on(page, address):
    opened(page, f"{address}/chapters/graph.html")
    nodes = page.locator(".demod-graph svg g")
    assert nodes.count() > 100
    assert page.locator(".demod-graph svg g:not(:has(a))").count() == 0
    page.locator(".demod-graph a", has_text="W4").focus()
    dark = set(page.locator(".demod-graph g.on").all_text_contents())
    assert {"W4", "joint-WDC", "Theorem 2", "demod.wdc", "conditions: decay"} <= dark
    assert "I1" not in dark
