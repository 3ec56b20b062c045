r"""The rank of what small batches write.

A step on a few samples writes into a layer no more directions than it saw samples, and weight decay forgets what was there
before. So after n steps on B samples each, whatever a layer holds beyond nB directions is left over from before, and has
shrunk by a known factor: with decay and small batches layers come near low rank, for as long as they are trained. With
momentum it is the same with another factor. It holds for every dense layer of any network, any loss and any samples.

Problem:
    $f_S=\frac1B\sum_{i\in S}\ell(z_i,y_i)+\sum_l\frac{\lambda_l}2(|W_l|_F^2+|b_l|^2)$ for sets S of B samples, with the logits
    of a network $Z_l=\sigma_l(W_lZ_{l-1}+b_l1^\top)$; each step is made on another set, or on the same again.
Theorem (after Galanti, Siegel, Gupte and Poggio 2025, number unchecked; the form is our own):
    Let $q=1-\eta\lambda_l$. After n steps of size $\eta$ from any point $\mathrm{rank}(W_{t+n}-q^nW_t)\le nB$, and therefore
    $\sigma_{nB+i}(W_{t+n})\le|q|^n\sigma_i(W_t)$ for every i and
    $\mathrm{dist}_F(W_{t+n},\mathrm{rank}\le nB)\le|q|^n|W_t|_F$. With momentum $\beta$, at rest at first, $q^n$ is $p_n$ with
    $p_{j+1}=(q+\beta)p_j-\beta p_{j-1}$ and $p_0=p_{-1}=1$.
Hypotheses:
    - some layer with more than nB rows and columns
    - decays >= 0
Notation:
    Galanti et al.: the penalty is $\lambda|\theta|^2$, so that a step multiplies by $1-2\eta\lambda$.
Why:
    The fit's gradient in $W_l$ is a sum of B products of a column and a row, and its rank at most B. A step multiplies $W_l$
    by q and subtracts $\eta$ times that; n steps add a matrix R of rank at most nB. Weyl's inequality for
    $W_{t+n}=q^nW_t+R$ gives the second line, and the sum of its squares the third. A heavy ball at rest at first, whose step
    is linear too, multiplies $W_t$ by $p_n$ and adds sums of such gradients. Both sides are equal where the samples, and what
    they are fitted to, have directions of their own in which $W_t$ vanishes, and write more than $W_t$ holds.
Checked:
    At random starts and after 100 and 1000 steps of gradient descent n steps on given samples are made within the observation,
    and the singular values are held against the law, to the rounding of the terms of each step. Some starts are arranged so
    that the inequalities are equalities. No seed needs to converge. All this is sampled.
Refuted by:
    One layer at one point with another singular value that is not zero, or with one above its bound, by more than rounding.
    The same check must refute n(B-1) and nB-1 for nB, twice the decay, a decay off by 1e-6, and $q^n$ with momentum.
Example:
    The singular values of the part that was written, of a layer of four neurons after one step on two samples.

    >>> rng = np.random.default_rng(0)
    >>> network = shaped(rng, ((5, 4, 3), "relu", 1, False, "mse", ((0, 3),), "normal"), (0.1, 0.1)).problem
    >>> with jax.enable_x64(True):
    ...     point = network.init(jax.random.key(0), 1.0)
    ...     end, _ = stepped(network, point)
    ...     written = np.asarray(singular_values(end.weights[0] - (1 - 0.5 * 0.1) * point.weights[0]))
    >>> bool(written[1] > 0.01), bool(written[2] < 1e-15)
    (True, True)
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_networks import GALANTI_2025
from proofs_numeric.conserved.vector_field import norm, one, relative, zero
from proofs_numeric.networks.layers import backward, moved, named, of_kind, on_samples, singular_values

ID = "sgd-rank"
SAMPLES, STEP, MOMENTUM = 8, 0.5, 0.9
# A shape is (widths, activation, linear layers at the end, biases, loss, the samples of each step, how starts are arranged).
SHAPES = (
    ((6, 7, 4), "identity", 2, False, "mse", ((0, 1), (2, 3)), "equal"),
    ((5, 6, 3), "identity", 2, True, "mse", ((0,), (1,), (2,)), "equal"),
    ((6, 7, 6, 3), "relu", 1, True, "cross_entropy", ((0, 4), (7, 2)), "normal"),
    ((5, 5, 6, 5), "tanh", 1, False, "mse", ((0, 1), (1, 2)), "normal"),
    ((6, 6, 5), "gelu", 1, True, "cross_entropy", ((1, 2, 5, 6),), "normal"),
    ((4, 5, 5, 2), "leaky_relu", 2, False, "cross_entropy", ((3,), (3,), (6,)), "normal"),
)


class Batched(nct.networks.FeedForward):
    """A network with the numbers of the samples of each step, whose starts may be arranged."""

    batches: tuple[tuple[int, ...], ...] = eqx.field(static=True)
    starts_at: str = eqx.field(static=True)

    def init(self, key, scale):
        r"""Draw a start, which is arranged for two linear layers and steps on samples with orthogonal inputs and targets.

        With the directions u_j of the inputs and v_j of the targets, $W_2=\sum_jv_jq_j^\top$ and $W_1$ vanishes on all u_j and
        has columns orthogonal to all q_j. Sample j then writes into $W_1$ a multiple of $q_ju_j^\top$ and nothing into $W_2$
        in the step that sees it, and the logits of samples not seen yet stay zero.
        """
        point = super().init(key, scale)
        if self.starts_at == "normal":
            return point
        seen = sum(self.batches, ())
        below, inside, _ = self.widths
        inputs, targets = (jnp.asarray(x)[:, jnp.asarray(seen)] for x in (self.inputs, self.targets))
        first, second = (
            jax.random.normal(jax.random.fold_in(key, i), (inside, count), jnp.float64)
            for i, count in enumerate((inside, below), start=1)
        )
        turn = jnp.linalg.qr(first)[0]
        kept = turn[:, len(seen) :]
        off = jnp.eye(below) - inputs @ jnp.linalg.pinv(inputs)
        low = 0.3 * scale * (kept @ (kept.T @ second)) / inside**0.5 @ off
        up = targets / jnp.linalg.norm(targets, axis=0, keepdims=True) @ turn[:, : len(seen)].T
        return point._replace(
            weights=(low, scale * up), biases=point.biases and tuple(jnp.zeros_like(b) for b in point.biases)
        )


def shaped(rng, shape, decay):
    """Build a named instance; the samples of arranged ones have orthogonal inputs and targets, those of steps first."""
    widths, activation, linear, bias, loss, batches, arrangement = shape
    inputs, targets = (rng.normal(size=(width, SAMPLES)) for width in (widths[0], widths[-1]))
    if arrangement == "equal":
        seen = sum(map(len, batches))
        for matrix in (inputs, targets):
            matrix[:, :seen] = 4.0 * np.linalg.qr(matrix)[0][:, :seen]
    if loss == "cross_entropy":
        targets = np.exp(targets) / np.exp(targets).sum(axis=0)
    network = nct.networks.feed_forward(
        widths=widths,
        inputs=inputs,
        targets=targets,
        loss=loss,
        weight_decay=decay,
        activation=activation,
        linear=linear,
        bias=bias,
    )
    batched = of_kind(Batched, network, batches=batches, starts_at=arrangement)
    return named(batched, steps=len(batches), batch=len(batches[0]), starts=arrangement)


def draw_instances(key):
    """Draw for each shape equal and unequal decays, and once none."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for shape in SHAPES:
        layers, level = len(shape[0]) - 1, 10.0 ** rng.uniform(-2.5, -1)
        drawn.append(shaped(rng, shape, (level,) * layers))
        drawn.append(shaped(rng, shape, tuple((level * 10.0 ** rng.uniform(-0.5, 0.5, size=layers)).tolist())))
    return [*drawn, shaped(rng, SHAPES[2], (0.0,) * 3)]


