"""N39: a simplex has the least error among equally long means, not among means of the same mean square length."""

import math

import numpy as np
from scipy.special import ndtr

import nctheory as nct
from proofs_numeric.bibliography_of_generalisation import PASTORE_2023, STEINER_1994
from proofs_numeric.generalisation.nc_margins import simplex_error
from proofs_numeric.statistics.experiments import NORMAL_QUANTILE

NOISES = (0.3, 1.0, 3.0, 10.0, 30.0)
"""Relative to the root of the mean square length."""
CLASSES, LOUD, DRAWS = 50, 10.0, 4000
"""Where both are simulated as well: with many classes the difference is large."""


def pair_error(classes, noise):
    r"""Return the error of two means at $\pm\sqrt{K/2}$ on a line and K - 2 at zero, of which one counts as right.

    Each of the two is right beyond half its distance t from zero, the one at zero between both:
    $P=\frac1K(2\Phi(\frac t{2s})+2\Phi(\frac t{2s})-1)$ are right.
    """
    return 1.0 - (4.0 * float(ndtr(0.5 * math.sqrt(0.5 * classes) / noise)) - 1.0) / classes


def simulated(means, draws, rng):
    """Return the frequency of errors of the nearest mean over `draws` samples of each class; ties go to the last."""
    wrong = 0
    for k, mean in enumerate(means):
        samples = mean + LOUD * rng.normal(size=(draws, means.shape[1]))
        scores = samples @ means.T - 0.5 * np.sum(means**2, axis=1)
        # The last of equal scores is taken, so that of the means at zero one is right.
        chosen = means.shape[0] - 1 - np.argmax(scores[:, ::-1], axis=1)
        wrong += np.count_nonzero(chosen != k)
    return wrong / (draws * len(means))


def reproduce(seeds, key):
    """Hold both arrangements against each other at several noises and numbers of classes, and simulate one of them."""
    figures, least = [], {}
    for classes in (3, 6, 7, 10):
        told = [(noise, simplex_error(classes, noise), pair_error(classes, noise)) for noise in NOISES]
        least[classes] = min(pair - simplex for _, simplex, pair in told)
        shown = "; ".join(f"{simplex:.6f} and {pair:.6f} at {noise:g}" for noise, simplex, pair in told)
        figures.append((f"{classes} classes: errors of the simplex and of the two antipodal means", shown))
    rng = np.random.default_rng(key)
    # Corners of a simplex in K coordinates, and the same number of means on a line: both of mean square 1.
    corners = math.sqrt(CLASSES / (CLASSES - 1)) * (np.eye(CLASSES) - 1.0 / CLASSES)
    line = np.zeros((CLASSES, 1))
    line[0], line[1] = math.sqrt(CLASSES / 2), -math.sqrt(CLASSES / 2)
    drawn = [simulated(means, DRAWS, rng) for means in (corners, line)]
    exact = [error(CLASSES, LOUD) for error in (simplex_error, pair_error)]
    band = NORMAL_QUANTILE * math.sqrt(0.25 / (DRAWS * CLASSES))
    figures.append(
        (
            f"{CLASSES} classes at {LOUD:g}, {DRAWS * CLASSES} draws: simplex and antipodal, drawn (exact)",
            ", ".join(f"{one:.5f} ({other:.5f})" for one, other in zip(drawn, exact, strict=True)),
        )
    )
    agree = all(abs(one - other) < band for one, other in zip(drawn, exact, strict=True))
    false = least[7] < -1e-6 and least[10] < -1e-6 and least[6] > 0 and least[3] > 0
    return nct.theorems.ErratumResult(bool(false and agree), "arithmetic", tuple(figures))


nct.theorems.register_erratum(
    nct.theorems.Erratum(
        id="N39",
        title="No class means of one mean square length have a smaller error under noise than a simplex",
        published="Of all K points of a given mean square length the corners of a regular simplex have the smallest mean "
        "error of the nearest point under isotropic Gaussian noise, at every noise (the strong simplex conjecture).",
        why="At strong noise the share of right answers is (1 + E max_k <mean_k, g>/s)/K to first order. Two antipodal means "
        "that share the whole length, and all others at zero, have the maximum sqrt(K/pi); a simplex has that of K "
        "independent normal variables times sqrt(K/(K-1)), about sqrt(2 log K), which is less from seven classes on.",
        instead="Among K points of the same length in K-1 dimensions the simplex has the least error (the weak simplex "
        "conjecture, Pastore 2023), and at vanishing noise among all of one mean square length, as in nc-margins.",
        convention="Mean square length 1, noise N(0, s^2 I), equal priors; of means that coincide one counts as right.",
        sources=(
            STEINER_1994.remark("Known by what a later abstract says of it; the counterexample was derived anew."),
            PASTORE_2023.remark("Known by its abstract, not checked."),
        ),
        reproduce=reproduce,
        theorem="nc-margins",
    )
)
