"""Extended precision: against mpmath by hand, against float64, and what cannot be evaluated."""

import threading
from typing import Any

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import nctheory as nct
from nctheory.certificates import lower_bound
from nctheory.engine import NotExtended, extended
from tests.helpers import first, random_points

DEEP = nct.deep_linear(widths=(3, 3, 3), counts=(2, 2, 2), loss="mse", weight_decay=(0.1, 0.1, 0.1))


def features(loss, bias: float | None = 0.0, counts=(3, 2)):
    return nct.unconstrained_features(counts=counts, dim=2, loss=loss, weight_decay=(0.01, 0.02), bias=bias)


PROBLEMS = {
    "cross_entropy": features("cross_entropy"),
    "mse": features("mse"),
    "focal": features(nct.losses.focal(2.0), None),
    "deep": DEEP,
}
PREDICTIONS = {
    "cross_entropy": (
        nct.closed_form.cross_entropy_minimum,
        features("cross_entropy", counts=(2, 2)),
    ),
    "mse": (nct.closed_form.squared_error_minimum, features("mse", None, (2, 2))),
    "deep": (nct.closed_form.deep_mse_minimum, DEEP),
    "imbalanced": (nct.closed_form.imbalanced_squared_error_minimum, features("mse")),
}


@pytest.fixture
def mp():
    """mpmath at 50 digits, apart from its global context."""
    context = mpmath.MPContext()
    context.dps = 50
    return context


def agree(found, expected, tolerance=1e-12):
    """Arrays of numbers close to arrays of float64, relative to the largest entry; other leaves equal."""
    found, structure = jax.tree.flatten(found)
    expected, other = jax.tree.flatten(expected)
    assert structure == other
    for x, y in zip(found, expected, strict=True):
        if isinstance(y, str):
            assert x == y
            continue
        assert np.shape(x) == np.shape(y)
        assert (x.dtype == object) == np.issubdtype(np.asarray(y).dtype, np.floating)
        scale = np.max(np.abs(y), initial=0.0, where=np.isfinite(y))
        np.testing.assert_allclose(np.asarray(x, dtype=float), y, rtol=tolerance, atol=tolerance * scale)


def both_ways(function, *args, compiled=True):
    """In float64 as one program, where it gives numbers only: that compiles faster."""
    agree(extended(function, *args), (jax.jit(function) if compiled else function)(*args))


def test_a_tiny_cross_entropy_has_all_its_digits(mp):
    model = nct.unconstrained_features(counts=(1, 1), dim=1, loss="cross_entropy", weight_decay=(0.0, 0.0))
    point = nct.problems.ChainParams((np.array([[4.0], [-4.0]]),), np.array([[5.0, -5.0]]), None)  # logits 20 and -20
    (value,) = extended(lambda *a: [model.objective(*a)], point)
    exact = mp.log(1 + mp.exp(-40))
    assert float(model.objective(point)) == 0.0
    assert abs(value.item() - exact) < mp.mpf(10) ** -45 * exact
    _, gradient = extended(lambda p, x: p.value_and_grad(x), model, point)
    slope = -mp.exp(-40) / (1 + mp.exp(-40))  # the softmax less the target, of the label
    assert abs(gradient.weights[0][0, 0] - 5 * slope) < mp.mpf(10) ** -45
    assert abs(gradient.features[0, 1] + 4 * slope) < mp.mpf(10) ** -45


def test_squared_error_by_hand(mp, rng):
    model = features("mse")
    point = first(random_points(model, 1, rng))
    weights, hidden, bias = (
        [[mp.mpf(x) for x in row] for row in np.atleast_2d(leaf).tolist()] for leaf in jax.tree.leaves(point)
    )
    total = mp.zero
    for j, label in enumerate((0, 0, 0, 1, 1)):
        for k in range(2):
            logit = weights[k][0] * hidden[0][j] + weights[k][1] * hidden[1][j] + bias[0][k]
            total += (
                (logit - (k == label)) ** 2 / 2 * mp.mpf(0.2)
            )  # the problem's column weight is the float next to 1/5
    total += sum(mp.mpf(0.01) / 2 * x**2 for row in weights for x in row)
    total += sum(mp.mpf(0.02) / 2 * x**2 for row in hidden for x in row)
    value = extended(lambda p, x: p.objective(x), model, point).item()
    assert model.column_weight[0] == 0.2
    assert abs(value - total) < mp.mpf(10) ** -47


