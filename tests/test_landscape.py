"""The census: complete lists are found, saddles are what they are said to be, symmetry is counted once."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.cli import main
from nctheory.flow import Status
from nctheory.landscape import search
from nctheory.landscape._kinked_ends import clarke_ends
from nctheory.report import census_lines
from tests.helpers import brute_force_hessian

CHAINS = (
    {"widths": (3, 3), "counts": (3, 2, 1), "weight_decay": (0.03, 0.05)},
    {"widths": (2, 2, 2), "counts": (3, 2), "weight_decay": (0.04, 0.05, 0.06)},
    {"widths": (2, 2, 2), "counts": (2, 2), "weight_decay": (0.04, 0.05, 0.06)},
)


@pytest.fixture(scope="module", params=CHAINS, ids=str)
def counted(request):
    with jax.enable_x64(True):
        problem = nct.deep_linear(loss="mse", **request.param)
        return problem, nct.census(problem, 400, key=2)


@pytest.mark.slow
def test_the_census_finds_the_whole_list_and_nothing_else(counted):
    problem, census = counted
    held = nct.landscape.compare(census, nct.closed_form.critical_points(problem))
    assert (held.missing, held.extra, held.misjudged) == ((), (), ())
    assert len(census.rows) == len(nct.closed_form.critical_points(problem))
    assert census.critical == census.count.sum() <= census.starts
    for row in census.rows:
        assert row.gauge_dimension == nct.landscape.expected_gauge(row.rank, problem.widths[:-1])


@pytest.mark.slow
def test_rows_are_critical_and_their_index_is_the_hessians(counted):
    problem, census = counted
    for row in census.rows:
        assert np.linalg.norm(nct.problems.ravel(problem.value_and_grad(row.params)[1])) <= 1e-10
        eigenvalues = np.linalg.eigvalsh(brute_force_hessian(problem, row.params))
        assert np.sum(eigenvalues < -1e-6) == row.index
        assert np.sum(np.abs(eigenvalues) <= 1e-6) == row.gauge_dimension + row.nullity
        if row.kind == "strict saddle":
            point = np.asarray(nct.problems.ravel(row.params))
            objective = lambda v: float(problem.objective(nct.problems.unravel(problem, jnp.asarray(v))))  # noqa: E731
            step = 1e-2 * row.direction
            assert objective(point + step) + objective(point - step) < 2 * row.value
            assert row.descent > 0
        else:
            assert row.index == 0


def test_ties_are_families_of_minimisers_and_not_saddles():
    problem = nct.deep_linear(loss="mse", **CHAINS[2])
    census = nct.census(problem, 300)
    family = [row for row in census.rows if row.kind == "degenerate"]
    assert family
    for row in family:
        assert row.nullity == 1  # a line in the plane of the two equal classes turns
        assert row.eigenvalues[1 + np.argmin(np.abs(row.eigenvalues))] > 1e-3


@pytest.mark.slow
def test_symmetric_copies_are_one_row(rng):
    """Turned, permuted and negated copies of one critical point have the same invariants."""
    problem = nct.deep_linear(widths=(3, 3), counts=(2, 2, 1), loss="mse", weight_decay=(0.03, 0.05))
    census = nct.census(problem, 200)
    values = census.value
    assert np.all(np.diff(values) > 1e-6)  # classes of one size can be exchanged: one value, one row


class Ridge(nct.Problem):
    """f = x^3/3 + x + y^2/2: no critical point; |g| has a minimum at the origin, where the Hessian is singular."""

    def init(self, key, scale):
        return scale * jax.random.normal(key, (2,), jnp.float64)

    def objective(self, params):
        return params[0] ** 3 / 3 + params[0] + 0.5 * params[1] ** 2


@pytest.mark.slow
def test_gradient_flat_points_are_not_critical():
    ends = search(Ridge(), np.arange(24), jax.random.key(0))
    assert not ends.converged.any()
    assert np.all(ends.status == int(Status.STALLED))
    flat = np.abs(ends.params[:, 0]) < 1e-3
    assert flat.mean() > 0.9
    census = nct.census(Ridge(), 24)
    assert census.rows == ()
    assert (census.critical, census.flat) == (0, 24)


class Crease(nct.Problem):
    """f = |x| + (y^2 - 1)^2 / 4 + s^2: in Clarke's sense stationary at x = s = 0 and y = 0 (a saddle) or y = -1, 1."""

    joined: bool = eqx.field(static=True, default=False)
    """Whether the kink is written as one that is not told apart."""

    def init(self, key, scale):
        return scale * jax.random.normal(key, (3,), jnp.float64)

    def objective(self, params):
        x, y, s = params
        size = jnp.max(jnp.stack([x, -x])) if self.joined else jnp.abs(x)
        return size + (y**2 - 1) ** 2 / 4 + s**2


@pytest.mark.slow
def test_starts_that_stop_at_a_kink_are_brought_down_to_where_they_are_stationary():
    problem = Crease()
    ends = search(problem, np.arange(24), jax.random.key(0))
    assert not ends.converged.any()  # no side of the kink has a vanishing gradient
    census = nct.census(problem, 24)
    assert (census.critical, census.flat, int(census.count.sum())) == (24, 0, 24)
    for row in census.rows:  # where a start has stopped next to the saddle, it is found as well
        at_saddle = row.index == 1
        assert np.abs(np.asarray(row.params)) == pytest.approx([0.0, 0.0 if at_saddle else 1.0, 0.0], abs=1e-8)
        assert row.kind == ("strict saddle" if at_saddle else "minimum")
        assert row.value == pytest.approx(0.25 if at_saddle else 0.0, abs=1e-12)
        if not at_saddle:
            assert row.kinks == 1
            assert row.eigenvalues == pytest.approx([2.0, 2.0])  # along the crease
    assert "minimum" in {row.kind for row in census.rows}
    assert census.caveat is not None
    assert "24 starts that stopped at one, 24 were brought down" in census.caveat
    assert census.caveat in census_lines(census)


