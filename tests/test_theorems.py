"""Theorems: verdicts, tolerances that are derived, controls and wrong theorems that are refuted, power that is real."""

import json
from typing import Any

import jax
import jsonschema
import numpy as np
import pytest

import nctheory as nct
from tests.small_theorems import SCHEMA, small_theorem
from tests.test_tangents import Own

IDS = ("red-nuclear", "ufm-ce-balanced", "ufm-mse-nobias", "ufm-mse-bias")
CHAPTERS = (
    "ufm-ce-balanced",
    "ufm-mse-nobias",
    "hong-ling-ce",
    "deep-mse-linear",
    "gk-deep-ce-linear",
    "nrc",
    "conservation",
    "kawaguchi",
    "relu-correlation",
)
"""One of each kind of problem, certificate and search; the README's first command takes them all."""
SAMPLED = ("deep-ce-best", "gk-deep-ce-linear", "laurent-vonbrecht")


@pytest.mark.parametrize(
    ("method", "instances", "seeds", "light"),
    [
        (nct.Solve(), 1, 1000, True),
        (nct.Solve(), 20, 1000, False),
        (nct.Solve(flow=False), 1, 20_000, False),
        (nct.Integrate(), 20, 1000, True),
        (nct.Census(), 1, 1025, False),
    ],
)
def test_programs_are_compiled_for_the_work_they_do(method, instances, seeds, light):
    problem = nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(0.1, 0.1))  # 12 parameters
    few = method.few_seeds_are_light
    assert nct.theorems.VerifyOptions().for_work(few, [problem] * instances, seeds).light is light
    assert nct.theorems.VerifyOptions(light=True).for_work(few, [problem] * 100, 10**6).light is True


@pytest.mark.slow
def test_what_rests_on_a_tested_convexity_is_sampled():
    def exact(problem):
        decay = tuple(float(x) for x in problem.weight_decay)
        return nct.closed_form.squared_error_minimum(
            nct.unconstrained_features(counts=(2, 2), dim=3, loss="mse", weight_decay=decay)
        )

    def of(loss):
        double = nct.Control(
            "double", "twice the value", lambda p: exact(p)._replace(value=2 * exact(p).value), ("value",)
        )
        claims = tuple(claim for claim in nct.theorems.collapse_claims(bias=False) if claim.name == "value")
        return small_theorem(exact, (double,), claims, loss)

    proved, tested = (nct.verify(of(loss), seeds=8) for loss in ("mse", Own(nct.losses.mse())))
    assert proved.outcome == tested.outcome == "holds"
    assert (proved.claims[0].evidence, tested.claims[0].evidence) == ("certified", "sampled")
    assert "not proved" in str(tested.claims[0].why)
    assert (proved.certified, tested.certified) == (16, 0)


@pytest.mark.slow
@pytest.mark.parametrize("identifier", CHAPTERS)
def test_the_catalogue_holds_and_every_control_is_refuted(identifier):
    """One theorem or two of each chapter, from another key than the command's; the README's first command takes them all."""
    theorem = nct.theorems.find_theorem(identifier)
    verdict = nct.verify(identifier, quick=True, key=1)
    assert verdict.outcome == "holds", verdict.reasons
    value = next((claim for claim in verdict.claims if claim.kind == "global value"), None)
    if value is not None:
        assert value.evidence == ("sampled" if identifier in SAMPLED else "certified")
    least = 0.5 if theorem.method.name == "census" else 0.95
    assert verdict.supporting >= least * verdict.seeds_run
    assert verdict.instances_supporting == len(verdict.instances)
    assert all(control.status == "refuted" for control in verdict.controls)
    refuting = {name for control in verdict.controls for name in control.claims}
    assert refuting == {claim.name for claim in verdict.claims}
    assert all(claim.violations == 0 and claim.checked > 0 and claim.seen for claim in verdict.claims)
    assert verdict.fidelity_same == verdict.fidelity_compared
    if identifier in IDS:
        assert verdict.converged == verdict.certified == verdict.supporting == verdict.seeds_run
        assert all(row.index_off_gauge == 0 and row.nullity_off_gauge == 0 and row.unique for row in verdict.instances)
        assert verdict.evidence == "certified"
    jsonschema.validate(json.loads(verdict.to_json()), SCHEMA)


@pytest.mark.slow
@pytest.mark.parametrize("identifier", sorted(nct.catalogue()))
def test_every_theorem_is_written_to_the_standard(identifier):
    theorem = nct.theorems.find_theorem(identifier)
    drawn = theorem.draw(jax.random.key(3))  # holds every instance against every hypothesis
    assert len(drawn) >= 10
    assert len(theorem.controls) >= 3
    assert theorem.hypotheses
    assert theorem.notation
    assert "$" in theorem.statement
    assert all(source.citation and source.number and source.bibtex.startswith("@") for source in theorem.sources)
    again = theorem.draw(jax.random.key(3))
    assert [dict(a.parameters) for a in drawn] == [dict(b.parameters) for b in again]


@pytest.mark.parametrize("identifier", IDS[1:])
def test_instances_cover_the_hypotheses(identifier):
    """Over a few keys: both sides of the threshold and close to it, weak decay, K from 2, n from 1, unequal decays."""
    drawn: list[Any] = [
        one for key in range(8) for one in nct.theorems.find_theorem(identifier).draw(jax.random.key(key))
    ]
    c = np.array([one.parameters["c"] for one in drawn])
    decay = np.array([one.problem.weight_decay for one in drawn])
    classes = np.array([one.problem.classes for one in drawn])
    assert np.any((c > 0.998) & (c < 1))
    assert np.any((c > 1) & (c < 1.002))
    assert c.min() < 0.01
    assert classes.min() == 2
    assert classes.max() >= 6
    assert min(one.problem.counts[0] for one in drawn) == 1
    assert np.ptp(np.log10(decay[:, 0] / decay[:, 1])) > 2
    for key in range(4):
        sizes = {
            (i.parameters["K"], i.parameters["d"], i.parameters["n"])
            for i in nct.theorems.find_theorem(identifier).draw(jax.random.key(key))
        }
        assert len(sizes) >= 3


@pytest.mark.slow
def test_a_wrong_theorem_is_refuted_with_a_counterexample():
    def slightly_wrong(problem):
        true = nct.closed_form.squared_error_minimum(problem)
        return true._replace(weight_norm=true.weight_norm * (1 + 1e-7))

    verdict = nct.verify(small_theorem(slightly_wrong), seeds=8)
    assert verdict.outcome == "refuted"
    assert [c.name for c in verdict.claims if c.violations] == ["weight_norm"]
    assert verdict.worst is not None
    assert verdict.worst.claim == "weight_norm"
    assert verdict.worst.tolerance_ratio > 1
    assert verdict.worst.command.startswith("nctheory verify small --instance")
    again = nct.verify(small_theorem(slightly_wrong), seeds=[verdict.worst.seed], instance=verdict.worst.instance)
    assert again.outcome == "refuted"
    assert again.worst is not None
    assert again.worst.residual == pytest.approx(verdict.worst.residual, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("sign", [1, -1])
def test_a_wrong_minimum_is_refuted_from_either_side(sign):
    def wrong(problem):
        true = nct.closed_form.cross_entropy_minimum(problem)
        return true._replace(value=true.value * (1 + sign * 1e-8))

    verdict = nct.verify(small_theorem(wrong, loss="cross_entropy"), seeds=4)
    assert verdict.outcome == "refuted"
    assert verdict.claims[0].violations == verdict.claims[0].checked == 8
