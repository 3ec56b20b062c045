"""The flax modules behind `ConvNet`, `ResidualMLP` and `Transformer`, their forms; imported where one is made."""

from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax import Array

from nctheory.problems import ACTIVATIONS


class ConvModule(nnx.Module):
    """Convolutions, the mean over positions, linear layers."""

    def __init__(self, form: Any, rngs: Any) -> None:
        self.image, self.activation = form.image, form.activation
        depth = form.image[2] if len(form.image) == 3 else 1
        before = (depth, *form.channels[:-1])
        self.convolutions = nnx.List(
            nnx.Conv(
                low, up, kernel_size=(3, 3), strides=(1, 1) if i == 0 else (2, 2), use_bias=form.bias, rngs=rngs,
                kernel_init=nnx.initializers.he_normal(),
            )
            for i, (low, up) in enumerate(zip(before, form.channels, strict=True))
        )  # fmt: skip
        width = form.channels[-1]
        self.tail = nnx.List(nnx.Linear(width, width, use_bias=form.bias, rngs=rngs) for _ in range(form.linear - 1))
        self.head = nnx.Linear(width, form.classes, use_bias=form.bias, rngs=rngs)

    def __call__(self, x: Array) -> tuple[Array, ...]:
        """What each layer gives, the logits last."""
        found, reached = [], x if len(self.image) == 3 else x[..., None]
        activate: Any = ACTIVATIONS[self.activation]
        for convolution in self.convolutions:
            reached = activate(convolution(reached))
            found.append(reached)
        # The head sees the mean over the positions of the last convolution, which stands in its place among the layers.
        reached = jnp.mean(reached, axis=(1, 2))
        found[-1] = reached
        for layer in self.tail:
            reached = layer(reached)
            found.append(reached)
        return (*found, self.head(reached))


class ResidualBlock(nnx.Module):
    """h + W_2 sigma(W_1 norm(h))."""

    def __init__(self, form: Any, rngs: Any) -> None:
        self.activation = form.activation
        self.norm = nnx.LayerNorm(form.width, rngs=rngs) if form.normalised else None
        self.up = nnx.Linear(
            form.width, form.width, use_bias=form.bias, rngs=rngs, kernel_init=nnx.initializers.he_normal()
        )
        self.down = nnx.Linear(form.width, form.width, use_bias=form.bias, rngs=rngs)

    def entering(self, x: Array) -> Array:
        """What enters W_2, the kernel that writes into the stream."""
        seen = x if self.norm is None else self.norm(x)
        activate: Any = ACTIVATIONS[self.activation]
        return activate(self.up(seen))

    def __call__(self, x: Array) -> Array:
        """The block."""
        return x + self.down(self.entering(x))


class ResidualModule(nnx.Module):
    """A linear map, residual blocks, a head."""

    def __init__(self, form: Any, rngs: Any) -> None:
        self.embedding = nnx.Linear(form.features, form.width, use_bias=form.bias, rngs=rngs)
        self.blocks = nnx.List(ResidualBlock(form, rngs) for _ in range(form.blocks))
        self.head = nnx.Linear(form.width, form.classes, use_bias=form.bias, rngs=rngs)

    def __call__(self, x: Array) -> tuple[Array, ...]:
        """What each block gives, the logits last."""
        reached, found = self.embedding(x.reshape(x.shape[0], -1)), []
        for block in self.blocks:
            reached = block(reached)
            found.append(reached)
        return (*found, self.head(reached))

    def entering_writers(self, x: Array) -> tuple[Array, ...]:
        """What enters each kernel that writes into the stream, that of the embedding first."""
        flat = x.reshape(x.shape[0], -1)
        reached, found = self.embedding(flat), [flat]
        for block in self.blocks:
            found.append(block.entering(reached))
            reached = block(reached)
        return tuple(found)


def attention(query: Array, key: Array, value: Array, **options: Any) -> Array:
    r"""$\mathrm{softmax}(QK^\top/\sqrt d)\,V$ by head, batch x length x heads x d; flax's own takes it in single precision."""
    scores = jnp.einsum("bqhd,bkhd->bhqk", query, key) / query.shape[-1] ** 0.5
    return jnp.einsum("bhqk,bkhd->bqhd", nnx.softmax(scores, axis=-1), value)


class TransformerBlock(nnx.Module):
    """Attention and a two-layer network, each beside the identity and behind a norm."""

    def __init__(self, form: Any, rngs: Any) -> None:
        self.norm, self.second = (nnx.LayerNorm(form.width, rngs=rngs) for _ in range(2))
        weighted: Any = attention
        self.attention = nnx.MultiHeadAttention(form.heads, form.width, decode=False, attention_fn=weighted, rngs=rngs)
        self.up = nnx.Linear(form.width, 2 * form.width, rngs=rngs)
        self.down = nnx.Linear(2 * form.width, form.width, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        """The block."""
        x = x + self.attention(self.norm(x))
        return x + self.down(nnx.gelu(self.up(self.second(x))))

    def entering(self, x: Array) -> tuple[Array, Array]:
        """What enters the two kernels that write into the stream, at each position: attention's last one, and W_2."""
        seen = self.norm(x)
        query, key, value = (layer(seen) for layer in (self.attention.query, self.attention.key, self.attention.value))
        heads = attention(query, key, value)
        x = x + self.attention.out(heads)
        return heads.reshape(*x.shape[:2], -1), nnx.gelu(self.up(self.second(x)))


class TransformerModule(nnx.Module):
    """Vectors or tokens, learned positions, blocks, the mean over positions, a head."""

    def __init__(self, form: Any, rngs: Any) -> None:
        self.vocabulary = form.vocabulary
        self.embedding = nnx.Linear(form.vocabulary or form.features, form.width, rngs=rngs)
        self.positions = nnx.Param(0.1 * rngs.params.normal((form.length, form.width)))
        self.blocks = nnx.List(TransformerBlock(form, rngs) for _ in range(form.blocks))
        self.head = nnx.Linear(form.width, form.classes, rngs=rngs)

    def __call__(self, x: Array) -> tuple[Array, ...]:
        """The mean over positions of what each block gives, the logits last."""
        reached, found = self.embedding(self.vectors(x)) + self.positions[...], []
        for block in self.blocks:
            reached = block(reached)
            found.append(jnp.mean(reached, axis=1))
        return (*found, self.head(found[-1]))

    def vectors(self, x: Array) -> Array:
        """What enters the embedding at each position: the sample's vectors, or a 1 at each token's place."""
        return x if self.vocabulary is None else (x[..., None] == jnp.arange(self.vocabulary)).astype(x.dtype)

    def entering_writers(self, x: Array) -> tuple[Array, ...]:
        """The mean over positions of what enters each kernel that writes into the stream, that of the embedding first."""
        vectors = self.vectors(x)
        reached, found = self.embedding(vectors) + self.positions[...], [vectors]
        for block in self.blocks:
            found.extend(block.entering(reached))
            reached = block(reached)
        return tuple(jnp.mean(one, axis=1) for one in found)