def test_kinks_that_are_not_told_apart_are_said_to_be_and_smooth_problems_have_no_caveat():
    none, number = np.zeros(1), np.zeros(1, int)
    stopped = np.array([int(Status.STALLED)], np.int8)
    ends = nct.flow.Ensemble(number, none, none, stopped, np.zeros((1, 3)), number, none, number, none, 1e-10)
    for problem, words in ((Crease(joined=True), "kinks that cannot be told apart"), (Ridge(), None)):
        found, caveat = clarke_ends(problem, ends)
        assert found is ends
        assert (caveat is None) == (words is None)
        assert words is None or words in (caveat or "")


def test_unseen_types_are_estimated_from_those_seen_once():
    rows = nct.census(nct.deep_linear(loss="mse", **CHAINS[1]), 300).rows

    def with_counts(*counts):
        import dataclasses

        made = tuple(dataclasses.replace(rows[0], count=c) for c in counts)
        return nct.CensusResult(made, 10, 10, 0, 0, 1e-10)

    assert with_counts(5, 7).unseen == 0.0
    assert with_counts(1, 1, 1, 2).unseen == 3 * 2 / (2 * 2)


def test_a_list_that_lacks_an_entry_is_refuted_and_one_too_many_is_missing(counted):
    problem, census = counted
    listed = nct.closed_form.critical_points(problem)
    short = nct.landscape.compare(census, listed[1:])
    assert [row.value for row in short.extra] == pytest.approx([listed[0].value])
    invented = listed[0]._replace(value=listed[0].value * 1.001)
    assert nct.landscape.compare(census, [*listed, invented]).missing == (invented,)
    turned = [one._replace(minimum=not one.minimum) for one in listed]
    assert len(nct.landscape.compare(census, turned).misjudged) == len(census.rows)


@pytest.mark.slow
def test_a_free_bias_below_the_rank_of_the_simplex_has_spurious_minima():
    """K = 6, d = 2, n = 10, decay 1e-3: two local minima, at 0.1621821 and 0.1734104 (control N22)."""
    problem = nct.unconstrained_features(
        counts=(10,) * 6, dim=2, loss="cross_entropy", weight_decay=(1e-3, 1e-3), bias=0.0
    )
    ends = nct.solve(problem, 64, key=1)
    values, numbers = np.unique(np.round(ends.value[ends.converged], 6), return_counts=True)
    assert values == pytest.approx([0.162182, 0.173410], abs=2e-6)
    assert numbers.min() >= 2
    at = int(np.argmax(ends.value))
    report = nct.hessian_report(problem, jax.tree.map(lambda x: x[at], ends.params))
    assert (report.index, report.nullity) == (0, 0)


@pytest.mark.slow
def test_ten_classes_in_space_with_a_free_bias_have_three_values():
    full = nct.unconstrained_features(
        counts=(5,) * 10, dim=3, loss="cross_entropy", weight_decay=(1e-3, 1e-3), bias=0.0
    )
    ends = nct.solve(nct.problems.reduce_to_class_means(full), 48, light=True)
    values, numbers = np.unique(np.round(ends.value[ends.converged], 6), return_counts=True)
    assert values == pytest.approx([0.2073384, 0.207533, 0.207924], abs=1e-6)
    assert numbers.min() >= 4


def test_the_lowest_curvature_at_zero():
    samples, decay = 2, 0.1
    model = nct.unconstrained_features(counts=(samples,) * 3, dim=3, loss="cross_entropy", weight_decay=(decay, decay))
    zero = jax.tree.map(lambda x: np.zeros(x.shape[1:]), nct.starts(model, 1))
    wanted = decay - samples**0.5 / (3 * samples)
    assert nct.hessian_report(model, zero).smallest == pytest.approx(wanted, abs=1e-14)


def test_wrong_use(tmp_path, capsys):
    model = nct.deep_linear(loss="mse", **CHAINS[0])
    with pytest.raises(ValueError, match="seeds: expected at least 1"):
        nct.census(model, 0)
    with pytest.raises(ValueError, match="tolerance"):
        nct.census(model, 5, tolerance=0.0)
    large = nct.unconstrained_features(counts=(9, 9, 9, 9, 7), dim=30, loss="mse", weight_decay=(0.1, 0.1))
    with pytest.raises(ValueError, match="at most 1200 parameters, got 1440"):
        nct.census(large, 5)
    assert main(["census", "nope"]) == 2
    assert main(["census", "cjw-dmf", "--instance", "99"]) == 2
    assert "--instance: expected 0 to 14 for cjw-dmf, got 99" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_writes_table_data_and_picture(tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["census", "cjw-dmf", "--instance", "12", "--starts", "200", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "0 entries missing, 0 rows extra, 0 of another kind than listed" in printed
    data = json.loads((out / "census.json").read_text())
    assert data["critical"] == sum(row["starts"] for row in data["rows"])
    assert data["list"]["missing"] == []
    drawn = [(out / f"census.{suffix}").read_bytes() for suffix in ("png", "svg", "pdf")]
    assert main(["census", "cjw-dmf", "--instance", "12", "--starts", "200", "--out", str(out)]) == 0
    assert drawn == [(out / f"census.{suffix}").read_bytes() for suffix in ("png", "svg", "pdf")]
    assert all(one["to"] is not None for one in data["descents"])
    assert sorted(file.name for file in out.iterdir()) == ["census.json", "census.pdf", "census.png", "census.svg"]
