"""The pages made from what chapters left: outputs, boxes, the index of figures, verdicts, and the rendered HTML."""

import re
import shutil
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from fixture_book import CLAIM, FIGURE, ROOT, TEXT, code, contents, notebook, prose, run, write_book
from pybtex.database import parse_string
from sphinx.application import Sphinx

from demod.artifacts import read_json, write_json
from demod_book.build.folders import BuildError, Layout
from demod_book.build.notebooks import code_cells, read_notebook
from demod_book.claims import stored
from demod_book.claims.box import claim_box
from demod_book.claims.history import Dated, Order
from demod_book.claims.judge import Criterion, Kind, Verdict, judge
from demod_book.claims.ledger import LEDGER
from demod_book.claims.stored import judge_runs
from demod_book.expected.verdicts import accepted_verdicts, compare_verdicts
from demod_book.pages.citation import citation
from demod_book.pages.figures import collect_figures, drawings, figure_cards, paper_table
from demod_book.pages.html import check_html, drop_unread, mend_roles, share_images
from demod_book.pages.page import add_banner, add_outputs, banner, footer, short_commit
from demod_book.pages.stage import insert
from demod_book.pages.verdicts import (
    bounds_table,
    exceptions,
    read_verdicts,
    verdict_counts,
    verdict_marks,
    verdict_tables,
)

# A whole book


def test_the_page_shows_the_run_and_how_it_was_made(book):
    page = (book / "_build/html/chapters/steady.html").read_text()
    assert "It is 42, as" in page
    assert "How this page was made" in page
    assert "networks 60 → 400" in page
    assert "made-up data" in page
    assert 'alt="Empty axes"' in page
    assert "injected" not in page
    assert 'src="../figures/steady/figure-1b.png"' in page


def test_the_book_carries_its_notebooks_and_a_wheel_of_the_package_beside_them(book):
    carried = {path.name for path in (book / "_build/html/notebooks").iterdir()}
    assert carried == {
        *(path.name for path in (book / "chapters").glob("*.ipynb")),
        f"demod-{version('demod')}-py3-none-any.whl",
    }


def test_a_verdict_stands_in_its_chapter_and_on_the_page_of_verdicts_which_leads_to_it(book):
    page = (book / "_build/html/chapters/steady.html").read_text()
    box = page[page.index('<details class="demod-claim demod-reproduced" id="claim-l6">') :]
    assert "<strong>Claim L6: reproduced.</strong>" in box
    assert r"\(t^{(1)}\)" in box
    assert "<td><p>-0.500 ± 0.020</p></td>" in box
    verdicts = (book / "_build/html/chapters/intro.html").read_text()
    assert verdicts.count('<a href="steady.html#claim-l6">L6</a>') == 2  # in the text and in the table
    assert "claim M1 (<span" in verdicts
    assert f"Of {PAPERS}: <strong>1 reproduced</strong>, <strong>{PAPERS - 1} not tested</strong>." in verdicts


def test_two_chapters_that_record_one_claim_fail_the_build(book):
    root = shutil.copytree(book, book.with_name("twice"))
    write_book(root, notebook("steady", FIGURE, TEXT, CLAIM), notebook("other", CLAIM))
    before = contents(root / "_build/html")
    with pytest.raises(BuildError, match="L6 is recorded by steady and by other"):
        run(root)
    assert contents(root / "_build/html") == before


# Pages

STREAM = {"output_type": "stream"}


def test_outputs_go_to_the_cells_they_came_from_without_the_injected_one():
    executed = notebook("x", code("1"), code("  "), code("2"))
    executed["cells"].insert(2, code("profile = 'full'", tags=["injected-parameters"]))
    for number, cell in enumerate(executed["cells"]):
        cell["outputs"], cell["execution_count"] = [{"cell": number}], number
    page = notebook("x", prose("new"), code("1"), prose("text"), code("2"), code(""))
    add_outputs(page, executed, {})
    assert [cell["outputs"] for cell in page["cells"] if cell["cell_type"] == "code"] == [
        *([{"cell": 1}], [{"cell": 3}], [{"cell": 4}], [{"cell": 6}], [])
    ]


