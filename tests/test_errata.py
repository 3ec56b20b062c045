"""Errata: each false claim comes out false, with figures; the command says so and would say otherwise."""

import dataclasses
import re

import pytest

import nctheory as nct
from nctheory.cli import main
from nctheory.report import show_erratum
from nctheory.theorems import find_erratum
from proofs_numeric.errata import landscapes

KNOWN = (
    *("N1", "N2", "N3", "N5", "N6", "N7", "N8", "N9", "N10", "N11", "N12", "N13", "N14", "N15", "N16", "N17", "N19"),
    *("N20", "N21", "N22", "N24", "N26", "N27", "N28", "N31", "N32", "N33", "N34", "N35", "N36", "N37", "N38", "N39"),
    "N40",
)


def test_the_list_is_complete_and_in_order(capsys):
    assert tuple(nct.theorems.errata()) == KNOWN
    assert main(["list", "--errata"]) == 0
    printed = capsys.readouterr().out
    assert re.findall(r"^(N\d+):", printed, flags=re.MULTILINE) == list(KNOWN)
    for part in ("published:", "fails:", "instead:", "convention:", "source:"):
        assert len(re.findall(rf"^  {part}", printed, flags=re.MULTILINE)) >= len(KNOWN)
    for identifier in KNOWN:
        assert f"reproduce:  nctheory errata {identifier}\n" in printed


@pytest.mark.slow
@pytest.mark.parametrize("identifier", KNOWN)
def test_every_claim_comes_out_false_on_other_seeds_than_the_default(identifier, monkeypatch):
    monkeypatch.setattr(landscapes, "GRID", [one for one in landscapes.GRID if one != (10, 3, 0.0) and one[1] != 3])
    result = find_erratum(identifier).reproduce(32, 7)
    assert result.refuted, result.figures
    assert len(result.figures) >= 2
    assert all(re.search(r"\d", value) for _, value in result.figures)


@pytest.mark.parametrize("identifier", KNOWN)
def test_every_erratum_names_a_theorem_of_the_catalogue_and_a_checked_source(identifier):
    erratum = find_erratum(identifier)
    assert erratum.theorem is None or erratum.theorem in nct.catalogue()
    assert erratum.sources
    assert all(source.bibtex.startswith("@") and source.citation and source.number for source in erratum.sources)
    assert erratum.command in show_erratum(erratum)


def test_the_command_reproduces_and_fails_on_a_claim_that_stands(capsys, monkeypatch):
    assert main(["errata", "N19", "--seeds", "8"]) == 0
    assert "the claim is false (certified)" in capsys.readouterr().out
    stands = dataclasses.replace(
        find_erratum("N19"),
        reproduce=lambda seeds, key: nct.theorems.ErratumResult(False, "sampled", (("seeds", str(seeds)),)),
    )
    monkeypatch.setattr("nctheory.theorems.find_erratum", lambda name: stands)
    assert main(["errata", "N19", "--seeds", "3"]) == 1
    assert "NOT REFUTED (sampled)\n  seeds  3" in capsys.readouterr().out


def test_wrong_use(capsys):
    assert main(["errata", "N99"]) == 2
    assert "erratum: unknown identifier 'N99'; did you mean N" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["errata", "--seeds", "0"])
    with pytest.raises(ValueError, match="why: expected a text in erratum 'N19'"):
        dataclasses.replace(find_erratum("N19"), why=" ")
    with pytest.raises(ValueError, match="'N19' is taken by"):
        nct.theorems.register_erratum(dataclasses.replace(find_erratum("N19"), title="mine"))
