"""What prose mentions: in plain text, found by rules, linked where the book is staged, refused where nothing is meant."""

import json
import re
import shutil
from io import StringIO

import pytest
from fixture_book import CLAIM, FIGURE, ROOT, code, notebook, prose, run, write_book
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

from demod.artifacts import read_json, write_json
from demod_book.build.folders import BuildError, Layout
from demod_book.pages.figures import Drawing, Figure
from demod_book.pages.graph import dependency_graph, graph_mark, modules_behind
from demod_book.pages.layers import Layer, draw, heights
from demod_book.pages.mentions import STATEMENTS, mentions
from demod_book.pages.previews import add_previews
from demod_book.pages.targets import PLAIN, find_targets, treating
from demod_book.pages.verdicts import read_verdicts

CHAPTERS = sorted(path for path in (ROOT / "chapters").iterdir() if path.suffix in (".md", ".ipynb"))


def names(text: str) -> list[str]:
    return [mention.name for mention in mentions(text)]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("the objective (2)", ["equation 2"]),
        ("its equations (10) and (11), the joint condition (6), (7)", [f"equation {n}" for n in (10, 11, 6, 7)]),
        ("Directions (Section 3, (4)).", ["equation 4"]),
        ("as in Theorem 1. And", ["Theorem 1"]),
        ("what Theorems 1 to 3 say", ["Theorem 1", "Theorem 3"]),
        ("Theorems 1, 2 and 3", ["Theorem 1", "Theorem 2", "Theorem 3"]),
        ("Theorem 1 against Theorems 2\nand 3", ["Theorem 1", "Theorem 2", "Theorem 3"]),
        ("Algorithm 1, line by line", ["Algorithm 1"]),
        ("Figures 1a and 1b; Figure 2: dots", ["Figure 1a", "Figure 1b", "Figure 2"]),
        ("Assumptions A2 and A3, and (A1)", ["assumption A2", "assumption A3", "assumption A1"]),
        ("A1–A3; A2/A3", ["assumption A1", "assumption A3", "assumption A2", "assumption A3"]),
        ("claim A2, claims A1 and A3; A2", ["claim A2", "claim A1", "claim A3", "assumption A2"]),
        ("tested by L8 below, Claim A5: measured", ["claim L8", "claim A5"]),
    ],
)
def test_a_mention_is_found_and_means_one_thing(text, meant):
    assert names(text) == meant


@pytest.mark.parametrize(
    "text",
    ["f(2)", "64(3), 2018", "in 2019 (2018)", "(2a)", "x_0(1)", "the theorem 1", "A2-like", "test_A2", "Figure-2", "(1.5)",
     "100 images (140 of them)", "1702.04342", "Section 2", "chapter 3", "GPT4 and H100", "[A2](x.md#A2)"[5:]],
)  # fmt: skip
def test_what_only_looks_like_a_mention_is_none(text):
    assert names(text) == []


def test_the_first_of_several_is_linked_with_the_word_before_it():
    text = "See Theorems 1 to 3."
    assert [text[mention.start : mention.end] for mention in mentions(text)] == ["Theorems 1", "3"]


@pytest.mark.parametrize(
    "text", ["Theorem 9", "Theorems 2 and 4", "(8)", "(12)", "Algorithm 2", "Figure 3", "Lemma 1", "L29", "claim A29", "A28"]
)
def test_a_mention_of_what_does_not_exist_says_so(text):
    assert [mention for mention in mentions(text) if mention.problem]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_mention_in_the_prose_of_the_book_is_of_something_that_exists(path):
    content = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = json.loads(content)["cells"]
        content = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    plain = PLAIN.sub(" ", content)
    assert [mention.problem for mention in mentions(plain) if mention.problem] == []


def test_the_page_of_the_paper_states_each_statement_once():
    page = (ROOT / "chapters/paper.md").read_text(encoding="utf-8")
    anchors = re.findall(r'id="(equation-\d+)"|^:label: (\S+)$', page, re.MULTILINE)
    stated = [equation or label for equation, label in anchors]
    assert sorted(stated) == sorted(
        [*STATEMENTS.values(), "definition-neighborhoods", "definition-wdc", "definition-joint-wdc"]
    )
    numbered = re.findall(r'id="equation-(\d+)">\n\n\$\$ .* \\tag\{(\d+)\} \$\$\n\n</div>', page)
    assert len(numbered) == 9
    assert all(anchor == tag for anchor, tag in numbered)
    assert {f"<!-- treats {name} -->" for name in STATEMENTS} == set(re.findall(r"<!-- treats [^>]* -->", page))


# In a book


