"""Notebooks as editors and people write them: read alike, or refused by name with what to do."""

import json

import nbformat
import pytest
from fixture_book import PARAMETERS, code, notebook, prose
from nbformat.v4 import to_notebook

from demod_book.build.folders import BuildError
from demod_book.build.notebooks import WARNING, check_run, check_source, read_notebook

RAW = {"cell_type": "raw", "metadata": {}, "source": "raw"}


def sample() -> dict:
    """A notebook as JupyterLab writes it: with Markdown, code of two lines and a raw cell, its sources lists of lines."""
    content = notebook("x", code("x = 1\nprint(x)\n"), prose("One.\n\nTwo."), RAW | {"id": "raw"})
    for cell in content["cells"]:
        cell["source"] = cell["source"].splitlines(keepends=True)
    return content


def without(*names):
    def edit(content):
        for cell in content["cells"]:
            for name in names:
                cell.pop(name, None)

    return edit


def old(content):
    without("id")(content)
    content["nbformat_minor"] = 0


def joined(content):
    for cell in content["cells"]:
        cell["source"] = "".join(cell["source"])


def windows(content):
    for cell in content["cells"]:
        cell["source"] = "".join(cell["source"]).replace("\n", "\r\n")


def same_id(content):
    for cell in content["cells"]:
        cell["id"] = "same"


def colab(content):
    content["metadata"] = {"colab": {"provenance": []}, "kernelspec": {"name": "python3", "display_name": "Python 3"}}
    content["cells"][1]["metadata"] |= {"id": "aB3", "outputId": "x", "colab": {"base_uri": "https://localhost:8080/"}}


def vscode(content):
    info = {
        "name": "python",
        "version": "3.14.0",
        "codemirror_mode": {"name": "ipython", "version": 3},
        "file_extension": ".py",
    }
    content["metadata"] = {
        "language_info": info,
        "kernelspec": {"name": ".venv", "display_name": ".venv", "language": "python"},
    }
    content["cells"][1]["metadata"]["vscode"] = {"languageId": "python"}


def surplus(content):
    content["cells"][0] |= {"outputs": [], "execution_count": None}
    content["metadata"]["orig_nbformat"] = 4


def pasted(content):
    content["cells"][0]["attachments"] = {"image.png": {"image/png": "iVBORw0KGgo="}}


def no_metadata(content):
    without("metadata")(content)
    content["cells"][1]["metadata"] = {"tags": ["parameters"]}
    del content["metadata"]


DIALECTS = (old, joined, windows, same_id, colab, vscode, surplus, pasted, no_metadata)


@pytest.mark.parametrize("edit", [*DIALECTS, without("id"), without("outputs", "execution_count")])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_every_dialect_is_read_as_the_same_valid_notebook(tmp_path, edit, mark):
    path, plain = tmp_path / "x.ipynb", tmp_path / "plain.ipynb"
    plain.write_text(json.dumps(sample()), encoding="utf-8")
    edit(content := sample())
    path.write_text(mark + json.dumps(content, indent=1).replace("\n", "\r\n"), encoding="utf-8", newline="")
    found, right = read_notebook(path), read_notebook(plain)
    nbformat.validate(found)
    assert [(cell.cell_type, cell.source) for cell in found.cells] == [(cell.cell_type, cell.source) for cell in right.cells]
    assert len({cell.id for cell in found.cells}) == len(found.cells)
    assert check_source(found, PARAMETERS) == []
    assert read_notebook(path) == found  # what is filled in is the same at each reading


@pytest.mark.parametrize(
    "content",
    [
        "",
        '{"cells": [',
        "[]",
        "null",
        "{}",
        '{"nbformat": 4}',
        '{"nbformat": 3, "worksheets": []}',
        "<<<<<<< HEAD\n{}",
        "print(1)",
    ],
)
def test_what_is_no_notebook_of_format_4_is_refused_by_name(tmp_path, content):
    (tmp_path / "x.ipynb").write_text(content)
    with pytest.raises(BuildError, match=r"x\.ipynb is not (complete|a notebook of format 4).*(restore it|save it again)"):
        read_notebook(tmp_path / "x.ipynb")


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_another_encoding_is_refused_by_name(tmp_path, encoding):
    (tmp_path / "x.ipynb").write_text(json.dumps(notebook("ü"), ensure_ascii=False), encoding=encoding)
    with pytest.raises(BuildError, match=r"x\.ipynb is not complete"):
        read_notebook(tmp_path / "x.ipynb")


@pytest.mark.parametrize(
    "cell", [7, {"cell_type": "heading", "metadata": {}, "source": "x"}, {"source": "x"}, {"cell_type": "code", "source": 3}]
)
def test_a_cell_that_no_editor_can_read_is_refused_by_name(tmp_path, cell):
    content = sample()
    content["cells"].append(cell)
    (tmp_path / "x.ipynb").write_text(json.dumps(content))
    with pytest.raises(BuildError, match=r"x\.ipynb is not a valid notebook .*; save it again"):
        read_notebook(tmp_path / "x.ipynb")


