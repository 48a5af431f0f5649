"""The longer run of a chapter that the repository keeps, and which of two runs decides a claim.

results/full-<slug>.json holds what the chapter measured in the full profile, and how: `demod store` copies it from the last
run. A page shows its own run beside the stored one, and the stored one decides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demod.artifacts import read_json, write_json
from demod_book.claims.judge import Claim, Judgement, Measured, judge

RESULTS = Path(__file__).parents[1] / "results"
PROFILE = "full"  # of the runs that are stored
KEPT = ("chapter", "profile", "device", "seed", "choices", "data", "commit", "versions", "claims")


@dataclass(frozen=True)
class Judged:
    """What became of a claim.

    chapter : the slug of the chapter that measures it.
    here : the judgement of the run at hand.
    stored : that of the longer run that is kept, where there is one.
    commit : at which that was made.
    """

    chapter: str
    here: Judgement
    stored: Judgement | None = None
    commit: str | None = None

    @property
    def judgement(self) -> Judgement:
        """The judgement that decides."""
        return self.stored or self.here


def judge_runs(claim: Claim, chapter: str, profile: str, measured: Mapping[str, Any]) -> Judged:
    """Return what becomes of a claim that a run of `chapter` measured: beside a quick one a stored full run decides.

    Raises
    ------
    ValueError
        As `judge` does, for either run.
    """
    here, record = judge(claim, as_measured(measured)), stored_record(chapter)
    if profile == PROFILE or claim.id not in record.get("claims", {}):
        return Judged(chapter, here)
    kept = judge(claim, as_measured(record["claims"][claim.id]["measured"]))
    return Judged(chapter, here, kept, record["commit"])


def as_measured(values: Mapping[str, Any]) -> dict[str, Measured]:
    """Return the values of criteria as `judge` takes them; a file has lists where it takes tuples."""
    return {name: tuple(value) if isinstance(value, Sequence) else value for name, value in values.items()}


def stored_path(chapter: str) -> Path:
    """Return where the full run of a chapter is kept."""
    return RESULTS / f"{PROFILE}-{chapter}.json"


def stored_record(chapter: str) -> dict[str, Any]:
    """Return the stored full run of a chapter; empty where there is none."""
    path = stored_path(chapter)
    return read_json(path) if path.is_file() else {}


def store(record: Path) -> Path:
    """Keep the record of a chapter's run, _build/numbers/<slug>.json, and return where.

    Raises
    ------
    ValueError
        If there is no such record, it is of another profile, or it measured no claim.
    """
    slug, command = record.stem, f"demod build --profile {PROFILE} --chapter {record.stem}"
    if not record.is_file():
        raise ValueError(f"There is no run of {slug} to keep; make one: {command}")
    run = read_json(record)
    if run["profile"] != PROFILE:
        raise ValueError(f"The last run of {slug} has the profile {run['profile']}; what is kept is the full one: {command}")
    if not run["claims"]:
        raise ValueError(f"The chapter {slug} measures no claim, so that there is nothing to keep.")
    write_json(stored_path(slug), {name: run[name] for name in KEPT} | {"command": command})
    return stored_path(slug)