@pytest.fixture
def layout(tmp_path):
    """A book with the page of the paper and a chapter that drew Figure 1b and measured L6."""
    root = write_book(tmp_path, notebook("steady", FIGURE, prose("By Theorem 1 and `Theorem 2`, $(3)$."), CLAIM))
    (root / "chapters/paper.md").write_text("# The paper\n")
    (root / "_toc.yml").write_text((root / "_toc.yml").read_text() + "  - file: chapters/paper\n")
    write_json(root / "_build/numbers/steady.json", {"numbers": {}, "claims": {"L6": {"measured": {"slope": [-0.5, 0.02]}}}})
    return Layout(root)


def figure_of(layout: Layout) -> Figure:
    drawing = Drawing({"figure": {"name": "fig-axes"}})
    return Figure({"figure": "figure-1b", "chapter": "steady"}, drawing, layout.notebooks()["steady"])


def test_each_target_is_the_place_where_it_stands_in_this_book(layout):
    judged = read_verdicts(layout.numbers, ["steady"])
    found = find_targets(layout, [figure_of(layout)], judged)
    assert found["Theorem 3"] == "chapters/paper#theorem-3"
    assert found["Figure 1b"] == found["Figure 1"] == "chapters/steady#fig-axes"
    assert "Figure 2" not in found
    assert {name: place for name, place in found.items() if name.startswith("claim")} == {
        "claim L6": "chapters/steady#claim-l6"
    }


def test_a_statement_names_the_chapters_that_mention_it_in_prose_and_its_claims(layout):
    found = treating(layout.notebooks())
    assert found["treats Theorem 1"].startswith("*Theorem 1 in this book: [The chapter steady](steady.ipynb); claims F1, ")
    assert "steady" not in found["treats Theorem 2"] + found["treats equation 3"]


PAGE = r"""# Theorem 1 in a title

By Theorem 1, (2), A3, Figure 2 and L6.
Not in `Theorem 1`, $f (2)$, [the Theorem 1](other.md) or <a href="other.html">L6</a>.

<div class="demod-claim" id="claim-l6">

**Claim L6: reproduced.** As in Theorem 3.

</div>

:::{prf:theorem}
:label: theorem-3
This is Theorem 3, not Theorem 1.
:::

```python
raise Theorem 1 (2)
```
"""


def sphinx(tmp_path, page: str, warnings) -> str:
    """Render `page` beside another one and return the text of its article."""
    (tmp_path / "page.md").write_text(page)
    (tmp_path / "other.md").write_text("# Other\n")
    (tmp_path / "index.rst").write_text("Index\n=====\n\n.. toctree::\n\n   page\n   other\n")
    places = {"Theorem 1": "other#theorem-1", "Theorem 3": "page#theorem-3", "equation 2": "other#equation-2"}
    write_json(tmp_path / "targets.json", places | {"assumption A3": "other#assumption-a3", "claim L6": "page#claim-l6"})
    extensions = ["myst_parser", "sphinx_proof", "demod_book.pages.linking"]
    settings = {"extensions": extensions, "myst_enable_extensions": ["dollarmath", "colon_fence"], "numfig": True}
    with docutils_namespace():
        out = tmp_path / "out"
        Sphinx(tmp_path, None, out, tmp_path / "doc", "html", settings, status=None, warning=warnings).build()
    return (out / "page.html").read_text()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # in docutils and Sphinx
def test_prose_is_linked_and_code_formulas_titles_and_links_are_not(tmp_path):
    said = StringIO()
    html = sphinx(tmp_path, PAGE, said)
    assert "WARNING" not in said.getvalue()
    found = re.findall(r'<a class="demod-mention [^"]*" href="([^"]*)">([^<]*)</a>', html)
    assert found == [
        ("other.html#theorem-1", "Theorem 1"),
        ("other.html#equation-2", "(2)"),
        ("other.html#assumption-a3", "A3"),
        ("#claim-l6", "L6"),
        ("#theorem-3", "Theorem 3"),
        ("other.html#theorem-1", "Theorem 1"),
    ]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # in docutils and Sphinx
def test_a_wrong_number_is_a_warning_with_the_name_of_the_page(tmp_path):
    said = StringIO()
    sphinx(tmp_path, "# A page\n\nBy Theorem 9.\n", said)
    assert re.search(r"page.md.*WARNING: “Theorem 9”: the paper states no Theorem 9; correct the number", said.getvalue())


def test_a_book_that_mentions_what_does_not_exist_is_refused_with_the_page(book):
    assert read_json(book / "_build/stage/targets.json") == {
        "Figure 1": "chapters/steady#fig-axes",
        "Figure 1b": "chapters/steady#fig-axes",
        "claim L6": "chapters/steady#claim-l6",
    }
    root = shutil.copytree(book, book.with_name("mistaken"))
    (root / "chapters/intro.md").write_text("# The book\n\nBy L6 and Theorem 9.\n")
    with pytest.raises(BuildError, match=r"chapters/intro\.md.* “Theorem 9”: the paper states no Theorem 9"):
        run(root)


