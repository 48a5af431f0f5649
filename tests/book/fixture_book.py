"""Small books for the tests of the build: chapters of a few cells, with the settings of the real book."""

import json
import shutil
from hashlib import sha256
from io import StringIO
from pathlib import Path

import numpy as np
from rich.console import Console

from demod.artifacts import load_arrays
from demod_book.build.build import build

ROOT = Path(__file__).parents[2]
PARAMETERS = {"profile": "quick", "device": "cpu", "seed": 2019}
BEGIN = 'from demod_book.chapter import begin\nchapter = begin("{slug}", profile=profile, device=device, seed=seed)'


def code(source: str, **metadata) -> dict:
    return {"cell_type": "code", "metadata": metadata, "source": source, "outputs": [], "execution_count": None}


def prose(source: str) -> dict:
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def notebook(slug: str, *cells: dict) -> dict:
    settings = code("\n".join(f"{name} = {value!r}" for name, value in PARAMETERS.items()), tags=["parameters"])
    cells = [prose(f"# The chapter {slug}\n\nIts text."), settings, code(BEGIN.format(slug=slug)), *cells]
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    kernel = {"name": "another-kernel", "display_name": "Python", "language": "python"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def write_book(root: Path, *notebooks: dict) -> Path:
    """Write a book whose chapters are `notebooks`, named after their titles, with the settings of the real one."""
    (root / "chapters").mkdir(parents=True, exist_ok=True)
    for name in ("_config.yml", "assets", "requirements.lock"):
        if not (root / name).exists():
            (shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile)(ROOT / name, root / name)
    (root / "references.bib").touch()
    (root / "chapters/intro.md").write_text(
        "# The book\n\nSee <!-- claim L6 --> and <!-- claim M1 -->.\n\n<!-- verdicts -->\n"
    )
    slugs = [content["cells"][0]["source"].split("\n")[0].split()[-1] for content in notebooks]
    for slug, content in zip(slugs, notebooks, strict=True):
        (root / f"chapters/{slug}.ipynb").write_text(json.dumps(content))
    chapters = "".join(f"  - file: chapters/{slug}\n" for slug in slugs)
    (root / "_toc.yml").write_text(f"format: jb-book\nroot: chapters/intro\nchapters:\n{chapters}")
    return root


def run(root: Path, **settings) -> str:
    """Build the book in `root` and return what the terminal showed."""
    console = Console(file=StringIO(), width=200)
    build(root, profile="quick", device="cpu", jobs=None, console=console, **settings)
    return console.file.getvalue()


def contents(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): sha256(path.read_bytes()).hexdigest() for path in files}


def arrays(root: Path) -> dict[str, np.ndarray]:
    """Return all arrays behind the figures of a book."""
    found = {}
    for path in sorted((root / "_build/figures").rglob("*.npz")):
        found |= {f"{path.stem}/{name}": array for name, array in load_arrays(path)[0].items()}
    return found


FIGURE = code(
    """from demod_book.figures.style import canvas
fig, ax = canvas()
networks = chapter.choose("networks", quick=60, full=400)
chapter.data("made-up data")
chapter.figure(fig, "figure-1b", f=[1.0, 2.0])
chapter.number.record("answer", 42, "{:d}")""",
    mystnb={"image": {"alt": "Empty axes"}, "figure": {"caption": "The axes $|x|$. And more.", "name": "fig-axes"}},
)
TEXT = prose(
    "It is {eval}`chapter.number.answer`, as [the other chapter](other.ipynb) says.\n\n## Figures\n\n<!-- figures -->"
)
CLAIM = code('chapter.claim("L6", slope=(-0.5, 0.02))')
DRAWN = code(
    """import torch
from demod_book.figures.style import canvas
fig, ax = canvas()
x, y = (torch.randn(60, 60, generator=chapter.rng(k)) for k in range(2))
chapter.figure(fig, "drawn", x=x, y=x @ y)"""
)
