"""Sweeps: many cells, each a setting with a random stream of its own, on as many workers as there are.

A cell is a dictionary of numbers and words. Its stream is seeded with the sweep's seed and a hash of the cell, its result is
a file named by a hash of the two and of the code that the function reaches. So
neither the order nor the number of workers matters, a
sweep that was killed goes on where it was, having lost at most the cells at work, and two runs leave the same bytes.

The workers are processes of this machine. For a cluster, give joblib another backend:

    with joblib.parallel_config(backend="dask"):
        sweep(recover_cell, cells, folder, seed=2019)
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from joblib import Parallel, delayed
from torch import Tensor
from tqdm import tqdm

from demod.artifacts import load_tensors, save_tensors
from demod.sources import function_hash

Cell = Mapping[str, Any]
Result = dict[str, Tensor]
Run = Callable[[Cell, torch.Generator], Result]


def sweep(
    run: Run, cells: Sequence[Cell], folder: Path | str, *, seed: int, jobs: int | None = None, progress: bool = False
) -> list[Result]:
    """Return run(cell, rng) for each cell, in order; cells with a file in `folder` are not run again.

    Parameters
    ----------
    run : callable
        A function of a module, so that workers can import it; it returns named tensors. A change of its module, or of a
        module of `demod` that this reaches, makes all cells anew.
    cells : sequence of mappings
        Of what JSON can hold.
    folder : path
        One file a cell.
    seed : int
        Of all streams.
    jobs : int, optional
        Cells at once: -1 for as many as there are cores. None: one, or what `joblib.parallel_config` says.
    progress : bool
        Whether to show a bar with the time left.

    Raises
    ------
    ValueError
        If two cells are the same.
    """
    folder, code = Path(folder), f"{function_hash(run)} {torch.__version__}"
    paths = [folder / f"{_digest(cell, seed, code)[:16]}.safetensors" for cell in cells]
    if len(set(paths)) < len(paths):
        raise ValueError(
            f"{len(paths) - len(set(paths))} cells occur twice, with the same stream; give each a number to tell."
        )
    waiting = [k for k, path in enumerate(paths) if not path.is_file()]
    workers = Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1, pre_dispatch="2 * n_jobs")
    finished = workers(delayed(_finish)(run, dict(cells[k]), seed, k) for k in waiting)
    with tqdm(total=len(cells), initial=len(cells) - len(waiting), unit="cell", disable=not progress) as bar:
        for k, result in finished:
            save_tensors(paths[k], result, {"cell": dict(cells[k]), "seed": seed})
            bar.update()
    return [load_tensors(path)[0] for path in paths]


def _finish(run: Run, cell: Cell, seed: int, k: int) -> tuple[int, Result]:
    """Run one cell on one thread: sums over more threads depend on their number."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rng = torch.Generator().manual_seed(int(_digest(cell, seed)[:8], 16))  # torch uses 32 bits of a seed
        return k, run(cell, rng)
    finally:
        torch.set_num_threads(threads)


def _digest(cell: Cell, seed: int, source: str = "") -> str:
    return hashlib.sha256(json.dumps([dict(cell), seed, source], sort_keys=True).encode()).hexdigest()
