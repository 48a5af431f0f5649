"""How to cite the paper and this book: BibTeX made from CITATION.cff."""

from pathlib import Path
from typing import Any

import yaml
from pybtex.database import BibliographyData, Entry, Person


def citation(path: Path) -> str:
    """Return the BibTeX entries of the paper and of the software that CITATION.cff describes, as a block of MyST."""
    card = yaml.safe_load(path.read_text(encoding="utf-8"))
    paper = card["preferred-citation"]
    pages = {"booktitle": paper["collection-title"], "pages": f"{paper['start']}--{paper['end']}"}
    key = f"{paper['authors'][0]['family-names'].lower()}{paper['year']}"
    entries = {key: _entry("inproceedings", paper | pages), "demod": _entry("software", card)}
    return f"```bibtex\n{BibliographyData(entries).to_string('bibtex').strip()}\n```"


def _entry(kind: str, card: dict[str, Any]) -> Entry:
    """Return an entry with the fields that the card has and that are not empty: no DOI before an archive gave one."""
    fields = ("title", "booktitle", "volume", "pages", "year", "version", "doi")
    people = [
        Person(first=a.get("given-names", ""), last=a.get("family-names") or f"{{{a['name']}}}") for a in card["authors"]
    ]
    return Entry(kind, {name: str(card[name]) for name in fields if card.get(name)}, {"author": people})
