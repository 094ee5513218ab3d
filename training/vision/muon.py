"""Muon (Jordan et al., 2024): a matrix moves along its momentum with all singular values made alike, by a few products
instead of a decomposition. Everything else is AdamW's."""

from __future__ import annotations

import torch

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ROUNDS = 5


def evened(g: torch.Tensor) -> torch.Tensor:
    """The matrix with singular values near 1 and the same directions (Newton and Schulz, fifth order)."""
    a, b, c = COEFFICIENTS
    tall = g.shape[0] > g.shape[1]
    x = (g.T if tall else g) / (g.norm() + 1e-7)
    for _ in range(ROUNDS):
        s = x @ x.T
        x = a * x + (b * s + c * s @ s) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """For matrices [out, in]; `lr` is the length of a step in spectral norm (times the root of out / in, if tall)."""

    def __init__(self, parameters, lr: float = 0.02, momentum: float = 0.95, weight_decay: float = 0.01):
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:
        """Move."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                moved = self.state[p].setdefault("momentum", torch.zeros_like(p))
                moved.lerp_(p.grad, 1 - group["momentum"])
                step = evened(p.grad.lerp(moved, group["momentum"]))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(step, alpha=-group["lr"] * max(1.0, p.shape[0] / p.shape[1]) ** 0.5)