def test_products_of_matrices_are_exact(mp, rng):
    a, b = rng.normal(size=(2, 3, 4)), rng.normal(size=(5, 2, 4))
    product = extended(lambda a, b: jnp.einsum("bij,kbj->bki", a, b), a, b)
    assert product.shape == (2, 5, 3)
    for i, j, k in np.ndindex(2, 5, 3):
        exact = mp.fsum(mp.mpf(x) * mp.mpf(y) for x, y in zip(a[i, k].tolist(), b[j, i].tolist(), strict=True))
        assert product[i, j, k] == exact


def test_eigenvalues_and_eigenvectors(mp, rng):
    matrices = rng.normal(size=(2, 4, 4))
    matrices = matrices + matrices.swapaxes(1, 2)
    values, vectors = extended(jnp.linalg.eigh, matrices)
    for matrix, value, vector in zip(matrices, values, vectors, strict=True):
        exact = mp.eigsy(mp.matrix(matrix.tolist()), eigvals_only=True)
        assert max(abs(x - y) for x, y in zip(value, exact, strict=True)) < 1e-45
        residual = (vector * value[None, :]) @ vector.T - matrix
        assert np.max(np.abs(residual)) < 1e-40
        assert np.max(np.abs(vector.T @ vector - np.eye(4))) < 1e-40


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("quantity", ["objective", "value_and_grad", "logits"])
def test_quantities_of_problems(name, quantity, rng):
    problem = PROBLEMS[name]
    both_ways(lambda p, x: getattr(p, quantity)(x), problem, first(random_points(problem, 1, rng)))


def test_hessian(rng):
    problem = PROBLEMS["cross_entropy"]
    both_ways(lambda p, x: p.hessian(x), problem, first(random_points(problem, 1, rng)))


@pytest.mark.slow
@pytest.mark.parametrize("name", PROBLEMS)
def test_lower_bounds(name, rng):
    problem = PROBLEMS[name]
    both_ways(lower_bound, problem, first(random_points(problem, 1, rng)))


@pytest.mark.slow
@pytest.mark.parametrize("name", PREDICTIONS)
def test_predictions(name):
    predict, problem = PREDICTIONS[name]
    both_ways(lambda p: predict(p)._asdict(), problem, compiled=False)
    both_ways(lambda: predict(problem).value, compiled=False)


def test_a_prediction_has_the_digits_of_its_formula(mp):
    predict, problem = PREDICTIONS["mse"]
    strength = 2 * mp.sqrt(2 * mp.mpf(0.01) * mp.mpf(0.02))
    value = extended(lambda p: predict(p).value, problem).item()
    assert abs(value - (strength - strength**2 / 2)) < mp.mpf(10) ** -48


