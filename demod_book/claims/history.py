"""When each bound of the ledger was set, and when its number was first measured, by the history of the repository.

    set        the commit since which the ledger has held the criterion with the bounds of today
    measured   the first commit at which a chapter calls the claim while the ledger holds the criterion: a call needs a
               number for each

`demod bounds` writes results/bounds.json; a copy without the history reads it.
"""

import ast
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from demod.artifacts import read_json, write_json
from demod_book.claims.judge import Criterion
from demod_book.claims.stored import RESULTS

STORED = RESULTS / "bounds.json"
LEDGERS = ("demod_book/claims/ledger.py", "demod/claims.py")  # where the ledger lies, and lay
CHAPTERS = "chapters"
CALLED = r'\\"[A-Z][0-9]+\\"'  # the id of a claim in the code of a notebook, whose quotation marks JSON escapes
Key = tuple[str, str]  # the id of a claim, the name of a criterion
Bounds = dict[Key, tuple[float | None, float | None]]


class Order(StrEnum):
    """Which came first, the bound or the number."""

    FIRST = "bound first"
    SAME = "in one commit"
    AFTER = "bound after the number"
    UNKNOWN = "–"


@dataclass(frozen=True)
class Dated:
    """The bounds of a criterion, and the commits that set them and first measured the number; "" where there is none yet."""

    low: float | None
    high: float | None
    set: str = ""
    measured: str = ""
    order: Order = Order.UNKNOWN

    @property
    def cells(self) -> tuple[str, str, str]:
        """The commits and their order, as a table shows them."""
        shown = [f"`{commit[:7]}`" if commit else "–" for commit in (self.set, self.measured)]
        late = self.order in (Order.SAME, Order.AFTER)
        return shown[0], shown[1], f"**{self.order}**" if late else str(self.order)


def bounds_set() -> dict[str, dict[str, Dated]]:
    """Return by claim and criterion what `demod bounds` stored."""
    stored = read_json(STORED) if STORED.is_file() else {}
    return {claim: {name: _read(values) for name, values in found.items()} for claim, found in stored.items()}


def _read(values: Mapping[str, Any]) -> Dated:
    return Dated(**{**values, "order": Order(values["order"])})


def dated(known: Mapping[str, Mapping[str, Dated]], claim: str, criterion: Criterion) -> Dated:
    """Return what is known of the bounds that a criterion has today: nothing, where they were set since."""
    found = known.get(claim, {}).get(criterion.name)
    if found and (found.low, found.high) == (criterion.low, criterion.high):
        return found
    return Dated(criterion.low, criterion.high)


def write_bounds(root: Path) -> Path:
    """Read the history of the repository in `root`, write what it says of today's bounds, and return the file.

    Raises
    ------
    ValueError
        If there is no repository, or only a part of its history.
    """
    if _git(root, "rev-parse", "--is-shallow-repository").strip() != "false":
        raise ValueError(f"The history of {root} is cut off; fetch all of it, `git fetch --unshallow`, then try again.")
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for (claim, name), value in trace(history(root)).items():
        found.setdefault(claim, {})[name] = asdict(value)
    write_json(STORED, found)
    return STORED


@dataclass(frozen=True)
class State:
    """A commit with its parents: the bounds of its ledger, and the claims that its chapters measure."""

    commit: str
    parents: tuple[str, ...]
    bounds: Bounds
    measured: frozenset[str]


def trace(states: Iterable[State]) -> dict[Key, Dated]:
    """Return for each criterion of the last state when its bounds were set and first measured; parents come before children.

    Of several parents the one counts whose bounds the commit has, and of those the one that had measured the number.
    """
    known: dict[str, dict[Key, Dated]] = {}
    now: dict[Key, Dated] = {}
    for state in states:
        before = [known.get(parent, {}) for parent in state.parents]
        now = {}
        for key, bounds in state.bounds.items():
            old = [found[key] for found in before if key in found]
            best = max(old, key=lambda found: ((found.low, found.high) == bounds, bool(found.measured)), default=None)
            now[key] = _next(best, bounds, state.commit, key[0] in state.measured)
        known[state.commit] = now
    return now


def _next(old: Dated | None, bounds: tuple[float | None, float | None], commit: str, measured: bool) -> Dated:
    """Return what is known of a criterion after a commit in which it has these bounds."""
    if old is None or (old.low, old.high) != bounds:
        first = (old.measured if old else "") or (commit if measured else "")
        order = Order.AFTER if old and old.measured else Order.SAME if measured else Order.UNKNOWN
        return Dated(*bounds, commit, first, order)
    if measured and not old.measured:
        return replace(old, measured=commit, order=Order.FIRST)
    return old


def history(root: Path) -> list[State]:
    """Return the commits of `root`, parents before children.

    Raises
    ------
    ValueError
        If git knows no history there.
    """
    lines = _git(root, "log", "--topo-order", "--reverse", "--format=%H %P").splitlines()
    return [_state(root, *line.split()) for line in lines]


def _state(root: Path, commit: str, *parents: str) -> State:
    lines = [line.split() for line in _git(root, "ls-tree", commit, "--", *LEDGERS, CHAPTERS).splitlines()]
    there = {path: hash for _, _, hash, path in lines}
    ledger = next((there[path] for path in LEDGERS if path in there), "")
    bounds = _bounds(root, ledger) if ledger else {}
    return State(commit, parents, bounds, _measured(root, there.get(CHAPTERS, "")))


def _git(root: Path, *words: str, nothing: int = 0) -> str:
    """Return what git says; `nothing` is the status with which it says that there is nothing."""
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=False)
    if done.returncode not in (0, nothing):
        raise ValueError(f"git {words[0]} in {root} says: {done.stderr.strip()}; the history of the repository is needed.")
    return done.stdout


@cache
def _bounds(root: Path, blob: str) -> Bounds:
    return ledger_bounds(_git(root, "show", blob))


def ledger_bounds(source: str) -> Bounds:
    """Return the bounds in the source of a ledger of any age: what its calls of Claim and Criterion say, and no more."""
    found: Bounds = {}

    def criterion(name: str, text: str, low: float | None = None, high: float | None = None) -> tuple[str, Any]:
        return name, (low, high)

    def claim(id: str, place: str, statement: str, criteria: Iterable[tuple[str, Any]], *rest: Any, **more: Any) -> None:
        found.update({(id, name): bounds for name, bounds in criteria})

    kept: list[ast.stmt] = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef | ast.Assign)]
    for node in kept:
        if isinstance(node, ast.FunctionDef):
            node.returns, node.args = None, _untyped(node.args)
    kinds = SimpleNamespace(PAPER=None, OURS=None, IDENTITY=None)
    exec(compile(ast.Module(kept, []), "ledger", "exec"), {"Claim": claim, "Criterion": criterion, "Kind": kinds})
    return found


def _untyped(arguments: ast.arguments) -> ast.arguments:
    for argument in (*arguments.args, *arguments.kwonlyargs):
        argument.annotation = None
    return arguments


@cache
def _measured(root: Path, tree: str) -> frozenset[str]:
    """Return the claims that the chapters in a folder of git measure."""
    found = _git(root, "grep", "-h", "-o", "-E", CALLED, tree, "--", "*.ipynb", nothing=1) if tree else ""
    return frozenset(name.strip('\\"') for name in found.split())