def stepped(problem, params, momentum=0.0):
    """Make a step on each of the batches, and bound the terms of which the weights of each layer are sums on the way."""
    now, last = params, params
    size = [norm(weight) for weight in params.weights]
    for batch in problem.batches:
        part = on_samples(problem, np.asarray(batch))
        slopes, below = backward(part, now)
        size = [s + STEP * norm(g) * norm(z) for s, g, z in zip(size, slopes, below, strict=True)]
        away = moved(now, (-1.0, last))
        now, last = moved(now, (-STEP, part.value_and_grad(now)[1]), (momentum, away)), now
    return now, [(1.0 + momentum) ** len(problem.batches) * s for s in size]


def kept(problem, layer, momentum=0.0, decay=1.0):
    """Return p_n, with the decay times a factor: what is left of W_t, which is q^n without momentum."""
    factor = 1.0 - STEP * decay * problem.weight_decay[layer]
    now, last = jnp.ones(()), jnp.ones(())
    for _ in problem.batches:
        now, last = (factor + momentum) * now - momentum * last, now
    return now


def seen(problem):
    """Return nB."""
    return sum(map(len, problem.batches))


def fewer(problem):
    """Return n(B-1)."""
    return sum(len(batch) - 1 for batch in problem.batches)


def wide_layers(problem):
    """Return the numbers of the layers with more than nB rows and columns, from 0 on."""
    return [i for i in range(problem.depth) if min(problem.widths[i], problem.widths[i + 1]) > seen(problem)]


