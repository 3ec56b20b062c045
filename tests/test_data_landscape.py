"""Linear networks on given data, the certificate of two factors, controls outside the hypotheses, descents out of saddles."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.problems import internal_spaces, undecayed
from tests.helpers import brute_force_hessian


def network(rng, widths, scale=1.0):
    inputs = scale * rng.normal(size=(widths[0], widths[0] + 2))
    targets = rng.normal(size=(widths[-1], widths[0] + 2))
    return nct.deep_linear(
        widths=widths, inputs=inputs, targets=targets, loss="mse", weight_decay=(0.0,) * (len(widths) - 1)
    )


@pytest.fixture(scope="module")
def counted():
    with jax.enable_x64(True):
        problem = network(np.random.default_rng(4), (2, 2, 2, 2))
        return problem, nct.census(problem, 200)


def test_critical_values_are_those_of_projections_of_the_least_squares_solution(rng):
    """Ring 2: at random eigenvector sets the projected regression is a critical point of exactly the listed value."""
    problem = network(rng, (3, 2, 3))
    x, y = np.asarray(problem.inputs), np.asarray(problem.targets)
    solution = y @ np.linalg.pinv(x)
    vectors = np.linalg.eigh(solution @ x @ y.T)[1][:, ::-1]
    for one in nct.closed_form.data_critical_values(problem):
        basis = vectors[:, list(one.directions)]
        pad = 2 - basis.shape[1]
        upper = np.concatenate([basis, np.zeros((3, pad))], axis=1)
        lower = np.concatenate([basis.T @ solution, np.zeros((pad, 3))])
        point = nct.problems.ChainParams((jnp.asarray(lower), jnp.asarray(upper)), None, None)
        value, gradient = problem.value_and_grad(point)
        assert float(value) == pytest.approx(one.value, rel=1e-12)
        assert np.linalg.norm(nct.problems.ravel(gradient)) < 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_labels_agree_with_the_hessian_at_constructed_points(seed):
    """Leading directions, random parts that the product does not see: tightened iff there is no negative curvature."""
    rng = np.random.default_rng(seed)
    problem = network(rng, (3, 3, 3, 2))
    x, y = np.asarray(problem.inputs), np.asarray(problem.targets)
    solution = y @ np.linalg.pinv(x)
    u = np.linalg.eigh(solution @ x @ y.T)[1][:, -1:]
    seen = set()
    for _ in range(12):
        # Rank one in the product; junk in W_2 and W_3 that the product does not see.
        w1 = np.zeros((3, 3))
        w1[0] = (u.T @ solution)[0]
        w2 = np.diag([1.0, 0.0, 0.0])
        w2[1, 1] = rng.integers(2)
        w3 = np.zeros((2, 3))
        w3[:, 0] = u[:, 0]
        w3[:, 2] = rng.integers(2) * (np.eye(2) - u @ u.T) @ rng.normal(size=2)
        g1, g2 = rng.normal(size=(3, 3)) + 2 * np.eye(3), rng.normal(size=(3, 3)) + 2 * np.eye(3)
        turned = (g1 @ w1, g2 @ w2 @ np.linalg.inv(g1), w3 @ np.linalg.inv(g2))
        point = nct.problems.ChainParams(tuple(map(jnp.asarray, turned)), None, None)
        if np.linalg.norm(nct.problems.ravel(problem.value_and_grad(point)[1])) > 1e-10:
            continue
        blocks = float(nct.closed_form.pivot_blocks(problem, point))
        least = float(np.linalg.eigvalsh(brute_force_hessian(problem, point))[0])
        assert (blocks >= 1) == (least > -1e-7), (blocks, least)
        seen.add(blocks >= 1)
    assert True in seen


@pytest.mark.slow
def test_layers_that_see_no_correlated_input_do_not_make_a_saddle_strict():
    """Found by a census: of the first layer's rank only what the targets are correlated with counts."""
    problem = network(np.random.default_rng(5), (5, 3, 3, 2))
    x, y = np.asarray(problem.inputs), np.asarray(problem.targets)
    solution = y @ np.linalg.pinv(x)
    u = np.linalg.eigh(solution @ x @ y.T)[1][:, -1:]
    unseen = np.linalg.svd(y @ x.T)[2][-1]
    for row, blocks, negative in ((unseen, 1.0, False), (unseen + 0.1 * (y @ x.T)[0], 0.0, True)):
        w1, w3 = np.zeros((3, 5)), np.zeros((2, 3))
        w1[0], w1[1], w3[:, 0] = (u.T @ solution)[0], row, u[:, 0]
        point = nct.problems.ChainParams(
            (jnp.asarray(w1), jnp.diag(jnp.array([1.0, 0.0, 0.0])), jnp.asarray(w3)), None, None
        )
        assert np.linalg.norm(nct.problems.ravel(problem.value_and_grad(point)[1])) < 1e-12
        assert np.linalg.matrix_rank(w1) == 2  # in both cases
        assert float(nct.closed_form.pivot_blocks(problem, point)) == blocks
        assert (np.linalg.eigvalsh(brute_force_hessian(problem, point))[0] < -1e-6) == negative


