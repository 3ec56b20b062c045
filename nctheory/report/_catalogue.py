"""The catalogue as a page of Markdown: what `docs/catalogue.md` holds."""

import importlib
from collections.abc import Iterable
from pathlib import Path

from nctheory.theorems import Erratum, Theorem, catalogue, errata


def catalogue_page() -> str:
    """All theorems by chapter, with statement, hypotheses and sources, and the errata, as Markdown.

    >>> page = catalogue_page()
    >>> page.startswith("# Catalogue"), "| `ufm-ce-balanced` |" in page
    (True, True)
    """
    chapters: dict[str, list[Theorem]] = {}
    for one in catalogue().values():
        chapters.setdefault(Path(one.file).parent.name, []).append(one)
    parts = [
        "# Catalogue\n\n"
        "`nctheory list --markdown` writes this page. `nctheory show ID` shows a theorem with its claims and controls, "
        "`nctheory verify ID` verifies it. Closed forms that are our own derivations are marked so; a theorem number that "
        'nobody has checked against the paper says "number unchecked".\n'
    ]
    for chapter in sorted(chapters):
        parts.append(f"## {_heading(chapter)}\n\n{_table(chapters[chapter])}")
        parts += [_section(one) for one in chapters[chapter]]
    parts.append(f"## Errata of the literature\n\n{_errata(errata().values())}")
    return "\n".join(parts)


def _heading(chapter: str) -> str:
    said = importlib.import_module(f"proofs_numeric.{chapter}").__doc__ or chapter
    return said.strip().split("\n")[0].rstrip(".")


def _table(theorems: Iterable[Theorem]) -> str:
    rows = [f"| `{one.id}` | {one.title} |" for one in theorems]
    return "\n".join(["| theorem | what it says |", "|---|---|", *rows, ""])


def _section(theorem: Theorem) -> str:
    said = theorem.description
    words = f"{' '.join(said.words.split())}\n\n" if said is not None else ""
    hypotheses = "; ".join(one.text for one in theorem.hypotheses)
    sources = " ".join(f"{one.citation} ({one.number}){' ' + one.note if one.note else ''}" for one in theorem.sources)
    return (
        f"### `{theorem.id}`: {theorem.title}\n\n{words}{theorem.statement}\n\n*Hypotheses:* {hypotheses}.\n\n"
        f"*Source:* {sources or 'our own derivation.'}\n"
    )


def _errata(known: Iterable[Erratum]) -> str:
    rows = [f"| `{one.id}` | {one.title} |" for one in known]
    return "\n".join(
        ["`nctheory errata ID` computes a counterexample anew.\n", "| erratum | claim |", "|---|---|", *rows, ""]
    )
