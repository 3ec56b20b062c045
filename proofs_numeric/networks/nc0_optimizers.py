r"""The sum of the classifier's rows under optimisers.

Neural collapse needs the rows of the classifier to sum to zero. With cross-entropy, or any other loss that does not see a
constant added to all logits of a sample, the data never touch that sum: gradient descent with weight decay, with momentum or
without, on whatever samples, shrinks it by a factor that is known before training begins. So it does under Muon, which
makes a gradient orthogonal before it steps. An optimiser that takes signs entry by entry, as Adam does nearly, writes into
that sum where there are more than two classes, and a decay that is decoupled from the gradient does not undo it.

Problem:
    $f=\frac1N\sum_i\ell(z_i,y_i)+\sum_l\frac{\lambda_l}2(|W_l|_F^2+|b_l|^2)$ with the logits $Z_L=W_LZ_{L-1}+b_L1^\top$ of a
    network, with or without biases, for a loss with $\ell(z+c1,y)=\ell(z,y)$ for all c.
Theorem (after Zhao, Cheng, Masarczyk and Lucchi 2026, number unchecked; the laws are in our own form):
    Let $a=(W_L,b_L)^\top1_K$ and $q=1-\eta\lambda_L$. A step of gradient descent makes $a_{t+1}=q\,a_t$, so that
    $a_t=q^ta_0$, and one of the heavy ball with momentum $\beta$ makes $a_{t+1}=(q+\beta)a_t-\beta a_{t-1}$, each on any
    of the samples. A step against a gradient whose weights are orthogonalised, with decoupled decay, makes $a_{t+1}=q\,a_t$.
Hypotheses:
    - a loss that is the same when a constant is added to all logits of a sample
    - decays >= 0
Notation:
    Zhao et al.: NC0 is a = 0 for a classifier without bias. A decay coupled to the gradient is part of f, a decoupled one
    is $-\eta\lambda_Lx$ beside the step.
Why:
    The derivative of $\ell(z+c1,y)$ in c is zero, so that the columns of $G=\partial\mathrm{fit}/\partial Z_L$ sum to zero.
    The fit's gradients in $W_L$ and $b_L$ are $GZ_{L-1}^\top$ and $G1$, and $1^\top G=0$: of the gradient of f nothing is left
    in a but $\lambda_La$. With momentum $\theta_{t+1}=\theta_t-\eta\nabla f+\beta(\theta_t-\theta_{t-1})$, and a is linear. To
    orthogonalise $M=GZ_{L-1}^\top$ is to apply $X\mapsto\frac32X-\frac12XX^\top X$ some times, which keeps $1^\top X=0$. The
    sign of M has no such property for K > 2; two rows have opposite signs.
Checked:
    At random starts and after 100 and 1000 steps of gradient descent one step of each optimiser is made within the
    observation, on a part of the samples and with a point before it that is drawn, and a is held against the law, to the
    rounding of its terms. No seed needs to converge. All this is sampled; the powers of q are the law made t times.
Refuted by:
    One point at which a law fails by more than rounding. The same check must refute the factors $e^{-2\eta\lambda}$ and
    $e^{-\eta\lambda}$, a decay off by 1e-6, a heavy ball without memory, the layer below the last one, steps against the sign
    of the gradient, and the laws for squared error with one-hot targets.
Example:
    The sum of the rows after a step of a half, the law, and a step against the sign of the gradient.

    >>> network = draw_instances(jax.random.key(0))[0].problem
    >>> with jax.enable_x64(True):
    ...     point = network.init(jax.random.key(1), 1.0)
    ...     step, factor = slope(network, point), 1 - 0.5 * network.weight_decay[-1]
    ...     sign = jax.tree.map(jnp.sign, step)
    ...     found = [sums(moved(point, (-0.5, step))), factor * sums(point), sums(moved(point, (-0.5, sign)))]
    >>> bool(np.allclose(found[0], found[1], rtol=1e-14, atol=1e-15)), bool(np.allclose(found[2], found[1], atol=0.1))
    (True, False)
"""

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_networks import ZHAO_2026
from proofs_numeric.conserved.vector_field import one, relative, zero
from proofs_numeric.networks.layers import backward, moved, named, on_samples

ID = "nc0-optimizers"
SAMPLES = 9
STEP, MOMENTUM = 0.5, 0.9
BATCH = (0, 2, 3, 5, 8)
SWEEPS = 5
# A shape is (widths, activation, linear layers at the end, biases, loss); "soft" is cross-entropy of drawn distributions.
SHAPES = (
    ((3, 4, 2), "relu", 1, True, "cross_entropy"),
    ((3, 4, 4, 3), "tanh", 1, False, nct.losses.label_smoothing(0.1)),
    ((4, 5, 4), "gelu", 1, True, nct.losses.focal(2.0)),
    ((3, 4, 3, 3), "leaky_relu", 2, False, "soft"),
    ((4, 3), "relu", 1, True, "soft"),
)
# Outside of the hypotheses.
SQUARED = (((3, 4, 3), "relu", 1, False, "mse"), ((3, 4, 4, 2), "tanh", 1, True, "mse"))


