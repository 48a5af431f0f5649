"""What a page says of its own making: the box under its title and the folded table at its end."""

from collections.abc import Mapping
from typing import Any

from demod.data import MNIST_SHA256
from demod_book.pages.figures import short_commit

HASH = 16  # digits shown; the whole hash stands in the files


def banner(record: Mapping[str, Any], seconds: float) -> str:
    """Return the box of a page, in MyST: profile, seconds, device, data, and what `full` would change."""
    where = f"{record['device']}, seed {record['seed']}"
    lines = [f"Made with the `{record['profile']}` profile in {seconds:.0f} s on: {where}."]
    if record["data"]:
        lines.append(f"Data: {'; '.join(record['data'])}.")
    changes = [f"{name} {_show(pair['quick'])} → {_show(pair['full'])}" for name, pair in record["choices"].items()]
    if record["profile"] == "quick":
        lines.append(f"`full` would change: {', '.join(changes)}." if changes else "`full` would change nothing.")
    return "\n".join([":::{admonition} How this page was made", ":class: note demod-banner", *lines, ":::"])


def _show(value: Any) -> str:
    return ", ".join(map(_show, value)).join("()") if isinstance(value, list) else str(value)


def footer(record: Mapping[str, Any], card: Mapping[str, Any]) -> str:
    """Return the end of a page, in MyST: its notebook to download, and from what, where and how the page was made.

    record is what the chapter left among the numbers, card what the build knows of its run.
    """
    slug = record["chapter"]
    settings = ", ".join(f"{name} = {card[name]}" for name in ("profile", "device", "seed"))
    parameters = [f"{name} = {_show(pair[record['profile']])}" for name, pair in record["choices"].items()]
    rows = {
        "commit": f"`{record['commit'] or short_commit(None)}`",
        "parameters": f"`{settings}`",
        "sizes": "; ".join(parameters) or "none",
        "ran on": f"{record['device']}, in {card['seconds']:.0f} s",
        "versions": ", ".join(f"{name} {number}" for name, number in record["versions"].items()),
        "data": "<br>".join(_data(record, card["ingredients"])) or "none but random numbers",
        "weights": "<br>".join(f"{name}: {_hash(value)}" for name, value in record["weights"].items()) or "none",
        "code": "<br>".join(
            f"{name}: {_hash(value)}" for name, value in sorted(card["ingredients"].items()) if _is_code(name)
        ),
    }
    summary = f"{short_commit(record['commit'])}, `{record['profile']}`, {card['seconds']:.0f} s"
    lines = [
        "---",
        f'**Download this chapter:** <a href="../notebooks/{slug}.ipynb" download>the notebook, to be run</a> · '
        f'<a href="../_sources/chapters/{slug}.ipynb" download>with the outputs shown here</a>',
        f":::{{dropdown}} Provenance of this page: {summary}\n:class-container: demod-provenance",
        "\n".join(["| what | value |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows.items())]),
        "Hashes are the first digits of SHA-256. Every figure has a card of its own.\n:::",
    ]
    return "\n\n".join(lines)


def _data(record: Mapping[str, Any], ingredients: Mapping[str, str]) -> list[str]:
    """Return what the chapter says of its data, and the hashes of MNIST's files if it could read them."""
    found = ingredients.get("MNIST") == "at hand"
    return [*record["data"], *(f"{name}: {_hash(value)}" for name, value in MNIST_SHA256.items() if found)]


def _is_code(name: str) -> bool:
    return name.startswith(("demod", "code", "results/", "requirements.lock"))


def _hash(value: str) -> str:
    return f"`{value[:HASH]}`"
