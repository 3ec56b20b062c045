"""The survey: the same outcomes as solve and certify, streamed."""

import numpy as np
import pytest

import nctheory as nct

SPURIOUS = nct.unconstrained_features(
    counts=(10,) * 6, dim=2, loss="cross_entropy", weight_decay=(1e-3, 1e-3), bias=0.0
)


@pytest.mark.slow
def test_a_survey_is_solve_and_certify_seed_by_seed():
    whole = nct.survey(SPURIOUS, 70, key=3, block=64, keep=5, chunk=128)
    ensemble = nct.solve(SPURIOUS, 70, key=3, chunk=128)
    bound = nct.certify(SPURIOUS, ensemble.params)
    np.testing.assert_allclose(whole.value, ensemble.value, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(whole.status, ensemble.status)
    np.testing.assert_allclose(whole.gap, bound.gap, rtol=0, atol=1e-14)
    assert whole.reason == bound.reason
    # The two known minima, 92 % and 8 % of seeds; the worst seeds kept are of the higher one.
    minima = whole.minima()
    np.testing.assert_allclose(sorted(minima), [0.162182, 0.17341], rtol=1e-6)
    assert minima[max(minima)] < 0.3 * 70
    assert sum(minima.values()) == whole.counts()["converged"] == 70
    largest = np.sort(whole.gap / whole.value)[::-1][:5]
    np.testing.assert_allclose(np.sort((whole.gap / whole.value)[whole.worst.seeds])[::-1], largest)
    for seed, weights in zip(whole.worst.seeds, whole.worst.params.weights[0], strict=True):
        np.testing.assert_allclose(weights, ensemble.params.weights[0][seed], atol=1e-12)


@pytest.mark.slow
def test_seeds_that_do_not_converge_are_the_worst_and_never_certified():
    steps = nct.solve(SPURIOUS, 64, chunk=128).steps
    outcome = nct.survey(SPURIOUS, 64, keep=4, budget=int(np.median(steps)), chunk=128)
    assert 4 <= outcome.counts()["budget_spent"] < 64
    assert not np.any(outcome.certified & ~outcome.converged)
    assert not outcome.worst.converged.any()


@pytest.mark.parametrize(("name", "value"), [("keep", 0), ("block", 0), ("seeds", 0)])
def test_bad_calls(name, value):
    with pytest.raises(ValueError, match=name):
        nct.survey(SPURIOUS, **{"seeds": 4, name: value})
