"""The convex program of the layer-peeled model, by its multiplier: energies and ratios at which something collapses."""

import numpy as np

import nctheory as nct
from proofs_numeric.imbalanced.groups import bracketed_root, means_onset


def program(counts, multiplier):
    """Solve the grouped program with the nuclear norm of the plain class means, at the price `multiplier` mu."""
    sizes, values = nct.closed_form.count_groups(counts)
    return nct.closed_form.grouped_cross_entropy(
        sizes, [float(n) for n in values], float(multiplier), np.ones(len(sizes))
    )


def solve_multiplier(counts, radius):
    """Find the mu at which the nuclear norm is `radius`: it falls from infinity to 0 as mu grows from 0."""

    def excess(logarithm):
        return float(program(counts, np.exp(logarithm)).norm) - radius

    high = np.log(max(counts) / sum(counts))
    low = high - 1.0
    while excess(low) < 0.0:
        low -= 2.0
    return float(np.exp(bracketed_root(excess, low, high)))


def threshold_energy(counts):
    """Return sqrt(E_W E_H) up to which the minority's classifiers coincide: |Z|_*/K where mu = n_min/N."""
    return float(program(counts, min(counts) / sum(counts)).norm) / len(counts)


def means_energy(counts):
    """Return sqrt(E_W E_H) up to which all group means are zero: only the majority's classes are told apart."""
    return float(program(counts, means_onset(counts, np.ones(len(counts))) / sum(counts)).norm) / len(counts)


def norm_at_threshold(majority, minority, ratio):
    """Return |Z|_* where `minority` classes are about to merge, beside `majority` ones with `ratio` times as many samples."""
    samples = majority * ratio + minority
    found = nct.closed_form.grouped_cross_entropy((majority, minority), (ratio, 1.0), 1.0 / samples, (1.0, 1.0))
    return float(found.norm)


def threshold_ratio(majority, minority, energy):
    """Find R_0, the ratio n_A/n_B from which on the minority's classifiers coincide at sqrt(E_W E_H) = `energy`."""
    radius = (majority + minority) * energy
    high = 2.0
    while norm_at_threshold(majority, minority, high) < radius:
        high *= 2.0
    return bracketed_root(lambda ratio: norm_at_threshold(majority, minority, ratio) - radius, 1.0 + 1e-9, high)
