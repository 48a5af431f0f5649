"""How to cite the paper and this book: BibTeX made from CITATION.cff."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pybtex.database import BibliographyData, Entry, Person


def citation(path: Path) -> str:
    """Return the BibTeX entries of the paper and of the software that CITATION.cff describes, as a block of MyST.

    A DOI is given once an archive has given one to a release.
    """
    card = yaml.safe_load(path.read_text(encoding="utf-8"))
    paper = card["preferred-citation"] | {"pages": "{start}--{end}".format(**card["preferred-citation"])}
    names = {"title": "title", "booktitle": "collection-title", "volume": "volume", "pages": "pages", "year": "year"}
    key = f"{paper['authors'][0]['family-names'].lower()}{paper['year']}"
    entries = {
        key: _entry("inproceedings", paper, names),
        "demod": _entry("software", card, {"title": "title", "version": "version", "doi": "doi"}),
    }
    return f"```bibtex\n{BibliographyData(entries).to_string('bibtex').strip()}\n```"


def _entry(kind: str, card: Mapping[str, Any], names: Mapping[str, str]) -> Entry:
    """Return an entry whose fields, keys of `names`, are those of the card; empty ones are left out."""
    authors = [
        Person(first=a["given-names"], last=a["family-names"]) if "family-names" in a else Person(f"{{{a['name']}}}")
        for a in card["authors"]
    ]
    fields = {field: str(card[name]) for field, name in names.items() if card.get(name)}
    return Entry(kind, fields, {"author": authors})
