"""What the cells of a chapter call: sizes by profile, random streams, figures with their cards, numbers for the prose.

    chapter = begin("landscape", profile=profile, device=device, seed=seed)
    number = chapter.number

The prose shows numbers by MyST's role for expressions, {eval}`number("ratio", a / b, "{:.2f}")` where one is recorded and
{eval}`number.ratio` where it is mentioned again: JupyterLab evaluates them in the kernel, the build by `tell`. Code records
what the prose only mentions, `number.record("ratio", a / b, "{:.2f}")`.

A figure leaves four files, <name>.svg, .png, .npz (the arrays behind it) and .json (its card: how it was made), in
$DEMOD_FIGURES/<slug>; the numbers, the verdicts, the choices and the data of a chapter are recorded in
$DEMOD_NUMBERS/<slug>.json. The build sets both variables. In JupyterLab or Colab nothing sets them, and everything goes
under _build/ of the current folder.
"""

import math
import os
import re
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import matplotlib
import numpy as np
import torch
from IPython import get_ipython
from IPython.display import HTML, Image, Markdown, display
from matplotlib.figure import Figure
from PIL import Image as Picture
from torch import Tensor

from demod.arguments import check_seed
from demod.artifacts import atomic_path, save_arrays, versions, write_json
from demod.sources import commit
from demod_book.claims.box import claim_blocks
from demod_book.claims.judge import Measured
from demod_book.claims.ledger import LEDGER
from demod_book.claims.stored import judge_runs

PROFILES = ("quick", "full")
DEVICES = ("auto", "cpu", "cuda")
DPI = 200
COLOURS = 256
LARGE = 10_000  # entries
SLUG = re.compile(r"[a-z0-9][a-z0-9_-]*")
ASSIGNED = re.compile(r"^(\w+)\s*(?::[^=\n]*)?=(?!=)", re.MULTILINE)  # what papermill takes for a parameter
TEXTS = "application/vnd.demod.texts+json"  # what the expressions of a cell of prose show, a list


def begin(slug: str, *, profile: str, device: str, seed: int) -> "Chapter":
    """Open the chapter whose notebook is `slug`.ipynb.

    Parameters
    ----------
    slug : str
        The notebook's name without its ending: lower case letters, digits, hyphens and underscores.
    profile : str
        "quick" (two cores, minutes) or "full" (the paper's sizes).
    device : str
        "auto" (CUDA where there is one, else the CPU), "cpu" or "cuda".
    seed : int
        What every random stream of the chapter is seeded from.

    Raises
    ------
    ValueError
        If `slug` has other characters, `profile` or `device` is another word, `device` asks for CUDA where there is none,
        or `seed` does not lie in [0, 2⁶³); or if papermill was given a parameter that the notebook does not have.
    """
    if not isinstance(slug, str) or not SLUG.fullmatch(slug):
        raise ValueError(
            f"slug is {slug!r}, but it must be lower case letters, digits, hyphens and underscores, as in landscape: "
            "files are named after it; rename the notebook."
        )
    if profile not in PROFILES:
        raise ValueError(f'profile is {profile!r}, but it must be "quick" or "full".')
    if device not in DEVICES:
        raise ValueError(f'device is {device!r}, but it must be "auto", "cpu" or "cuda".')
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError('device is "cuda", but torch sees no CUDA device; use "auto" or "cpu".')
    cuda = device != "cpu" and torch.cuda.is_available()
    chapter = Chapter(slug, profile, torch.device("cuda" if cuda else "cpu"), check_seed(seed))
    _refuse_unknown_parameters()
    chapter._write_record()
    return chapter


def _refuse_unknown_parameters() -> None:
    """Raise if papermill set a parameter that the notebook does not assign: papermill itself only logs it."""
    shell = get_ipython()
    cells = [str(cell) for cell in shell.user_ns.get("In", ())] if shell else []
    for declared, injected in pairwise(cells):
        if injected.startswith("# Parameters\n"):
            known = ASSIGNED.findall(declared)
            if unknown := [name for name in ASSIGNED.findall(injected) if name not in known]:
                raise ValueError(
                    f"papermill was given {', '.join(unknown)}, but the notebook's parameters are {', '.join(known)}; "
                    "correct the name after -p."
                )


class Text(str):
    """What a number looks like in the prose; a kernel shows it without quotation marks."""

    __slots__ = ()
    __repr__ = str.__str__