def test_an_image_is_shown_at_the_size_it_was_drawn_for_unless_its_cell_says_otherwise():
    output = {"output_type": "display_data", "data": {"image/png": ""}, "metadata": {"image/png": {"width": 576}}}
    executed = {"cells": [code("a") | {"outputs": [output]}, code("b") | {"outputs": [output]}]}
    page = {"cells": [code("a"), code("b", mystnb={"image": {"width": "100%"}})]}
    add_outputs(page, executed, {})
    assert [cell["metadata"]["mystnb"]["image"]["width"] for cell in page["cells"]] == ["576px", "100%"]


def test_boxes_go_below_a_figure_whose_caption_is_not_theirs():
    image = {"output_type": "display_data", "data": {"image/png": ""}, "metadata": {}}
    box = {"output_type": "display_data", "data": {"text/markdown": "**L6** reproduced"}, "metadata": {}}
    captioned = {"figure": {"caption": "What it shows.", "name": "fig"}}
    page = {"cells": [code("a", mystnb=captioned) | {"id": "a"}, code("b")]}
    add_outputs(page, {"cells": [code("a") | {"outputs": [image, box]}, code("b") | {"outputs": [image, box]}]}, {})
    assert [cell["outputs"] for cell in page["cells"]] == [[image], [box], [image, box]]
    assert page["cells"][1]["metadata"] == {"tags": ["remove-input"]}


def test_the_box_says_what_the_full_profile_would_change():
    record = {"profile": "quick", "device": "CPU", "seed": 2019, "data": ["MNIST test digits"]}
    record["choices"] = {"networks": {"quick": 60, "full": 400}, "widths": {"quick": [10, 20], "full": [10, 20, 40]}}
    box = banner(record, 43.2)
    assert "`quick` profile in 43 s on: CPU, seed 2019." in box
    assert "Data: MNIST test digits." in box
    assert "`full` would change: networks 60 → 400, widths (10, 20) → (10, 20, 40)." in box
    assert "would change" not in banner(record | {"profile": "full"}, 43.2)


def test_a_page_ends_with_what_it_was_made_from_and_its_notebook(book):
    page = (book / "_build/html/chapters/steady.html").read_text()
    html = page[page.index("Download this chapter") :]
    end = re.sub(r"<[^>]*>", "", html)
    record, card = read_json(book / "_build/numbers/steady.json"), read_json(book / "_build/executed/steady.json")
    shown = [record["commit"], "profile = quick, device = cpu, seed = 2019", "networks = 60", "made-up data"]
    shown += [f"{name} {number}" for name, number in record["versions"].items()]
    shown += [value[:16] for name, value in card["ingredients"].items() if name.startswith("demod.")]
    assert [text for text in shown if text not in end] == []
    assert 'href="../notebooks/steady.ipynb"' in html


def test_the_copies_of_a_chapter_are_plain_and_one_has_its_outputs(book):
    bare, full = (read_notebook(book / f"_build/html/{place}/steady.ipynb") for place in ("notebooks", "_sources/chapters"))
    assert all("It is 42, as [the other" in "".join(cell["source"] for cell in copy["cells"]) for copy in (bare, full))
    assert {len(cell["outputs"]) for _, cell in code_cells(bare)} == {0}
    assert {len(cell["outputs"]) for _, cell in code_cells(full)} > {0}


@pytest.mark.parametrize("mnist", ["at hand", "absent"])
def test_the_hashes_of_mnist_stand_at_the_end_of_a_page_exactly_if_it_was_read(mnist):
    record = {"chapter": "x", "profile": "quick", "device": "CPU", "data": ["digits"], "choices": {}, "commit": None}
    card = {"profile": "quick", "device": "cpu", "seed": 1, "seconds": 2.0, "ingredients": {"MNIST": mnist}}
    end = footer(record | {"versions": {}, "weights": {"digits": "0123456789abcdef0"}}, card)
    assert ("t10k-labels-idx1-ubyte" in end) is (mnist == "at hand")
    assert "digits: `0123456789abcdef`" in end


def cited(path: Path) -> dict:
    return parse_string(citation(path).strip("`").removeprefix("bibtex"), "bibtex").entries


def test_the_citation_names_the_doi_of_a_release_and_no_empty_one(tmp_path):
    card, copy = (ROOT / "CITATION.cff").read_text(), tmp_path / "CITATION.cff"
    copy.write_text(card + '\ndoi: "10.5281/zenodo.1"\n')
    assert cited(copy)["demod"].fields["doi"] == "10.5281/zenodo.1"
    copy.write_text(card + '\ndoi: ""\n')
    assert "doi" not in cited(copy)["demod"].fields


