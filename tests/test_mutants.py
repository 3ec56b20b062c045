"""The quick form of the mutation tests: theorems of two methods and the engine, each made wrong in one place at a time."""

from collections import Counter

import pytest

from benchmarks.mutants.__main__ import run, score
from benchmarks.mutants._engine import engine_slips
from benchmarks.mutants._formulas import stale
from benchmarks.mutants._slips import SLIPS


def survivors(tally: Counter[str]) -> int:
    assert not tally["original does not hold"]
    return tally["SURVIVED"]


def test_the_places_of_all_slips_stand_in_the_source():
    assert stale(SLIPS) == []


@pytest.mark.slow
def test_the_names_that_mutants_of_the_engine_replace_exist():
    for _, what, place in engine_slips():
        with place():
            assert what


@pytest.mark.slow
@pytest.mark.parametrize("identifier", ["ufm-mse-nobias", "saxe-2layer"])
def test_no_mutant_of_a_theorem_survives(identifier, capsys):
    tally = run([identifier], engine=False)
    assert survivors(tally) == 0, capsys.readouterr().out
    assert tally["killed"] >= 8
    assert score(tally) == 1.0


@pytest.mark.slow
def test_no_mutant_of_the_engine_survives(capsys):
    tally = run([], engine=True)
    assert survivors(tally) == 0, capsys.readouterr().out
    assert tally["killed"] >= 12