def rounding_of(momentum=0.0):
    """Observe the rounding of the singular values, relative to the norm of each layer before the steps."""

    def rounded(problem, params):
        _, size = stepped(problem, params, momentum)
        layers = [(params.weights[i], size[i]) for i in wide_layers(problem)]
        return norm(*(relative(error, norm(weight), error, params) for weight, error in layers))

    return rounded


ROUNDED, ROUNDED_WITH_MOMENTUM = rounding_of(), rounding_of(MOMENTUM)


def observing(difference, momentum=0.0):
    """Observe a difference in the weights of a layer before and after the steps, relative to their norm before."""

    def observed(problem, params):
        end, size = stepped(problem, params, momentum)
        found = []
        for i in wide_layers(problem):
            before, after = params.weights[i], end.weights[i]
            found.append(relative(difference(problem, i, before, after), norm(before), size[i], params))
        return jnp.concatenate(found)

    return observed


def rank(name="rank", momentum=0.0, told=None, count=seen, decay=1.0):
    """State that what is written has no more directions, or a wrong version of it; `told` is the momentum of the law."""
    law = momentum if told is None else told

    def beyond(problem, layer, before, after):
        written = after - kept(problem, layer, law, decay) * before
        return singular_values(written)[count(problem) :]

    statement = r"\mathrm{rank}(W_{t+n}-" + ("p_n" if momentum else "(1-\\eta\\lambda_l)^n") + r"W_t)\le nB"
    rounded = ROUNDED_WITH_MOMENTUM if momentum else ROUNDED
    return nct.Equality(name, statement, observing(beyond, momentum), zero, scope="any point", terms=rounded, size=one)


def with_momentum(**version):
    """State the same of the heavy ball, or a wrong version of it."""
    return rank("rank with momentum", MOMENTUM, **version)


def single(count=seen, decay=1.0):
    """State the bound on each singular value, or a wrong version of it."""

    def excess(problem, layer, before, after):
        left = singular_values(after)[count(problem) :]
        return left - jnp.abs(kept(problem, layer, decay=decay)) * singular_values(before)[: len(left)]

    statement = r"\sigma_{nB+i}(W_{t+n})\le|1-\eta\lambda_l|^n\sigma_i(W_t)"
    return nct.UpperBound(
        "singular values", statement, observing(excess), zero, scope="any point", terms=ROUNDED, size=one
    )


def decayed(instance):
    """Tell whether the layers are decayed."""
    return bool(np.all(np.asarray(instance.problem.weight_decay) > 0))


def remembered(instance):
    """Tell whether the layers are decayed and there is a second step, which is the first that momentum changes."""
    return decayed(instance) and len(instance.problem.batches) > 1


def equal(instance):
    """Tell whether the starts are arranged for equality."""
    return instance.parameters["starts"] == "equal"


def wrong(name, text, *versions, applies=lambda instance: True):
    """Make a control of some claims."""
    return nct.Control(name, text, versions=versions, applies=applies)


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: bool(wide_layers(i.problem)),
            lambda i: bool(np.all(np.asarray(i.problem.weight_decay) >= 0)),
        ),
        sources=(GALANTI_2025.remark("The mechanism; the form for n steps from any point is our own."),),
        instances=draw_instances,
        predict=lambda problem: None,
        method=nct.theorems.Train(steps=(0, 100, 1000), rate=0.02),
        claims=(rank(), single(), with_momentum()),
        controls=(
            wrong("n(B-1)", "n(B-1) for nB", rank(count=fewer), with_momentum(count=fewer)),
            wrong("one direction fewer", "nB-1 for nB", rank(count=lambda p: seen(p) - 1)),
            wrong(
                "bound with n(B-1)", "n(B-1) for nB, where the bound is attained", single(count=fewer), applies=equal
            ),
            wrong(
                "decay 1e-6 off",
                "a decay larger by a relative 1e-6",
                rank(decay=1.0 + 1e-6),
                with_momentum(decay=1.0 + 1e-6),
                applies=decayed,
            ),
            wrong("bound 1e-6 off", "the same, where the bound is attained", single(decay=1.0 + 1e-6), applies=equal),
            wrong("twice the decay", "(1-2 eta lambda)^n", rank(decay=2.0), single(decay=2.0), applies=equal),
            wrong("no momentum", "(1-eta lambda)^n with momentum", with_momentum(told=0.0), applies=remembered),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
