"""How to cite the paper and this book: BibTeX made from CITATION.cff."""

from pathlib import Path
from typing import Any

import yaml


def citation(path: Path) -> str:
    """Return the BibTeX entries of the paper and of the software that CITATION.cff describes, as a block of MyST."""
    card = yaml.safe_load(path.read_text(encoding="utf-8"))
    paper = card["preferred-citation"]
    entries = [
        _entry(
            "inproceedings",
            f"{paper['authors'][0]['family-names'].lower()}{paper['year']}",
            author=_authors(paper),
            title=paper["title"],
            booktitle=paper["collection-title"],
            volume=paper["volume"],
            pages=f"{paper['start']}--{paper['end']}",
            year=paper["year"],
        ),
        _entry("software", "demod", author=_authors(card), title=card["title"], version=card["version"], **_doi(card)),
    ]
    return "\n".join(["```bibtex", *entries, "```"])


def _doi(card: dict[str, Any]) -> dict[str, str]:
    """Return the DOI of a release; none before an archive gave one, or where its place is empty."""
    return {"doi": card["doi"]} if card.get("doi") else {}


def _authors(card: dict[str, Any]) -> str:
    named = [
        f"{a['family-names']}, {a['given-names']}" if "family-names" in a else f"{{{a['name']}}}" for a in card["authors"]
    ]
    return " and ".join(named)


def _entry(kind: str, key: str, **fields: Any) -> str:
    width = max(map(len, fields))
    lines = [f"  {name:<{width}} = {{{value}}}," for name, value in fields.items()]
    return "\n".join([f"@{kind}{{{key},", *lines, "}"])