class Numbers:
    """The numbers of a chapter: `number("rho", 0.318, "{:.2f}")` records one, `number.rho` is its text ever after."""

    def __init__(self, recorded: dict[str, dict[str, Any]], write: Callable[[], None]) -> None:
        """Keep the numbers in `recorded`, and call `write` whenever there is another."""
        self._recorded, self._write = recorded, write

    def __call__(self, name: str, value: Any, form: str = "{}", *, timing: bool = False) -> Text:
        """Record the number `value` and return its text, `form.format(value)`.

        `timing` says that the number is a time: the tests do not compare it with an accepted one.

        Raises
        ------
        ValueError
            If `value` is not one finite number, or `name` is no identifier.
        """
        if not name.isidentifier():
            raise ValueError(f"{name!r} is no name for a number: use letters, digits and underscores, as in half_point.")
        number = _to_number(name, value)
        self._recorded[name] = {"value": number, "text": form.format(number)} | ({"timing": True} if timing else {})
        self._write()
        return Text(self._recorded[name]["text"])

    def record(self, name: str, value: Any, form: str = "{}", *, timing: bool = False) -> None:
        """Record a number as a call does, and return nothing: for code, where a cell shows the value that it ends with."""
        self(name, value, form, timing=timing)

    def __getattr__(self, name: str) -> Text:
        """Return the text of a recorded number."""
        if name not in self._recorded:
            close = get_close_matches(name, self._recorded, 3) or sorted(self._recorded)
            raise AttributeError(f"no number is called {name}; there are {', '.join(close) or 'none yet'}.")
        return Text(self._recorded[name]["text"])


def tell(*expressions: str) -> None:
    """Display what the expressions of a cell of prose show, in the namespace of the notebook; the build's page takes it.

    Raises
    ------
    TypeError
        If an expression gives something else than a text or an integer: it would show with all its digits.
    """
    shell = get_ipython()
    values = [(expression, eval(expression, shell.user_ns if shell else {})) for expression in expressions]
    for expression, value in values:
        if not isinstance(value, str | int):
            raise TypeError(f"{expression} is a {type(value).__name__}; record it with number(name, value, form).")
    display({TEXTS: [str(value) for _, value in values]}, raw=True)