# Previews


def test_a_page_carries_the_previews_of_its_own_links_and_of_no_other(tmp_path):
    (tmp_path / "chapters").mkdir()
    (tmp_path / "a.html").write_text(
        '<html><body><nav><a href="chapters/b.html#other">x</a></nav><article><h1>A</h1>'
        '<a href="chapters/b.html#t">T</a> <a href="chapters/b.html">B</a> <a href="https://x.org">x</a></article></body></html>'
    )
    (tmp_path / "chapters/b.html").write_text(
        '<html><body><article><section id="b"><h1>B<a class="headerlink" href="#b">#</a></h1><p>What B is.</p>'
        '<div class="proof" id="t"><p>See <a href="#b">B</a> <img src="p.png" alt="p" id="i"></p></div>'
        "</section></article></body></html>"
    )
    add_previews(tmp_path)
    page = (tmp_path / "a.html").read_text()
    found = dict(re.findall(r'<template data-preview="([^"]*)">(.*?)</template>', page))
    assert found == {
        "chapters/b.html#t": '<div class="proof"><p>See <span>B</span> <img alt="p" src="chapters/p.png"/></p></div>',
        "chapters/b.html": '<p class="demod-preview-title">B</p><p>What B is.</p>',
    }
    assert page.endswith("</body></html>")
    assert 'data-preview="#b"' in (tmp_path / "chapters/b.html").read_text()


# The graph


def test_the_modules_behind_a_figure_are_those_whose_results_it_draws():
    content = notebook(
        "x",
        code("from demod.wdc import exact_wdc\nfrom demod.descent import descend\nfrom demod_book.figures.x import plot"),
        code("a = exact_wdc(1)\nb = descend(2)"),
        code("c = a + 1\nunused = b"),
        code('chapter.figure(plot(c), "first")'),
        code('chapter.figure(plot(descend(a)), "second")'),
        code("rates, least = [], {}\nfor k in range(3):\n    rates.append(descend(k))\n    least[k] = 1"),
        code('chapter.figure(plot(rates), "third")\nchapter.figure(plot(least), "fourth")'),
    )
    assert modules_behind(content) == {
        "first": {"demod.wdc"},
        "second": {"demod.wdc", "demod.descent"},
        "third": {"demod.descent"},
        "fourth": {"demod.descent"},  # it stands in one statement with what does
    }


def test_arrows_lead_from_claims_over_statements_and_conditions_to_modules_and_figures():
    graph = dependency_graph(ROOT, find_targets(Layout(ROOT), [], {}), [])
    chain = {
        ("F1", "Theorem 1"),
        ("Theorem 1", "assumption A2"),
        ("Theorem 3", "joint-WDC"),
        ("W4", "joint-WDC"),
        ("WDC", "demod.wdc"),
    }
    assert (
        chain | {("L6", "(10)"), ("(10)", "demod.expectation"), ("A2", "Algorithm 1"), ("assumption A2", "demod.generators")}
        <= graph.arrows
    )
    layer = {name: number for number, nodes in enumerate(graph.layers.values()) for name in nodes}
    assert [arrow for arrow in graph.arrows if layer[arrow[0]] >= layer[arrow[1]]] == []


def test_the_picture_and_the_list_show_every_node_as_a_link():
    shown = graph_mark(ROOT, find_targets(Layout(ROOT), [], {}), [])["dependency graph"]
    picture, listed = shown.split(":::{dropdown}")
    for name in ("F1", "Theorem 3", "joint-WDC", "demod.wdc"):
        assert re.search(rf'<a href="[^"]+"><rect [^>]*/><text [^>]*>{re.escape(name)}</text></a>', picture)
        assert re.search(rf'<li><a href="[^"]+">{re.escape(name)}</a>', listed)
    assert "\n\n" not in picture.strip()  # a blank line would end the HTML in Markdown


def test_nodes_of_a_layer_do_not_overlap_and_lie_near_their_neighbours():
    layers = [
        Layer("a", dict.fromkeys("abcdef", "")),
        Layer("b", {"x": "", "y": ""}),
        Layer("c", dict.fromkeys("stuvwz", "")),
    ]
    rows = heights(layers, [("a", "y"), ("y", "s"), ("f", "x"), ("x", "z")])
    assert rows["y"] < 1
    assert rows["x"] > 4
    rows = heights(layers, [("a", "y"), ("a", "x")])
    assert abs(rows["x"] - rows["y"]) >= 1
    assert draw(layers, [("a", "y")]).count("<path") == 1
