"""Lower bounds lie below what is attained: with biases and unequal counts, in minibatches, for objectives of one's own."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct

COUNTS = [(1, 10), (1, 3, 9), (10, 2, 1)]


def at_zero(problem, shares):
    """The value with no weights and no features, and the logarithms of the classes' shares as the bias."""
    point = jax.tree.map(lambda leaf: np.zeros(leaf.shape[1:]), nct.starts(problem, 1))
    return float(problem.objective(point._replace(bias=np.log(shares))))


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["cross_entropy", "smoothed"])
@pytest.mark.parametrize("counts", COUNTS, ids=str)
def test_above_the_onset_a_bias_alone_is_not_undercut(counts, loss):
    """The aligned dual point left the domain of the conjugate, and was brought back off the bias's condition, at no price."""
    smoothing = 0.1 if loss == "smoothed" else 0.0
    kind = nct.losses.label_smoothing(smoothing) if smoothing else loss
    problem = nct.unconstrained_features(counts=counts, dim=3, loss=kind, weight_decay=(0.3, 0.3), bias=0.0)
    shares = (1 - smoothing) * np.array(counts) / sum(counts) + smoothing / len(counts)
    attained = at_zero(problem, shares)
    starts = nct.starts(problem, 8)
    for scale in (1.0, 3.0):
        bound = nct.certify(problem, jax.tree.map(lambda leaf, scale=scale: scale * leaf, starts))
        assert bound.lower_bound.max() <= attained * (1 + 1e-12)
    ends = nct.solve(problem, 4, light=True)
    np.testing.assert_allclose(ends.value, attained, rtol=1e-12)
    assert nct.certify(problem, ends.params).closed(ends.value).all()


@pytest.mark.slow
@pytest.mark.parametrize("decay", [1e-12, 1e-4, 0.01, 1.0])
def test_nor_is_one_with_a_decayed_bias(decay):
    problem = nct.unconstrained_features(
        counts=(1, 10), dim=3, loss="cross_entropy", weight_decay=(1.21, 12.39), bias=decay
    )
    ends = nct.solve(problem, 4, light=True)
    for points in (ends.params, nct.starts(problem, 8)):
        assert nct.certify(problem, points).lower_bound.max() <= ends.value.min() * (1 + 1e-12)
    assert nct.certify(problem, ends.params).closed(ends.value)[ends.converged].all()


@pytest.mark.slow
def test_of_a_minibatch_no_theorem_is_told_and_bounds_hold():
    whole = nct.unconstrained_features(counts=(3, 3), dim=2, loss="mse", weight_decay=(0.05, 0.05))
    for key in range(3):
        with jax.enable_x64(True):
            problem = whole.minibatch(jax.random.key(key), 4)
        ends = nct.solve(problem, 4, light=True)
        assert nct.certify(problem, ends.params).closed(ends.value).all()
        assert nct.certificates.separable_bound(problem) == -np.inf
        for verb in (nct.global_minimum, nct.problems.moment_form, nct.problems.reduce_to_class_means):
            with pytest.raises(ValueError, match="weigh"):
                verb(problem)
    deep = nct.deep_linear(widths=(2, 2, 2), counts=(3, 3), loss="mse", weight_decay=(0.05,) * 3)
    with jax.enable_x64(True):
        few = deep.minibatch(jax.random.key(0), 4)
    bound = nct.certify(few, nct.starts(few, 2))
    assert not bound.valid.any()
    assert "minibatch" in str(bound.reason)


class Half(nct.problems.DeepLinear):
    """Half of the fit, and no bound."""

    def objective(self, params):
        return 0.5 * (self.column_weight @ self.loss.value(self.logits(params), self.targets)) + self.regulariser(
            params
        )

    def value_and_grad(self, params):
        return jax.value_and_grad(self.objective)(params)


class Bounded(Half):
    """The same with a bound of its own."""

    def lower_bound(self, params):
        return jnp.asarray(0.01)


class Doubled(nct.problems.UnitVectors):
    """Another energy of unit vectors."""

    def objective(self, params):
        return 2.0 * super().objective(params) - 1.0

    def value_and_grad(self, params):
        return jax.value_and_grad(self.objective)(params)


@pytest.mark.slow
def test_another_objective_has_not_the_bound_of_its_kind():
    plain = nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(0.05, 0.05))
    points = nct.starts(plain, 3)
    assert nct.certify(plain, points).valid.all()
    bare = nct.certify(Half.of(plain), points)
    assert not bare.valid.any()
    assert bare.reason == "Half defines no lower_bound"
    np.testing.assert_array_equal(nct.certify(Bounded.of(plain), points).lower_bound, 0.01)
    for kind in (Half, Bounded):
        with pytest.raises(nct.closed_form.NoClosedForm, match="objective of its own"):
            nct.global_minimum(kind.of(plain))


@pytest.mark.slow
def test_nor_has_one_of_another_kind():
    energy = nct.problems.exponential_energy(vectors=4, sharpness=1.0)
    plain = nct.problems.unit_vectors(energy, dim=3)
    fields = {field.name: getattr(plain, field.name) for field in dataclasses.fields(plain)}
    points = nct.starts(plain, 3)
    assert nct.certify(plain, points).valid.all()
    assert nct.certify(Doubled(**fields), points).reason == "Doubled defines no lower_bound"


@pytest.mark.slow
@pytest.mark.parametrize("widths", [(3, 2), (3, 4, 2), (3, 4, 4, 2)], ids=str)
@pytest.mark.parametrize("decay", [0.1, 0.0])
def test_fewer_inputs_than_dimensions(widths, decay):
    rng = np.random.default_rng(0)
    problem = nct.deep_linear(
        widths=widths, loss="mse", inputs=rng.normal(size=(3, 2)), targets=rng.normal(size=(2, 2)),
        weight_decay=(decay,) * (len(widths) - 1),
    )  # fmt: skip
    ends = nct.solve(problem, 2, light=True)
    bound = nct.certify(problem, ends.params)
    if len(widths) < 4 or decay == 0.0:
        assert bound.closed(ends.value).all()
    else:
        assert "white" in str(bound.reason)


@pytest.mark.slow
@pytest.mark.parametrize(
    "problem", [{"counts": (2,)}, {"targets": np.tile([[1.0], [0.0]], (1, 2))}], ids=["one", "equal"]
)
def test_targets_that_a_bias_meets_leave_rounding_alone(problem):
    """The bound was the square of a rounding, and said to lie above the value."""
    classes = 1 if "counts" in problem else 2
    chain = nct.deep_linear(widths=(2, classes), loss="mse", weight_decay=(0.1, 0.1), bias=0.0, **problem)
    ends = nct.solve(chain, 4, light=True)
    bound = nct.certify(chain, ends.params)
    assert not bound.contradicts(ends.value).any()
    assert bound.closed(ends.value).all()
