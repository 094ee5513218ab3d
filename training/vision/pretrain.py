"""Stage A: the tower learns what is where, from the renderer's masks: `python -m training.vision.pretrain DATA OUT`.

Continues from OUT/tower.pt if that is there. Loss and accuracies go to OUT/tower.csv.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from pathlib import Path

import numpy as np
import torch

from training.vision.data import CELL_LABELS, Pictures, jittered, load, mirrored, pixels
from training.vision.tower import Heads, Tower, TowerConfig, heads_loss


def batch(data: Pictures, chosen: np.ndarray, rng: np.random.Generator):
    """(images, cells, places, whole, which are mirrored), each second picture mirrored."""
    flip = rng.random(len(chosen)) < 0.5
    images, cells, places = [], [], []
    for i, turn in zip(chosen, flip, strict=True):
        images.append(data.images[i, :, ::-1] if turn else data.images[i])
        c, p = data.cells[i], data.places[i]
        c, p = mirrored(c, p, len(data.facts[i].things)) if turn else (c, p)
        cells.append(c)
        places.append(p)
    tensors = (torch.from_numpy(np.stack(v)) for v in (cells, places, data.whole[chosen]))
    return pixels(np.stack(images)), *tensors, flip


def rate(step: int, steps: int, top: float, warm: int = 100) -> float:
    """Linear up, cosine down."""
    return top * min(1.0, (step + 1) / warm) * (0.5 + 0.5 * math.cos(math.pi * min(1.0, step / steps)))


def groups(*modules: torch.nn.Module) -> list[dict]:
    """Matrices decay, the rest does not."""
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": 0.05},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]


def save(path: Path, state: dict) -> None:
    """Write a checkpoint that is whole or not there."""
    torch.save(state, path.with_suffix(".tmp"))
    os.replace(path.with_suffix(".tmp"), path)


@torch.no_grad()
def check(tower: Tower, heads: Heads, data: Pictures) -> tuple[float, dict]:
    """Loss and accuracies on pictures that are not trained on."""
    losses, rights = [], []
    for at in range(0, len(data), 100):
        part = slice(at, at + 100)
        found = heads(tower(pixels(data.images[part])))
        loss, right = heads_loss(found, *(torch.from_numpy(v[part]) for v in (data.cells, data.places, data.whole)))
        losses.append(float(loss))
        rights.append(right)
    return float(np.mean(losses)), {k: float(np.mean([r[k] for r in rights if k in r])) for k in rights[0]}


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=1e9, help="end after so many, with the rate brought down")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--minimum", type=int, default=0, help="wait until there are so many pictures")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    config = TowerConfig()
    tower, heads = Tower(config), Heads(config)
    optimizer = torch.optim.AdamW(groups(tower, heads), lr=args.rate, betas=(0.9, 0.98))
    path, step = args.out / "tower.pt", 0
    if path.exists():
        state = torch.load(path)
        tower.load_state_dict(state["tower"])
        heads.load_state_dict(state["heads"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
    valid = load(args.data / "valid")
    data = load(args.data / "train", minimum=args.minimum)
    print(f"{len(data)} pictures, from step {step}", flush=True)
    began, first, total = time.time(), step, 0.0
    steps = args.steps
    while step < steps:
        rng = np.random.default_rng([args.seed, step])
        chosen = rng.integers(len(data), size=args.batch)
        images, cells, places, whole, _ = batch(data, chosen, rng)
        generator = torch.Generator().manual_seed(step)
        found = heads(tower(jittered(images, generator)))
        loss, _ = heads_loss(found, cells, places, whole)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*tower.parameters(), *heads.parameters()], 1.0)
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps, args.rate)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        total += float(loss.detach())
        step += 1
        if step % 50 == 0 or step >= steps:
            spent = time.time() - began
            if step - first == 100 and args.minutes < 1e9:  # as many steps as there is time for
                steps = min(steps, int(first + args.minutes * 60 / spent * 100))
                print(f"{steps} steps", flush=True)
            line = f"{step},{total / 50:.4f},{spent:.0f}"
            total = 0.0
            if step % 100 == 0 or step >= steps:
                loss, right = check(tower, heads, valid)
                line += f",{loss:.4f}," + " ".join(
                    f"{CELL_LABELS[k] if isinstance(k, int) else k}={v:.2f}" for k, v in right.items()
                )
                save(path, {"tower": tower.state_dict(), "heads": heads.state_dict(), "step": step,
                            "optimizer": optimizer.state_dict(), "config": config.__dict__})  # fmt: skip
                fresh = len(list((args.data / "train").glob("*.npz"))) * 250
                if fresh > len(data) * 1.2:
                    data = load(args.data / "train")
                    line += f",{len(data)} pictures"
            with open(args.out / "tower.csv", "a") as log:
                log.write(line + "\n")
            print(line, flush=True)


if __name__ == "__main__":
    main()
