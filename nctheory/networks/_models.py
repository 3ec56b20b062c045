"""Small networks in flax: convolutions, residual blocks, and a transformer on sequences."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from nctheory.engine import whole_number
from nctheory.networks._data import Data
from nctheory.problems import ACTIVATIONS


@dataclasses.dataclass(frozen=True)
class ConvNet:
    r"""3 x 3 convolutions with a ReLU, or another `activation`, every one but the first of stride two, then linear layers.

    There are `linear` of these. Samples are images, height x width or height x width x channels. Layers are what each
    convolution and each linear layer gives; the last features are the mean over positions of the last convolution where
    `linear` is 1.

    >>> ConvNet(channels=(8, 16)).described
    'convolutions 8-16'
    """

    channels: tuple[int, ...] = (16, 32, 32)
    linear: int = 1
    image: tuple[int, ...] = (8, 8)
    classes: int = 10
    bias: bool = True
    activation: str = "relu"

    def __post_init__(self) -> None:
        _check_activation(self.activation)

    @property
    def described(self) -> str:
        """The channels in words."""
        return f"convolutions {'-'.join(map(str, self.channels))}"

    def __call__(self, rngs: Any) -> Any:
        """The module, with random numbers of `rngs`."""
        from nctheory.networks._flax_modules import ConvModule

        return ConvModule(self, rngs)


@dataclasses.dataclass(frozen=True)
class ResidualMLP:
    r"""A linear map to a `width`, then `blocks` of $h\leftarrow h+W_2\,\sigma(W_1\,\mathrm{norm}(h))$, then the head.

    The `activation` is a ReLU by default. The norm is that of `nnx.LayerNorm`, with scale and shift, or is left out. Layers
    are what each block gives.

    >>> ResidualMLP(width=32, blocks=3).described
    'residual blocks 3 x 32'
    """

    width: int = 64
    blocks: int = 5
    features: int = 64
    classes: int = 10
    normalised: bool = True
    bias: bool = True
    activation: str = "relu"

    def __post_init__(self) -> None:
        _check_activation(self.activation)

    @property
    def described(self) -> str:
        """The blocks in words."""
        return f"residual blocks {self.blocks} x {self.width}"

    def __call__(self, rngs: Any) -> Any:
        """The module, with random numbers of `rngs`."""
        from nctheory.networks._flax_modules import ResidualModule

        return ResidualModule(self, rngs)


@dataclasses.dataclass(frozen=True)
class Transformer:
    """A transformer that reads a sequence, with attention in both directions, and a head on the mean over positions.

    Each sample is a sequence of `length` vectors with `features` numbers (an image read by rows), or, where `vocabulary` is
    given, of `length` whole numbers below it. Positions are learned; norms stand before attention and before the two-layer
    network of each of `blocks`. Layers are what each block gives, averaged over the positions.

    >>> Transformer(width=16, blocks=2, heads=2).described
    'transformer 2 x 16, 2 heads'
    """

    width: int = 32
    blocks: int = 2
    heads: int = 4
    length: int = 8
    features: int = 8
    vocabulary: int | None = None
    classes: int = 10

    def __post_init__(self) -> None:
        if whole_number("width", self.width) % whole_number("heads", self.heads):
            raise ValueError(f"heads: expected a divisor of the width {self.width}, got {self.heads}")

    @property
    def described(self) -> str:
        """The blocks in words."""
        return f"transformer {self.blocks} x {self.width}, {self.heads} heads"

    def __call__(self, rngs: Any) -> Any:
        """The module, with random numbers of `rngs`."""
        from nctheory.networks._flax_modules import TransformerModule

        return TransformerModule(self, rngs)


MODELS = ("convolutions", "mlp", "residual", "transformer")


def model_for(
    name: str, data: Data, widths: Sequence[int], linear: int = 1, activation: str = "relu"
) -> tuple[Data, Any]:
    """A model of `MODELS` other than "mlp" for these data, and the data in the shape that it reads.

    `widths` are the channels of convolutions; of residual blocks and of a transformer there are as many as widths, which are
    all the same. `activation` is that of convolutions and of residual blocks. Samples of one axis are read as a square image,
    by its rows where the model reads sequences. Raises ValueError, naming the argument.

    >>> import nctheory as nct
    >>> mixture = nct.networks.gaussian_mixture(counts=(2, 2), dim=9, spread=0.1)
    >>> shaped, make = model_for("transformer", mixture, (8, 8))
    >>> shaped.inputs.shape, make.described
    ((4, 3, 3), 'transformer 2 x 8, 4 heads')
    """
    sizes = [whole_number("widths", width) for width in widths]
    sample = data.inputs.shape[1:]
    if name == "residual":
        _check_equal(sizes)
        return data, ResidualMLP(sizes[0], len(sizes), math.prod(sample), data.classes, activation=activation)
    if name not in MODELS or name == "mlp":
        raise ValueError(f"name: expected one of {', '.join(MODELS)}, got {name!r}")
    side = math.isqrt(math.prod(sample))
    image = sample if len(sample) > 1 else (side, side)
    if math.prod(image) != math.prod(sample):
        raise ValueError(f"data: expected images for {name}, or a square number of numbers a sample, got {sample}")
    shaped = data.shaped(*image)
    if name == "convolutions":
        return shaped, ConvNet(tuple(sizes), linear, image, data.classes, activation=activation)
    _check_equal(sizes)
    if len(image) != 2:
        raise ValueError(f"data: expected sequences of vectors, length x features, for a transformer, got {sample}")
    return shaped, Transformer(sizes[0], len(sizes), length=image[0], features=image[1], classes=data.classes)


def _check_activation(name: str) -> None:
    if name not in ACTIVATIONS:
        raise ValueError(f"activation: expected one of {', '.join(ACTIVATIONS)}, got {name!r}")


def _check_equal(sizes: list[int]) -> None:
    if len(set(sizes)) != 1:
        raise ValueError(f"widths: expected the same width for every block, got {', '.join(map(str, sizes))}")
