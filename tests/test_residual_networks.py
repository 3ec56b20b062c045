"""Linear residual networks with normalised features: values, bounds, and how they go with depth."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from proofs_numeric.nonlinear import residual_networks as nets


def forward(problem, branches, last):
    """Value, fit with the decay of V, and variability, by loops in NumPy."""
    n, classes = problem.samples, problem.classes
    features = np.array(problem.inputs)
    for branch in branches:
        features = features + branch @ features
    features = float(problem.radius) * features / np.linalg.norm(features, axis=0)
    targets = np.kron(np.eye(classes), np.ones(n))
    lam, mu = np.asarray(problem.weight_decay)
    fit = 0.5 * np.sum((last @ features - targets) ** 2) / (n * classes) + 0.5 * mu * np.sum(last**2)
    away = [features[:, k * n : (k + 1) * n].T - features[:, k * n : (k + 1) * n].mean(axis=1) for k in range(classes)]
    spread = np.sum(np.square(away)) / (n * classes * float(problem.radius) ** 2)
    return fit + 0.5 * lam * np.sum(np.square(branches)), fit, spread


def test_the_symmetric_network_has_the_value_and_variability_that_are_told(rng):
    for classes, samples, extra, depth in ((2, 2, 0, 8), (3, 2, 2, 20), (2, 4, 0, 50)):
        problem = nets.drawn_network(rng, classes, samples, extra, depth, (0.02, 0.05), 1.3)
        dim = len(problem.inputs)
        with jax.enable_x64(True):
            shapes = nets.Blocks(jnp.zeros((depth, dim, dim)), jnp.zeros((classes, dim)))
            made = nets.network(problem, shapes)
            value = float(problem.objective(made))
        told = nets.symmetric(problem)
        by_hand, _, spread = forward(problem, np.asarray(made.branches), np.asarray(made.last))
        assert abs(value - told.value) < 1e-13
        assert abs(by_hand - told.value) < 1e-13
        assert abs(spread - told.variability) < 1e-12


def test_the_least_value_is_that_of_a_search_over_both_numbers(rng):
    from scipy.optimize import minimize

    problem = nets.drawn_network(rng, 2, 3, 0, 24, (0.01, 0.1), 1.0)
    for up, spread in ((2, nets.symmetric_spread(3)), (1, nets.bounded_spread(3))):
        # The derivative by log(epsilon) is that of the function.
        assert abs((spread(0.5 * np.exp(1e-6))[0] - spread(0.5 * np.exp(-1e-6))[0]) / 2e-6 - spread(0.5)[1]) < 1e-9

        def value(x, up=up, spread=spread):
            shrink, grow = x
            branches = 24 * (up * (grow - 1) ** 2 + 4 * shrink**2)
            return float(nets.fit(problem, spread(((1 - shrink) / grow) ** 24)[0])) + 0.005 * branches

        found = min(
            minimize(value, start, bounds=((0.0, 0.5), (1.0, 2.0)), options={"ftol": 1e-15, "gtol": 1e-12}).fun
            for start in ((0.0, 1.0), (0.1, 1.05), (0.3, 1.1))
        )
        told = nets.least(problem, up, spread)
        assert told.value <= found + 1e-12
        assert told.value > found - 1e-8


def test_no_network_that_was_drawn_is_below_a_bound(rng):
    for trial in range(60):
        shape = (2, 2, 1) if trial % 2 else (3, 2, 0)
        problem = nets.drawn_network(rng, *shape, 10, np.exp(rng.uniform(-5, 0, size=2)), 1.0)
        dim, depth = len(problem.inputs), problem.depth
        if trial % 3 == 0:  # about the symmetric network, with the best V
            with jax.enable_x64(True):
                made = nets.network(problem, nets.Blocks(jnp.zeros((depth, dim, dim)), jnp.zeros((shape[0], dim))))
            branches, last = np.asarray(made.branches), np.asarray(made.last)
            branches = branches + 10.0 ** rng.uniform(-4, -1) * rng.normal(size=branches.shape)
        else:
            branches = rng.uniform(0.01, 0.3) * rng.normal(size=(depth, dim, dim))
            last = rng.normal(size=(shape[0], dim))
        value, fit, spread = forward(problem, branches, last)
        assert fit >= float(nets.fit(problem, spread)) - 1e-12
        assert value >= nets.bound(problem) - 1e-12


def test_singular_values_of_a_product_of_blocks_cost_what_the_proof_says(rng):
    # Where all blocks have singular values of at least 1/2: sum |W_l|^2 >= L sum (s_i^(1/L) - 1)^2, s those of the product.
    for _ in range(40):
        depth = int(rng.integers(2, 8))
        branches = 0.15 * rng.normal(size=(depth, 4, 4))
        product, cost = np.eye(4), 0.0
        for branch in branches:
            assert np.linalg.svd(np.eye(4) + branch)[1].min() > 0.1
            product, cost = product + branch @ product, cost + np.sum(branch**2)
        if min(np.linalg.svd(np.eye(4) + branch)[1].min() for branch in branches) >= 0.5:
            least = depth * np.sum((np.linalg.svd(product)[1] ** (1 / depth) - 1) ** 2)
            assert cost >= least - 1e-12


def test_what_is_above_collapse_goes_like_the_squared_logarithm_over_depth(rng):
    classes, samples, lam = 2, 3, 0.05
    down = classes * (samples - 1)
    parts = {"network": classes * down / (classes + down), "bound": down / (1 + down)}
    depths = np.array([10**5, 10**7, 10**9])
    found = {name: [] for name in parts}
    for depth in depths:
        problem = nets.drawn_network(rng, classes, samples, 0, int(depth), (lam, 0.05), 1.0)
        zero = float(nets.fit(problem, 0.0))
        found["network"].append(nets.symmetric(problem).value - zero)
        found["bound"].append(nets.bound(problem) - zero)
    for name, part in parts.items():
        # sqrt(8 L excess/(lambda part)) grows like log L, up to log log L; an excess like 1/L would leave it constant.
        roots = np.sqrt(8 * depths * np.array(found[name]) / (lam * part))
        assert np.allclose(np.diff(roots) / np.diff(np.log(depths)), 1.0, rtol=0, atol=0.12), (name, roots)
    assert np.all(np.array(found["network"]) >= np.array(found["bound"]))


@pytest.mark.slow
@pytest.mark.parametrize("depth", [16, 64])
def test_networks_of_another_optimiser_end_at_the_symmetric_one(rng, depth):
    from scipy.optimize import minimize

    problem = nets.drawn_network(rng, 2, 2, 0, depth, (0.02, 0.05), 1.0)
    shapes = ((depth, 4, 4), (2, 4))

    def unpacked(vector):
        cut = np.prod(shapes[0])
        return nets.Blocks(vector[:cut].reshape(shapes[0]), vector[cut:].reshape(shapes[1]))

    with jax.enable_x64(True):
        both = jax.jit(jax.value_and_grad(lambda vector: problem.objective(unpacked(vector))))
        found = []
        for _ in range(4):
            start = np.concatenate([0.3 / depth**0.5 * rng.normal(size=16 * depth), rng.normal(size=8)])
            end = minimize(
                lambda x: tuple(np.asarray(part) for part in both(jnp.asarray(x))),
                start,
                jac=True,
                method="L-BFGS-B",
                options={"maxiter": 5000, "maxfun": 5000, "ftol": 1e-15, "gtol": 1e-10},
            )
            found.append(float(end.fun))
    told = nets.symmetric(problem).value
    assert min(found) > told - 1e-9
    assert min(found) < told + 1e-6
