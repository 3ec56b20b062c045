"""For every theorem that predicts a minimiser: an independent solver started there finds nothing lower."""

import functools

import jax
import numpy as np
import pytest
import scipy.optimize

import nctheory as nct
from nctheory.closed_form import Minimum, closed_forms

SMALLEST = 1e-12
"""Relative decrease that is rounding."""


def _minimum_in(prediction):
    """The minimum that a prediction is, has as a part, or names field by field beside more; None without one."""
    whole = getattr(prediction, "minimum", prediction)
    if set(Minimum._fields) <= set(getattr(whole, "_fields", ())):
        return Minimum(**{name: getattr(whole, name) for name in Minimum._fields})
    return None


@functools.cache
def _minima(identifier):
    """The problems and minima of a theorem's instances that are chains, drawn once."""
    theorem = nct.theorems.find_theorem(identifier)
    if theorem.method.name == "integrate":  # it predicts the way, not its end
        return ()
    found = []
    for instance in theorem.instances(jax.random.fold_in(jax.random.key(5), 0)):
        if isinstance(instance.problem, nct.problems.DeepLinear):
            minimum = _minimum_in(theorem.predict(instance.problem))
            if minimum is not None:
                found.append((instance.problem, minimum))
    return tuple(found)


@pytest.mark.slow
@pytest.mark.parametrize("identifier", nct.catalogue())
def test_nothing_lower_is_found_from_the_closed_form(identifier):
    cases = _minima(identifier)
    if not cases:
        pytest.skip("predicts no minimiser, only properties of one; see the tests of its chapter")
    for problem, minimum in cases[:: max(1, len(cases) // 4)]:
        start = np.asarray(nct.problems.ravel(nct.closed_form.minimiser(problem, minimum, 3)))

        @jax.jit
        def both(vector, problem=problem):
            value, gradient = problem.value_and_grad(nct.problems.unravel(problem, vector))
            return value, nct.problems.ravel(gradient)

        value, gradient = both(start)
        predicted = float(minimum.value)
        assert float(value) == pytest.approx(predicted, rel=1e-11)
        assert np.linalg.norm(gradient) < 1e-9
        found = scipy.optimize.minimize(
            lambda v: tuple(np.asarray(x) for x in both(v)),
            start + 1e-3 * np.random.default_rng(1).normal(size=start.shape),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 2000, "ftol": 1e-16, "gtol": 1e-10},
        )
        assert found.fun >= predicted - SMALLEST * abs(predicted), (identifier, problem.widths)


def test_every_closed_form_is_a_theorem_of_the_catalogue():
    for identifier, _ in closed_forms():
        assert identifier in nct.catalogue()


@pytest.mark.slow
def test_global_minimum_answers_for_every_instance_with_the_value_of_its_theorem():
    answered, proved = 0, dict(closed_forms())
    for identifier in nct.catalogue():
        for problem, minimum in _minima(identifier):
            if minimum.theorem not in proved:
                continue
            general = nct.global_minimum(problem)
            assert float(general.value) == pytest.approx(float(minimum.value), rel=1e-10), identifier
            np.testing.assert_allclose(
                np.asarray(general.singular_values), np.asarray(minimum.singular_values), rtol=0, atol=1e-8
            )
            answered += 1
    assert answered >= 60