def shaped(rng, shape, decay):
    """Build a named instance on inputs without structure, with random classes."""
    widths, activation, linear, bias, loss = shape
    drawn = np.exp(rng.normal(size=(widths[-1], SAMPLES)))
    labels = rng.permutation(np.arange(SAMPLES) % widths[-1])
    told = {"targets": drawn / drawn.sum(axis=0)} if loss == "soft" else {"labels": labels}
    network = nct.networks.feed_forward(
        widths=widths,
        inputs=rng.normal(size=(widths[0], SAMPLES)),
        loss="cross_entropy" if loss == "soft" else loss,
        weight_decay=decay,
        activation=activation,
        linear=linear,
        bias=bias,
        **told,
    )
    return named(network)


def draw_instances(key):
    """Draw for each shape equal and unequal decays, and twice none."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for shape in SHAPES:
        layers, level = len(shape[0]) - 1, 10.0 ** rng.uniform(-3, -1)
        drawn.append(shaped(rng, shape, (level,) * layers))
        drawn.append(shaped(rng, shape, tuple((level * 10.0 ** rng.uniform(-0.5, 0.5, size=layers)).tolist())))
    return drawn + [shaped(rng, shape, (0.0,) * (len(shape[0]) - 1)) for shape in SHAPES[1:3]]


def draw_squared(key):
    """Draw networks with squared error and one-hot targets, without biases and with them."""
    rng = nct.theorems.numpy_rng(key)
    return [shaped(rng, shape, (0.02,) * (len(shape[0]) - 1)) for shape in SQUARED]


def sums(params, layer=-1):
    """Return (W_l, b_l)^T 1, the sums of the columns of a layer: the last one where none is said, or the lowest there is."""
    layer = max(layer, -len(params.weights))
    shift = [] if params.biases is None else [jnp.sum(params.biases[layer], keepdims=True)]
    return jnp.concatenate([jnp.sum(params.weights[layer], axis=0), *shift])


def slope(problem, params, decayed=True):
    """Return the gradient of f, or of the fit alone, on a part of the samples."""
    part = on_samples(problem, np.asarray(BATCH))
    return part.value_and_grad(params)[1] if decayed else jax.grad(part.fit)(params)


def before(params):
    """Return the point before this one: it may be any, and is one nearby that does not depend on the data."""
    keys = iter(jax.random.split(jax.random.key(11), len(jax.tree.leaves(params))))
    return jax.tree.map(lambda x: x + 0.3 * jax.random.normal(next(keys), x.shape, jnp.float64), params)


def orthogonalised(matrix):
    """Scale a matrix to Frobenius norm 1 and move its singular values towards 1 by the iteration of Newton and Schulz."""
    found = matrix / (jnp.linalg.norm(matrix) + jnp.finfo(jnp.float64).tiny)
    for _ in range(SWEEPS):
        found = 1.5 * found - 0.5 * (found @ found.T) @ found
    return found


def descended(problem, params):
    """Make a step of gradient descent."""
    return moved(params, (-STEP, slope(problem, params)))


def rolled(problem, params):
    """Make a step of the heavy ball."""
    away = moved(params, (-1.0, before(params)))
    return moved(params, (-STEP, slope(problem, params)), (MOMENTUM, away))


def turned(problem, params):
    """Make a step against the fit's gradient, orthogonalised in the last weights, with decoupled decay."""
    fit = slope(problem, params, decayed=False)
    fit = fit._replace(weights=(*fit.weights[:-1], orthogonalised(fit.weights[-1])))
    return moved(params, (-STEP, fit), (-STEP * problem.weight_decay[-1], params))


def decoupled_sign(problem, params):
    """Make a step against the sign of the fit's gradient, with decoupled decay."""
    sign = jax.tree.map(jnp.sign, slope(problem, params, decayed=False))
    return moved(params, (-STEP, sign), (-STEP * problem.weight_decay[-1], params))


def coupled_sign(problem, params):
    """Make a step against the sign of the gradient of f."""
    return moved(params, (-STEP, jax.tree.map(jnp.sign, slope(problem, params))))


