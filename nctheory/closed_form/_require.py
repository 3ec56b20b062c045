"""The hypotheses that many theorems share, checked in one place."""

from collections.abc import Iterator
from itertools import chain
from typing import Literal

from nctheory.closed_form._minimum import NoClosedForm, not_covered
from nctheory.closed_form._thresholds import LEAST_DECAY
from nctheory.engine import is_positive, not_positive
from nctheory.problems import CrossEntropy, DeepLinear, is_loss

Bias = Literal["none", "free", "none or free", "any"]


def require(
    problem: DeepLinear,
    *,
    loss: str | None = None,
    inputs: Literal["free", "given"] | None = None,
    depth: int | None = None,
    labels: bool | None = None,
    balanced: bool = False,
    samples: bool = False,
    bias: Bias | None = None,
    classes: int | None = None,
    width: tuple[int, str] | None = None,
    decay: Literal["positive", "zero"] | None = None,
) -> None:
    """Raise NoClosedForm for the first hypothesis that the problem does not meet, saying what was found instead.

    `loss` names one of the library's own losses (of cross-entropy without label smoothing); `inputs` says whether the
    features are free or the data are given; `labels` whether the targets are those of classes, `balanced` that these are of
    equal size; `samples` excludes the moment form; `bias` says which biases are covered ("any" needs one, whatever its decay);
    `classes` is the least number of them, `width` the least width of a layer and the symbol that stands for it; `decay` is
    that of every factor. A hypothesis about a number that is traced is left to the caller.

    >>> import nctheory as nct
    >>> model = nct.unconstrained_features(counts=(3, 1), dim=2, loss="mse", weight_decay=(0.1, 0.0))
    >>> require(model, loss="mse", inputs="free", depth=1, width=(2, "K"))
    >>> require(model, decay="positive")
    Traceback (most recent call last):
    ...
    nctheory.closed_form._minimum.NoClosedForm: needs lambda_H > 0, got 0.0; no minimiser is isolated, or none exists
    """
    failures = chain(
        not_covered(problem),
        _of_loss(problem, loss),
        _of_data(problem, inputs, depth, labels),
        _of_classes(problem, balanced, classes, samples),
        _of_bias(problem, bias),
        _of_width(problem, width),
        _of_decay(problem, decay),
    )
    for failure in failures:
        raise NoClosedForm(failure)


def _of_loss(problem: DeepLinear, name: str | None) -> Iterator[str]:
    loss = problem.loss
    if name is not None and not is_loss(loss, name):
        yield f"needs loss {name}, got {loss.label}"
    elif name is not None and isinstance(loss, CrossEntropy) and is_positive(loss.smoothing):
        yield "needs one-hot targets, got label smoothing"


def _of_data(problem: DeepLinear, inputs: str | None, depth: int | None, labels: bool | None) -> Iterator[str]:
    if inputs == "free" and problem.inputs is not None:
        yield "features must be free, but inputs are given"
    if inputs == "given" and problem.inputs is None:
        yield "needs given inputs, but the features are free"
    if depth is not None and problem.depth != depth:
        layers = {1: "two factors W H (depth 1), got depth", 2: "two layers, got"}.get(depth, f"{depth} layers, got")
        yield f"needs {layers} {problem.depth}"
    if labels is True and problem.counts is None:
        yield "needs class labels, got arbitrary targets"
    if labels is False and problem.counts is not None:
        yield "needs real targets, got class labels"


def _of_classes(problem: DeepLinear, balanced: bool, least: int | None, samples: bool) -> Iterator[str]:
    if balanced and len(set(problem.counts or ())) != 1:
        yield f"needs balanced counts, got {problem.counts}"
    if samples and problem.bias_row is not None:
        yield "needs samples or class means, got the moment form"
    if least is not None and problem.classes < least:
        yield f"needs at least {'two' if least == 2 else least} classes, got {problem.classes}"


def _of_bias(problem: DeepLinear, wanted: Bias | None) -> Iterator[str]:
    decay = problem.bias_decay
    if wanted == "none" and decay is not None:
        yield "needs no bias (bias=None), got a bias"
    if wanted == "any" and decay is None:
        yield "needs a bias, got bias None"
    if wanted == "free" and decay is None:
        yield "needs a free bias (0.0), got bias None"
    if wanted in ("free", "none or free") and decay is not None and is_positive(decay):
        yield f"needs bias {'None or ' * (wanted != 'free')}free (0.0), got decay {float(decay)}"


def _of_width(problem: DeepLinear, width: tuple[int, str] | None) -> Iterator[str]:
    if width is None or min(problem.widths[:-1]) >= width[0]:
        return
    least, symbol = width
    if problem.depth == 1:
        yield f"needs dim >= {symbol} = {least}, got dim {problem.widths[0]}"
    else:
        yield f"needs every width >= {symbol} = {least}, got {problem.widths}"


def _of_decay(problem: DeepLinear, wanted: str | None) -> Iterator[str]:
    for i, decay in enumerate(problem.weight_decay if wanted is not None else ()):
        two = problem.factors == 2 and problem.inputs is None
        name = ("lambda_W", "lambda_H")[i] if two else f"weight_decay[{i}]"
        if wanted == "positive" and not_positive(decay):
            yield f"needs {name} > 0, got {float(decay)}; no minimiser is isolated, or none exists"
        elif wanted == "positive" and not_positive(decay - LEAST_DECAY):
            yield f"needs {name} above {LEAST_DECAY:g}, below which float64 loses digits, got {float(decay)}"
        if wanted == "zero" and (is_positive(decay) or is_positive(-decay)):
            yield f"needs no decay, got {name} = {float(decay)}"