@pytest.mark.parametrize(
    ("metadata", "language"),
    [
        ({"kernelspec": {"name": "ir", "display_name": "R", "language": "R"}}, "R"),
        ({"kernelspec": {"name": "julia-1.11", "display_name": "Julia"}}, "the kernel julia-1.11"),
        ({"kernelspec": {"name": "ir", "display_name": "R"}}, "the kernel ir"),
        ({"language_info": {"name": "julia"}}, "julia"),
        ({"kernelspec": {"name": "bash", "display_name": "Bash", "language": "bash"}}, "bash"),
    ],
)
def test_a_notebook_of_another_language_is_refused_by_name(metadata, language):
    (problem,) = check_source(notebook("x") | {"metadata": metadata}, PARAMETERS)
    assert problem.startswith(f"it is written for {language}, but chapters run in Python")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("%run missing.py", "%run"),
        ("%load x.py", "%load"),
        ("%%writefile x.py\n1", "%%writefile"),
        ("%%capture\nimport warnings\nwarnings.warn('x')", "%%capture"),
        ("%%time\nimport demod", "%%time"),
        ("%time import demod", "%time"),
        ("%%html\n<b>x</b>", "%%html"),
        ("%pip install demod", "%pip"),
        ("if True:\n    %conda install x", "%conda"),
        ("x = %who_ls", "%who_ls"),
        ("sum?", "%pinfo"),
        ("%nonsense", "%nonsense"),
        ("get_ipython().run_line_magic('run', 'x.py')", "%run"),
        ("get_ipython().magic('run x.py')", "%run"),
    ],
)
def test_a_magic_that_hides_code_output_or_a_failure_is_refused_by_name(source, told):
    (problem,) = check_source(notebook("x", code(source)), PARAMETERS)
    assert problem.startswith(f"cell 4 uses {told}")
    assert problem.endswith("write it in Python")


@pytest.mark.parametrize(
    "source",
    [
        *("!false", "!!false", "x = !false", "if True:\n    !false", "%%bash\nfalse", "%%sh\nfalse", "%%script bash\nfalse"),
        *(
            "%sx false",
            "%system false",
            "%%!\nfalse",
            "import os\nos.system('false')",
            "import os\nos.popen('false').read()",
        ),
        *("from subprocess import call\ncall(['false'])", "import subprocess as s\ns.call('false')"),
        *(
            "from os import system as run\nrun('false')",
            "import subprocess\nsubprocess.run(['false'])",
            "get_ipython().system('false')",
        ),
    ],
)
def test_every_way_to_the_shell_whose_failure_goes_unseen_is_refused(source):
    (problem,) = check_source(notebook("x", code(source)), PARAMETERS)
    assert problem == "cell 4 calls the shell, whose failure would go unseen; call Python instead"


@pytest.mark.parametrize(
    "source",
    ["%precision 3", "%matplotlib inline", "import subprocess\nsubprocess.run(['true'], check=True)", "chapter.call(1)"],
)
def test_what_hides_nothing_is_not_refused(source):
    assert check_source(notebook("x", code(source)), PARAMETERS) == []


def test_pip_may_be_called_in_the_install_cell_alone():
    line = "if False:\n    %pip install demod"
    assert check_source(notebook("x", code(line, tags=["install"])), PARAMETERS) == []
    assert check_source(notebook("x", code(line)), PARAMETERS) != []


@pytest.mark.parametrize(
    "line", ['device: str = "auto"', "device = (\n    'auto'\n)", "device = 'auto'  # CUDA where there is one"]
)
def test_a_parameter_may_be_annotated_and_explained(line):
    content = notebook("x")
    content["cells"][1]["source"] = f'profile = "quick"\n{line}\nseed = 2019'
    assert check_source(content, PARAMETERS) == []


PLACES = ("/my book/x.py:3", "/bücher/#1 %20/x.py:12", "C:\\My Files\\x.py:3", "<string>:1", "<ipython-input-3-abc>:2")
KINDS = ("UserWarning", "FutureWarning", "ConvergenceWarning", "numpy.exceptions.RankWarning", "Beware")


@pytest.mark.parametrize(
    "place", [*PLACES, "/tmp/ipykernel_12/345.py:1", "100%|███| 5/5 x.py:3", "WARNING:py.warnings:/a/x.py:3"]
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_warning_is_found_wherever_its_code_lies_and_whatever_its_kind(place, kind):
    line = f"{place}: {kind}: beware"
    outputs = [{"output_type": "stream", "name": "stderr", "text": f"some line\n{line}\n  x = 1\n"}]
    cell = code("1", papermill={"status": "completed"}) | {"execution_count": 1, "outputs": outputs}
    assert check_run(to_notebook({"cells": [cell], "metadata": {}})) == [f"cell 1 warned: {line}"]


@pytest.mark.parametrize("line", ["12:34:56: INFO: ready", "100%|███| 500/500 [00:02<00:00]", "fetched a.png: 3 of 4", ""])
def test_what_is_no_warning_is_not_taken_for_one(line):
    assert WARNING.search(f"{line}\n") is None