def test_the_citation_is_that_of_the_citation_file():
    paper, software = cited(ROOT / "CITATION.cff")["hand2019"], cited(ROOT / "CITATION.cff")["demod"]
    assert (paper.type, software.type) == ("inproceedings", "software")
    assert [str(person) for person in paper.persons["author"]] == ["Hand, Paul", "Joshi, Babhru"]
    assert [str(person) for person in software.persons["author"]] == ["{the demod contributors}"]
    assert (paper.fields["pages"], paper.fields["volume"], paper.fields["year"]) == ("11535--11545", "32", "2019")
    assert f"\nversion: {software.fields['version']}\n" in (ROOT / "CITATION.cff").read_text()


def test_an_interactive_figure_takes_the_alternative_text_of_its_cell():
    drawn = {"output_type": "display_data", "data": {"text/html": ['<div class="demod-interactive">', "plot</div>"]}}
    page = {"cells": [code("a", mystnb={"image": {"alt": 'A "surface"'}})]}
    add_outputs(page, {"cells": [code("a") | {"outputs": [drawn]}]}, {})
    shown = page["cells"][0]["outputs"][0]["data"]["text/html"]
    assert shown == '<div class="demod-interactive" role="figure" aria-label="A &quot;surface&quot;">plot</div>'


def test_progress_bars_stay_out_of_the_pages_and_of_the_notebooks_to_download():
    bar, result = [STREAM | {"name": "stderr", "text": "100%|███| 5/5"}], [STREAM | {"name": "stdout", "text": "done"}]
    page = {"cells": [code("a")]}
    add_outputs(page, {"cells": [code("a") | {"outputs": [*bar, *result]}]}, {})
    assert page["cells"][0]["outputs"] == result


def test_the_box_stands_under_the_title():
    content = {"cells": [prose("(label)=\n# Title\n\nText."), code("1")]}
    add_banner(content, "BOX")
    assert content["cells"][0]["source"].split("\n") == ["(label)=", "# Title", "", "BOX", "", "", "Text."]


def test_a_chapter_without_a_title_is_refused():
    with pytest.raises(BuildError, match="no title"):
        add_banner({"cells": [prose("Text.")]}, "BOX")


def test_the_copyright_is_that_of_the_settings_whatever_the_date_of_the_build(tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "315532800")  # 1980
    settings = yaml.safe_load((ROOT / "_config.yml").read_text())
    chosen = {"extensions": ["demod_book.pages.sphinx"], "copyright": settings["copyright"]}
    assert "demod_book.pages.sphinx" in settings["sphinx"]["config"]["extensions"]
    app = Sphinx(tmp_path, None, tmp_path / "out", tmp_path / "trees", "dummy", chosen, status=None, warning=None)
    assert app.config.copyright == settings["copyright"] == "2026"


ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def test_every_folder_and_file_that_the_architecture_names_exists():
    named = re.findall(r"`((?:demod|demod_book|tests|chapters|assets)/[\w./-]*|[\w-]+\.(?:toml|yml|lock))`", ARCHITECTURE)
    dotted = re.findall(r"`((?:build|pages)\.\w+)`", ARCHITECTURE)
    assert len(named) >= 15
    assert len(dotted) >= 4
    assert [path for path in named if not (ROOT / path).exists()] == []
    assert [name for name in dotted if not (ROOT / "demod_book" / f"{name.replace('.', '/')}.py").is_file()] == []


def test_every_module_in_the_picture_of_the_layers_exists():
    book, science = ARCHITECTURE.split("```")[1].split("\ndemod  ")
    for package, part in (("demod_book", book), ("demod", science)):
        rows = re.findall(r"^([a-z][\w., ]*?)(?:  .*)?$", part, re.MULTILINE)
        names = {name for row in rows for name in row.split(", ")} - {"text", "demod_book"}
        assert len(names) >= 8
        found = {path for name in names for path in (ROOT / package).glob(f"{name.replace('.', '/')}*")}
        assert {path.stem for path in found} >= {name.split(".")[-1] for name in names}


