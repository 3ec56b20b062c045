"""What is asked of chains and refused by name, and the statistics of what they give."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from tests.helpers import unchecked_types

MATRIX = np.array([[2.0, 0.6], [0.6, 1.0]])
FORM = nct.problems.quadratic(MATRIX)
CENTRED = np.zeros((3, 2))


class Quartic(nct.Problem):
    """x^4/4 + x^2/2, entry by entry."""

    stiff: jax.Array

    def init(self, key, scale):
        return scale * jax.random.normal(key, (2,), jnp.float64)

    def objective(self, params):
        return jnp.sum(0.25 * self.stiff * params**4 + 0.5 * params**2)


def test_moments_are_put_together_without_losing_digits(rng):
    x = 1e8 + rng.normal(size=(1000, 3))
    exact = np.cov((x - 1e8).T)
    parts = [nct.sampling.moments_of(part) for part in np.split(x, [10, 11, 600])]
    total = parts[0]
    for part in [*parts[1:], nct.sampling.moments_of(x[:0])]:
        total = nct.sampling.merged(total, part)
    assert int(total.count) == 1000
    assert np.allclose(total.covariance, exact, rtol=1e-6, atol=1e-7)
    plain = np.mean(x[:, 0] ** 2) - np.mean(x[:, 0]) ** 2
    assert abs(plain - exact[0, 0]) > 1e-2  # which a difference of means of squares does not survive


@pytest.mark.parametrize("factor", [0.9, 0.5, 0.0, -0.5])
def test_an_autoregressive_series_is_worth_what_its_correlation_says(factor, rng):
    chains, times = 400, 500
    x = np.empty((chains, times))
    x[:, 0] = rng.normal(size=chains) / np.sqrt(1 - factor**2)
    for t in range(1, times):
        x[:, t] = factor * x[:, t - 1] + rng.normal(size=chains)
    told = (1 + factor) / (1 - factor)
    assert nct.sampling.integrated_time(x) == pytest.approx(told, rel=0.06)
    # The mean of all chains has the variance that this promises.
    spread = np.var(x.mean(axis=1), ddof=1)
    assert spread * nct.sampling.effective_size(x) / chains == pytest.approx(np.var(x), rel=0.3)
    assert nct.sampling.integrated_time(np.ones((3, 9))) == 1.0
    with pytest.raises(ValueError, match=r"^series: expected chains x times"):
        nct.sampling.effective_size(x[:, :3])


BAD = [
    ({"observe": lambda x: x[0]}, r"observe: expected a function of the problem and one point, .*TypeError"),
    ({"step_size": 0.0}, "step_size: expected finite numbers above 0, got 0"),
    ({"step_size": -1.0}, "step_size: expected finite numbers above 0, got -1"),
    ({"step_size": [0.1, 0.2]}, "step_size: expected one number or one for each of 3 chains"),
    ({"step_size": 2 / np.linalg.eigvalsh(MATRIX)[-1]}, "step_size: expected less than 0.876.* = 2 / L"),
    ({"step_size": [0.1, 0.1, 3.0], "kind": "sgd", "noise": [1, 1]}, "step_size: expected less than 0.876.* = 2 / L"),
    ({"step_size": 1.4, "kind": "underdamped", "friction": 1}, r"step_size: expected less than 1.32.* = 2 / sqrt\(L\)"),
    ({"temperature": -0.1}, "temperature: expected finite numbers of at least 0, got -0.1"),
    ({"temperature": np.nan}, "temperature: expected finite numbers"),
    ({"temperature": 0.0, "kind": "mala"}, "temperature: expected finite numbers above 0"),
    ({"temperature": 1.0, "kind": "sgd", "noise": [1, 1]}, "temperature: expected None for sgd"),
    ({"kind": "brownian"}, "kind: expected one of 'overdamped'"),
    ({"kind": "underdamped"}, "friction: expected a positive number for underdamped chains, got None"),
    ({"kind": "underdamped", "friction": 0.0}, "friction: expected finite numbers above 0, got 0"),
    ({"friction": 1.0}, "friction: expected None for overdamped"),
    ({"kind": "underdamped", "friction": 1.0, "splitting": "ABC"}, "splitting: expected one of BAOAB"),
    ({"kind": "sgd"}, "noise: expected a covariance for sgd without minibatches"),
    ({"kind": "sgd", "noise": np.diag([1.0, -1.0])}, "noise: expected a positive semidefinite matrix"),
    ({"kind": "sgd", "noise": [1.0, -1.0]}, "noise: expected variances of at least 0"),
    ({"kind": "sgd", "noise": [[1.0, 0.5], [0.0, 1.0]]}, "noise: expected a symmetric matrix"),
    ({"kind": "sgd", "noise": np.ones(3)}, "noise: expected a finite covariance, 2 x 2"),
    ({"noise": [1.0, 1.0], "kind": "mala"}, "noise: expected None for mala"),
    ({"batch": 0}, "batch: expected a whole number of at least 1, got 0"),
    ({"batch": 2, "kind": "mala"}, "batch: expected None for mala"),
    ({"steps": 0}, "steps: expected a whole number of at least 1, got 0"),
    ({"at": [3, 2]}, "at: expected whole numbers that increase, between 0 and 9"),
    ({"at": []}, "at: expected at least one"),
    ({"at": [10]}, "at: expected whole numbers that increase, between 0 and 9"),
    ({"waits": [1]}, "waits, lags: expected both or none"),
    ({"waits": [5], "lags": [5]}, r"lags: expected the last wait and lag within 9 steps, got 5 \+ 5"),
    ({"count": (-1, 1)}, "count: expected a whole number of at least 0"),
    ({"numbers": [0, 1]}, "numbers: expected 3 whole numbers"),
    ({"params": np.zeros(2)}, "params: expected .* of shape"),
    ({"params": np.zeros((0, 2))}, "params: expected at least one point"),
]


@pytest.mark.parametrize(("change", "said"), BAD)
def test_bad_input_is_named_before_anything_runs(change, said):
    asked = {"params": CENTRED, "steps": 9, "step_size": 0.1} | change
    with unchecked_types(), pytest.raises(ValueError, match=f"^{said}"):
        nct.langevin(FORM, asked.pop("params"), asked.pop("steps"), asked.pop("step_size"), **asked)


def test_a_problem_without_samples_has_no_minibatches_and_only_quadratics_have_a_limit():
    with pytest.raises(NotImplementedError, match="Quadratic has no samples"):
        nct.langevin(FORM, CENTRED, 3, 0.1, batch=2)
    assert nct.sampling.quadratic_curvature(FORM, np.ones(2)) == pytest.approx(np.linalg.eigvalsh(MATRIX)[-1])
    assert nct.sampling.quadratic_curvature(Quartic(jnp.asarray(1.0)), np.ones(2)) is None
    assert nct.sampling.quadratic_curvature(Quartic(jnp.asarray(0.0)), np.ones(2)) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (([[1.0, 2.0]],), "matrix: expected a finite square matrix"),
        (([[1.0, np.nan], [0.0, 1.0]],), "matrix: expected a finite square"),
        (([[1.0, 2.0], [0.0, 1.0]],), "matrix: expected a symmetric one, got one off by 2"),
        (([1.0, 2.0], [0.0]), "centre: expected 2 finite numbers"),
    ],
)
def test_a_quadratic_is_checked(given, said):
    with pytest.raises(ValueError, match=f"^{said}"):
        nct.problems.quadratic(*given)
