"""Slips of the pen in the closed forms: n for its root, K for K-1, a term dropped, a wrong branch."""

from benchmarks.mutants._formulas import Slip

UFM = "nctheory.closed_form._unconstrained"
DEEP = "nctheory.closed_form._deep_mse"
LOSSES = "nctheory.closed_form._losses"
SPECTRAL = "nctheory.closed_form._spectral"
PRODUCT = "nctheory.closed_form._product"
TAGS = "nctheory.closed_form._pick_all"
MARGIN = "nctheory.closed_form._margin"
GROUPED = "nctheory.closed_form._grouped"
LOW_RANK = "nctheory.closed_form._deep_ce"
DATA = "nctheory.closed_form._data_chain"
CRITICAL = "nctheory.closed_form._critical_points"
PATHS = "nctheory.closed_form._trajectories"
CONSERVED = "proofs_numeric.conserved.conservation"

SLIPS = (
    # cross-entropy and squared error, balanced
    Slip("ufm-ce-balanced", UFM, "cross_entropy_minimum", "- classes + 1.0, 1.0", "- classes, 1.0"),
    Slip("ufm-ce-balanced", UFM, "cross_entropy_minimum", "strength < 1.0, 1.0 / jnp", "strength < 0.9, 1.0 / jnp"),
    Slip(
        "ufm-ce-balanced",
        UFM,
        "cross_entropy_minimum",
        "kappa = strength / classes",
        "kappa = strength / (classes - 1)",
    ),
    Slip("ufm-ce-balanced", UFM, "cross_entropy_minimum", "pull * (classes - 1) * scale", "pull * classes * scale"),
    Slip("ufm-ce-balanced", UFM, "cross_entropy_minimum", "jnp.log1p((classes - 1)", "jnp.log1p(classes"),
    Slip(
        "ufm-ce-balanced",
        UFM,
        "collapse_strength",
        "root_of_product(decay, float(balanced_count(problem)))",
        "root_of_product(decay) * balanced_count(problem)",
    ),
    Slip("ufm-ce-balanced", UFM, "_frame_arrays", "jnp.sqrt(1.0 * n)", "1.0 * n"),
    Slip("ufm-ce-balanced", UFM, "_frame_arrays", "root_of_ratio(decay)", "1.0 / root_of_ratio(decay)"),
    Slip("ufm-ce-balanced", UFM, "_frame_arrays", "simplex * (classes - 1) + mean", "simplex * classes + mean"),
    Slip("ufm-ce-balanced", UFM, "_frame_arrays", "root * trace / ratio", "trace / ratio"),
    Slip("ufm-mse-nobias", UFM, "soft_value", "0.5 * clipped**2", "0.5 * clipped"),
    Slip("ufm-mse-nobias", UFM, "soft_value", "jnp.minimum(strength, 1.0)", "jnp.minimum(strength, 1.1)"),
    Slip("ufm-mse-nobias", UFM, "squared_error_minimum", "jnp.maximum(1.0 - strength, 0.0)", "jnp.abs(1.0 - strength)"),
    Slip("ufm-mse-nobias", UFM, "collapse_strength", "problem.classes * root", "(problem.classes - 1) * root"),
    Slip(
        "ufm-mse-nobias",
        UFM,
        "_frame_arrays",
        "means[labels][:, labels] / (ratio * root)",
        "means[labels][:, labels] / ratio",
    ),
    Slip("ufm-mse-bias", UFM, "squared_error_bias_minimum", "decay / (1.0 + decay)", "decay"),
    Slip("ufm-mse-bias", UFM, "squared_error_bias_minimum", "weight > strength", "weight > 0.99 * strength"),
    Slip("ufm-mse-bias", UFM, "squared_error_bias_minimum", "(classes - 1) / classes * soft_value", "soft_value"),
    Slip("ufm-mse-bias", UFM, "squared_error_bias_minimum", "0.5 * weight)", "0.5 * weight**2)"),
    Slip("ufm-mse-bias", UFM, "squared_error_bias_minimum", "(classes * (1.0 + decay))", "classes"),
    # losses
    Slip("ufm-ls", LOSSES, "label_smoothing_minimum", "kappa + alpha / classes)\n", "kappa + alpha / (classes - 1))\n"),
    Slip("ufm-ls", LOSSES, "label_smoothing_minimum", "classes * kappa < 1.0 - alpha", "classes * kappa < 1.0"),
    Slip("ufm-ls", LOSSES, "label_smoothing_minimum", "jnp.log(classes - 1.0) +", "jnp.log(1.0 * classes) +"),
    Slip("ufm-focal", LOSSES, "focal_value", "-gamma * jax.nn.softplus(t)", "-(gamma + 1e-6) * jax.nn.softplus(t)"),
    Slip("ufm-focal", LOSSES, "focal_minimum", "(classes - 1) / classes * collapse", "collapse"),
    Slip("ufm-focal", LOSSES, "focal_minimum", "((value < at_zero) | (strength < steep))", "(strength < steep)"),
    Slip("ufm-focal", LOSSES, "_log_strength", "+ gamma * jax.nn.sigmoid(t) * jax.nn.softplus(-t)", ""),
    # deep chains
    Slip("deep-mse-linear", DEEP, "directions", "depth * samples * joint", "(depth + 1) * samples * joint"),
    Slip("deep-mse-linear", DEEP, "directions", "jnp.log(samples) + jnp.sum", "jnp.sum"),
    Slip("deep-mse-linear", DEEP, "chain_minimum", "found.cost < 1.0", "found.cost < 1.01"),
    Slip("deep-mse-linear", DEEP, "chain_minimum", "powered / (1.0 + powered)", "powered / (2.0 + powered)"),
    Slip("deep-mse-linear", DEEP, "relative_cost", "** depth + 1.0)", "** (depth + 1) + 1.0)"),
    Slip("deep-mse-linear", PRODUCT, "layer_singular_values", "1.0 / problem.factors", "1.0 / (problem.factors + 1)"),
    Slip("dang-mse-imb", DEEP, "directions", "/ safe**2, jnp.inf", "/ safe, jnp.inf"),
    Slip("dang-mse-imb", DEEP, "chain_minimum", "found.cost < 1.0", "found.cost < jnp.inf"),
    Slip("dang-mse-imb", PRODUCT, "_common", "jnp.mean(jnp.log(jnp", "jnp.log(jnp.mean(jnp"),
    Slip("gk-deep-ce-linear", LOW_RANK, "_largest_minimum", "0.5 * factors * common", "factors * common"),
    Slip("gk-deep-ce-linear", LOW_RANK, "_at_scale", "2.0 / problem.factors", "1.0 / problem.factors"),
    # imbalanced
    Slip("ufm-mse-bias-imbalanced", SPECTRAL, "_arrays", "sigma - threshold", "sigma - 1.000001 * threshold"),
    Slip("ufm-mse-bias-imbalanced", SPECTRAL, "_arrays", "0.5 * threshold * strength +", "threshold * strength +"),
    Slip("ufm-mse-bias-imbalanced", SPECTRAL, "_arrays", "right / ratio", "right * ratio"),
    Slip("nrc", SPECTRAL, "_arrays", "0.5 * sigma**2 / samples", "sigma**2 / samples"),
    Slip("nrc", SPECTRAL, "_arrays", "(sigma > threshold)", "(sigma > 1.001 * threshold)"),
    Slip("cdt-ldt-la", MARGIN, "_logits", "(null @ null)", "null.size"),
    Slip("cdt-ldt-la", MARGIN, "_logits", "1.0 / class_scale", "class_scale"),
    Slip("cdt-ldt-la", MARGIN, "_logits", "(class_scale * label_scale)[None, :]", "label_scale[None, :]"),
    Slip("seli", MARGIN, "_multipliers", "/ (root * class_scale", "/ (root**2 * class_scale"),
    Slip("hong-ling-ce", GROUPED, "_grouped", "fit + strength * norm, fit", "fit + 1.000001 * strength * norm, fit"),
    # multi-label, regression
    Slip("mlab-pal", TAGS, "_frame", "classes * (classes - 1))\n", "classes * classes)\n"),
    Slip("mlab-pal", TAGS, "_solve", "active = strength < onset", "active = strength < 0.99 * onset"),
    Slip("mlab-pal", TAGS, "_frame", "tags / classes", "1.0 / classes + 0.0 * tags"),
    # data chains
    Slip("achour", DATA, "data_critical_values", "/ (2.0 * samples)", "/ (2.0 * samples + 1e-6)"),
    Slip("kawaguchi", DATA, "data_critical_values", "range(narrow + 1)", "range(narrow)"),
    # reductions
    Slip(
        "red-nuclear",
        "proofs_numeric.reductions.red_nuclear",
        None,
        "jnp.sqrt(a * b), power=0.5",
        "0.5 * (a + b), power=0.5",
    ),
    Slip(
        "red-schatten",
        "proofs_numeric.reductions.red_schatten",
        None,
        "value=0.5 * factors",
        "value=0.5 * (factors + 1e-6)",
    ),
    # paths
    Slip("saxe-2layer", PATHS, "mode_height", "-2.0 * strength * time", "-1.0 * strength * time"),
    Slip("saxe-2layer", PATHS, "mode_height", "strength / start - 1.0", "strength / start"),
    Slip("saxe-deep", PATHS, "mode_height", "power = 1.0 - 2.0 / layers", "power = 1.0 - 1.0 / layers"),
    Slip(
        "braun-riccati",
        PATHS,
        "balanced_trajectory",
        "-jnp.expm1(-2.0 * s * time) / (2.0 * s)",
        "-jnp.expm1(-2.0 * s * time) / s",
    ),
    Slip("han-central-path", "proofs_numeric.dynamics.central_path", None, "0.25 * quartic", "0.2501 * quartic"),
    Slip("ji-ce-gf", "proofs_numeric.dynamics.margin", None, "power=0.5", "power=0.501"),
    Slip(
        "arora-trajectory",
        "proofs_numeric.dynamics.end_to_end",
        None,
        "return -rate * left",
        "return -1.000001 * rate * left",
    ),
    Slip("yaras-parsimony", "proofs_numeric.dynamics.parsimony", None, "(1.0 - rate", "(1.000001 - rate"),
    Slip(
        "conservation",
        CONSERVED,
        None,
        "of_upper=lambda up, low: -2 * up",
        "of_upper=lambda up, low: -2 * low",
        claims=True,
    ),
    Slip("conservation", CONSERVED, None, "cross=1.0, second=1.0", "cross=1.0, second=1.000001", claims=True),
    Slip(
        "arora-end-to-end",
        "proofs_numeric.conserved.arora_end_to_end",
        None,
        "2 * right_power / number",
        "2 * right_power / (number + 1e-6)",
        claims=True,
    ),
)
"""Several of the places are shared by theorems; each is held against the one named."""