def test_the_architecture_is_a_page_of_the_book(book):
    root = shutil.copytree(book, book.with_name("architecture"))
    shutil.copyfile(ROOT / "ARCHITECTURE.md", root / "ARCHITECTURE.md")
    shutil.copyfile(ROOT / "chapters/architecture.md", root / "chapters/architecture.md")
    toc = root / "_toc.yml"
    toc.write_text(toc.read_text() + "  - file: chapters/architecture\n")
    run(root)
    page = (root / "_build/html/chapters/architecture.html").read_text()
    assert "Where a line belongs" in page


# The list of figures


def test_a_figure_of_the_paper_is_listed_with_its_caption_code_cost_and_provenance(book):
    figures = collect_figures(book / "_build/figures", Layout(book).notebooks())
    row = next(line for line in paper_table(figures, sources=False).split("\n") if line.startswith("| **"))
    assert row.startswith("| **Figure 1b** | ")
    assert "The axes $\\|x\\|$." in row
    assert 'alt="Empty axes"' in row
    assert '<a href="steady.html#fig-axes">steady</a>' in row
    assert "<code>demod_book.figures.style</code>" in row
    assert f"<br>{figures[0].card['seconds']:.1f} s<br>" in row
    assert 'href="../figures/steady/figure-1b.json"' in row
    assert f"quick, CPU, seed 2019, {short_commit(figures[0].card['commit'])}" in row


def test_every_figure_has_a_card_under_its_chapter_with_all_its_files(book):
    cards = figure_cards(collect_figures(book / "_build/figures", Layout(book).notebooks()), sources=True)
    assert cards.startswith("### [The chapter steady](steady.ipynb)")
    assert cards.count('<div class="demod-card">') == 1
    assert all(f'href="../figures/steady/figure-1b.{ending}"' in cards for ending in ("svg", "png", "npz", "json"))
    assert '<a href="../_modules/demod_book/figures/style.html">' in cards


@pytest.mark.parametrize(
    ("commit", "shown"),
    [
        (None, "an installed copy"),
        ("0123456789abcdef", "commit 0123456"),
        ("0123456789-dirty", "commit 0123456 with changes"),
        ("unknown: git refuses to read it", "commit unknown"),
    ],
)
def test_a_commit_is_named_by_seven_digits_and_says_if_files_differed(commit, shown):
    assert short_commit(commit) == shown


def test_the_code_of_a_figure_is_the_module_whose_function_its_cell_calls():
    content = notebook(
        "x",
        code(
            "from demod_book.figures.landscape import plot_surface\nfrom demod_book.figures.images import plot_rows as rows"
        ),
        code('chapter.figure(rows(a), "second")\nchapter.figure(plot_surface(b), "third")'),
        code('from demod_book.figures import geometry as figures\nchapter.figure(figures.plot_radii(a), "of-a-module")'),
        code('chapter.figure(plot_surface(a), "first")'),
        code('chapter.figure(fig, "made-elsewhere")'),
        code("if False:\n    %pip install nothing"),
    )
    found = {name: drawing.modules for name, drawing in drawings(content).items()}
    both, geometry = ("demod_book.figures.images", "demod_book.figures.landscape"), ("demod_book.figures.geometry",)
    called = {"second": both, "third": both, "of-a-module": geometry, "first": both[1:]}
    assert found == called | {"made-elsewhere": geometry + both}


# HTML


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ('<img src="a.png">', "has no alternative text"),
        ('<img src="a.png" alt=" ">', "has no alternative text"),
        ('<img src="b.png" alt="b">', "b.png leads to no file"),
        ('<div class="demod-interactive">surface</div>', "interactive figure has no alternative text"),
        ('<script src="https://cdn.example/x.js"></script>', "loaded from another host"),
        ('<link rel="stylesheet" href="//cdn.example/x.css">', "loaded from another host"),
        ('<a href="other.html">x</a>', "other.html leads to no file"),
        ('<a href="#there">x</a>', "#there leads to no place on its page"),
        ("<pre>Traceback (most recent call last):</pre>", "traceback"),
    ],
)
def test_a_defect_of_a_page_is_found(tmp_path, body, problem):
    (tmp_path / "a.png").touch()
    (tmp_path / "index.html").write_text(f"<html><body>{body}</body></html>")
    (found,) = check_html(tmp_path)
    assert found.startswith("index.html: ")
    assert problem in found


