"""The tower and projector in PyTorch, as `llm_core.vision` computes them (`convolution.py`, `tower.py`,
`projectors/conv_mlp.py`), and the heads that teach them before a language model does.

Small things' shapes are in details of a few pixels, which convolutions learn sooner than attention: stages of them
(after ConvNeXt, Liu et al., 2022) make one row of features for each square of 24 × 24 pixels, then the layers of a
transformer compare those with each other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from training.vision.data import CELL_CLASSES, NONE, PLACES, WHOLE_CLASSES


@dataclass(frozen=True)
class TowerConfig:
    """Sizes in pixels and values. `stages`: width and blocks of each, and how many rows of the side become one after
    it."""

    image_size: int = 192
    patch_size: int = 4
    stages: tuple[tuple[int, int, int], ...] = ((64, 2, 2), (128, 6, 3))
    n_embd: int = 256
    n_ff: int = 1024
    n_head: int = 8
    n_layer: int = 3
    hidden: int = 384  # of the projector
    width: int = 576  # of the language model
    eps: float = 1e-5

    @property
    def cells(self) -> int:
        """Rows of features along a side."""
        return self.image_size // self.patch_size // math.prod(merge for _, _, merge in self.stages)


class Block(nn.Module):
    """x += ffn(norm(convolution(x))), rows in a square [n, side, side, width]."""

    def __init__(self, width: int, eps: float):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.ln = nn.LayerNorm(width, eps)
        self.ffn_up, self.ffn_down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        nn.init.zeros_(self.conv.bias)
        nn.init.normal_(self.ffn_up.weight, std=1 / math.sqrt(width))
        nn.init.zeros_(self.ffn_up.bias)
        nn.init.normal_(self.ffn_down.weight, std=0.3 / math.sqrt(4 * width))
        nn.init.zeros_(self.ffn_down.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return x + self.ffn_down(F.relu(self.ffn_up(self.ln(h))))


class Stage(nn.Module):
    """Blocks, then squares of rows side by side, made narrower."""

    def __init__(self, width: int, blocks: int, merge: int, after: int, eps: float):
        super().__init__()
        self.factor = merge
        self.blk = nn.ModuleList(Block(width, eps) for _ in range(blocks))
        self.ln = nn.LayerNorm(width, eps)
        self.merge = nn.Linear(merge * merge * width, after)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blk:
            x = block(x)
        n, side, m = len(x), x.shape[1] // self.factor, self.factor
        x = self.ln(x).view(n, side, m, side, m, -1).permute(0, 1, 3, 2, 4, 5)
        return self.merge(x.reshape(n, side, side, -1))


class Layer(nn.Module):
    """x += attention(norm(x)); x += ffn(norm(x))"""

    def __init__(self, c: TowerConfig):
        super().__init__()
        self.n_head = c.n_head
        self.ln1, self.ln2 = nn.LayerNorm(c.n_embd, c.eps), nn.LayerNorm(c.n_embd, c.eps)
        self.attn_q, self.attn_k, self.attn_v, self.attn_out = (nn.Linear(c.n_embd, c.n_embd) for _ in range(4))
        self.ffn_up, self.ffn_down = nn.Linear(c.n_embd, c.n_ff), nn.Linear(c.n_ff, c.n_embd)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.ln1(x)
        heads = (*h.shape[:2], self.n_head, -1)
        q, k, v = (linear(h).view(heads).transpose(1, 2) for linear in (self.attn_q, self.attn_k, self.attn_v))
        h = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + self.attn_out(h)
        return x + self.ffn_down(F.gelu(self.ffn_up(self.ln2(x)), approximate="tanh"))


class Tower(nn.Module):
    """Pixels [n, 3, side, side] → features [n, cells, n_embd]."""

    def __init__(self, c: TowerConfig):
        super().__init__()
        self.config = c
        widths = [width for width, _, _ in c.stages] + [c.n_embd]
        self.patch_embd = nn.Linear(3 * c.patch_size**2, widths[0])
        self.stage = nn.ModuleList(
            Stage(width, blocks, merge, after, c.eps)
            for (width, blocks, merge), after in zip(c.stages, widths[1:], strict=True)
        )
        self.position_embd = nn.Parameter(0.02 * torch.randn(c.cells**2, c.n_embd))
        self.blk = nn.ModuleList(Layer(c) for _ in range(c.n_layer))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        side = x.shape[-1] // self.config.patch_size
        x = self.patch_embd(patches_of(x, self.config.patch_size)).unflatten(1, (side, side))
        for stage in self.stage:
            x = stage(x)
        x = x.flatten(1, 2) + self.position_embd
        for layer in self.blk:
            x = layer(x)
        return x


def patches_of(x: torch.Tensor, p: int) -> torch.Tensor:
    """[n, 3, high, wide] → [n, patches, 3 * p * p], colour by colour, row by row."""
    n, _, high, wide = x.shape
    return x.view(n, 3, high // p, p, wide // p, p).permute(0, 2, 4, 1, 3, 5).reshape(n, -1, 3 * p * p)


class Projector(nn.Module):
    """Features → embeddings of the language model, one for each: linear(gelu(linear(x)))."""

    def __init__(self, c: TowerConfig):
        super().__init__()
        self.mlp_0, self.mlp_2 = nn.Linear(c.n_embd, c.hidden), nn.Linear(c.hidden, c.width)

    def pooled(self, x: torch.Tensor) -> torch.Tensor:
        """What the second layer gets, [n, embeddings, hidden]."""
        return F.gelu(self.mlp_0(x))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.mlp_2(self.pooled(x))


class Heads(nn.Module):
    """What each cell and the whole picture are asked of the embeddings; thrown away after training."""

    def __init__(self, c: TowerConfig):
        super().__init__()
        self.norm = nn.LayerNorm(c.width)
        self.cell = nn.Linear(c.width, sum(CELL_CLASSES) + PLACES)
        self.whole = nn.Sequential(nn.Linear(c.width, c.n_embd), nn.GELU(), nn.Linear(c.n_embd, sum(WHOLE_CLASSES)))

    def forward(self, embeddings: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.norm(embeddings)
        return self.cell(x), self.whole(x.mean(1))


EMPTY = {0: 0.15, 1: 0.15, 2: 0.05, 3: 0.05}  # weights of "nothing", which most cells show
SHARES = {0: 2.0, 2: 2.0}  # of labels in the loss; others count once


def heads_loss(
    found, cells: torch.Tensor, places: torch.Tensor, whole: torch.Tensor | None
) -> tuple[torch.Tensor, dict]:
    """The loss of the heads' output, and how much is right. whole: None for parts of pictures, whose cells do not tell
    what the rest holds."""
    per_cell, per_whole = found
    at, loss, right = 0, 0.0, {}
    for i, n in enumerate(CELL_CLASSES):
        logits, wanted = per_cell[..., at : at + n].flatten(0, 1), cells[..., i].flatten().long()
        at += n
        known = wanted != NONE
        if known.any():
            logits, wanted = logits[known], wanted[known]
            weight = None
            if i in EMPTY:
                weight = torch.ones(n)
                weight[-1] = EMPTY[i]
            loss = loss + SHARES.get(i, 1.0) * F.cross_entropy(logits, wanted, weight)
            busy = wanted < n - 1 if i in EMPTY else wanted >= 0
            right[i] = (logits.argmax(-1) == wanted)[busy].float().mean().item() if busy.any() else 1.0
    centred = cells[..., 2] < CELL_CLASSES[2] - 1
    loss = loss + 2 * F.smooth_l1_loss(per_cell[..., at:][centred], places[centred]) if centred.any() else loss
    if whole is None:
        return loss, right
    at, parts = 0, []
    for i, n in enumerate(WHOLE_CLASSES):
        logits, wanted = per_whole[:, at : at + n], whole[:, i].long()
        at += n
        parts.append(F.cross_entropy(logits, wanted))
        right[f"w{i}"] = (logits.argmax(-1) == wanted).float().mean().item()
    return loss + 0.3 * torch.stack(parts).sum(), right
