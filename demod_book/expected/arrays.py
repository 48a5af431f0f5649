"""The arrays behind the figures: bit for bit between two builds, and by their statistics against the accepted ones.

Two builds of one machine, with as many jobs, leave the same bytes. Machines differ in how they round and in which order they
sum, so accepted are a few statistics of each array, in tests/expected/<profile>-<mnist|drawn>-figures.json: its shape, how
many entries are finite, and of those the mean, the root mean square, the least and the greatest. A statistic may be off by
the array's tolerance times its size: the root mean square for the first two, the greatest absolute value for the others.
Arrays of times, which a chapter names, are neither compared nor accepted.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from demod.artifacts import load_arrays, read_json, sha256
from demod_book.build.folders import Layout
from demod_book.expected.numbers import RELATIVE_TOLERANCE, expected_path

Accepted = dict[str, Any]
MEANS, ENDS = ("mean", "root_mean_square"), ("least", "greatest")
COMPARED = ("shape", "finite", "sha256", *MEANS, *ENDS)


def figures_path(root: Path, card: Mapping[str, Any]) -> Path:
    """Return the file of the accepted statistics for the book with this card."""
    numbers = expected_path(root, card)
    return numbers.with_name(f"{numbers.stem}-figures.json")


def read_figures(folder: Path, chapters: Iterable[str]) -> dict[str, np.ndarray]:
    """Return the arrays behind the figures of `chapters`, times apart: "chapter/figure/array" to array."""
    found: dict[str, np.ndarray] = {}
    for slug in chapters:
        for path in sorted((folder / slug).glob("*.npz")):
            arrays, card = load_arrays(path)
            kept = arrays.keys() - set(card.get("timing", ()))
            found |= {f"{slug}/{path.stem}/{name}": arrays[name] for name in sorted(kept)}
    return found


def differences(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> list[str]:
    """Return which arrays of two builds are not the same to the bit, one line each."""
    problems = [f"{name} is in one of the two builds only" for name in first.keys() ^ second.keys()]
    for name in first.keys() & second.keys():
        left, right = first[name], second[name]
        if sha256(left) != sha256(right):
            problems.append(f"{name} differs: {_distance(left, right)}")
    return sorted(problems)


def _distance(left: np.ndarray, right: np.ndarray) -> str:
    if left.shape != right.shape or left.dtype != right.dtype:
        return f"{left.dtype} {left.shape} and {right.dtype} {right.shape}"
    entries = int((left != right).sum())
    if left.dtype.kind not in "fiu":
        return f"{entries} of {left.size} entries"
    return f"{entries} of {left.size} entries, by up to {np.nanmax(np.abs(left.astype(float) - right.astype(float))):.1e}"


def statistics(array: np.ndarray) -> Accepted:
    """Return what is accepted of an array; of one that holds no numbers, its hash."""
    if not _is_number(array):
        return {"shape": list(array.shape), "sha256": sha256(array)}
    finite = array[np.isfinite(array)].astype(float)
    found: Accepted = {"shape": list(array.shape), "finite": finite.size}
    if finite.size:
        found |= {"mean": float(finite.mean()), "root_mean_square": float(np.sqrt((finite**2).mean()))}
        found |= {"least": float(finite.min()), "greatest": float(finite.max())}
    return found


def accept_figures(arrays: Mapping[str, np.ndarray], expected: Mapping[str, Accepted]) -> dict[str, Accepted]:
    """Return the accepted statistics: those of `expected` that `arrays` agree with, the others as they are now.

    So the last digits of what did not change stay. Tolerances that `expected` has are kept.
    """
    return {name: _accepted(statistics(array), expected.get(name, {})) for name, array in arrays.items()}


def _accepted(got: Accepted, before: Accepted) -> Accepted:
    if before and all(_close(key, got, before) for key in COMPARED):
        return before
    return got | ({"rtol": before.get("rtol", RELATIVE_TOLERANCE)} if "mean" in got else {})


def compare_figures(arrays: Mapping[str, np.ndarray], expected: Mapping[str, Accepted]) -> list[str]:
    """Return where arrays differ from the accepted ones: figure, array, statistic, what it is and what was accepted."""
    problems = [f"{name} is accepted, but no figure has it" for name in expected.keys() - arrays.keys()]
    problems += [f"{name} is behind a figure, but was never accepted" for name in arrays.keys() - expected.keys()]
    for name in arrays.keys() & expected.keys():
        got, accepted = statistics(arrays[name]), expected[name]
        for key in COMPARED:
            if not _close(key, got, accepted):
                tolerance = f" (tolerance {accepted['rtol']:g})" if key in MEANS + ENDS and "rtol" in accepted else ""
                problems.append(
                    f"{name}: its {key} is {_show(got.get(key))}, accepted is {_show(accepted.get(key))}{tolerance}"
                )
    return sorted(problems)


def _close(key: str, got: Accepted, accepted: Accepted) -> bool:
    if key not in MEANS + ENDS or key not in got or key not in accepted:
        return got.get(key) == accepted.get(key)
    size = accepted["root_mean_square"] if key in MEANS else max(abs(accepted["least"]), abs(accepted["greatest"]))
    return abs(got[key] - accepted[key]) <= accepted.get("rtol", 0.0) * size


def _show(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def read_builds(first: Path, second: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the arrays behind the figures of the last builds of the books in two folders."""
    left, right = (read_figures(layout.figures, layout.notebooks()) for layout in map(Layout, (first, second)))
    return left, right


def build_versions(root: Path) -> dict[str, str]:
    """Return the versions that the last build of the book in `root` was made with, as its first chapter names them."""
    layout = Layout(root)
    return read_json(layout.numbers / f"{next(iter(layout.notebooks()))}.json")["versions"]


def agreement(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return how far the arrays of two builds agree.

    Returns
    -------
    dict
        arrays, their number; identical, of how many all bits are the same; reshaped, how many differ in shape or type or
        are in one build only; relative, of each other array with numbers ‖a - b‖/‖a‖ over the entries that are finite in
        both, by name, the largest first.
    """
    names = first.keys() & second.keys()
    alike = {name for name in names if (first[name].shape, first[name].dtype) == (second[name].shape, second[name].dtype)}
    identical = {name for name in alike if sha256(first[name]) == sha256(second[name])}
    distances = {
        name: _relative_distance(first[name], second[name]) for name in alike - identical if _is_number(first[name])
    }
    return {
        "arrays": len(first.keys() | second.keys()),
        "identical": len(identical),
        "reshaped": len(first.keys() | second.keys()) - len(alike),
        "relative": dict(sorted(distances.items(), key=lambda item: -item[1])),
    }


def _is_number(array: np.ndarray) -> bool:
    return array.dtype.kind in "fiub"


def _relative_distance(left: np.ndarray, right: np.ndarray) -> float:
    both = np.isfinite(left) & np.isfinite(right)
    a, b = left[both].astype(float), right[both].astype(float)
    return float(np.linalg.norm(a - b) / max(np.linalg.norm(a), np.finfo(float).tiny))
