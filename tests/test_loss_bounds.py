"""Losses that are not convex: predictions, hypotheses, bounds, and users' profiles."""

import dataclasses
import re
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.certificates import bound_caveat
from nctheory.engine import FAST_COMPILE_OPTIONS
from nctheory.problems import CrossEntropy, Focal, MeanSquaredError, PickAllLabel, VectorScaling
from tests.balanced_models import balanced
from tests.helpers import model, random_points


@pytest.mark.slow
def test_predictions_map_and_differentiate():
    def least(lam, gamma):
        problem = nct.unconstrained_features(
            counts=(2,) * 4,
            dim=4,
            loss=dataclasses.replace(nct.losses.focal(1.0), gamma=gamma),
            weight_decay=(lam, 0.02),
        )
        minimum = nct.global_minimum(problem)
        return minimum.value, minimum.weight_norm

    grid = jnp.asarray([0.001, 0.01, 0.1, 20.0])
    gammas = jnp.asarray([0.0, 1.0, 3.0, 2.0])
    mapped = jax.jit(jax.vmap(least))(grid, gammas)
    for i in range(4):
        alone = [float(x) for x in least(grid[i], gammas[i])]
        np.testing.assert_allclose([m[i] for m in mapped], alone, rtol=1e-12)
    value = lambda lam, gamma: least(lam, gamma)[0]  # noqa: E731
    slopes = jax.grad(value, argnums=(0, 1))(jnp.asarray(0.01), jnp.asarray(2.0))
    assert float(slopes[0]) == pytest.approx(0.5 * float(least(0.01, 2.0)[1]), rel=1e-10)  # envelope theorem
    assert float(slopes[1]) == pytest.approx(float(value(0.01, 2.0001) - value(0.01, 1.9999)) / 2e-4, rel=1e-6)

    def smoothed(alpha):
        loss = dataclasses.replace(nct.losses.label_smoothing(0.1), smoothing=alpha)
        return nct.global_minimum(
            nct.unconstrained_features(counts=(2,) * 4, dim=4, loss=loss, weight_decay=(0.01, 0.02))
        ).value

    mapped = jax.vmap(smoothed)(jnp.asarray([0.0, 0.3]))
    apart = [float(smoothed(jnp.asarray(alpha))) for alpha in (0.0, 0.3)]
    np.testing.assert_allclose(mapped, apart, rtol=1e-13)


REFUSED = [
    (dict(counts=(3, 2, 2)), "balanced counts"),
    (dict(dim=1), "dim >= K-1 = 2"),
    (dict(weight_decay=(0.0, 0.1)), "lambda_W > 0"),
]


@pytest.mark.parametrize(("change", "reason"), REFUSED)
@pytest.mark.parametrize("loss", [nct.losses.focal(2.0), nct.losses.label_smoothing(0.1)])
def test_a_failing_hypothesis_is_named(change, reason, loss):
    arguments: dict[str, Any] = dict(counts=(3, 3, 3), dim=3, loss=loss, weight_decay=(0.1, 0.1))
    with pytest.raises(nct.NoClosedForm, match=reason):
        nct.global_minimum(nct.unconstrained_features(**{**arguments, **change}))


def test_a_bias_that_the_theorem_does_not_cover():
    covered = balanced(nct.losses.focal(3.0), 24, 1, 23, 0.9 / 23, 0.0)
    assert bound_caveat(covered) is None
    assert "not shown to be global minimisers" in str(nct.certify(covered, first_axis(covered)).reason)
    assert float(nct.global_minimum(covered).value) > 0
    beyond = balanced(nct.losses.focal(3.0), 24, 1, 23, 1.1 / 23, 0.0)
    with pytest.raises(nct.NoClosedForm, match=r"\(K-1\) kappa = 1.1 and G\(0\) = 1.1931"):
        nct.global_minimum(beyond)
    bound = nct.certify(beyond, first_axis(beyond))
    assert "both exceed 1" in str(bound.reason)
    collapsed = nct.closed_form.focal_minimum(balanced(nct.losses.focal(3.0), 24, 1, 23, 1.1 / 23))
    assert 0 < bound.lower_bound[0] < float(collapsed.value)


def first_axis(problem):
    """One random point with a seeds axis."""
    return random_points(problem, 1, np.random.default_rng(0))


