"""Numbers of codes and losses on spheres that no theorem prints, each by another way than the theorem's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import gamma

import nctheory as nct
from nctheory.certificates._unique_gram import dual_matrix
from proofs_numeric.spheres.fold_branch import angle_value, branch, placed
from proofs_numeric.spheres.gnc_softmax_code import margin
from proofs_numeric.spheres.hard_codes import best_of_starts, largest_cosine, widest_margin
from proofs_numeric.spheres.ln_program import Group, minimum
from proofs_numeric.spheres.orthoplex import (
    bipyramid,
    bipyramid_value,
    code_value,
    equal_height,
    pyramid,
    pyramid_value,
)
from proofs_numeric.spheres.tammes_softmax import tammes_cosine


@pytest.fixture(scope="module")
def bad_minima():
    """The branch of bad minima of three classes on a circle at several tau."""
    with jax.enable_x64(True):
        at = jax.jit(branch)
        return {tau: np.asarray(at(jnp.asarray(tau))) for tau in (9.2, 10.0, 15.0, 20.0, 40.0)}


def test_values_along_the_branch_of_bad_minima(bad_minima):
    told = {9.2: 0.462160, 10.0: 0.461134, 15.0: 0.449229, 20.0: 0.437228, 40.0: 0.406189}
    for tau, value in told.items():
        with jax.enable_x64(True):
            angles = jnp.asarray(bad_minima[tau])
            assert abs(float(angle_value(angles, jnp.asarray(tau))) - value) < 6e-7
            # The branch is critical, by differences of the value alone.
            for one in 1e-5 * np.eye(5):
                moved = [float(angle_value(angles + sign * one, jnp.asarray(tau))) for sign in (1, -1)]
                assert abs(moved[0] - moved[1]) < 1e-12


def test_the_bad_minimum_at_tau_10_and_how_far_it_is_from_a_certificate(bad_minima):
    problem = nct.problems.spherical_features(counts=(1, 1, 1), dim=2, temperature=0.1, weight_radius=1.0)
    with jax.enable_x64(True):
        point = placed(problem, jnp.asarray(bad_minima[10.0]))
        lowest = float(jnp.linalg.eigvalsh(dual_matrix(problem, point))[0])
    first, second = bad_minima[10.0][:2]
    close, far = sorted(abs(np.angle(np.exp(1j * x))) for x in (first, second, second - first))[:2]
    assert abs(close - 0.028) < 5e-4
    assert abs(far - 0.904) < 5e-4
    assert abs(lowest + 1.76) < 5e-3
    report = nct.hessian_report(problem, point)
    assert (report.index, report.nullity) == (0, 0)
    assert abs(report.smallest - 1.007e-3) < 5e-7


def test_the_classifiers_of_a_minority_next_to_the_merging_ratio():
    """K = 2 + 2, rho = 2, lambda_W = 0.3, 3 % to either side of R* = 22.97."""
    apart, merged = (minimum(Group((2, 2), (ratio, 1.0), 0.3, 2.0)) for ratio in (22.29, 23.66))
    # |w_3 - w_4| = p_b |e_3 - e_4|, of the centred unit vectors of two classes.
    assert abs(apart.lengths[1] * np.sqrt(2) - 0.040) < 5e-4
    assert merged.lengths[1] == 0.0


@pytest.mark.slow
def test_margins_of_polygons_and_the_angles_of_codes_in_degrees():
    for number, told in ((5, 0.690983), (7, 0.376510)):
        angles = 2 * np.pi * np.arange(number) / number
        with jax.enable_x64(True):
            assert abs(float(margin(np.stack([np.cos(angles), np.sin(angles)], axis=1))) - told) < 5e-7
    degrees = {7: 77.87, 8: 74.858, 9: 70.529, 10: 66.15, 12: 63.435}
    for number, told in degrees.items():
        assert abs(np.degrees(np.arccos(tammes_cosine(number))) - told) < 6e-3
    # At a finite smoothing, just below those of the limit.
    margins = {7: 0.78958, 8: 0.738796, 9: 0.66655, 10: 0.59447, 12: 0.552786}
    for number, told in margins.items():
        assert -1e-6 < 1 - tammes_cosine(number) - told < 1.3e-3


def test_pyramids_and_bipyramids_at_finite_temperature():
    assert abs(equal_height(10.0) + 0.1240) < 5e-5
    assert abs(pyramid_value(10.0) - 1.05731e-4) < 1e-9
    assert abs(float(bipyramid_value(10.0)) - 1.0932e-4) < 1e-8
    assert abs(pyramid_value(7.0) - 0.0022167933) < 1e-8
    assert abs(float(bipyramid_value(7.0)) - 0.0022193404) < 1e-10
    with jax.enable_x64(True):
        flat, round_ = (float(code_value(code @ code.T, 3.0)) for code in (pyramid(0.0), bipyramid()))
    assert abs(flat - 0.1494) < 5e-5
    assert abs(round_ - 0.1255) < 5e-5


def petersen():
    """The midpoints of the edges of a simplex of five corners, of length 1: ten points in four dimensions."""
    values, vectors = np.linalg.eigh(np.eye(5) - 1 / 5)
    corners = vectors[:, values > 0.5]
    ends = np.triu_indices(5, 1)
    middles = corners[ends[0]] + corners[ends[1]]
    return middles / np.linalg.norm(middles, axis=1, keepdims=True)


@pytest.mark.slow
def test_ten_points_in_four_dimensions_have_the_margin_five_sixths():
    code = petersen()
    assert abs(largest_cosine(code) - 1 / 6) < 1e-12
    with jax.enable_x64(True):
        assert abs(float(margin(code)) - 5 / 6) < 1e-12
    # It is the widest next to it, from both of its sides.
    near = code + 0.02 * np.random.default_rng(0).normal(size=code.shape)
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    with jax.enable_x64(True):
        assert abs(float(margin(widest_margin(near, near))) - 5 / 6) < 1e-8


@pytest.mark.slow
@pytest.mark.parametrize("number", [9, 10])
def test_softmax_codes_in_four_dimensions_are_tammes_codes(number):
    """Nine and ten classes: the code of the largest least angle, by a search, and that of the largest margin."""
    found = best_of_starts(number, dim=4, starts=12)[0]
    assert abs(1 - largest_cosine(found) - FOUR[number]) < 1e-6
    with jax.enable_x64(True):
        assert abs(float(margin(widest_margin(found, found))) - FOUR[number]) < 1e-6


FOUR = {9: 0.8379848, 10: 5 / 6}
"""The largest margins in four dimensions, as found."""


def test_the_rates_of_the_largest_margin_bracket_all_known_ones():
    """The bounds of Jiang et al. for K >= 2d as remembered, held against every margin known here."""
    known = [(2, k, 1 - np.cos(2 * np.pi / k)) for k in (5, 7, 20, 100)]
    known += [(3, k, 1 - tammes_cosine(k)) for k in range(6, 13)] + [(4, k, value) for k, value in FOUR.items()]
    for dim, number, value in known:
        low = 0.5 * (np.sqrt(np.pi) / number * gamma((dim + 1) / 2) / gamma(dim / 2 + 1)) ** (2 / (dim - 1))
        high = 2 * (2 * np.sqrt(np.pi) / number * gamma((dim + 1) / 2) / gamma(dim / 2)) ** (1 / (dim - 1))
        assert low < value < high