def rounding_size(problem, params):
    """Bound the terms that cancel in the sum of the rows of any of these steps.

    The parts of G sum to zero up to their own rounding and that of a probability, 1/N for each sample; they multiply what
    comes into the layer. The orthogonalised gradient is relative to its norm, and a sweep makes no part of it grow by more
    than 3/2; nothing is left of it where no neuron below is active.
    """
    slopes, below = backward(on_samples(problem, np.asarray(BATCH)), params)
    parts = jnp.linalg.norm(slopes[-1]) + 1.0 / jnp.sqrt(1.0 * len(BATCH))
    reach, samples = jnp.linalg.norm(below[-1]), jnp.sqrt(1.0 * len(BATCH))
    size = jnp.linalg.norm(slopes[-1] @ below[-1].T)
    last = [part[-1] for point in (params, before(params)) for part in point if part is not None]
    kept = sum(jnp.linalg.norm(part) for part in last)
    again = 1.5**SWEEPS * (1.0 + parts * reach / (size + jnp.finfo(jnp.float64).tiny))
    return jnp.sqrt(1.0 * problem.widths[-1]) * (
        (1.0 + MOMENTUM + STEP * problem.weight_decay[-1]) * kept + STEP * (parts * (reach + samples) + again)
    )


def factor(problem, off=0.0):
    """Return q, with a decay that is larger by a relative `off`."""
    return 1.0 - STEP * (1.0 + off) * problem.weight_decay[-1]


def scales(problem, params):
    """Return the size of the sums and that of the terms which cancel in a step."""
    size = jnp.linalg.norm(sums(params)) + jnp.linalg.norm(sums(before(params)))
    return size, rounding_size(problem, params)


def rounded(problem, params):
    """Return the rounding of a step's sums, relative to their size."""
    size, error = scales(problem, params)
    return relative(error, size, error, params)


def claim(name, statement, step, law, layer=-1):
    """State that a step changes the sums as a law says, which is given the problem, the sums and those before."""

    def off(problem, params):
        found = sums(step(problem, params), layer) - law(problem, sums(params, layer), sums(before(params), layer))
        return relative(found, *scales(problem, params), params)

    return nct.Equality(name, statement, off, zero, scope="any point", terms=rounded, size=one)


def shrunk(off=0.0):
    """Say that the sums are multiplied by q."""
    return lambda problem, now, last: factor(problem, off) * now


def decaying(rate):
    """Say that the sums are multiplied by an exponential."""
    return lambda problem, now, last: jnp.exp(-rate * STEP * problem.weight_decay[-1]) * now


def remembered(off=0.0):
    """Say what the heavy ball makes of the sums."""
    return lambda problem, now, last: (factor(problem, off) + MOMENTUM) * now - MOMENTUM * last


def descent(step=descended, law=None, layer=-1):
    """State the law of gradient descent, or a wrong version of it."""
    return claim("gradient descent", r"a_{t+1}=(1-\eta\lambda_L)a_t", step, law or shrunk(), layer)


def heavy_ball(law=None):
    """State the law of the heavy ball, or a wrong version of it."""
    statement = r"a_{t+1}=(1-\eta\lambda_L+\beta)a_t-\beta a_{t-1}"
    return claim("heavy ball", statement, rolled, law or remembered())


def muon(step=turned, law=None):
    """State the law of orthogonalised steps, or a wrong version of it."""
    return claim("orthogonalised", r"a_{t+1}=(1-\eta\lambda_L)a_t", step, law or shrunk())


def decayed(instance):
    """Tell whether the last layer is decayed."""
    return float(instance.problem.weight_decay[-1]) > 0


def many(instance):
    """Tell whether there are more than two classes; the signs of two opposite rows cancel."""
    return instance.problem.widths[-1] > 2


def wrong(name, text, *versions, applies=lambda instance: True):
    """Make a control of some claims."""
    return nct.Control(name, text, versions=versions, applies=applies)


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: i.problem.loss.shift_invariant,
            lambda i: bool(np.all(np.asarray(i.problem.weight_decay) >= 0)),
        ),
        sources=(ZHAO_2026.remark("NC0 and what optimisers do to it; the laws of one step are in our own form."),),
        instances=draw_instances,
        predict=lambda problem: None,
        method=nct.theorems.Train(steps=(0, 100, 1000), rate=0.02),
        claims=(descent(), heavy_ball(), muon()),
        controls=(
            wrong("twice the decay", "e^{-2 eta lambda} for q", descent(law=decaying(2.0)), applies=decayed),
            wrong("flow", "e^{-eta lambda} for q", descent(law=decaying(1.0)), applies=decayed),
            wrong(
                "decay 1e-6 off",
                "a decay larger by a relative 1e-6",
                descent(law=shrunk(1e-6)),
                heavy_ball(remembered(1e-6)),
                muon(law=shrunk(1e-6)),
                applies=decayed,
            ),
            wrong("no memory", "the law of gradient descent for the heavy ball", heavy_ball(shrunk())),
            wrong(
                "layer below",
                "the law for the layer below the last one",
                descent(layer=-2),
                applies=lambda i: i.problem.depth > 1,
            ),
            wrong("decoupled signs", "the laws for signs", descent(decoupled_sign), muon(decoupled_sign), applies=many),
            wrong("coupled signs", "the law for the sign of the gradient of f", descent(coupled_sign)),
            nct.Control("squared error", "the laws for squared error with one-hot targets", outside=draw_squared),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
