"""`nc_metrics`: all collapse metrics of features and a classifier as a framework exports them."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from nctheory.engine import shown, untraced
from nctheory.measures._inputs import as_head, as_labels, as_numpy, check_range, check_rows
from nctheory.measures._moments import Moments
from nctheory.measures._read_out import ReadOut
from nctheory.measures._targets import Target, target_of
from nctheory.problems import Loss

EPS = float(np.finfo(np.float64).eps)
BATCH = 8_192
"""Rows that are converted and centred at a time."""


@shown()
class NCMetrics(NamedTuple):
    r"""Collapse metrics in float64, with a leading axis `layers` for several layers; K counts the classes with samples.

    With class means $\mu_k$, their mean $\bar\mu$, $\Sigma_W=\frac1N\sum_i(h_i-\mu_{y_i})(h_i-\mu_{y_i})^\top$,
    $\Sigma_B=\frac1K\sum_k(\mu_k-\bar\mu)(\mu_k-\bar\mu)^\top$, $\Sigma_k$ the covariance of class k and
    $u_{kj}=(\mu_k-\mu_j)/|\mu_k-\mu_j|$. What needs a classifier, or samples beside their moments, is NaN without.
    """

    counts: np.ndarray
    """Samples of each class, K."""
    nc1: Any
    r"""$\mathrm{tr}(\Sigma_W\Sigma_B^\dagger)/K$ (Papyan, Han, Donoho, PNAS 2020); 0 at collapse and at zero features."""
    nc1_rank: Any
    """Directions that the pseudo-inverse kept: at most min(K-1, d); fewer where class means are dependent beyond rounding."""
    nc1_by_class: Any
    r"""$\mathrm{tr}(\Sigma_k\Sigma_B^\dagger)/K$, whose mean over samples is `nc1`; NaN without the scatter of each class."""
    trace_ratio: Any
    r"""$\mathrm{tr}\Sigma_W/\mathrm{tr}\Sigma_B$."""
    nc2: Any
    r"""$|M^\top M/|M^\top M|_F-G/|G|_F|_F$ with the Gram matrix G of the target; centred for a simplex ETF."""
    nc2_weights: Any
    r"""The same of $WW^\top$ against the target of the classifier."""
    norm_spread: Any
    """Standard deviation of the norms of centred class means, relative to their mean."""
    angle_spread: Any
    """Mean over pairs of |cosine + 1/(K-1)| between centred class means."""
    nc3: Any
    r"""$|W^\top/|W|_F-M/|M|_F|_F$ with centred means and W as it is (Papyan et al.)."""
    nc3_centred: Any
    """The same with means and the rows of W both centred over the classes."""
    nc3_uncentred: Any
    """The same with neither centred."""
    nc4: Any
    """Share of samples on which the classifier, its bias included, agrees with the nearest class mean."""
    nearest_mean_error: Any
    """Share of samples whose nearest class mean is not their own."""
    error: Any
    """Share of samples that the classifier gets wrong."""
    cdnv: Any
    r"""Mean over pairs of $(\mathrm{tr}\Sigma_k+\mathrm{tr}\Sigma_j)/2|\mu_k-\mu_j|^2$ (Galanti et al., ICLR 2022)."""
    cdnv_by_class: Any
    """Its mean over the other classes j."""
    directional_cdnv: Any
    r"""Mean over ordered pairs of $u_{kj}^\top\Sigma_ku_{kj}/|\mu_k-\mu_j|^2$: only the variance between two means counts."""
    directional_cdnv_by_class: Any
    """Its mean over the other classes j."""
    margin: Any
    """Least $z_y-\\max_{j\\ne y}z_j$ of any sample."""
    margin_by_class: Any
    """The same of each class."""
    layers: tuple[str, ...] | None = None
    """Names of the layers, where there are several."""


@untraced("the measures one by one (`within_class_variability`, …) can be traced")
def nc_metrics(
    features: Any,
    labels: Any = None,
    weights: Any = None,
    bias: Any = None,
    *,
    target: Any = "simplex_etf",
    centred: bool | None = None,
    loss: str | Loss | None = None,
    weight_decay: Sequence[float] | None = None,
    bias_decay: float | None = None,
    classes: int | None = None,
    ignore: int | None = None,
    absent: Literal["refuse", "omit"] = "refuse",
) -> NCMetrics:
    r"""All collapse metrics of features, N x d with one row a sample, under whole-number labels 0..K-1.

    Arrays of any library and of any float or integer dtype are taken, and all is computed in float64, in blocks of rows,
    whatever the settings of JAX. Several layers come as a list or dict of feature arrays (classifiers likewise; a single one
    is that of the last layer), and all metrics get a leading axis `layers`. `Moments` of data in batches may be given in the
    place of features and labels; NC4, errors and margins, which need the samples again, then come from `ReadOut`.

    `target` is what `nc2` compares with: "simplex_etf", "orthogonal_frame", a Gram matrix of class means, or "minimiser",
    the global minimum of the unconstrained-feature model with these class counts, `loss`, `weight_decay` (lambda_W,
    lambda_H) and `bias_decay` (see `global_minimum`), whatever the imbalance. `centred` says whether means and target are
    centred first; by default only for a simplex ETF. `ignore` is the label of samples to be left out; `classes` defaults to
    the rows of the weights or the largest label plus one; a class without samples is refused unless `absent="omit"`.

    Raises ValueError, naming the argument, for bad input, and NoClosedForm where no theorem covers the minimiser.

    >>> import numpy as np, nctheory as nct
    >>> model = nct.unconstrained_features(counts=(5,) * 4, dim=8, loss="cross_entropy", weight_decay=(5e-3, 5e-3), bias=0.0)
    >>> end = nct.solve(model, seeds=1).params
    >>> found = nct.nc_metrics(end.features[0].T, np.repeat(np.arange(4), 5), end.weights[0][0])
    >>> found.nc1 < 1e-12, found.nc1_rank, found.nc2 < 1e-6, found.nc3 < 1e-6, found.nc4
    (True, 3, True, True, 1.0)
    """
    if absent not in ("refuse", "omit"):
        raise ValueError(f"absent: expected 'refuse' or 'omit', got {absent!r}")
    options = (target, centred, loss, weight_decay, bias_decay, classes, ignore, absent)
    if isinstance(features, Mapping):
        names = tuple(str(name) for name in features)
        heads = _heads_by_name(weights, bias, list(features))
        return _layers([_one(x, labels, *heads[i], *options) for i, x in enumerate(features.values())], names)
    if isinstance(features, list | tuple) and features and np.ndim(_first(features)) != 1:
        heads = _heads_in_order(weights, bias, len(features))
        names = tuple(str(i) for i in range(len(features)))
        return _layers([_one(x, labels, *heads[i], *options) for i, x in enumerate(features)], names)
    return _one(features, labels, weights, bias, *options)


def _first(layers: Sequence[Any]) -> Any:
    """The first of several layers, as an array (of rows of one array it is a row)."""
    return np.zeros((1, 1)) if isinstance(layers[0], Moments) else as_numpy("features", layers[0])


def _heads_by_name(weights: Any, bias: Any, names: list[Any]) -> list[tuple[Any, Any]]:
    for what, given in (("weights", weights), ("bias", bias)):
        unknown = sorted(map(str, set(given) - set(names))) if isinstance(given, Mapping) else []
        if unknown:
            raise ValueError(f"{what}: expected names of layers, got {', '.join(unknown)}")
    if not isinstance(weights, Mapping):
        return _heads_in_order(weights, bias, len(names))
    biases = bias if isinstance(bias, Mapping) else {}
    return [(weights.get(name), biases.get(name)) for name in names]


def _heads_in_order(weights: Any, bias: Any, layers: int) -> list[tuple[Any, Any]]:
    """One classifier for each layer; a single one is that of the last."""
    if isinstance(weights, list | tuple) and (weights[0] is None or np.ndim(weights[0]) == 2):
        biases = bias if isinstance(bias, list | tuple) else [None] * layers
        if len(weights) != layers or len(biases) != layers:
            raise ValueError(f"weights: expected one, or None, for each of the {layers} layers, got {len(weights)}")
        return list(zip(weights, biases, strict=True))
    return [(None, None)] * (layers - 1) + [(weights, bias)]


def _layers(found: list[NCMetrics], names: tuple[str, ...]) -> NCMetrics:
    stacked = {name: np.stack([np.asarray(getattr(one, name)) for one in found]) for name in NCMetrics._fields[1:-1]}
    return NCMetrics(counts=found[0].counts, **stacked, layers=names)


def _one(
    features: Any, labels: Any, weights: Any, bias: Any, target: Any, centred: bool | None, loss: Any,
    weight_decay: Any, bias_decay: Any, classes: int | None, ignore: int | None, absent: str,
) -> NCMetrics:  # fmt: skip
    """The metrics of one layer."""
    if isinstance(features, Moments):
        if labels is not None:
            raise ValueError("labels: expected none beside Moments, which hold what they need of them")
        moments, seen = features, None
        weights, bias = as_head(weights, bias, moments.classes, moments.width)
    else:
        moments, seen = _read(features, labels, weights, bias, classes, ignore)
        weights, bias = seen.weights, seen.bias
    present = np.flatnonzero(moments.counts)
    if present.size < moments.classes and absent == "refuse":
        missing = np.flatnonzero(moments.counts == 0)
        raise ValueError(
            f"labels: expected samples of all {moments.classes} classes, got none of class "
            f"{', '.join(map(str, missing[:5]))}{', ...' if missing.size > 5 else ''}; absent='omit' leaves such out"
        )
    if present.size < 2:
        raise ValueError(f"labels: expected samples of at least two classes, got {present.size}")
    aim = target_of(target, moments.counts[present], moments.width, loss, weight_decay, bias_decay)
    found = _of_moments(moments, present, aim, aim.centred if centred is None else centred)
    found |= _of_head(moments.means[present], None if weights is None else weights[present], aim)
    by_class = np.full(present.size, np.nan) if seen is None else seen.margin_by_class[present]
    return NCMetrics(
        counts=moments.counts[present], **found, margin=float(np.min(by_class)), margin_by_class=by_class,
        nc4=np.nan if seen is None else seen.agreement, error=np.nan if seen is None else seen.error,
        nearest_mean_error=np.nan if seen is None else seen.nearest_mean_error,
    )  # fmt: skip


def _read(
    features: Any, labels: Any, weights: Any, bias: Any, classes: int | None, ignore: int | None
) -> tuple[Moments, ReadOut]:
    """Both passes over the samples, in blocks."""
    if labels is None:
        raise ValueError("labels: expected one whole number a sample, got none")
    x = as_numpy("features", features)
    check_rows(x)
    y = as_labels(labels, x.shape[0])
    kept = y if ignore is None else y[y != ignore]
    if kept.size == 0:
        raise ValueError("features: expected at least one sample, got none")
    told = int(kept.max()) + 1
    if weights is not None:
        shape = as_numpy("weights", weights).shape
        if classes is None and shape != (x.shape[1], told):  # d x K is refused below as the transpose that it is
            told = shape[0]
    moments = Moments(told if classes is None else classes, ignore=ignore)
    check_range(np.where(y == ignore, 0, y), moments.classes)
    as_head(weights, bias, moments.classes, x.shape[1])
    for begin in range(0, len(y), BATCH):
        moments.add(x[begin : begin + BATCH], y[begin : begin + BATCH])
    seen = ReadOut(moments, weights, bias)
    for begin in range(0, len(y), BATCH):
        seen.add(x[begin : begin + BATCH], y[begin : begin + BATCH])
    return moments, seen


def _of_moments(moments: Moments, present: np.ndarray, aim: Target, centred: bool) -> dict[str, Any]:
    """What counts, means and scatter tell."""
    counts, means, classes = moments.counts[present], moments.means[present], present.size
    shifted = means - means.mean(axis=0)
    scatter = None if moments.scatter is None else moments.scatter[present]
    left, singular, _ = np.linalg.svd(shifted.T, full_matrices=False)
    # A mean is known to rounding of its own size, and singular values to rounding of the largest.
    least = EPS * (4.0 * np.sqrt(classes) * np.linalg.norm(means, axis=1).max() + max(shifted.shape) * singular.max())
    kept = singular > least
    # With M = U S V^T the centred means, Sigma_B^+ / K = U S^-2 U^T, so that tr(A Sigma_B^+) / K = tr(S^-1 U^T A U S^-1).
    sharp = left[:, kept] / singular[kept]
    along = None if scatter is None else np.einsum("dr,kde,er->k", sharp, scatter, sharp, optimize=True) / counts
    shown, gram = (shifted, _centred_gram(aim.means)) if centred else (means, aim.means)
    norms = np.linalg.norm(shifted, axis=1)
    cosines = _ratio(shifted @ shifted.T, np.outer(norms, norms))[~np.eye(classes, dtype=bool)]
    pairs, directed = _pairs(means, moments.traces[present] / counts, scatter, counts)
    return {
        "nc1": float(np.einsum("dr,de,er->", sharp, moments.within, sharp, optimize=True) / counts.sum()),
        "nc1_rank": int(kept.sum()),
        "nc1_by_class": np.full(classes, np.nan) if along is None else along,
        "trace_ratio": float(_ratio(moments.traces[present].sum() / counts.sum(), np.sum(shifted**2) / classes)),
        "nc2": _gram_distance(shown @ shown.T, gram),
        "norm_spread": float(_ratio(np.std(norms), np.mean(norms))),
        "angle_spread": float(np.mean(np.abs(cosines + 1.0 / (classes - 1)))),
        "cdnv": float(np.mean(pairs)),
        "cdnv_by_class": pairs,
        "directional_cdnv": float(np.mean(directed)),
        "directional_cdnv_by_class": directed,
    }  # fmt: skip


def _of_head(means: np.ndarray, weights: np.ndarray | None, aim: Target) -> dict[str, float]:
    """What the classifier's rows and the class means tell of each other."""
    names = ("nc2_weights", "nc3", "nc3_centred", "nc3_uncentred")
    if weights is None:
        return dict.fromkeys(names, np.nan)
    shifted, rows = means - means.mean(axis=0), weights - weights.mean(axis=0)
    apart = lambda x, y: float(np.linalg.norm(_unit(x) - _unit(y)))  # noqa: E731
    of_rows = _gram_distance(weights @ weights.T, aim.weights)
    return dict(
        zip(names, (of_rows, apart(weights, shifted), apart(rows, shifted), apart(weights, means)), strict=True)
    )


