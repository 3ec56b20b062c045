"""`nc_metrics`: all collapse metrics of features and a classifier as a framework exports them."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from nctheory.engine import shown, untraced
from nctheory.measures._inputs import as_head, as_labels, as_numpy, check_range, check_rows
from nctheory.measures._moments import Moments
from nctheory.measures._of_moments import of_head, of_moments
from nctheory.measures._read_out import ReadOut
from nctheory.measures._targets import target_of
from nctheory.problems import Loss

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
    if isinstance(features, Mapping | list | tuple) and not features:
        raise ValueError(f"features: expected at least one layer or sample, got none ({type(features).__name__})")
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
    found = of_moments(moments, present, aim, aim.centred if centred is None else centred)
    found |= of_head(moments.in_unit().means[present], None if weights is None else weights[present], aim)
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
