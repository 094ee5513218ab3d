"""The tower and projector in PyTorch, as `llm_core.vision.tower` and `projectors/mlp.py` compute them, and the heads
that teach the tower before a language model does."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from training.vision.data import CELL_CLASSES, NONE, PLACES, WHOLE_CLASSES


@dataclass(frozen=True)
class TowerConfig:
    """Sizes in pixels and values."""

    image_size: int = 192
    patch_size: int = 24
    n_embd: int = 256
    n_ff: int = 1024
    n_head: int = 4
    n_layer: int = 6
    hidden: int = 768  # of the projector
    width: int = 576  # of the language model
    eps: float = 1e-5


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
    """Pixels [n, 3, side, side] → features [n, patches, n_embd]."""

    def __init__(self, c: TowerConfig):
        super().__init__()
        self.config = c
        self.patch_embd = nn.Linear(3 * c.patch_size**2, c.n_embd)
        self.position_embd = nn.Parameter(torch.randn((c.image_size // c.patch_size) ** 2, c.n_embd) * 0.02)
        self.blk = nn.ModuleList(Layer(c) for _ in range(c.n_layer))
        for layer in self.blk:
            nn.init.normal_(layer.attn_out.weight, std=0.02)
            nn.init.normal_(layer.ffn_down.weight, std=0.02)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        p = self.config.patch_size
        n, _, side, _ = x.shape
        x = x.view(n, 3, side // p, p, side // p, p).permute(0, 2, 4, 1, 3, 5).reshape(n, -1, 3 * p * p)
        x = self.patch_embd(x) + self.position_embd
        for layer in self.blk:
            x = layer(x)
        return x


class Projector(nn.Module):
    """Features → embeddings of the language model."""

    def __init__(self, c: TowerConfig):
        super().__init__()
        self.mm_0, self.mm_2 = nn.Linear(c.n_embd, c.hidden), nn.Linear(c.hidden, c.width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.mm_2(F.gelu(self.mm_0(x)))


class Heads(nn.Module):
    """What each cell and the whole picture are asked of the features; thrown away after training."""

    def __init__(self, c: TowerConfig):
        super().__init__()
        self.norm = nn.LayerNorm(c.n_embd)
        self.cell = nn.Linear(c.n_embd, sum(CELL_CLASSES) + PLACES)
        self.whole = nn.Sequential(nn.Linear(c.n_embd, c.n_embd), nn.GELU(), nn.Linear(c.n_embd, sum(WHOLE_CLASSES)))

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.norm(features)
        return self.cell(x).float(), self.whole(x.mean(1)).float()


def heads_loss(found, cells: torch.Tensor, places: torch.Tensor, whole: torch.Tensor) -> tuple[torch.Tensor, dict]:
    """The loss of the heads' output, and how much is right."""
    per_cell, per_whole = found
    at, loss, right = 0, 0.0, {}
    for i, n in enumerate(CELL_CLASSES):
        logits, wanted = per_cell[..., at : at + n].flatten(0, 1), cells[..., i].flatten().long()
        at += n
        known = wanted != NONE
        if known.any():
            logits, wanted = logits[known], wanted[known]
            weight = None
            if i in (0, 1, 2):  # most cells are empty
                weight = torch.ones(n)
                weight[-1] = 0.3
            loss = loss + F.cross_entropy(logits, wanted, weight)
            busy = wanted < n - 1 if i in (0, 1, 2) else wanted >= 0
            right[i] = (logits.argmax(-1) == wanted)[busy].float().mean().item() if busy.any() else 1.0
    centred = cells[..., 2] < CELL_CLASSES[2] - 1
    loss = loss + 2 * F.smooth_l1_loss(per_cell[..., at:][centred], places[centred]) if centred.any() else loss
    at, parts = 0, []
    for i, n in enumerate(WHOLE_CLASSES):
        logits, wanted = per_whole[:, at : at + n], whole[:, i].long()
        at += n
        parts.append(F.cross_entropy(logits, wanted))
        right[f"w{i}"] = (logits.argmax(-1) == wanted).float().mean().item()
    return loss + 0.3 * torch.stack(parts).sum(), right
