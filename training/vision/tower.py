"""The tower and projector in PyTorch, as `llm_core.vision.tower` and `projectors/ldpv2.py` compute them, and the heads
that teach them before a language model does.

The tower begins as a convolutional network would: its first rows of weights are the principal components of patches,
positions are sines and cosines in values of their own, and the heads of the first layers look at one neighbour each.
All of it is learned further.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from training.vision.data import CELL_CLASSES, NONE, PLACES, WHOLE_CLASSES

# Where the six heads of a layer look at first, in patches right and down; None: anywhere.
NEIGHBOURS = (
    ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1)),
    ((1, 0), (-1, 0), (0, 1), (0, -1), (1, -1), (-1, 1)),
    ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1)),
    ((2, 0), (-2, 0), (0, 2), (0, -2), None, None),
    ((2, 0), (-2, 0), None, None, None, None),
    (None,) * 6,
)


@dataclass(frozen=True)
class TowerConfig:
    """Sizes in pixels and values."""

    image_size: int = 192
    patch_size: int = 12
    n_embd: int = 192
    n_ff: int = 768
    n_head: int = 6
    n_layer: int = 6
    hidden: int = 576  # of the projector
    width: int = 576  # of the language model
    eps: float = 1e-5

    @property
    def grid(self) -> int:
        """Patches along a side."""
        return self.image_size // self.patch_size


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
    """Pixels [n, 3, side, side] → features [n, patches, n_embd]. `where` int64 [n, patches] says which patches of a
    whole picture the pixels are, if they are a part of one."""

    def __init__(self, c: TowerConfig):
        super().__init__()
        self.config = c
        self.patch_embd = nn.Linear(3 * c.patch_size**2, c.n_embd)
        self.position_embd = nn.Parameter(torch.zeros(c.grid**2, c.n_embd))
        self.blk = nn.ModuleList(Layer(c) for _ in range(c.n_layer))
        with torch.no_grad():
            self._begin()

    def _begin(self) -> None:
        """Positions, and attention to neighbours."""
        c = self.config
        pairs = c.n_embd // c.n_head // 4  # frequencies along each side
        speeds = 0.22 * (2.2 / 0.22) ** (torch.arange(pairs) / (pairs - 1))
        rows, columns = (v.flatten().float() for v in torch.meshgrid(*[torch.arange(c.grid)] * 2, indexing="ij"))
        turns = torch.cat([columns[:, None] * speeds, rows[:, None] * speeds], 1)
        used = 4 * pairs
        self.position_embd[:, :used] = torch.stack([turns.cos(), turns.sin()], -1).flatten(1)
        for layer, places in zip(self.blk, NEIGHBOURS, strict=False):
            for part in (layer.attn_q, layer.attn_k, layer.attn_v, layer.attn_out):
                nn.init.normal_(part.weight, std=0.7 / math.sqrt(c.n_embd))
                nn.init.zeros_(part.bias)
            nn.init.normal_(layer.ffn_up.weight, std=1 / math.sqrt(c.n_embd))
            nn.init.normal_(layer.ffn_down.weight, std=0.5 / math.sqrt(c.n_ff))
            nn.init.zeros_(layer.ffn_up.bias)
            nn.init.zeros_(layer.ffn_down.bias)
            for head, place in enumerate(places):
                if place is None:
                    continue
                mine = slice(head * used, (head + 1) * used)
                layer.attn_q.weight[mine] *= 0.2
                layer.attn_k.weight[mine] *= 0.2
                shift = torch.cat([place[0] * speeds, place[1] * speeds])
                cos, sin = shift.cos(), shift.sin()
                q = layer.attn_q.weight[mine, :used]
                for i in range(2 * pairs):  # what is seen at column + 1 has turned on by speed
                    turn = torch.tensor([[cos[i], -sin[i]], [sin[i], cos[i]]])
                    q[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] += 2.4 * turn
                layer.attn_k.weight[mine, :used] += 2.4 * torch.eye(used)

    def begin_patches(self, patches: torch.Tensor) -> None:
        """The kernel of the first convolution: principal components of `patches` [n, 3 * patch * patch], whitened."""
        used = self.config.n_embd // self.config.n_head
        centred = patches - patches.mean(0)
        values, vectors = torch.linalg.eigh(centred.T @ centred / len(patches))
        wanted = self.config.n_embd - used
        scale = 1 / torch.sqrt(values[-wanted:].flip(0) + 0.05)
        with torch.no_grad():
            self.patch_embd.weight.zero_()
            self.patch_embd.weight[used:] = (vectors[:, -wanted:].flip(1) * scale).T
            self.patch_embd.bias.zero_()
            self.patch_embd.bias[used:] = -self.patch_embd.weight[used:] @ patches.mean(0)

    def forward(self, x: torch.Tensor, where: torch.Tensor | None = None) -> torch.Tensor:
        x = self.patch_embd(patches_of(x, self.config.patch_size))
        x = x + (self.position_embd if where is None else self.position_embd[where])
        for layer in self.blk:
            x = layer(x)
        return x


def patches_of(x: torch.Tensor, p: int) -> torch.Tensor:
    """[n, 3, high, wide] → [n, patches, 3 * p * p], colour by colour, row by row."""
    n, _, high, wide = x.shape
    return x.view(n, 3, high // p, p, wide // p, p).permute(0, 2, 4, 1, 3, 5).reshape(n, -1, 3 * p * p)


class Projector(nn.Module):
    """Features of a square of patches → embeddings of the language model, one for four patches."""

    def __init__(self, c: TowerConfig):
        super().__init__()
        self.mlp_0, self.mlp_2 = nn.Linear(c.n_embd, c.hidden), nn.Linear(c.hidden, c.width)
        self.peg_0 = nn.Conv2d(c.width, c.width, 3, padding=1, groups=c.width)
        nn.init.normal_(self.peg_0.weight, std=0.01)
        nn.init.zeros_(self.peg_0.bias)

    def scale(self, factor: float) -> None:
        """Make all embeddings longer by a factor."""
        for part in (self.mlp_2.weight, self.mlp_2.bias, self.peg_0.bias):
            part.data *= factor

    def pooled(self, x: torch.Tensor) -> torch.Tensor:
        """What the second layer gets, [n, embeddings, hidden]: means of the squares before it are those after it."""
        x = F.gelu(self.mlp_0(x))
        n, side = len(x), math.isqrt(x.shape[1])
        return x.view(n, side // 2, 2, side // 2, 2, -1).mean((2, 4)).flatten(1, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.mlp_2(self.pooled(x))
        side = math.isqrt(x.shape[1])
        x = x.unflatten(1, (side, side)).permute(0, 3, 1, 2)
        return (x + self.peg_0(x)).flatten(2).transpose(1, 2)


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
