"""Small modules on tokens and sequences, with the groups that their units form."""

from __future__ import annotations

import torch
from module_zoo import Block, Case
from torch import Tensor, nn
from torch.nn import functional


def hand_written_attention() -> nn.Module:
    """One projection for queries, keys and values; heads by reshape, softmax of a product."""

    def forward(m: nn.Module, x: Tensor) -> Tensor:
        b, t, _ = x.shape
        qkv = m.qkv(x).reshape(b, t, 3, 3, 4).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        scores = (q @ k.transpose(-2, -1)) * 0.5
        scores = scores.masked_fill(torch.ones(t, t).triu(1).bool(), float("-inf"))
        return m.proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(b, t, 12))

    return Block(forward, qkv=nn.Linear(5, 36), proj=nn.Linear(12, 2))


def fused_attention() -> nn.Module:
    """Separate projections and torch's own attention, on a normalized stream."""

    def forward(m: nn.Module, x: Tensor) -> Tensor:
        x = m.stem(x)
        y = m.norm(x)
        q, k, v = (layer(y).unflatten(-1, (2, 3)).transpose(1, 2) for layer in (m.q, m.k, m.v))
        x = x + m.proj(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return m.head(x)

    return Block(
        forward,
        **{"stem": nn.Linear(3, 5), "norm": nn.LayerNorm(5), "q": nn.Linear(5, 6), "k": nn.Linear(5, 6)},
        **{"v": nn.Linear(5, 6), "proj": nn.Linear(6, 5), "head": nn.Linear(5, 2)},
    )


def library_attention() -> nn.Module:
    """``nn.MultiheadAttention``."""

    def forward(m: nn.Module, x: Tensor) -> Tensor:
        x = m.stem(x)
        return m.head(m.attention(x, x, x)[0])

    attention = nn.MultiheadAttention(6, 3, batch_first=True)
    return Block(forward, stem=nn.Linear(4, 6), attention=attention, head=nn.Linear(6, 2))


def encoder() -> nn.Module:
    """A table of tokens and positions, two encoder layers, a class token, and the table again as head."""

    def forward(m: nn.Module, x: Tensor) -> Tensor:
        x = m.tokens(x) + m.positions
        x = torch.cat([m.first.expand(x.shape[0], -1, -1), x], 1)
        return functional.linear(m.layers(x)[:, 0], m.tokens.weight)

    layer = nn.TransformerEncoderLayer(6, 2, 5, norm_first=True, batch_first=True)
    return Block(
        forward,
        **{"tokens": nn.Embedding(7, 6), "positions": nn.Parameter(torch.randn(1, 4, 6))},
        **{
            "first": nn.Parameter(torch.randn(1, 1, 6)),
            "layers": nn.TransformerEncoder(layer, 2, enable_nested_tensor=False),
        },
    )


def decoder() -> nn.Module:
    """A decoder layer that reads another stream, by the same columns of one weight as its own."""

    def forward(m: nn.Module, x: Tensor) -> Tensor:
        return m.head(m.decoder(m.stem(x), m.other(x)))

    return Block(
        forward,
        **{"stem": nn.Linear(4, 6), "other": nn.Linear(4, 6), "head": nn.Linear(6, 2)},
        decoder=nn.TransformerDecoderLayer(6, 2, 5, batch_first=True),
    )


def recurrent() -> nn.Module:
    """Two layers of LSTM, then a GRU of which the last state is read."""

    def forward(m: nn.Module, x: Tensor) -> Tensor:
        return m.head(m.gru(m.lstm(x)[0])[1][-1])

    lstm = nn.LSTM(3, 4, num_layers=2, batch_first=True)
    return Block(forward, lstm=lstm, gru=nn.GRU(4, 5, batch_first=True), head=nn.Linear(5, 2))


def both_directions() -> nn.Module:
    """An LSTM that runs both ways; its two states lie one after the other."""

    def forward(m: nn.Module, x: Tensor) -> Tensor:
        return m.head(m.lstm(x)[0])

    return Block(forward, lstm=nn.LSTM(3, 4, bidirectional=True, batch_first=True), head=nn.Linear(8, 2))


def rotary() -> nn.Module:
    """Queries and keys turned by their position: whole heads move, halves of a head do not."""

    def turned(m: nn.Module, x: Tensor) -> Tensor:
        half = torch.cat((-x[..., 2:], x[..., :2]), -1)
        return x * m.cos + half * m.sin

    def forward(m: nn.Module, x: Tensor) -> Tensor:
        b, t, _ = x.shape
        q, k, v = (layer(x).view(b, t, 3, 4).transpose(1, 2) for layer in (m.q, m.k, m.v))
        scores = torch.einsum("bhqd,bhkd->bhqk", turned(m, q), turned(m, k)).softmax(-1)
        return m.proj(torch.einsum("bhqk,bhkd->bqhd", scores, v).reshape(b, t, 12))

    angles = torch.outer(torch.arange(5.0), torch.tensor([1.0, 0.1])).repeat(1, 2)
    return Block(
        forward,
        **{"q": nn.Linear(3, 12), "k": nn.Linear(3, 12), "v": nn.Linear(3, 12), "proj": nn.Linear(12, 2)},
        **{"cos": angles.cos(), "sin": angles.sin()},
    )


def bilinear_scores() -> nn.Module:
    """Features of two layers meet in an inner product, a bilinear form, and a row norm."""

    def forward(m: nn.Module, x: Tensor) -> Tensor:
        a, b = functional.normalize(m.a(x), dim=-1), m.b(x)
        return torch.cat([(a * b).sum(-1, keepdim=True), m.form(a, m.c(x))], 1)

    return Block(forward, a=nn.Linear(3, 4), b=nn.Linear(3, 4), c=nn.Linear(3, 5), form=nn.Bilinear(4, 5, 2))


def multi_scale_sequence() -> nn.Module:
    """Dilated causal convolutions in time with gates, as of one layer cut in two."""

    def forward(m: nn.Module, x: Tensor) -> Tensor:
        x = m.stem(x)
        a, b = m.conv(functional.pad(x, (2, 0))).split(4, dim=1)
        return m.head(x + m.out(a.tanh() * b.sigmoid()))[..., -1]

    return Block(
        forward,
        **{"stem": nn.Conv1d(2, 5, 1), "conv": nn.Conv1d(5, 8, 2, dilation=2), "out": nn.Conv1d(4, 5, 1)},
        head=nn.Conv1d(5, 3, 1),
    )


SEQUENCES: dict[str, Case] = {
    "hand_written_attention": Case(hand_written_attention, (4, 5), {"qkv": 3}, frozenset({("qkv.bias", 0)})),
    "fused_attention": Case(fused_attention, (4, 3), {"stem": 5, "q": 2}, frozenset({("k.bias", 0)})),
    "library_attention": Case(
        library_attention,
        (4, 4),
        {"stem": 6, "attention": 3, "attention.out_proj": 6},
        frozenset({("attention.in_proj_bias", 0)}),
    ),
    "encoder": Case(
        encoder,
        (4,),
        {"tokens": 6, "layers.layers.0.self_attn": 2, "layers.layers.0.linear1": 5}
        | {"layers.layers.1.self_attn": 2, "layers.layers.1.linear1": 5},
        frozenset((f"layers.layers.{k}.self_attn.in_proj_bias", 0) for k in range(2)),
        num_tokens=7,
    ),
    "decoder": Case(
        decoder,
        (4, 4),
        {"stem": 6, "decoder.self_attn": 2, "decoder.multihead_attn": 2, "decoder.linear1": 5},
        frozenset((f"decoder.{kind}.in_proj_bias", 0) for kind in ("self_attn", "multihead_attn")),
    ),
    "recurrent": Case(recurrent, (3, 3), {"lstm": 4, "lstm#1": 4, "gru": 5}),
    "both_directions": Case(both_directions, (3, 3), {"lstm": 4, "lstm#1": 4}),
    "rotary": Case(rotary, (5, 3), {"q": 3}),
    "bilinear_scores": Case(bilinear_scores, (3,), {"a": 4, "c": 5}),
    "multi_scale_sequence": Case(multi_scale_sequence, (2, 6), {"stem": 5, "conv": 4}),
}