def test_a_style_sheet_that_loads_from_another_host_is_found(tmp_path):
    (tmp_path / "a.css").write_text('@import "https://fonts.example/x"; b { background: url(data:image/png;base64,x) }')
    assert len(check_html(tmp_path)) == 1


def test_a_sound_page_has_no_defect(tmp_path):
    (tmp_path / "a.png").touch()
    links = '<a href="https://doi.org/x">x</a> <a href="#here">x</a> <a href="index.html#here">x</a>'
    (tmp_path / "index.html").write_text(f'<h1 id="here">x</h1><img src="a.png" alt="a">{links}')
    assert check_html(tmp_path) == []


def test_a_book_that_is_too_large_is_refused(tmp_path):
    (tmp_path / "large").write_bytes(bytes(2_000_001))
    assert check_html(tmp_path, largest=1e6) == ["the book has 2 MB, at most 1 are allowed; make figures smaller."]
    assert check_html(tmp_path, largest=3e6) == []


def test_what_no_browser_reads_of_the_theme_is_dropped_and_nothing_else(tmp_path):
    names = ["theme.js", "theme.js.map", "icons.ttf", "icons.woff2", "locales/de/sphinx.mo"]
    for path in (tmp_path / "_static" / name for name in names):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    drop_unread(tmp_path)
    assert sorted(path.name for path in (tmp_path / "_static").iterdir()) == ["icons.woff2", "theme.js"]


def test_icons_that_no_page_shows_are_dropped(tmp_path):
    icons = tmp_path / "_static/scripts/fontawesome.js"
    icons.parent.mkdir(parents=True)
    icons.write_text(
        'p={bars:[448,512,[],"f0c9","M0 9z"],"file-pdf":[512,512,[],"f1c1",["M1z","M2z"]],yelp:[384,512,[],"f1e9","M4z"]}'
    )
    (tmp_path / "page.html").write_text('<i class="fa-solid fa-file-pdf"></i>')
    (tmp_path / "_static/theme.js").write_text("show('fa-bars')")
    drop_unread(tmp_path)
    assert icons.read_text() == 'p={bars:[448,512,[],"f0c9","M0 9z"],"file-pdf":[512,512,[],"f1c1",["M1z","M2z"]],}'