def test_outer_blocks_that_do_not_meet_tighten_a_pivot():
    problem = network(np.random.default_rng(6), (3, 3, 3, 3, 3))
    x, y = np.asarray(problem.inputs), np.asarray(problem.targets)
    solution = y @ np.linalg.pinv(x)
    u = np.linalg.eigh(solution @ x @ y.T)[1][:, ::-1]
    for shown, blocks, negative in ((1, 0.0, True), (2, 1.0, False)):
        w1, w4 = np.zeros((3, 3)), np.zeros((3, 3))
        w1[0], w4[:, 0] = u[:, 0] @ solution, u[:, 0]
        w1[1], w4[:, 1] = np.linalg.solve(y @ x.T, u[:, 1]), u[:, shown]  # of the inputs it sees u_2's alone
        half = jnp.diag(jnp.array([1.0, 0.0, 0.0]))
        point = nct.problems.ChainParams((jnp.asarray(w1), half, half, jnp.asarray(w4)), None, None)
        assert np.linalg.norm(nct.problems.ravel(problem.value_and_grad(point)[1])) < 1e-12
        assert float(nct.closed_form.pivot_blocks(problem, point)) == blocks
        assert (np.linalg.eigvalsh(brute_force_hessian(problem, point))[0] < -1e-6) == negative


@pytest.mark.slow
def test_without_decay_the_gauge_is_the_general_linear_group(counted):
    problem, census = counted
    assert all(bool(undecayed(problem, space)) for space in internal_spaces(problem))
    top = census.rows[0]
    assert (top.kind, top.gauge_dimension) == ("minimum", 8)  # GL(2) in two spaces
    held = nct.landscape.compare(census, nct.closed_form.data_critical_values(problem))
    assert (held.missing, held.extra, held.misjudged) == ((), (), ())


@pytest.mark.slow
def test_the_certificate_of_an_undecayed_network_is_its_minimum(rng):
    for widths in ((3, 1, 2, 2),):
        problem = network(rng, widths, scale=3.0)
        ends = nct.solve(problem, 6)
        bound = nct.certify(problem, ends.params)
        least = nct.closed_form.data_critical_values(problem)[0].value
        assert bound.lower_bound == pytest.approx(least, rel=1e-12)
        assert bound.closed(ends.value)[ends.converged].any()
        assert np.all(bound.lower_bound <= ends.value)


def test_segment_ranks_say_when_they_are_in_doubt():
    problem = network(np.random.default_rng(0), (2, 2, 2))
    point = lambda small: nct.problems.ChainParams((jnp.diag(jnp.array([1.0, small])), jnp.eye(2)), None, None)  # noqa: E731
    assert nct.problems.segment_ranks(problem, point(0.5)).tolist() == [2, 2, 2]
    assert nct.problems.segment_ranks(problem, point(0.0)).tolist() == [1, 1, 2]
    assert np.isnan(nct.problems.segment_ranks(problem, point(1e-5))[:2]).all()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"loss": "cross_entropy", "targets": np.full((2, 4), 0.5)}, "needs loss mse"),
        ({"weight_decay": (0.0, 0.1)}, r"needs no decay, got weight_decay\[1\] = 0.1"),
        ({"bias": 0.0}, "needs no bias"),
        ({"inputs": np.ones((2, 4))}, "X X"),
        ({"targets": np.ones((2, 4))}, "distinct positive eigenvalues"),
    ],
)
def test_outside_the_hypotheses_of_the_list(rng, change, match):
    given = {
        "widths": (2, 2, 2),
        "inputs": rng.normal(size=(2, 4)),
        "targets": rng.normal(size=(2, 4)),
        "loss": "mse",
        "weight_decay": (0.0, 0.0),
    }
    with pytest.raises(nct.NoClosedForm, match=match):
        nct.closed_form.data_critical_values(nct.deep_linear(**(given | change)))


