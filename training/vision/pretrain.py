"""Stage A: the tower learns what is where, from the renderer's masks: `python -m training.vision.pretrain DATA OUT`.

Continues from OUT/tower.pt if that is there. Loss and accuracies go to OUT/tower.csv.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
import torch

from llm_ros.sim.scene import COLOURS, SHAPES
from training.vision.data import CELL_LABELS, NONE, Pictures, jittered, load, pixels
from training.vision.muon import Muon
from training.vision.tower import Heads, Projector, Tower, TowerConfig, heads_loss


def batch(data: Pictures, chosen: np.ndarray, rng: np.random.Generator):
    """(images, cells, places, whole, which are mirrored), each second picture mirrored."""
    flip = rng.random(len(chosen)) < 0.5
    turns = zip(chosen, flip, strict=True)
    images = pixels(np.stack([data.images[i, :, ::-1] if turn else data.images[i] for i, turn in turns]))
    return images, *(torch.from_numpy(v) for v in data.labels(chosen, flip)), flip


COLOURED = [CELL_LABELS.index(k) for k in ("part_colour", "colour", "same_colour", "below")]
WHOLE_COLOURS = slice(1 + len(SHAPES), 1 + len(SHAPES) + len(COLOURS))


def recoloured(
    images: torch.Tensor, cells: torch.Tensor, whole: torch.Tensor, rng: np.random.Generator, share: float = 0.5
) -> np.ndarray:
    """Put mixtures of their red, green and blue in the places of these, in a share of the pictures, which lose their
    labels of colours; bool [n], in which. So a shape is one in colours that training never gives it."""
    which = rng.random(len(images)) < share
    for i in np.flatnonzero(which):
        mixture = torch.from_numpy(rng.dirichlet([0.3, 0.3, 0.3], 3).astype(np.float32))
        images[i] = torch.einsum("oc,cyx->oyx", mixture, images[i])
        cells[i, :, COLOURED] = NONE
        whole[i, WHOLE_COLOURS] = NONE
    return which


def rate(done: float, warm: float = 0.02) -> float:
    """Part of the top rate at a part of the training: linear up, level, and linear down over the last half."""
    return min(1.0, done / warm + 0.01, 2 * (1 - done) + 0.005)


def optimizers_of(modules: dict[str, torch.nn.Module], top: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of tower and projector, AdamW for the rest, of which matrices decay."""
    named = [(name, *pair) for name, module in modules.items() for pair in module.named_parameters()]
    even = [p for name, key, p in named if name != "heads" and key.endswith(".weight") and p.dim() == 2]
    rest = [p for _, _, p in named if not any(p is other for other in even)]
    groups = [
        {"params": [p for p in rest if p.dim() > 1], "weight_decay": 0.05},
        {"params": [p for p in rest if p.dim() < 2], "weight_decay": 0.0},
    ]
    return [Muon(even, lr=top), torch.optim.AdamW(groups, lr=0.1 * top, betas=(0.9, 0.98))]


def advance(optimizers: list[torch.optim.Optimizer], share: float) -> None:
    """One step at a share of the top rates."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = share * group.setdefault("top", group["lr"])
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def save(path: Path, state: dict) -> None:
    """Write a checkpoint that is whole or not there."""
    torch.save(state, path.with_suffix(".tmp"))
    os.replace(path.with_suffix(".tmp"), path)


@torch.no_grad()
def check(tower: Tower, projector: Projector, heads: Heads, data: Pictures) -> tuple[float, dict]:
    """Loss and accuracies on pictures that are not trained on."""
    losses, rights = [], []
    for at in range(0, len(data), 100):
        part = slice(at, at + 100)
        found = heads(projector(tower(pixels(data.images[part]))))
        loss, right = heads_loss(found, *(torch.from_numpy(v) for v in data.labels(range(len(data))[part])))
        losses.append(float(loss))
        rights.append(right)
    return float(np.mean(losses)), {k: float(np.mean([r[k] for r in rights if k in r])) for k in rights[0]}


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=60, help="of the whole training, over all its starts")
    parser.add_argument("--batch", type=int, default=32, help="pictures of a step")
    parser.add_argument("--rate", type=float, default=0.02, help="of the matrices; the rest has a tenth")
    parser.add_argument("--recoloured", type=float, default=0.5, help="share of pictures in strange colours")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--limit", type=int, help="pictures to load")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    config = TowerConfig()
    modules = {"tower": Tower(config), "projector": Projector(config), "heads": Heads(config)}
    tower, projector, heads = modules.values()
    optimizers = optimizers_of(modules, args.rate)
    data = load(args.data / "train", limit=args.limit)
    valid = load(args.data / "valid", limit=250)
    path, step, before = args.out / "tower.pt", 0, 0.0
    if path.exists():
        state = torch.load(path)
        for name, module in modules.items():
            module.load_state_dict(state[name])
        for optimizer, kept in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        step, before = state["step"], state["seconds"]
    print(f"{len(data)} pictures, from step {step}", flush=True)

    def spent() -> float:
        return before + time.time() - began

    def keep() -> None:
        state = {name: module.state_dict() for name, module in modules.items()}
        state |= {"step": step, "seconds": spent(), "config": config.__dict__}
        save(path, state | {"optimizers": [optimizer.state_dict() for optimizer in optimizers]})

    began, sums = time.time(), []
    while (done := spent() / 60 / args.minutes) < 1:
        rng = np.random.default_rng([args.seed, step])
        images, cells, places, whole, _ = batch(data, rng.integers(len(data), size=args.batch), rng)
        recoloured(images, cells, whole, rng, args.recoloured)
        with torch.autocast("cpu", torch.bfloat16):
            embeddings = projector(tower(jittered(images, torch.Generator().manual_seed(step))))
        loss, right = heads_loss(heads(embeddings.float()), cells, places, whole)
        loss.backward()
        advance(optimizers, rate(done))
        sums.append((float(loss.detach()), right[0], right[2]))
        step += 1
        if step % 50 == 0:
            line = f"{step},{spent():.0f}," + ",".join(f"{v:.4f}" for v in np.mean(sums, 0))
            sums = []
            if step % 200 == 0:
                keep()
                loss, right = check(tower, projector, heads, valid)
                line += f",{loss:.4f}," + " ".join(
                    f"{CELL_LABELS[k] if isinstance(k, int) else k}={v:.2f}" for k, v in right.items()
                )
            with open(args.out / "tower.csv", "a") as log:
                log.write(line + "\n")
            print(line, flush=True)
    keep()


if __name__ == "__main__":
    main()
