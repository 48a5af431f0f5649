"""How long an iteration takes on the page that computes, in the browser, beside the package on the same problem, in one run.

The page computes in JavaScript and in double precision, with the shipped ReLU priors. Times are medians over interleaved
runs, in milliseconds an iteration; torch runs on one thread. The floor is what the browser takes for the multiplications of
an iteration of Algorithm 1 alone: each prior goes forwards twice and back once, and half of its units are off.

It reads the built book, `make book`, and writes demod_book/results/benchmark-page.json.
"""

import statistics
import time
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table

from demod.artifacts import machine, write_json
from demod.descent import descend
from demod.gauss_newton import solve
from demod.priors.image import draw_codes
from demod.settings import RELU_SETTING
from demod_book.pages.live import PRIORS, rounded_prior
from demod_book.paper.browser import NoBrowser, find, launched

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "demod_book" / "results" / "benchmark-page.json"
STEP = RELU_SETTING.step * 2 / 4096
ITERATIONS = {"AlgorithmOne": 100, "GaussNewton": 8}
NAMES = {"AlgorithmOne": "Algorithm 1", "GaussNewton": "Gauss–Newton"}
RUN = """([Solver, y, h, m, iterations, options]) => {
  const priors = [prior(demodWeights.signal), prior(demodWeights.modulator)];
  const [a, b, c] = [y, h, m].map((values) => Float64Array.from(values));
  const solver = new demodEngine[Solver](...priors, a, b, c, options);
  const begun = performance.now();
  while (solver.iterations < iterations) solver.iterate();
  return (performance.now() - begun) / iterations;
}"""
FLOOR = """(multiplications) => {
  const [a, b] = [new Float64Array(4096).fill(1.1), new Float64Array(4096).fill(0.9)];
  let sum = 0;
  const begun = performance.now();
  for (let k = 0; k < multiplications; k += 4096) for (let i = 0; i < 4096; i++) sum += a[i] * b[i];
  return sum > 0 ? performance.now() - begun : Infinity;
}"""


def main(runs: Annotated[int, typer.Option(min=1, help="Interleaved runs, of which the medians are taken.")] = 5) -> None:
    """Time the page and the package."""
    torch.set_num_threads(1)
    program, console = find(), Console()
    if program is None or not (ROOT / "_build/html/chapters/try.html").is_file():
        raise NoBrowser(
            "The page is read in Chromium from the built book: run `make book`, and see `make pdf` for a browser."
        )
    G1, G2 = networks = tuple(rounded_prior(name) for name in PRIORS.values())
    rng = torch.Generator().manual_seed(2019)
    h0, m0, h, m = (draw_codes(G, (), rng).double() for G in networks * 2)
    y = G1(h0) * G2(m0)
    options = {"stepSize": STEP, "momentum": RELU_SETTING.momentum}
    package = {
        "AlgorithmOne": lambda: descend(G1, G2, y, h=h, m=m, step_size=STEP, momentum=0.9, iterations=100, tolerance=0),
        "GaussNewton": lambda: solve(G1, G2, y, h=h, m=m, iterations=8, tolerance=0),
    }
    times: dict[str, list[float]] = {}
    with launched(program) as browser:
        page = browser.new_page()
        page.goto(f"file://{ROOT / '_build/html/chapters/try.html'}")
        sizes = [(G.weights[0].numel(), 28 * 28 * G.widths[1] / 2) for G in networks]
        multiplications = 3 * sum(first + last for first, last in sizes)
        for _ in range(runs):
            for name, iterations in ITERATIONS.items():
                given = [name, y.tolist(), h.tolist(), m.tolist(), iterations, options]
                times.setdefault(f"{NAMES[name]}, the page", []).append(page.evaluate(RUN, given))
                begun = time.perf_counter()
                package[name]()
                seconds = time.perf_counter() - begun
                times.setdefault(f"{NAMES[name]}, demod", []).append(1000 * seconds / iterations)
            times.setdefault("Algorithm 1, its multiplications alone", []).append(page.evaluate(FLOOR, multiplications))
    found = {name: statistics.median(values) for name, values in times.items()}
    table = Table("milliseconds an iteration", "median")
    for name, value in found.items():
        table.add_row(name, f"{value:.2f}")
    console.print(table)
    write_json(RESULT, {"command": "make bench", "milliseconds": found, "runs": runs, **machine()})


if __name__ == "__main__":
    typer.run(main)
