"""The study of Section 4: every method on the same images, over families of modulators, noise and missing pixels.

A task is one method of `demod.studies.methods` on one block of images, see `demod.studies.blocks`. The results of all tasks
are stored as one file, with a card that lists the tasks and says what they depend on.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from demod.arguments import check_counts
from demod.artifacts import load_arrays, save_arrays, sha256
from demod.data import FAMILIES, SIDE, load_mnist
from demod.demodulation import score
from demod.priors.weights import prior_hashes
from demod.studies.blocks import STUDY_SEED, image_block
from demod.studies.methods import CLASSICAL, METHODS, SEEDS, Observation
from demod.studies.sweeps import Result, Task, check_jobs, sweep

PRIOR_OF = {"wide": "bump"}
NOISES, HALF = (0.0, 0.02, 0.05), 0.5  # σ; the share of the pixels that is missing
FAMILY_METHODS = ("algorithm_1", "relu", *CLASSICAL, "input", "constant")
BLOCK = 32  # digits of a block of the paper's family; slow methods see one block in SLOW
SLOW = 4
FAMILY_BLOCK, FAMILY_COUNT = 200, 12  # test digits 7,400 …
STARTS_BLOCK, STARTS_COUNT = 800, 5  # test digits 9,000 …
MOST_BLOCKS = FAMILY_BLOCK * FAMILY_COUNT // BLOCK  # of the paper's family, which must not reach the digits of the others
UNSTATED: dict[str, Any] = {"noise": 0.0, "missing": 0.0, "glyphs": False}  # what None means


@dataclass(frozen=True)
class ImageTask:
    """One method on one block of images.

    None is what the task does not state: no noise, no missing pixels, no glyphs, the method's own setting. A stated zero is
    told from that, because the random stream of a task is seeded by what it states.

    method : a name of `METHODS`, or "seeds".
    family, number, count, noise, missing, glyphs : of the images, see `image_block`.
    iterations, starts : of a descent, where they differ from its setting.
    start : a number that only tells tasks apart, and so changes the starting codes.
    training_seed : of the priors of "seeds".
    """

    method: str
    family: str
    number: int
    count: int
    noise: float | None = None
    missing: float | None = None
    glyphs: bool | None = None
    iterations: int | None = None
    starts: int | None = None
    start: int | None = None
    training_seed: int | None = None

    def __post_init__(self) -> None:
        """Raise unless the values can be meant."""
        if self.method not in (*METHODS, SEEDS.name):
            raise ValueError(f"method is {self.method!r}, but the study has {', '.join(METHODS)} and {SEEDS.name}.")
        if self.training_seed is not None and self.method != SEEDS.name:
            raise ValueError(f"training_seed is of the method {SEEDS.name}, but method is {self.method!r}; leave it out.")

    def stated(self, name: str) -> Any:
        """Return the value of a field, or what it means that it is not stated."""
        value = getattr(self, name)
        return UNSTATED.get(name) if value is None else value

    def stored(self) -> dict[str, Any]:
        """Return the task as the study's card lists it and its stream is seeded: start and training_seed as "again"."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        start, training_seed = values.pop("start"), values.pop("training_seed")
        values["again"] = training_seed if self.method == SEEDS.name else start
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> "ImageTask":
        """Return the task that `stored` made the dictionary of."""
        rest = dict(stored)
        again = rest.pop("again", None)
        name = "training_seed" if rest.get("method") == SEEDS.name else "start"
        return cls(**rest, **{name: again})


def run_task(task: ImageTask, rng: torch.Generator, *, device: torch.device | str = "cpu") -> Result:
    """Run a method on its block of images.

    Parameters
    ----------
    task : ImageTask
        What is run.
    rng : torch.Generator
        On the CPU; for the starts.
    device : torch.device or str
        Where descents run.

    Returns
    -------
    dict
        psnr and ssim of the signal, psnr_modulator and ssim_modulator, residual, the mean-squared one over the observed
        pixels, and seconds an image, each (count,).

    Raises
    ------
    ValueError
        If there is no such family or block, or the method has no such settings.
    """
    noise, missing, glyphs = (task.stated(name) for name in UNSTATED)
    w, x, y, mask = image_block(task.family, task.number, task.count, noise=noise, missing=missing, glyphs=glyphs)
    given = Observation(
        y=y.to(device),
        family=PRIOR_OF.get(task.family, task.family),
        noise=noise,
        mask=mask,
        modulator=x,
        rng=rng,
        seed=int(torch.randint(2**31, (), generator=rng)),
        iterations=task.iterations,
        starts=task.starts,
        training_seed=task.training_seed or 0,
    )
    started = time.perf_counter()
    signal, modulator = (METHODS | {SEEDS.name: SEEDS})[task.method].run(given)
    seconds = time.perf_counter() - started
    signal, modulator = signal.cpu(), modulator.cpu()
    digit, shade = score(signal, w), score(modulator, x)
    kept = torch.ones(SIDE, SIDE, dtype=torch.bool) if mask is None else mask
    residual = (signal * modulator - y)[:, kept].square().mean(-1)
    scores = {"psnr": digit.psnr, "ssim": digit.ssim, "psnr_modulator": shade.psnr, "ssim_modulator": shade.ssim}
    return {**scores, "residual": residual, "seconds": torch.full_like(residual, seconds / len(y))}


def run_stored(task: Task, rng: torch.Generator) -> Result:
    """Run a task of a sweep, which is a dictionary."""
    return run_task(ImageTask.read(task), rng)


