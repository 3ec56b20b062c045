"""The branches of problems with kinks: least subgradients, Newton's ends, and curvature along the manifold of kinks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.engine import UnsupportedKinks, on_branches
from nctheory.problems import branches_at, kink_entries, kink_places


class Valley(nct.Problem):
    """|y - x^2| + a (x - 1)^2 + b x: a kink along a parabola."""

    a: nct.engine.Scalar
    b: nct.engine.Scalar

    def init(self, key, scale):
        return scale * jax.random.normal(key, (2,))

    def objective(self, params):
        x, y = params
        return jnp.abs(y - x**2) + self.a * (x - 1.0) ** 2 + self.b * x


class Lasso(nct.Problem):
    """The soft threshold: half of |x - t|^2, and the sum of |x|."""

    target: jax.Array | np.ndarray

    def init(self, key, scale):
        return scale * jax.random.normal(key, self.target.shape)

    def objective(self, params):
        return 0.5 * jnp.sum((params - self.target) ** 2) + jnp.sum(jnp.abs(params))


class Largest(Lasso):
    """The largest of several entries in the place of their sum."""

    def objective(self, params):
        return 0.5 * jnp.sum((params - self.target) ** 2) + jnp.max(params)


def test_the_least_subgradient_of_a_soft_threshold():
    target = np.array([3.0, 0.5, -0.2, -1.0])
    problem = Lasso(target)
    here = branches_at(problem, np.array([2.0, 0.0, 0.0, 0.0]))
    # At 0 the slope 2s - 1 of |x| cancels the target where that is at most 1.
    assert here.met.tolist() == [False, True, True, True]
    assert np.allclose(2 * here.slopes - 1, [1.0, 0.5, -0.2, -1.0], atol=1e-12)
    assert np.linalg.norm(here.gradient) < 1e-12
    assert here.loose.tolist() == [False, False, True]
    # Where none cancels it the least element has what is left.
    away = branches_at(problem, np.array([2.5, 0.0, 0.0, 0.0]))
    assert np.allclose(away.gradient, [0.5, 0.0, 0.0, 0.0], atol=1e-12)
    beyond = branches_at(Lasso(2 * target), np.array([5.0, 0.0, 0.0, 0.0]))
    assert np.allclose(beyond.gradient, [0.0, 0.0, 0.0, 1.0], atol=1e-12)


@pytest.mark.parametrize(("a", "b", "index", "curvature"), [(1.0, 0.0, 0, 0.4), (-1.0, 0.0, 1, -0.4)])
def test_curvature_along_a_kink_is_that_of_the_problem_on_it(a, b, index, curvature):
    # On the parabola the problem is a (x - 1)^2, and its tangent at x = 1 is (1, 2).
    problem = Valley(np.float64(a), np.float64(b))
    report = nct.hessian_report(problem, np.array([1.0, 1.0]))
    assert (report.index, report.nullity, report.kinks, report.loose) == (index, 0, 1, 0)
    assert abs(report.smallest - curvature) < 1e-12
    direction = report.eigenvectors[:, 0]
    assert abs(abs(direction @ [1.0, 2.0]) - 5**0.5) < 1e-12


def test_multipliers_bend_the_problem():
    # With b = 0.3 the minimiser on the parabola is x = 0.85, and off it the slope of the absolute value is zero there:
    # d/dx (a(x-1)^2 + b x) = 0, so that the slope s = 1/2 gives no weight to the curvature of the parabola.
    problem = Valley(np.float64(1.0), np.float64(0.3))
    ends = nct.solve(problem, 32)
    assert ends.converged.all()
    assert np.allclose(ends.params, [0.85, 0.85**2], atol=1e-9)
    assert ends.grad_norm.max() < 1e-10
    report = nct.hessian_report(problem, ends.params[0])
    assert abs(report.smallest - 2.0 / (1 + 4 * 0.85**2)) < 1e-9
    assert report.index == 0


def test_a_multiplier_at_a_nonlinear_kink_enters_the_hessian():
    class Bowl(Valley):
        def objective(self, params):
            x, y = params
            return jnp.maximum(y - x**2, 0.0) + 0.5 * (y - 1.0) ** 2 + 0.0 * self.a - 0.0 * self.b * x + 0.5 * y

    # On y = x^2 = v the problem is (v - 1)^2/2 + v/2, least at v = 1/2, where the slope of the maximum is s = 0: below it
    # the smooth side has (y - 1) + 1/2 = 0 too.
    problem = Bowl(np.float64(0.0), np.float64(0.0))
    here = branches_at(problem, np.array([0.5**0.5, 0.5]))
    assert np.linalg.norm(here.gradient) < 1e-12
    assert here.loose.all()
    assert nct.hessian_report(problem, np.array([0.5**0.5, 0.5])).caveat is not None


def test_the_largest_of_several_is_refused_by_name_and_solved_all_the_same():
    problem = Largest(np.array([1.0, 0.8, -1.0]))
    with pytest.raises(UnsupportedKinks, match="largest of several"):
        kink_places(problem)
    ends = nct.solve(problem, 8)
    # The two largest meet at (1 + 0.8 - 1)/2.
    assert ends.converged.all()
    assert np.allclose(ends.params, [0.4, 0.4, -1.0], atol=1e-7)
    smooth = nct.unconstrained_features(counts=(1, 1), dim=2, loss="mse", weight_decay=(0.1, 0.1))
    assert kink_entries(smooth) == 0
    with pytest.raises(ValueError, match=r"problem: .* has no kinks"):
        branches_at(smooth, jax.tree.map(lambda x: x[0], nct.starts(smooth, 1)))


def test_slopes_choose_the_branch_of_nested_kinks(rng):
    def function(x):
        return jnp.sum(jax.nn.relu(2.0 * jax.nn.relu(x) - 1.0) + jnp.abs(x))

    x = jnp.asarray(rng.normal(size=5))
    branch = on_branches(function, (0, 1, 2))
    inner, outer, size = (jnp.asarray(rng.uniform(size=5)) for _ in range(3))
    (value, seen), slope = jax.value_and_grad(lambda x: branch([inner, outer, size], x), has_aux=True)(x)
    assert abs(value - function(x)) < 1e-14
    assert np.allclose(slope, 2 * inner * outer + 2 * size - 1, atol=1e-14)
    assert np.allclose(seen[1], 2 * np.maximum(x, 0) - 1)


@pytest.mark.parametrize(
    ("loss", "classes", "depth", "dim", "decay"), [("cross_entropy", 3, 3, 4, 3e-3), ("mse", 3, 3, 4, 1e-2)]
)
def test_chains_of_relus_end_stationary_to_rounding(loss, classes, depth, dim, decay):
    problem = nct.deep_nonlinear(
        widths=(dim,) * depth + (classes,), counts=(1,) * classes, loss=loss, weight_decay=(decay,) * (depth + 1)
    )
    ends = nct.solve(problem, 64)
    assert ends.converged.mean() >= 0.95
    assert np.median(ends.grad_norm) < 1e-11
    for i in np.argsort(ends.value)[[0, 20]]:
        point = jax.tree.map(lambda x, i=i: x[i], ends.params)
        here = branches_at(problem, point)
        # The least element is no longer than the one that the polish found, and slopes are those of an element.
        assert np.linalg.norm(here.gradient) <= max(10 * ends.grad_norm[i], 1e-9)
        assert np.all((here.slopes >= 0) & (here.slopes <= 1))
        # Along the manifold the value is what its second order says: a step of length t changes it by c t^2/2.
        report = nct.hessian_report(problem, point)
        assert report.index == 0, "the polish ended at a saddle"


def test_second_order_on_the_manifold_by_differences():
    # A chain of two classes: move along an eigenvector, return to the manifold of the kinks, and compare values.
    problem = nct.deep_nonlinear(widths=(3, 3, 2), counts=(1, 1), loss="mse", weight_decay=(0.05,) * 3)
    ends = nct.solve(problem, 16, scale=1.5)
    point = jax.tree.map(lambda x: x[np.argmin(ends.value)], ends.params)
    report, here = nct.hessian_report(problem, point), branches_at(problem, point)
    assert report.kinks == np.linalg.matrix_rank(here.normals, tol=1e-8)
    top, step = report.eigenvectors[:, -1], 1e-4
    with jax.enable_x64(True):
        flat = np.asarray(nct.problems.ravel(jax.tree.map(jnp.asarray, point)))
        values = []
        for t in (-step, 0.0, step):
            values.append(float(problem.objective(nct.problems.unravel(problem, jnp.asarray(flat + t * top)))))
    # Kinks of this chain are met by zero rows alone, or by products that stay zero along the tangent to first order.
    second = (values[0] - 2 * values[1] + values[2]) / step**2
    assert abs(second - report.eigenvalues[-1]) < 1e-4 * abs(report.eigenvalues[-1])
