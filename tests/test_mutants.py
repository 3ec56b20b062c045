"""The quick form of the mutation tests: theorems of two methods and the engine, each made wrong in one place at a time."""

from collections import Counter

import jax
import pytest

import nctheory as nct
from benchmarks.mutants.__main__ import run, score
from benchmarks.mutants._corners import OFF, corners, one_sample, wrong_where
from benchmarks.mutants._engine import engine_slips
from benchmarks.mutants._formulas import stale
from benchmarks.mutants._kept import fresh
from benchmarks.mutants._slips import SLIPS


def survivors(tally: Counter[str]) -> int:
    assert not tally["original does not hold"]
    return tally["SURVIVED"]


def test_the_places_of_all_slips_stand_in_the_source():
    assert stale((*SLIPS, *(one.slip for one in corners() if one.slip is not None))) == []


def test_a_theorem_wrong_in_a_corner_is_right_outside_of_it():
    told = nct.theorems.find_theorem("ufm-mse-nobias").predict
    wrong = wrong_where("ufm-mse-nobias", one_sample)
    for counts, same in (((1, 1), False), ((2, 2), True)):
        problem = nct.unconstrained_features(counts=counts, dim=2, loss="mse", weight_decay=(0.1, 0.1))
        with jax.enable_x64(True):
            ratio = float(wrong(problem).value / told(problem).value)
        assert abs(ratio - (1.0 if same else 1.0 + OFF)) < 1e-12
    assert {one.slip is None for one in corners()} == {True, False}


@pytest.mark.slow
def test_a_search_finds_what_is_wrong_for_one_sample_alone():
    corner = next(one for one in corners() if one.theorem == "ufm-mse-nobias" and one.slip is None)
    assert corner.predict is not None
    found = nct.falsify(fresh(nct.theorems.find_theorem(corner.theorem), corner.predict), seconds=60, trials=2, seeds=8)
    assert found.outcome == "refuted"
    assert found.found is not None
    assert found.found.claim == "value"
    assert found.found.parameters["n"] == 1


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