@pytest.mark.slow
@pytest.mark.parametrize("gamma", [0.5, 2.0, 5.0])
@pytest.mark.parametrize(
    ("counts", "bias"), [((4, 2, 1), None), ((100, 10, 1), None), ((3, 3, 3), 0.0), ((3, 3, 3), 0.4)]
)
def test_the_bound_is_below_everything_found(gamma, counts, bias, rng):
    for decay in ((0.02, 0.04), (0.2, 0.3)):
        problem = model(nct.losses.focal(gamma), counts=counts, dim=3, decay=decay, bias=bias)
        problem = nct.problems.reduce_to_class_means(problem) if sum(counts) > 20 else problem
        ensemble = nct.solve(problem, 16, method="polish")
        bound = nct.certify(problem, ensemble.params)
        assert bound.valid.all()
        assert np.ptp(bound.lower_bound) == 0.0
        assert np.all(bound.gap >= 0)
        if len(set(counts)) == 1:
            assert bound.reason is None
            assert bound.closed(ensemble.value).all()
        else:
            assert "not balanced" in str(bound.reason)
            assert np.min(bound.gap) < 0.2 * np.min(ensemble.value)
        # A multiplier a tenth too large would not be a bound: the test can fail.
        if len(set(counts)) == 1 and decay[0] < 0.1:
            more = model(
                nct.losses.focal(gamma), counts=counts, dim=3, decay=(1.1 * decay[0], 1.1 * decay[1]), bias=bias
            )
            assert nct.certify(more, ensemble.params).lower_bound[0] > np.min(ensemble.value)


NO_BOUND: list[tuple[dict[str, Any], str]] = [
    (
        dict(counts=(2, 1, 1), widths=(3, 3), bias=0.0, weight_decay=(0.1, 0.1)),
        r"balanced classes, got counts \(2, 1, 1\)",
    ),
    (dict(counts=(2, 2, 2), widths=(3, 3, 3), weight_decay=(0.1,) * 3), "3 factors with focal.*neither is the loss"),
    (dict(inputs=np.eye(3), targets=np.eye(3), widths=(3, 3), weight_decay=(0.1,)), "given inputs with focal"),
    (dict(targets=np.eye(3), widths=(3, 3), weight_decay=(0.1, 0.1), bias=0.1), "targets without class counts"),
    (dict(counts=(2,), widths=(3, 1), weight_decay=(0.1, 0.1)), "at least two classes"),
]


@pytest.mark.parametrize(("arguments", "why"), NO_BOUND)
def test_no_bound_says_why(arguments, why):
    problem = nct.deep_linear(loss=nct.losses.focal(2.0), **arguments)
    bound = nct.certify(problem, first_axis(problem))
    assert not bound.valid.any()
    assert bound.reason is not None
    assert re.search(why, bound.reason)


def test_a_narrow_model_gets_a_caveat():
    problem = model(nct.losses.focal(1.0), counts=(2,) * 4, dim=2)
    bound = nct.certify(problem, first_axis(problem))
    assert bound.valid.all()
    assert "decides nothing" in str(bound.reason)


class Bumpy(CrossEntropy):
    """Cross-entropy with a ripple, and the conjugate of cross-entropy: a wrong claim."""

    name: ClassVar[str] = "bumpy"
    gradient = nct.Loss.gradient

    def value(self, logits, targets):
        return super().value(logits, targets) + 0.5 * jnp.sum(jnp.sin(2.0 * logits), axis=0)


class Renamed(CrossEntropy):
    """Cross-entropy as a user's own loss."""

    name: ClassVar[str] = "renamed"


class Declared(CrossEntropy):
    """A loss that says itself that it is not convex."""

    name: ClassVar[str] = "declared"
    convex: ClassVar[bool | None] = False


@pytest.mark.slow
def test_duality_is_refused_to_losses_that_are_not_convex():
    for kind, why in (
        (Bumpy, r"bumpy defines a conjugate but is not convex.*z = \(.*is -"),
        (Declared, "declared is not"),
    ):
        problem = model(kind(smoothing=jnp.asarray(0.0)))
        bound = nct.certify(problem, first_axis(problem))
        assert not bound.valid.any()
        assert np.all(np.isneginf(bound.lower_bound))
        assert re.search(why, str(bound.reason))
    plain, renamed = model("cross_entropy"), model(Renamed(smoothing=jnp.asarray(0.0)))
    ours, theirs = (nct.certify(problem, first_axis(plain)) for problem in (renamed, plain))
    assert ours.valid.all()
    np.testing.assert_allclose(ours.lower_bound, theirs.lower_bound, rtol=1e-14)


def altered(**methods):
    """A subclass of the focal loss with other methods."""
    base = type(nct.losses.focal(2.0))
    return type("Altered", (base,), {"name": "altered", "__annotations__": {}, **methods})(gamma=jnp.asarray(2.0))