def test_control_flow(mp, rng):
    x = rng.normal(size=(3, 4))
    both_ways(lambda x: jax.lax.scan(lambda c, r: (c + r, (c * r, c.sum())), x[0], x), x)
    both_ways(lambda x: jax.lax.scan(lambda c, r: (c + r, c), x[0], x, reverse=True), x)
    both_ways(lambda x: jax.lax.while_loop(lambda c: c.sum() < 100.0, lambda c: 2.0 * c + 1.0, x), x)
    both_ways(lambda x: [jax.lax.cond(x.sum() > k, jnp.sin, jnp.cos, x) for k in (-99.0, 99.0)], x)
    both_ways(lambda x: jax.lax.switch(7, [jnp.sin, jnp.cos, jnp.tan], x), x)
    both_ways(lambda x: jax.lax.platform_dependent(x, cpu=jnp.sin, default=jnp.cos), x)
    both_ways(lambda x: [jax.checkpoint(jnp.sin)(x), jax.jit(jnp.cos)(x), jax.lax.map(jnp.tan, x)], x)

    def halve(_, bracket):
        low, high = bracket
        middle = 0.5 * (low + high)
        return jnp.where(middle**2 < 2.0, middle, low), jnp.where(middle**2 < 2.0, high, middle)

    root = extended(lambda ends: jax.lax.fori_loop(0, 160, halve, ends), (1.0, 2.0))[0].item()
    assert abs(root - mp.sqrt(2)) < mp.mpf(10) ** -47


def test_leaves_that_are_no_floats_stay_as_they_are():
    number, count, text, nothing, flag = extended(
        lambda a, n, text: (a * n, n, text, None, a > 0), np.float32(0.1), 3, "text"
    )
    assert number.dtype == object
    assert number.item() == 3 * float(np.float32(0.1))
    assert (int(count), text, nothing, bool(flag)) == (3, "text", None, True)
    again = extended(lambda x: x**2, extended(jnp.sqrt, 2.0))  # mpmath numbers in, not rounded to float64
    assert abs(again.item() - 2) < 1e-48


def test_what_cannot_be_evaluated(rng):
    x = rng.normal(size=4)
    with pytest.raises(NotExtended, match=r"^fft: "):
        extended(lambda x: jax.lax.fft(x, "RFFT", (4,)), x)
    with pytest.raises(NotExtended, match="random_bits"):
        extended(lambda x, key: x + jax.random.normal(key, (4,)), x, jax.random.key(0))
    with pytest.raises(NotExtended, match="complex128"):
        extended(lambda x: jnp.abs(x.astype(complex)), x)
    with pytest.raises(NotExtended, match="pure_callback"):
        extended(lambda x: jax.pure_callback(np.sin, jax.ShapeDtypeStruct(x.shape, x.dtype), x), x)
    for asking in (lambda x: float(x[0]), lambda x: np.asarray(x), lambda x: x if x[0] > 0 else -x, lambda x: x[x > 0]):
        with pytest.raises(NotExtended, match="cannot be traced"):
            extended(asking, x)
    with pytest.raises(NotExtended, match="cannot be traced"):
        jax.jit(lambda x: extended(jnp.sin, x))(x)
    # A formula may call a verb that runs programs of its own: a theorem that is refuted there is no error.
    for verb in (nct.solve, nct.closed_form.data_critical_values):
        with pytest.raises(NotExtended, match=r"cannot be traced: .* \(IsTraced\)"):
            extended(verb, nct.unconstrained_features(counts=(1, 1), dim=2, loss="mse", weight_decay=(0.1, 0.1)))
    with pytest.raises(ValueError, match="digits: expected at least 16"):
        extended(jnp.sin, x, digits=15)
    with pytest.raises(nct.NoClosedForm):
        extended(lambda: nct.closed_form.cross_entropy_minimum(DEEP).value)


def test_threads_of_different_digits():
    digits = (20, 90, 35, 160)
    before, exact = mpmath.mp.dps, []
    for number in digits:
        context: Any = mpmath.MPContext()
        context.dps = number
        exact.append(context.log(2) + context.atan(3) * context.exp(-1))
    wrong, gate = [], threading.Barrier(len(digits))

    def work(number, value):
        gate.wait()
        for _ in range(5):
            found = extended(lambda x: jnp.log(x) + jnp.arctan(x + 1.0) * jnp.exp(-x / 2.0), 2.0, digits=number).item()
            if found.context.dps != number or abs(found - value) > abs(value) * 10.0 ** (2 - number):
                wrong.append((number, found))

    threads = [threading.Thread(target=work, args=pair) for pair in zip(digits, exact, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert mpmath.mp.dps == before
