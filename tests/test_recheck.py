"""What 50 digits withdraw: a point whose gradient cancels in float64 is known no better than its true gradient says."""

import dataclasses
from types import SimpleNamespace

import jax
import numpy as np
import pytest

import nctheory as nct
from nctheory.theorems import VerifyOptions, find_theorem, gather_evidence
from nctheory.theorems._evidence import EndStates
from nctheory.theorems._recheck import rechecked
from nctheory.theorems._run import Run
from nctheory.theorems.claims._points import PointClaim
from proofs_numeric.multilabel.mlab_pal import instance

THEOREM = find_theorem("mlab-pal")
CLAIM = next(claim for claim in THEOREM.claims if isinstance(claim, PointClaim) and claim.name == "bias")


@pytest.fixture(scope="module")
def beyond():
    """Ends of two classes whose features and weights vanish."""
    one = instance(np.random.default_rng(0), classes=2, dim=3, copies={1: 1}, relative=1.1, bias=0.0)
    options = VerifyOptions(fidelity_seeds=0, workers=1, light=True)
    with jax.enable_x64(True):
        found = gather_evidence(THEOREM, one, Run(jax.random.key(0), np.arange(2), options, scale=1.0, workers=1))
    assert isinstance(found, EndStates)
    return found


def placed(evidence, bias):
    """The evidence with its first seed at zero but for a bias, as starts next to zero end: float64 sees no gradient."""
    params = jax.tree.map(lambda x: np.array(x), evidence.ensemble.params)
    for leaf in jax.tree.leaves(params):
        leaf[0] = 0.0
    params.bias[0] = bias
    point = jax.tree.map(lambda x: x[0], params)
    steep, peak = np.array(evidence.ensemble.grad_norm), np.array(evidence.ensemble.peak_grad_norm)
    steep[0] = peak[0] = 0.0
    observed = {claim: np.array(rows) for claim, rows in evidence.observed.items()}
    with jax.enable_x64(True):
        observed[CLAIM][0] = CLAIM.observe(evidence.problem, point)
    ensemble = evidence.ensemble._replace(params=params, grad_norm=steep, peak_grad_norm=peak)
    return dataclasses.replace(evidence, ensemble=ensemble, observed=observed)


def told_bias(bias):
    """The theorem's prediction at these ends, without a formula that takes half a minute with 50 digits."""
    return lambda problem: SimpleNamespace(minimum=SimpleNamespace(bias=np.array(bias)))


def check_of(evidence, predict):
    with jax.enable_x64(True):
        check = CLAIM.check(evidence, CLAIM.prediction(evidence.problem, predict(evidence.problem)))
        assert check.violated[0]
        return rechecked(CLAIM, check, evidence, predict, 0)


def test_a_gradient_that_cancels_in_float64_is_no_counterexample(beyond):
    bias = np.array([-7.4e-17, -9.0e-17])
    near = placed(beyond, bias)
    point = jax.tree.map(lambda x: x[0], near.ensemble.params)
    with jax.enable_x64(True):
        assert not np.asarray(near.problem.value_and_grad(point)[1].bias).any(), "float64 sees no gradient there"
    check, told = check_of(near, told_bias([0.0, 0.0]))
    assert not check.violated.any()
    assert told.endswith("violations vanish with 50 digits")


def test_what_the_true_gradient_does_not_explain_stands(beyond):
    check, told = check_of(placed(beyond, np.array([-7.4e-17, -9.0e-17])), told_bias([1e-15, -1e-15]))
    assert check.violated.any()
    assert told.startswith("confirmed with 50 digits at instance 0, seed 0")


def test_a_function_that_has_no_digits_keeps_its_tolerance(beyond, monkeypatch):
    def refuse(*_, **__):
        raise nct.engine.NotExtended("no rule")

    monkeypatch.setattr("nctheory.theorems.claims._points.extended", refuse)
    assert CLAIM.recheck_tolerance(beyond, 0, 0.25) == 0.25
