"""Generalisation of the nearest-mean classifier: exact errors, and bounds from moments of the class populations.

`population_moments` takes features, N x d with samples first, as a population: each class is the uniform distribution on its
samples. `cantelli_bound`, `few_shot_bound` and `directional_cdnv_bound` bound the error of the nearest mean, of the
population or of m draws of every class, and say how loose they are and where they say no more than guessing does
(`ErrorBound`). They are held against the truth: `finite_few_shot_error` goes through all draws of a small population,
`sampled_few_shot_error` estimates with a rigorous interval, and of Gaussian classes `exact_few_shot_error` and
`exact_nearest_mean_error` are integrals known to eleven digits. `looseness_map` holds the bounds against that truth over
dimension, shots, classes and noise, and locates where each becomes vacuous. A bound whose moments are those of a training
set, not of the population, bounds nothing.
"""

from nctheory.generalisation._bounds import (
    ErrorBound,
    cantelli_bound,
    directional_cdnv_bound,
    equal_covariance_bound,
    few_shot_bound,
    one_sided,
    score_moments,
)
from nctheory.generalisation._finite import NearestMeanErrors, draws, finite_few_shot_error
from nctheory.generalisation._gaussian import exact_few_shot_error, exact_nearest_mean_error
from nctheory.generalisation._looseness import BOUNDS, LoosenessMap, looseness_map
from nctheory.generalisation._moments import PopulationMoments, population_moments
from nctheory.generalisation._round_classes import gaussian_moments
from nctheory.generalisation._sampled import SampledError, sampled_few_shot_error

__all__ = [
    "BOUNDS",
    "ErrorBound",
    "LoosenessMap",
    "NearestMeanErrors",
    "PopulationMoments",
    "SampledError",
    "cantelli_bound",
    "directional_cdnv_bound",
    "draws",
    "equal_covariance_bound",
    "exact_few_shot_error",
    "exact_nearest_mean_error",
    "few_shot_bound",
    "finite_few_shot_error",
    "gaussian_moments",
    "looseness_map",
    "one_sided",
    "population_moments",
    "sampled_few_shot_error",
    "score_moments",
]
