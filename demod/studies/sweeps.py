"""Sweeps: many tasks, each a setting with a random stream of its own, on as many workers as there are.

A task is a dictionary of numbers and words. Its stream is seeded with the sweep's seed and a hash of the task; its result is
a file named by a hash of the two and of what the result depends on besides: the code that the function reaches, the version
of torch, and the inputs that the caller names. So neither the order nor the number of workers matters, a sweep that was
killed goes on where it was, having lost at most the tasks at work, and two runs leave the same bytes.

The workers are processes of this machine. For a cluster, give joblib another backend:

    with joblib.parallel_config(backend="dask"):
        sweep(recover_problems, tasks, folder, seed=2019)
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import torch
from joblib import Parallel, delayed
from torch import Tensor
from tqdm import tqdm

from demod.artifacts import load_tensors, save_tensors
from demod.sources import function_hash
from demod.torch_state import by_itself

Task = Mapping[str, Any]
Result = dict[str, Tensor]
Run = Callable[[Task, torch.Generator], Result]


def sweep(
    run: Run,
    tasks: Sequence[Task],
    folder: Path | str,
    *,
    seed: int,
    inputs: Mapping[str, Any] | None = None,
    jobs: int | None = None,
    progress: bool = False,
) -> list[Result]:
    """Return run(task, rng) for each task, in order; tasks with a file in `folder` are not run again.

    Parameters
    ----------
    run : callable
        A function of a module, so that workers can import it; it returns named tensors. A change of its module, or of a
        module of `demod` that this reaches, makes all tasks anew.
    tasks : sequence of mappings
        Of what JSON can hold.
    folder : path
        One file a task.
    seed : int
        Of all streams.
    inputs : mapping, optional
        What else the results depend on, such as hashes of data and weights, as JSON can hold it. Other inputs make all
        tasks anew, with the same streams.
    jobs : int, optional
        Tasks at once: -1 for as many as there are cores. None: one, or what `joblib.parallel_config` says.
    progress : bool
        Whether to show a bar with the time left.

    Raises
    ------
    ValueError
        If two tasks are the same, or jobs is 0.
    """
    check_jobs(jobs)
    folder, source = Path(folder), f"{function_hash(run)} {torch.__version__}"
    if inputs is not None:
        source += f" {json.dumps(inputs, sort_keys=True)}"
    paths = [folder / f"{_digest(task, seed, source)[:16]}.safetensors" for task in tasks]
    if len(set(paths)) < len(paths):
        raise ValueError(
            f"tasks has {len(paths) - len(set(paths))} that occur twice, with the same stream; give each a number to tell."
        )
    waiting = [k for k, path in enumerate(paths) if not path.is_file()]
    workers = Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1, pre_dispatch="2 * n_jobs")
    finished = workers(delayed(_finish)(run, dict(tasks[k]), seed, k) for k in waiting)
    with tqdm(total=len(tasks), initial=len(tasks) - len(waiting), unit="task", disable=not progress) as bar:
        for k, result in finished:
            save_tensors(paths[k], result, {"task": dict(tasks[k]), "seed": seed})
            bar.update()
    return [load_tensors(path)[0] for path in paths]


def check_jobs(jobs: int | None) -> None:
    """Raise unless joblib can run so many tasks at once: a positive number, -1 for one per core, or None."""
    if jobs is not None and not isinstance(jobs, Integral):
        raise TypeError(f"jobs is {jobs!r}, but a whole number is required; -1 runs one task per core.")
    if jobs == 0:
        raise ValueError("jobs is 0, but at least one task must run at a time; give 1, or -1 for one per core.")


def _finish(run: Run, task: Task, seed: int, k: int) -> tuple[int, Result]:
    """Run one task on one thread: sums over more threads depend on their number."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rng = torch.Generator().manual_seed(int(_digest(task, seed)[:8], 16))  # torch uses 32 bits of a seed
        return k, by_itself(run)(task, rng)
    finally:
        torch.set_num_threads(threads)


def _digest(task: Task, seed: int, source: str = "") -> str:
    return hashlib.sha256(json.dumps([dict(task), seed, source], sort_keys=True).encode()).hexdigest()