FALSE_PROFILES = [
    (
        dict(
            value=lambda s, z, y: 0.9 * nct.losses.focal(2.0).value(z, y),
            gradient=lambda s, z, y: 0.9 * nct.losses.focal(2.0).gradient(z, y),
        ),
        "not below the loss",
    ),
    (dict(profile_inflection=lambda s, classes: jnp.asarray(3.0)), "concave up to 3"),
    (dict(profile_slope=lambda s, m, classes: 0.9 * nct.losses.focal(2.0).profile_slope(m, classes)), "not the slope"),
    (dict(profile_far_slope=1.2), "far slope 1.2"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("methods", "why"), FALSE_PROFILES)
def test_a_false_profile_is_refused(methods, why):
    problem = model(altered(**methods))
    bound = nct.certify(problem, first_axis(problem))
    assert not bound.valid.any()
    assert why in str(bound.reason)


def test_a_true_profile_of_a_users_own_loss_is_used():
    ours, theirs = model(altered()), model(nct.losses.focal(2.0))
    assert nct.certify(ours, first_axis(ours)).lower_bound == nct.certify(theirs, first_axis(theirs)).lower_bound


def test_the_jump_of_the_focal_loss():
    """N21 by scalars: gamma = 3, K = 100, against a scan in numpy; K = 17 is the last without a jump at gamma = 3."""
    p = np.linspace(0.01, 1 - 1e-9, 2_000_001)
    scale = np.log(99 * p / (1 - p))
    value = -((1 - p) ** 3) * np.log(p)
    chord = (value[0] - value[1:]) / scale[1:]
    assert float(nct.closed_form.focal_onset(3.0, 100)) == pytest.approx(chord.max(), rel=1e-9)
    assert chord.max() == pytest.approx(1.163, abs=5e-4)
    assert scale[1 + np.argmax(chord)] == pytest.approx(2.373, abs=5e-4)
    roots = np.asarray(nct.closed_form.focal_scales(1.163, 3.0, 100))
    assert roots[2] == pytest.approx(2.376, abs=5e-4)
    np.testing.assert_allclose(nct.closed_form.focal_strength(roots[1:], 3.0, 100), 1.163, rtol=1e-12)
    # The left side (1-p)^g [(1-p) - g p log p] rises from p = 1/K before it falls, and for four classes does not.
    for classes, ends in ((100, (1.0946, 1.2016)), (4, None)):
        p = np.linspace(1 / classes, 1.0, 100_001)[:-1]
        left = (1 - p) ** 3 * ((1 - p) - 3 * p * np.log(p))
        assert (np.diff(left).max() < 0) if ends is None else (left[0], left.max()) == pytest.approx(ends, abs=5e-5)
    for classes, jumps in ((4, False), (17, False), (18, True)):
        steep = float(nct.closed_form.focal_strength(0.0, 3.0, classes))
        assert (float(nct.closed_form.focal_onset(3.0, classes)) > steep * (1 + 1e-9)) == jumps
        assert (3 * np.log(classes) * (classes - 4) > 7 * (classes - 1)) == jumps


def shipped(kind, rng):
    """A loss of the library, with numbers of its own where it has any."""
    numbers = {"class_scale": rng.uniform(0.5, 2.0, 4), "label_scale": rng.uniform(0.5, 2.0, 4)}
    made = {
        "mse": MeanSquaredError,
        "cross-entropy": lambda: CrossEntropy(0.1),
        "focal": lambda: Focal(2.0),
        "pick-all": PickAllLabel,
        "vector scaling": lambda: VectorScaling(**numbers, offset=rng.normal(size=4), weight=np.asarray(63.0)),
    }
    return made[kind]()


@pytest.mark.parametrize("kind", ["mse", "cross-entropy", "focal", "pick-all", "vector scaling"])
def test_curvature_is_finite_in_light_programs_too(kind, rng):
    loss, targets = shipped(kind, rng), jnp.eye(4)
    many = jax.tree.map(lambda x: jnp.stack([jnp.asarray(x)] * 5), loss)
    logits, moves = 3.0 * rng.normal(size=(2, 8, 5, 4, 4))

    def curvature(one, at, along):
        return jax.jvp(lambda z: one.gradient(z, targets), (at,), (along,))[1]

    def every(many, logits, moves):
        return jax.vmap(jax.vmap(curvature), (None, 0, 0))(many, logits, moves)

    usual, light = (
        jax.jit(every, compiler_options=options)(many, logits, moves) for options in (None, dict(FAST_COMPILE_OPTIONS))
    )
    assert np.isfinite(np.stack([usual, light])).all()
    np.testing.assert_allclose(light, usual, rtol=1e-12, atol=1e-12)