def test_a_picture_is_in_the_book_once_and_the_page_shows_it(tmp_path):
    for name, content in (("figures/one/f.png", b"f"), ("_images/0a1b.png", b"f"), ("_images/strip.png", b"other")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    page = tmp_path / "chapters/one.html"
    page.parent.mkdir()
    page.write_text('<img alt="a" src="../_images/0a1b.png"><img alt="b" src="../_images/strip.png">')
    share_images(tmp_path)
    assert page.read_text() == '<img alt="a" src="../figures/one/f.png"><img alt="b" src="../_images/strip.png">'
    assert [path.name for path in (tmp_path / "_images").iterdir()] == ["strip.png"]
    assert check_html(tmp_path) == []


def test_lists_of_citations_lose_the_role_that_their_entries_do_not_fit(tmp_path):
    page = tmp_path / "references.html"
    page.write_text('<div role="list" class="citation-list"><div role="doc-biblioentry">x</div></div>')
    mend_roles(tmp_path)
    assert page.read_text() == '<div class="citation-list"><div role="doc-biblioentry">x</div></div>'


# Verdicts

MEASURED = {"L6": {"slope": [-0.5, 0.02]}, "F3": {"close_to_one": 0.3183}}
PAPERS = sum(claim.kind is Kind.PAPER for claim in LEDGER.values())
PAGES = {"population": Path("chapters/population.ipynb"), "landscape": Path("chapters/landscape.ipynb")}


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """A claim that holds and one that does not, each measured by its chapter, of which no full run is stored."""
    monkeypatch.setattr(stored, "RESULTS", tmp_path / "results")
    for slug, claim in (("population", "L6"), ("landscape", "F3")):
        write_json(tmp_path / f"{slug}.json", {"claims": {claim: {"measured": MEASURED[claim]}}})
    return read_verdicts(tmp_path, list(PAGES))


def test_what_chapters_measured_is_judged_and_keeps_the_chapter(recorded):
    assert {name: (found.chapter, found.judgement.verdict) for name, found in recorded.items()} == {
        "L6": ("population", Verdict.REPRODUCED),
        "F3": ("landscape", Verdict.FALSIFIED),
    }


@pytest.mark.parametrize("slope", [[-0.5, -0.55, -0.45], [-0.5, 0.02], -0.5])
def test_a_value_with_its_interval_or_its_error_is_judged_as_it_was_measured(tmp_path, slope):
    write_json(tmp_path / "x.json", {"claims": {"L6": {"measured": {"slope": slope}}}})
    measured = tuple(slope) if isinstance(slope, list) else slope
    assert read_verdicts(tmp_path, ["x"])["L6"].judgement == judge(LEDGER["L6"], {"slope": measured})


def test_a_ledger_with_other_bounds_judges_the_same_measurement_otherwise(recorded, tmp_path, monkeypatch):
    assert recorded["L6"].judgement.verdict is Verdict.REPRODUCED
    monkeypatch.setitem(LEDGER, "L6", replace(LEDGER["L6"], criteria=(Criterion("slope", "the slope", high=-0.6),)))
    assert read_verdicts(tmp_path, list(PAGES))["L6"].judgement.verdict is Verdict.FALSIFIED


@pytest.mark.parametrize(
    ("claims", "problem"),
    [
        ({"L6": {"verdict": "reproduced", "criteria": {}}}, "x recorded L6 for another ledger; run `demod build`"),
        ({"L66": {"measured": {"slope": 1}}}, "x recorded L66 for another ledger; run `demod build`"),
        ({"L6": {"measured": {"width": 1}}}, "x: L6 was given no slope"),
    ],
)
def test_a_record_that_the_ledger_cannot_judge_is_refused_with_its_chapter(tmp_path, claims, problem):
    write_json(tmp_path / "x.json", {"claims": claims})
    with pytest.raises(BuildError, match=problem):
        read_verdicts(tmp_path, ["x"])


def test_a_box_of_a_claim_is_that_of_the_ledger_and_not_that_of_the_run():
    box = {"output_type": "display_data", "data": {"text/markdown": "old"}, "metadata": {"demod": {"claim": "L6"}}}
    other = {"output_type": "display_data", "data": {"text/markdown": "a table"}, "metadata": {}}
    page = {"cells": [code("a")]}
    today = claim_box(LEDGER["L6"], judge_runs(LEDGER["L6"], "x", "quick", {"slope": -0.5}))
    add_outputs(page, {"cells": [code("a") | {"outputs": [box, other]}]}, {"L6": today})
    assert [output["data"]["text/markdown"] for output in page["cells"][0]["outputs"]] == [today, "a table"]


def test_a_reworded_claim_changes_the_pages_and_runs_no_chapter(book, monkeypatch):
    root = shutil.copytree(book, book.with_name("reworded"))
    monkeypatch.setitem(LEDGER, "L6", replace(LEDGER["L6"], statement="The gradient gathers around its mean."))
    shown = run(root)
    assert "steady unchanged" in shown
    assert "other unchanged" in shown
    for page in ("steady", "intro"):
        content = (root / f"_build/html/chapters/{page}.html").read_text()
        shown, *previews = content.split("<template")
        assert shown.count("The gradient gathers around its mean.") == 1
        assert any("The gradient gathers around its mean." in preview for preview in previews) is (page == "intro")


def test_a_claim_recorded_by_two_chapters_is_refused(recorded, tmp_path):
    shutil.copyfile(tmp_path / "population.json", tmp_path / "geometry.json")
    with pytest.raises(BuildError, match="L6 is recorded by population and by geometry; record it once"):
        read_verdicts(tmp_path, ["population", "geometry"])


def test_accepted_verdicts_pass(recorded):
    assert compare_verdicts(recorded, accepted_verdicts(recorded)) == []
    assert list(accepted_verdicts(recorded)) == ["F3", "L6"]  # in the order of the ledger


@pytest.mark.parametrize(
    ("expected", "problem"),
    [
        ({"F3": "reproduced", "L6": "reproduced"}, "F3 is falsified, accepted is reproduced"),
        ({"L6": "reproduced"}, "F3 is falsified, accepted is not tested"),
        ({"F3": "falsified", "L1": "reproduced", "L6": "reproduced"}, "L1 is not tested, accepted is reproduced"),
    ],
)
def test_a_changed_surplus_or_missing_verdict_is_found(recorded, expected, problem):
    assert compare_verdicts(recorded, expected) == [problem]


def test_the_tables_hold_every_claim_with_its_criteria_and_count_the_verdicts(recorded):
    tables = verdict_tables(recorded, PAGES)
    assert f"Of {PAPERS}: **1 reproduced**, **1 falsified**, **{PAPERS - 2} not tested**." in tables
    rows = {found[1]: found[0] for found in re.finditer(r"^\| \*\*(?:<a [^>]*>)?(\w+).*$", tables, re.MULTILINE)}
    assert rows.keys() == LEDGER.keys()
    assert all(criterion.text in rows[name] for name, claim in LEDGER.items() for criterion in claim.criteria)
    assert "**0.318** (required ≥ 0.9: **fails**)" in rows["F3"]
    assert '<a href="landscape.html#claim-f3">F3</a>' in rows["F3"]
    assert "not tested" in rows["M1"]


def test_a_mark_in_the_prose_becomes_a_link_with_the_verdict(recorded):
    marks = {f"<!-- {name} -->": meaning for name, meaning in verdict_marks(recorded, PAGES).items()}
    prose = insert(marks, "See <!-- claim F3 --> and <!-- claim F1 -->.", "page")
    assert re.sub(r"<span[^>]*>|</span>", "", prose) == (
        'See claim <a href="landscape.html#claim-f3">F3</a> (falsified) and claim F1 (not tested).'
    )


@pytest.mark.parametrize("mark", ["<!-- claim F33 -->", "<!-- landscape.rho_3 -->", "<!--figures-->"])
def test_a_mark_that_stands_for_nothing_fails_the_build(mark):
    with pytest.raises(BuildError, match=rf"page: {mark} stands for nothing"):
        insert({"<!-- figures -->": "table", "<!-- landscape.rho_2 -->": "0.318"}, f"It is {mark}.", "page")


def test_a_number_of_one_chapter_can_be_quoted_on_another_page(book):
    root = shutil.copytree(book, book.with_name("quoted"))
    (root / "chapters/intro.md").write_text("# The book\n\nIt is <!-- steady.answer -->.\n")
    run(root)
    assert "It is 42." in (root / "_build/html/chapters/intro.html").read_text()


def test_the_counts_name_every_verdict_that_occurs_and_no_other(recorded):
    counts = re.findall(r"<b>(\d+)</b> ([a-z ]+)<", verdict_counts(recorded, Kind.PAPER))
    assert counts == [("1", "reproduced"), ("1", "falsified"), (str(PAPERS - 2), "not tested")]


def test_a_line_of_ours_counts_neither_for_nor_against_the_paper(recorded, monkeypatch):
    monkeypatch.setitem(LEDGER, "F3", replace(LEDGER["F3"], kind=Kind.OURS))
    assert "falsified" not in verdict_counts(recorded, Kind.PAPER)
    ours = read_verdicts_again(recorded)
    assert "<b>1</b> missed" in verdict_counts(ours, Kind.OURS)
    assert "F3" in exceptions(ours, PAGES, Kind.OURS)
    assert exceptions(ours, PAGES, Kind.PAPER).startswith("Nothing")


def read_verdicts_again(recorded):
    return {name: judge_runs(LEDGER[name], found.chapter, "quick", MEASURED[name]) for name, found in recorded.items()}


def test_bounds_that_were_set_after_their_number_stand_first_and_are_counted(monkeypatch):
    late = Dated(None, 1e-4, "a" * 40, "b" * 40, Order.AFTER)
    monkeypatch.setattr("demod_book.pages.verdicts.bounds_set", lambda: {"F4": {"limit": late}})
    told, _, _, _, first, *_ = bounds_table().split("\n")
    assert ", 1 were set or moved" in told
    assert first.startswith("| F4 | ")
    assert first.endswith("`aaaaaaa` | `bbbbbbb` | **bound after the number** |")


def test_the_exceptions_are_the_claims_found_false_or_empty_with_their_place(recorded):
    lines = exceptions(recorded, PAGES, Kind.PAPER).split("\n")
    assert len(lines) == 1
    assert lines[0].startswith('- **<a href="landscape.html#claim-f3">F3</a>** ')
    assert LEDGER["F3"].statement in lines[0]
    assert exceptions({"L6": recorded["L6"]}, PAGES, Kind.PAPER).startswith("Nothing")