@dataclass(eq=False)
class Chapter:
    """An open chapter: its settings, and what it has chosen, used and found so far. Made by `begin`."""

    slug: str
    profile: str
    device: torch.device
    seed: int
    choices: dict[str, dict[str, Any]] = field(default_factory=dict)
    used_data: list[str] = field(default_factory=list)
    numbers: dict[str, dict[str, Any]] = field(default_factory=dict)
    claims: dict[str, dict[str, Any]] = field(default_factory=dict)
    commit: str | None = field(default_factory=commit)
    clock: float = field(default_factory=time.perf_counter)

    @property
    def quick(self) -> bool:
        """Whether the profile is "quick"."""
        return self.profile == "quick"

    def choose(self, name: str, *, quick: Any, full: Any) -> Any:
        """Return `quick` or `full`, by profile, and record the pair: the page says what the other profile would change.

        Raises
        ------
        ValueError
            If the two are the same.
        """
        if quick == full:
            raise ValueError(f"{name} is {quick!r} in both profiles, so that there is nothing to choose; assign it.")
        self.choices[name] = {"quick": quick, "full": full}
        self._write_record()
        return quick if self.quick else full

    def rng(self, stream: int | None = None) -> torch.Generator:
        """Return a fresh CPU stream, seeded with the chapter's seed or with (seed, `stream`): streams are independent."""
        if stream is None:
            return torch.Generator().manual_seed(self.seed)
        state = np.random.SeedSequence((self.seed, stream)).generate_state(1, np.uint64)
        return torch.Generator().manual_seed(int(state[0]))

    def data(self, description: str) -> None:
        """Record what data the chapter used, in words that the page shows."""
        if description not in self.used_data:
            self.used_data.append(description)
            self._write_record()

    def figure(self, fig: Figure, name: str, *, timing: Iterable[str] = (), **arrays: np.ndarray | Tensor) -> None:
        """Write `fig` as `name`.svg and .png, `arrays` as .npz, its card as .json, and show the PNG.

        `timing` names the arrays that are times: the tests do not compare them with accepted ones. Arrays of 10,000 entries
        or more are written in single precision.
        """
        path = _folder("DEMOD_FIGURES", "figures") / self.slug / name
        seconds, inches = self._lap(), fig.get_size_inches().tolist()
        with matplotlib.rc_context({"svg.hashsalt": f"{self.slug}/{name}"}), atomic_path(path.with_suffix(".svg")) as svg:
            fig.savefig(svg, format="svg", dpi=DPI, metadata={"Date": None})  # surfaces are pixels here, too
        with atomic_path(path.with_suffix(".png")) as png:
            fig.savefig(png, format="png", dpi=DPI)
            few_colours(png)
            display(Image(data=png.read_bytes(), width=round(96 * inches[0])))
        card = {"chapter": self.slug, "figure": name, "seconds": seconds, "inches": inches, **self._making()}
        card |= {"timing": list(timing)} if timing else {}
        save_arrays(path.with_suffix(".npz"), {key: _to_numpy(array) for key, array in arrays.items()}, card)

    def interactive(self, fig: Any, name: str, *, height: int = 520) -> None:
        """Show a plotly figure, `height` pixels high; in the book it uses the book's own copy of plotly.js."""
        script = os.environ.get("DEMOD_PLOTLY")
        fig.update_layout(height=height)
        if script is None:
            display(fig)
            return
        config = {"displaylogo": False, "responsive": True}
        html = fig.to_html(full_html=False, include_plotlyjs=script, include_mathjax=False, div_id=name, config=config)
        display(HTML(f'<div class="demod-interactive">{html}</div>'))

    @property
    def number(self) -> Numbers:
        """The numbers that the prose shows."""
        return Numbers(self.numbers, self._write_record)

    def claim(self, name: str, /, **measured: Measured) -> None:
        """Record what was measured for the claim `name` of the ledger, and show the verdict in a box that pages can link to.

        The pages of the book judge the measurement by the ledger of their day, and replace the box. A stored full run of the
        chapter stands beside a quick one, and decides.
        measured holds, for each criterion of the claim, its value, (value, standard error), or (value, low, high) with
        the ends of a 95 % interval.

        Raises
        ------
        ValueError
            If the ledger has no such claim, a criterion has no value, a value no criterion, or a value is not finite.
        """
        if name not in LEDGER:
            raise ValueError(f"There is no claim {name!r} in the ledger; its claims are {', '.join(LEDGER)}.")
        numbers = {key: _to_measured(key, value) for key, value in measured.items()}
        judged = judge_runs(LEDGER[name], self.slug, self.profile, numbers)
        self.claims[name] = {"measured": numbers}
        self._write_record()
        display(Markdown("\n\n".join(claim_blocks(LEDGER[name], judged))), metadata={"demod": {"claim": name}})

    def stored(self, name: str) -> Path:
        """Return the path of a file that a longer run left, name as in "results/benchmark-descend.json".

        Raises
        ------
        ValueError
            If there is no such file.
        """
        path = Path(__file__).parent / name
        if not path.is_file():
            there = ", ".join(sorted(f"results/{file.name}" for file in path.parent.glob("*"))) or "none"
            raise ValueError(f"name is {name!r}, but the stored files are: {there}.")
        return path

    def sweeps_folder(self) -> Path:
        """Return the folder where the tasks of sweeps are kept between runs of the chapter.

        It is $DEMOD_SWEEPS/<slug>, which the build sets, or under _build/sweeps of the current folder.
        """
        return _folder("DEMOD_SWEEPS", "sweeps") / self.slug

    def _lap(self) -> float:
        """Return the seconds since the chapter began, or since its previous figure."""
        now = time.perf_counter()
        seconds, self.clock = now - self.clock, now
        return round(seconds, 2)

    def _making(self) -> dict[str, Any]:
        """Return how the chapter is made: what stands in its record and on the card of each figure."""
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "CPU"
        settings = {"profile": self.profile, "device": name, "seed": self.seed}
        shipped = sys.modules.get("demod.priors.weights")  # not imported here: most chapters load no weights
        weights = shipped.weight_hashes() if shipped else {}
        used = {"data": self.used_data, "choices": self.choices, "weights": weights, "commit": self.commit}
        return settings | used

    def _write_record(self) -> None:
        found = {"numbers": self.numbers, "claims": self.claims}
        record = {"chapter": self.slug, **self._making(), "versions": versions(), **found}
        write_json(_folder("DEMOD_NUMBERS", "numbers") / f"{self.slug}.json", record)


def few_colours(png: Path) -> None:
    """Give a drawing a palette of 256 colours: two fifths of its bytes, and no difference to the eye (44 dB or more)."""
    with Picture.open(png) as drawn:
        flat = drawn.convert("RGB")
    kept = flat.quantize(COLOURS, Picture.Quantize.MAXCOVERAGE, kmeans=1, dither=Picture.Dither.NONE)
    kept.save(png, format="PNG", optimize=True)


def _folder(variable: str, name: str) -> Path:
    return Path(os.environ.get(variable) or Path("_build") / name)


def _to_number(name: str, value: Any) -> float:
    number = value.item() if hasattr(value, "item") else value
    if not isinstance(number, int | float) or not math.isfinite(number):
        raise ValueError(f"{name} is {value!r}, but only a finite number can be quoted; look at what produced it.")
    return number


def _to_measured(name: str, value: Any) -> Measured:
    """Return a number, or a tuple of one with its standard error or the ends of its interval."""
    if isinstance(value, tuple):
        return cast(Measured, tuple(_to_number(name, part) for part in value))
    return _to_number(name, value)


def _to_numpy(array: np.ndarray | Tensor) -> np.ndarray:
    """Return the array, a large one in single precision if its range allows: a picture shows no more."""
    values = array.detach().cpu().numpy() if isinstance(array, Tensor) else np.asarray(array)
    if values.dtype != np.float64 or values.size < LARGE:
        return values
    with np.errstate(over="ignore", under="ignore"):
        single = values.astype(np.float32)
    same = np.array_equal(single == 0, values == 0) and np.array_equal(np.isfinite(single), np.isfinite(values))
    return single if same else values