def _pairs(
    means: np.ndarray, variances: np.ndarray, scatter: np.ndarray | None, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """CDNV and directional CDNV of each class, means over the others."""
    classes = len(counts)
    plain, directed = np.zeros(classes), np.full(classes, np.nan)
    for k in range(classes):
        others = np.arange(classes) != k
        apart = means[others] - means[k]
        squared = np.sum(apart**2, axis=1)
        plain[k] = np.mean(_ratio(variances[k] + variances[others], 2.0 * squared))
        if scatter is not None:
            # u^T Sigma_k u/|mu_k - mu_j|^2 has the squared distance twice below: once for the length of u.
            along = np.sum((apart @ scatter[k]) * apart, axis=1) / counts[k]
            directed[k] = np.mean(_ratio(_ratio(along, squared), squared))
    return plain, directed


def _ratio(over: Any, under: Any) -> np.ndarray:
    """A quotient that is 0 for 0/0, as metrics are at zero features, and infinite for another number over zero."""
    over, under = np.broadcast_arrays(np.asarray(over, float), np.asarray(under, float))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((over == 0) & (under == 0), 0.0, over / under)


def _unit(x: np.ndarray) -> np.ndarray:
    """x / |x|_F, and 0 at 0."""
    return _ratio(x, np.linalg.norm(x))


def _gram_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Distance of two Gram matrices, each scaled to norm one."""
    return float(np.linalg.norm(_unit(one) - _unit(other)))


def _centred_gram(gram: np.ndarray) -> np.ndarray:
    """The Gram matrix of the same vectors less their mean, PGP with P = I - 11^T/K."""
    return gram - gram.mean(axis=0) - gram.mean(axis=1)[:, None] + gram.mean()