@pytest.mark.slow
def test_descents_end_lower_and_at_rows_of_the_census():
    problem = nct.deep_linear(widths=(2, 2), counts=(3, 2), loss="mse", weight_decay=(0.05, 0.05))
    census = nct.census(problem, 100)
    flows = nct.landscape.saddle_connections(problem, census)
    saddles = [i for i, row in enumerate(census.rows) if row.kind == "strict saddle"]
    assert sorted({(one.origin, one.side) for one in flows}) == sorted((i, side) for i in saddles for side in (1, -1))
    for one in flows:
        assert one.end >= 0
        assert one.value == pytest.approx(census.rows[one.end].value, rel=1e-9)
        assert one.value < census.rows[one.origin].value


def test_points_are_followed_from_where_they_are():
    model = nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(0.1, 0.1))
    with pytest.raises(ValueError, match="tolerance: expected"):
        nct.solve_from(model, nct.solve(model, 2).params, tolerance=0.0)
    with pytest.raises(ValueError, match="points: expected at least one"):
        nct.solve_from(model, jax.tree.map(lambda x: x[:0], nct.solve(model, 2).params))


@pytest.mark.slow
def test_a_control_outside_the_hypotheses_is_solved_there_and_refuted():
    """A control whose outside instance in truth satisfies the theorem survives, and the verdict is inconclusive."""
    theorem = nct.catalogue()["laurent-vonbrecht"]
    control = next(one for one in theorem.controls if one.outside is not None)
    small = dataclasses.replace(theorem, instances=lambda key: theorem.instances(key)[:1], seeds=24)
    harmless = dataclasses.replace(
        control, outside=lambda key: theorem.instances(key)[1:2], predict=theorem.predict, name="harmless"
    )
    others = tuple(one for one in theorem.controls if one is not control)
    survived = nct.verify(dataclasses.replace(small, controls=(harmless, *others)))
    assert survived.outcome == "inconclusive"
    assert any("'harmless' was not refuted" in reason for reason in survived.reasons)


def test_at_the_spinodal_a_point_is_neither_a_minimum_nor_a_strict_saddle():
    """Strength equal to the spinodal (y = y*): one zero eigenvalue off the gauge, and the objective falls to third order."""
    count, depth = 3.0, 2
    # b = M N joint / n, joint = (N lambda^(M+1))^(1/M), with N = n: lambda from b = spinodal.
    decay = ((nct.closed_form.spinodal(depth) / depth) ** depth / count) ** (1 / (depth + 1))
    problem = nct.deep_linear(widths=(1, 1, 1), counts=(3,), loss="mse", weight_decay=(decay,) * 3)
    x = ((depth - 1) / (depth + 1)) ** (1 / depth)
    s = np.sqrt(count) * x**depth / (1 + x**depth)  # of the product, columns counted with their multiplicity
    layer = s ** (1 / 3)
    point = nct.problems.ChainParams(
        (jnp.full((1, 1), layer), jnp.full((1, 1), layer)), jnp.full((1, 3), layer / np.sqrt(count)), None
    )
    assert np.linalg.norm(nct.problems.ravel(problem.value_and_grad(point)[1])) < 1e-12
    report = nct.hessian_report(problem, point)
    assert (report.index, report.nullity) == (0, 1)
    flat = np.asarray(nct.problems.ravel(point))
    direction = report.eigenvectors[:, np.argmin(np.abs(report.eigenvalues))]
    value = lambda v: float(problem.objective(nct.problems.unravel(problem, jnp.asarray(v))))  # noqa: E731
    moved = [value(flat + t * direction) - value(flat) for t in (-0.05, 0.05)]
    assert min(moved) < -1e-7 < 1e-7 < max(moved)
    assert min(moved) == pytest.approx(-max(moved), rel=0.3)
