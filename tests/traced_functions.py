"""Every public function by whether it can be traced, as a function of one number."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct

X = 0.05


RNG = np.random.default_rng(0)


FEATURES = RNG.normal(size=(3, 6))


WEIGHTS = RNG.normal(size=(3, 3))


LOGITS = RNG.normal(size=(3, 6))


LABELS = np.array([0, 0, 1, 1, 2, 2])


INPUTS = RNG.normal(size=(2, 8))


TARGETS = RNG.normal(size=(2, 8))


TAGS = ((0,), (1,), (2,), (0, 1), (0, 2), (1, 2))


MARGINS = nct.support_vector_features(
    counts=(2, 1), dim=2, multipliers=nct.closed_form.hard_margin_multipliers(np.array([2.0, 1.0]))
)


def model(x, loss: str | nct.Loss = "mse", counts=(3, 3), bias=None):
    return nct.unconstrained_features(counts=counts, dim=2, loss=loss, weight_decay=(x, x), bias=bias)


def deep(x, loss: str | nct.Loss = "mse", widths=(3, 3, 2), counts=(2, 2)):
    return nct.deep_linear(widths=widths, counts=counts, loss=loss, weight_decay=(x,) * len(widths))


def chain(x):
    return nct.deep_linear(widths=(2, 2, 2), inputs=INPUTS, targets=TARGETS, loss="mse", weight_decay=(x, x))


def white():
    inputs = np.sqrt(2) * np.eye(2)
    return nct.deep_linear(
        widths=(2, 2, 2), inputs=inputs, targets=np.diag([2.0, 1.0]), loss="mse", weight_decay=(0.0, 0.0)
    )


def regression(x):
    return nct.deep_linear(widths=(3, 2), targets=TARGETS, loss="mse", weight_decay=(x, x))


def balanced(x):
    return nct.problems.ChainParams((jnp.sqrt(x) * jnp.eye(2),) * 2, None, None)


def several(x):
    return nct.multi_label_features(tags=TAGS, dim=3, weight_decay=(x, x))


def margins(x):
    return dataclasses.replace(MARGINS, weight_decay=jnp.stack([x, 1.0 / x]))  # the multipliers see their product alone


def start(problem, scale=0.5):
    return problem.init(jax.random.key(0), scale)


def as_seed(tree):
    return jax.tree.map(lambda leaf: leaf[None], tree)


TRACED = {
    "aligned_trajectory": lambda x: nct.closed_form.aligned_trajectory(white(), balanced(x), np.array([0.0, 1.0])),
    "balanced_chain": lambda x: nct.problems.balanced_chain(chain(x)),
    "balanced_trajectory": lambda x: nct.closed_form.balanced_trajectory(white(), balanced(x), np.array([0.5, 1.0])),
    "class_counts": lambda x: nct.closed_form.class_counts(model(x)),
    "class_mean_chain": lambda x: nct.problems.class_mean_chain(
        sizes=(1, 2), widths=(2, 2), loss="mse", weight_decay=(x, x)
    ),
    "class_means": lambda x: nct.measures.class_means(FEATURES * x, LABELS, 3),
    "collapse_strength": lambda x: nct.closed_form.collapse_strength(model(x, "cross_entropy")),
    "cross_entropy_minimum": lambda x: nct.closed_form.cross_entropy_minimum(model(x, "cross_entropy")),
    "imbalanced_deep_mse_minimum": lambda x: nct.closed_form.imbalanced_deep_mse_minimum(model(x, counts=(4, 2))),
    "decay_strength": lambda x: nct.closed_form.decay_strength(model(x, "cross_entropy")),
    "deep_collapse": lambda x: nct.closed_form.deep_collapse(deep(x, "cross_entropy")),
    "deep_linear": deep,
    "deep_nonlinear": lambda x: nct.deep_nonlinear(widths=(3, 3, 2), counts=(2, 2), loss="mse", weight_decay=(x,) * 3),
    "deep_mse_minimum": lambda x: nct.closed_form.deep_mse_minimum(deep(x)),
    "distance_to_frame": lambda x: nct.measures.distance_to_frame(FEATURES[:, :3] * x + 1, np.eye(3)),
    "distance_to_simplex_etf": lambda x: nct.measures.distance_to_simplex_etf(FEATURES * x + FEATURES**2, LABELS, 3),
    "expand_moments": lambda x: nct.problems.expand_moments(
        model(x), nct.problems.moment_form(model(x)), start(nct.problems.moment_form(model(x))), jax.random.key(0)
    ),
    "focal": lambda x: nct.closed_form.focal_minimum(model(0.01, nct.losses.focal(1 + x))).value,
    "focal_minimum": lambda x: nct.closed_form.focal_minimum(model(x, nct.losses.focal(2.0))),
    "focal_onset": lambda x: nct.closed_form.focal_onset(20 * x, 3),
    "focal_scales": lambda x: nct.closed_form.focal_scales(1.158 + 0.1 * x, 3.0, 100),
    "focal_strength": lambda x: nct.closed_form.focal_strength(x, 2.0, 3),
    "focal_value": lambda x: nct.closed_form.focal_value(x, 2.0, 3),
    "frame_minimum": lambda x: nct.closed_form.frame_minimum(model(x), 10 * x, 0.1, x, None, "any"),
    "global_minimum": lambda x: nct.global_minimum(model(x)),
    "grouped_cross_entropy": lambda x: nct.closed_form.grouped_cross_entropy((1, 2), (3.0, 1.0), x),
    "hard_margin_logits": lambda x: nct.closed_form.hard_margin_logits(3, x * np.arange(1.0, 4.0), np.ones(3)),
    "hard_margin_multipliers": lambda x: nct.closed_form.hard_margin_multipliers(np.ones(3), x * np.arange(1.0, 4.0)),
    "imbalanced_cross_entropy_minimum": lambda x: nct.closed_form.imbalanced_cross_entropy_minimum(
        model(x, "cross_entropy", counts=(4, 2))
    ),
    "imbalanced_squared_error_minimum": lambda x: nct.closed_form.imbalanced_squared_error_minimum(
        model(x, counts=(4, 2), bias=0.0)
    ),
    "label_smoothing": lambda x: nct.closed_form.label_smoothing_minimum(model(0.01, nct.losses.label_smoothing(x))),
    "label_smoothing_minimum": lambda x: nct.closed_form.label_smoothing_minimum(
        model(x, nct.losses.label_smoothing(0.1))
    ),
    "largest_root": lambda x: nct.closed_form.largest_root(np.full(1, 1.0) * x, 2),
    "layer_peeled": lambda x: nct.layer_peeled(counts=(2, 2), dim=2, energies=(x, x)),
    "layer_singular_values": lambda x: nct.closed_form.layer_singular_values(deep(x), np.array([1.0, 1.0])),
    "lift_to_samples": lambda x: nct.problems.lift_to_samples(
        model(x), start(nct.problems.reduce_to_class_means(model(x)))
    ),
    "low_rank": lambda x: nct.closed_form.low_rank(deep(x, "cross_entropy", (4, 4, 4), (1,) * 4)),
    "margin": lambda x: nct.measures.margin(LOGITS * x, LABELS),
    "minimum_from_product": lambda x: nct.closed_form.minimum_from_product(regression(x), TARGETS * x, x, None, "any"),
    "mode_height": lambda x: nct.closed_form.mode_height(2, 1.0, x, 1.0),
    "moment_form": lambda x: nct.problems.moment_form(model(x)),
    "multi_label_features": several,
    "nearest_centre_agreement": lambda x: nct.measures.nearest_centre_agreement(LOGITS * x, FEATURES, LABELS, 3),
    "pick_all_minimum": lambda x: nct.closed_form.pick_all_minimum(several(x)),
    "pivot_blocks": lambda x: nct.closed_form.pivot_blocks(chain(x), start(chain(x))),
    "principal_subspace_error": lambda x: nct.measures.principal_subspace_error(FEATURES * x + FEATURES**2, 1),
    "random_gauge": lambda x: nct.problems.random_gauge(deep(x), start(deep(x)), jax.random.key(1)),
    "ravel": lambda x: nct.problems.ravel((FEATURES * x, WEIGHTS)),
    "reduce_to_class_means": lambda x: nct.problems.reduce_to_class_means(model(x)),
    "regression_gram_distance": lambda x: nct.measures.regression_gram_distance(WEIGHTS, np.eye(3), x),
    "regression_minimum": lambda x: nct.closed_form.regression_minimum(regression(x)),
    "relative_cost": lambda x: nct.closed_form.relative_cost(x, 0.1, 2),
    "scaled_margin_minimum": lambda x: nct.closed_form.scaled_margin_minimum(margins(x)),
    "segment_ranks": lambda x: nct.problems.segment_ranks(deep(x), start(deep(x))),
    "self_duality_distance": lambda x: nct.measures.self_duality_distance(WEIGHTS + x, FEATURES, LABELS, 3),
    "seli_minimum": lambda x: nct.closed_form.seli_minimum(margins(x)),
    "problem_sum": lambda x: nct.problems.problem_sum([model(x), model(x)]),
    "squared_error_bias_minimum": lambda x: nct.closed_form.squared_error_bias_minimum(model(x, bias=0.1)),
    "squared_error_minimum": lambda x: nct.closed_form.squared_error_minimum(model(x)),
    "stationary_values": lambda x: nct.closed_form.stationary_values(deep(x)),
    "tag_frame_minimum": lambda x: nct.closed_form.tag_frame_minimum(several(x), np.ones(2), np.ones(2) * x, x, "any"),
    "tag_scales": lambda x: nct.closed_form.tag_scales(several(x)),
    "tilted_frame": lambda x: nct.closed_form.tilted_frame(x, 0.1, 3),
    "unconstrained_features": model,
    "unravel": lambda x: nct.problems.unravel(model(0.1), jnp.arange(16.0) * x),
    "vector_scaling": lambda x: model(0.1, nct.losses.vector_scaling(2, label_scale=jnp.stack([x, 1.0]))).objective(
        start(model(0.1))
    ),
    "weight_subspace_error": lambda x: nct.measures.weight_subspace_error(WEIGHTS * x, FEATURES),
    "within_class_variability": lambda x: nct.measures.within_class_variability(FEATURES * x, LABELS, 3),
}


STOPPED = {"follow_flow": lambda x: nct.flow.follow_flow(model(x), start(model(x)), 1.0)}
"""Traced, with derivatives that are stopped, as they say."""


UNTRACED = {
    "census": lambda x: nct.census(model(x), 8),
    "certify": lambda x: nct.certify(model(x), as_seed(start(model(x)))),
    "certify_many": lambda x: nct.certificates.certify_many([model(x)], as_seed(as_seed(start(model(x))))),
    "critical_points": lambda x: nct.closed_form.critical_points(deep(x)),
    "data_critical_values": lambda x: nct.closed_form.data_critical_values(chain(0.0 * x)),
    "gradient_descent": lambda x: nct.gradient_descent(model(x), as_seed(start(model(x))), [0, 2], 0.1),
    "gradient_flow": lambda x: nct.gradient_flow(model(x), as_seed(start(model(x))), [0.0, 1.0]),
    "hessian_report": lambda x: nct.hessian_report(model(x), as_seed(start(model(x)))),
    "hysteresis": lambda x: nct.phase.hysteresis(
        lambda y: model(x), [0.1, 0.2], lambda p, q: 0.0, lambda p, k: start(p), 1
    ),
    "langevin": lambda x: nct.langevin(model(x), as_seed(start(model(x))), 2, 0.1),
    "lowest_curvature": lambda x: nct.certificates.lowest_curvature(model(x), as_seed(start(model(x))), 2),
    "minimal_chain_factorisation": lambda x: nct.problems.minimal_chain_factorisation(
        WEIGHTS, widths=(3, 3), weight_decay=(x, x, x)
    ),
    "minimal_factorisation": lambda x: nct.problems.minimal_factorisation(WEIGHTS, dim=3, weight_decay=(x, x)),
    "minimiser": lambda x: nct.closed_form.minimiser(model(x), nct.global_minimum(model(0.1))),
    "nc_metrics": lambda x: nct.nc_metrics(FEATURES.T * x, LABELS),
    "solve": lambda x: nct.solve(model(x), 2),
    "solve_from": lambda x: nct.solve_from(model(x), as_seed(start(model(x)))),
    "solve_many": lambda x: nct.solve_many([model(x)], 2),
    "starts": lambda x: nct.starts(model(x), 2),
    "support_vector_features": lambda x: nct.support_vector_features(
        counts=(2, 2), dim=2, multipliers=x * np.ones((2, 2))
    ),
    "survey": lambda x: nct.survey(model(x), 2),
    "sweep": lambda x: nct.sweep(lambda y: model(x * y), {"y": [1.0]}, measures={}, seeds=1),
}


RESULTS_ONLY = {"compare", "saddle_connections", "dynamics", "phase_diagram", "verify", "falsify", "compare_protocols"}
"""Untraced too: they take identifiers or results, which hold no traced numbers."""


NO_NUMBERS = {
    *("balance_claim", "balance_control", "catalogue", "chain_claims", "chain_controls", "class_target_spectrum"),
    *(
        "collapse_claims",
        "collapse_controls",
        "corrected_bounds",
        "count_groups",
        "diagrams",
        "errata",
        "expected_gauge",
    ),
    *("find_diagram", "find_theorem", "is_loss", "load_theorem_file", "mse", "numpy_rng", "onset", "pick_all_label"),
    *("register", "register_diagram", "register_erratum", "simplex_etf", "spinodal", "tag_indicators"),
}
"""Of whole numbers, names, or the parts of theorems: there is nothing to trace."""
