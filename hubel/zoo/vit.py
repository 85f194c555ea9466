"""Vision Transformer. Dosovitskiy et al. 2020, "An image is worth 16x16 words", equations 1 to 4, in the size "tiny" of
Touvron et al. 2021, "Training data-efficient image transformers", Table 1: 12 blocks, 3 heads of 64 numbers each.

A picture is cut into patches; each becomes a token by one linear map, a class token stands in front, and each place
adds its own learnt vector. Blocks: z += attention(norm(z)); z += MLP(norm(z)). The normed class token gives the logits.
Layer names are those of public weights (DeiT, without its distillation token).

Differs from the papers in two places: no dropout and no dropped branches; where no patch size is given
it follows the picture (16 from 128 pixels on, 8 from 64, else 4), so that small pictures too are many tokens.
Initialisation: truncated normal with deviation 0.02, zero biases; the patches' map keeps PyTorch's.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hubel.errors import InputError, ShapeError
from hubel.zoo.sizes import picture


class Attention(nn.Module):
    """Each token asks all others, in several heads: (N, L, D) -> (N, L, D). Dosovitskiy et al., appendix A."""

    def __init__(self, heads: int, per_head: int) -> None:
        super().__init__()
        self.heads, self.per_head, width = heads, per_head, heads * per_head
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(x).reshape(x.shape[0], -1, 3, self.heads, self.per_head)  # (N, L, 3, heads, E)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (N, heads, L, E) each
        y = F.scaled_dot_product_attention(q, k, v)  # (N, heads, L, E)
        return self.proj(y.transpose(1, 2).flatten(2))  # (N, L, D)


class MLP(nn.Module):
    """Linear, GELU, linear, on each token by itself; four times as wide between."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.act, self.fc2 = nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


class Block(nn.Module):
    """Equations 2 and 3."""

    def __init__(self, heads: int, per_head: int) -> None:
        super().__init__()
        width = heads * per_head
        self.norm1, self.attn = nn.LayerNorm(width, eps=1e-6), Attention(heads, per_head)
        self.norm2, self.mlp = nn.LayerNorm(width, eps=1e-6), MLP(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Patches(nn.Module):
    """Equation 1: (N, C, H, W) -> (N, H W / patch², D), one token for each square of the picture."""

    def __init__(self, channels: int, width: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, width, patch, patch)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x).flatten(2).transpose(1, 2)


class ViT(nn.Module):
    """patch: side of a token's square in pixels, by the size of the picture where None;  depth: blocks

    heads: of 64 numbers: 3 is tiny, 6 small, 12 base;  per_head: numbers of each head
    """

    def __init__(
        self, classes: int = 1000, input: Sequence[int] = (3, 224, 224), patch: int | None = None, depth: int = 12,  # noqa: A002
        heads: int = 3, per_head: int = 64,
    ) -> None:  # fmt: skip
        super().__init__()
        channels, height, width = picture(input)
        least = min(height, width)
        patch = patch or (16 if least >= 128 else 8 if least >= 64 else 4)
        if min(patch, depth, heads, per_head) < 1:
            raise InputError(
                f"patch, depth, heads and per_head are counts from 1 on, got {patch}, {depth}, {heads} and {per_head}"
            )
        if height % patch or width % patch:
            up = [-(-side // patch) * patch for side in (height, width)]
            raise ShapeError(
                f"patches of {patch}x{patch} do not cut {height}x{width} evenly; "
                f"take --input {up[0]}x{up[1]}, or another --arg patch=…"
            )
        tokens, each = (height // patch) * (width // patch), heads * per_head
        self.patch_embed = Patches(channels, each, patch)  # (N, 196, 192)
        self.cls_token = nn.Parameter(torch.empty(1, 1, each))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + tokens, each))  # (1, 197, 192)
        self.blocks = nn.Sequential(*(Block(heads, per_head) for _ in range(depth)))
        self.norm = nn.LayerNorm(each, eps=1e-6)
        self.head = nn.Linear(each, classes)
        for parameter in (self.cls_token, self.pos_embed):
            nn.init.trunc_normal_(parameter, std=0.02)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], 1) + self.pos_embed
        return self.head(self.norm(self.blocks(x))[:, 0])
