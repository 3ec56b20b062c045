"""Networks of one input: the closed form of their decay, the program in the outputs, and the bound from below."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from proofs_numeric.nonlinear import line_networks, line_program, savarese


def data(rng, samples, tilt=0.0):
    inputs = np.cumsum(rng.uniform(0.2, 1.0, size=samples))
    return inputs, rng.normal(size=samples) + tilt * inputs


def made(rng, samples, tilt, relative):
    """A network with twice as many neurons as samples, at a decay relative to that at which it is constant."""
    inputs, targets = data(rng, samples, tilt)
    with jax.enable_x64(True):
        rows = np.asarray(line_networks.responses(jnp.asarray(inputs)))
    most = float(np.max(np.abs(rows @ (targets - targets.mean())))) / samples
    decay = relative * most
    return savarese.network(inputs, targets, 2 * samples, (2.0 * decay, 0.5 * decay))


@pytest.mark.parametrize("samples", [2, 3, 6])
@pytest.mark.parametrize("tilt", [0.0, 3.0])
def test_the_closed_form_is_the_optimum_of_a_linear_program_over_neurons_with_many_knots(samples, tilt, rng):
    from scipy.optimize import linprog

    inputs, targets = data(rng, samples, tilt)
    # Knots at the inputs, between them and beyond: none but those at inputs help.
    knots = np.concatenate([inputs, np.linspace(inputs[0] - 2, inputs[-1] + 2, 41)])
    apart = inputs[None, :] - knots[:, None]
    atoms = np.maximum(np.concatenate([apart, -apart]), 0.0)
    atoms = np.concatenate([atoms, -atoms])
    found = linprog(np.ones(len(atoms)), A_eq=np.diff(atoms, axis=1).T, b_eq=np.diff(targets))
    with jax.enable_x64(True):
        told = float(line_networks.penalty(jnp.asarray(inputs), jnp.asarray(targets)))
    assert found.status == 0
    assert abs(found.fun / told - 1) < 1e-9


@pytest.mark.parametrize("samples", [2, 3, 5])
@pytest.mark.parametrize("tilt", [0.0, 3.0])
def test_a_network_of_fewer_neurons_than_samples_is_built_at_that_cost(samples, tilt, rng):
    inputs, targets = data(rng, samples, tilt)
    problem = savarese.network(inputs, targets, samples - 1, (0.3, 0.1))
    with jax.enable_x64(True):
        built = line_networks.realised(problem, jnp.asarray(targets), 0.7)
        paid = float(problem.decay_terms(built) / line_networks.strength(problem))
        told = float(line_networks.penalty(jnp.asarray(inputs), jnp.asarray(targets)))
        assert np.allclose(problem.outputs(built), targets, rtol=0, atol=1e-12)
    assert abs(paid / told - 1) < 1e-12


def test_the_hat_costs_two_and_at_decay_lambda_nine_lambda_less():
    hat = (np.array([-1.0, 0.0, 1.0]), np.array([0.0, 1.0, 0.0]))
    for lam in (1e-3, 0.1):
        assert abs(line_program.solve_line(*hat, lam).value / lam - (2 - 9 * lam)) < 1e-11
    # Beyond 1/9 the network is the mean.
    assert np.allclose(line_program.solve_line(*hat, 0.12).outputs, 1 / 3, rtol=0, atol=1e-12)


@pytest.mark.parametrize("relative", [1e-3, 0.03, 0.3, 0.9, 1.2])
@pytest.mark.parametrize("tilt", [0.0, 3.0])
def test_the_program_in_the_outputs_agrees_with_cvxpy(relative, tilt, rng):
    import cvxpy as cp

    problem = made(rng, 5, tilt, relative)
    inputs, targets = np.asarray(problem.inputs), np.asarray(problem.targets)
    lam = float(np.sqrt(np.prod(np.asarray(problem.weight_decay))))
    outputs = cp.Variable(5)
    slopes = cp.multiply(cp.diff(outputs), 1 / np.diff(inputs))
    variation, ends = cp.norm1(cp.diff(slopes)), cp.abs(slopes[0] + slopes[-1])
    cost = cp.sum_squares(outputs - targets) / 10 + lam * cp.maximum(variation, 0.5 * (variation + ends))
    least = cp.Problem(cp.Minimize(cost)).solve(solver="CLARABEL")
    assert isinstance(least, float)
    found = line_program.solve_line(inputs, targets, lam)
    assert abs(found.value / least - 1) < 1e-6
    assert found.value <= least * (1 + 1e-12) + 1e-12


@pytest.mark.parametrize("samples", [2, 5])
def test_the_bound_is_below_every_value_and_meets_the_program(samples, rng):
    for tilt, relative in ((0.0, 1e-3), (3.0, 0.02), (0.0, 0.3), (3.0, 0.3), (0.0, 1.2)):
        problem = made(rng, samples, tilt, relative)
        with jax.enable_x64(True):
            lower = float(problem.lower_bound(None))
            built = line_networks.realised(problem, jnp.asarray(problem.best), 0.5)
            value = float(problem.objective(built))
            others = [float(problem.objective(problem.init(jax.random.key(i), 1.0))) for i in range(20)]
        lam = float(np.sqrt(np.prod(np.asarray(problem.weight_decay))))
        told = line_program.solve_line(np.asarray(problem.inputs), np.asarray(problem.targets), lam).value
        assert abs(value / told - 1) < 1e-11
        assert 0 <= told - lower < 1e-9 * told
        assert lower < min(others)


def test_the_bound_does_not_rest_on_the_program(rng):
    """With the outputs of another problem it is the same number."""
    import equinox as eqx

    problem = made(rng, 4, 0.0, 0.1)
    other = eqx.tree_at(lambda one: one.best, problem, np.full(4, np.nan))
    with jax.enable_x64(True):
        assert float(problem.lower_bound(None)) == float(other.lower_bound(None))


def test_a_wrong_penalty_is_another_minimum(rng):
    problem = made(rng, 5, 4.0, 0.1)
    given = (np.asarray(problem.inputs), np.asarray(problem.targets), 0.05)
    true, alone, full = (
        line_program.solve_line(*given, parts).value
        for parts in (
            (line_networks.BENDS, line_networks.ENDS),
            (line_networks.BENDS,),
            (line_networks.BENDS, (0.0, 1.0)),
        )
    )
    assert alone < true < full


def test_the_network_is_certified_from_its_starts(rng):
    problem = made(rng, 3, 0.0, 0.05)
    ends = nct.solve(problem, seeds=8, method="polish", light=True)
    bound = nct.certify(problem, ends.params)
    assert np.any(bound.closed(ends.value))
    assert not np.any(bound.contradicts(ends.value))