def study_tasks(blocks: int) -> list[ImageTask]:
    """Return the tasks of the whole study; the paper's family has `blocks` of 32 digits, everything else fewer.

    paper's family      every method on the same digits; those that take long on a quarter of the blocks
    all families        12 digits for each of three noise levels, and with half of the pixels missing
    one start           5 digits, 20 starts
    seeds               12 digits, three ReLU priors smaller than the shipped ones
    iterations          5 digits, 10 times as many
    out of range        letters, and bumps that are wider than any that a prior has seen

    Raises
    ------
    ValueError
        If blocks is less than 1, or so large that the paper's family would meet the digits of the others.
    """
    check_counts(blocks=blocks)
    if blocks > MOST_BLOCKS:
        raise ValueError(f"blocks is {blocks}, but only {MOST_BLOCKS} blocks of {BLOCK} test digits are free; give fewer.")
    return [*_paper_tasks(blocks), *_family_tasks(), *_repeated_tasks()]


def _paper_tasks(blocks: int) -> list[ImageTask]:
    return [
        ImageTask(method.name, "bump", number, BLOCK)
        for method in METHODS.values()
        for number in range(max(1, blocks // SLOW) if method.slow else blocks)
    ]


def _family_tasks() -> list[ImageTask]:
    conditions = [*((noise, None) for noise in NOISES), (None, HALF)]
    return [
        ImageTask(method, family, FAMILY_BLOCK, FAMILY_COUNT, noise=noise, missing=missing)
        for family in FAMILIES
        for noise, missing in conditions
        for method in FAMILY_METHODS
    ]


def _repeated_tasks() -> list[ImageTask]:
    few, five = (FAMILY_BLOCK, FAMILY_COUNT), (STARTS_BLOCK, STARTS_COUNT)
    return [
        *(ImageTask("algorithm_1", "bump", *five, starts=1, start=k) for k in range(20)),
        *(ImageTask(SEEDS.name, "bump", *few, training_seed=k) for k in range(1, 4)),
        *(ImageTask("paper", "bump", *five, iterations=iterations) for iterations in (500, 5000)),
        ImageTask("algorithm_1", "bump", *few, glyphs=True),
        ImageTask("algorithm_1", "wide", *few),
    ]


@dataclass(frozen=True)
class Study:
    """Tasks and their results, in the same order."""

    tasks: list[ImageTask]
    results: list[Result]

    def select(self, name: str, **conditions: object) -> Tensor:
        """Return the values `name` of all tasks that meet the conditions, one after the other; one left out is not stated.

        Raises
        ------
        ValueError
            If no task does, or a condition is none of an `ImageTask`.
        """
        asked = [field.name for field in fields(ImageTask) if field.name not in ("number", "count")]
        if unknown := sorted(set(conditions) - set(asked)):
            raise ValueError(f"conditions are {', '.join(unknown)}, but a task is known by {', '.join(asked)}.")
        found = [
            result[name]
            for task, result in zip(self.tasks, self.results, strict=True)
            if all(task.stated(key) == conditions.get(key, UNSTATED.get(key)) for key in asked)
        ]
        if not found:
            raise ValueError(f"no task of the study has {conditions}; see `study_tasks` for what there is.")
        return torch.cat(found)

    def medians(
        self, name: str, methods: Sequence[str], families: Sequence[str], conditions: Sequence[Mapping[str, Any]]
    ) -> Tensor:
        """Return the median of `name`, shape (methods, families · conditions), the conditions of one family side by side."""
        columns = [{"family": family, **condition} for family in families for condition in conditions]
        rows = [[self.select(name, method=method, **column).quantile(0.5) for column in columns] for method in methods]
        return torch.tensor(rows)

    def save(self, path: Path, provenance: Mapping[str, Any]) -> None:
        """Write everything to `path` (.npz) and its card, each atomically."""
        names = sorted(self.results[0])
        arrays = {name: np.concatenate([result[name].numpy() for result in self.results]) for name in names}
        save_arrays(path, arrays, {"cells": [task.stored() for task in self.tasks], **provenance})

    @classmethod
    def load(cls, path: Path) -> "Study":
        """Read what `save` wrote."""
        arrays, card = load_arrays(path)
        tasks = [ImageTask.read(stored) for stored in card["cells"]]  # the card's word for tasks
        ends = np.cumsum([task.count for task in tasks])
        results = [
            {name: torch.from_numpy(values[end - task.count : end]) for name, values in arrays.items()}
            for task, end in zip(tasks, ends, strict=True)
        ]
        return cls(tasks, results)


def study_inputs() -> dict[str, Any]:
    """Return what the results of the study depend on besides the code: its images and the shipped priors, by their hashes.

    Raises
    ------
    MNISTUnavailableError
        If MNIST is nowhere to be had: the study is of its test digits, and drawn ones would be another.
    """
    return {"data": {"MNIST test digits": sha256(load_mnist("test")[0])}, "weights": prior_hashes()}


def make_study(path: Path, folder: Path, *, blocks: int, jobs: int | None = None, progress: bool = True) -> Study:
    """Run the tasks of the study that `folder` lacks, and write all results to `path` (.npz) and its card.

    Raises
    ------
    ValueError
        If `path` is no .npz, jobs is 0, or there are no such blocks.
    MNISTUnavailableError
        If MNIST is nowhere to be had; `path` is then left as it is.
    """
    check_jobs(jobs)
    if path.suffix != ".npz":
        raise ValueError(f"path is {path}, but arrays are stored as .npz; give it that ending.")
    tasks, inputs = study_tasks(blocks), study_inputs()
    dictionaries = [task.stored() for task in tasks]
    results = sweep(run_stored, dictionaries, folder, seed=STUDY_SEED, inputs=inputs, jobs=jobs, progress=progress)
    study = Study(tasks, results)
    study.save(path, {"command": f"demod study --blocks {blocks}", "seed": STUDY_SEED, "blocks": blocks, **inputs})
    return study
