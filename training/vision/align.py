"""Stage C: the tower takes the place of the labels: `python -m training.vision.align DATA OUT`.

Begins with OUT/tower.pt (stage A) and OUT/reader.pt (stage B): the projector is first taught to say what the
labels' words say, then all learn to answer together through the language model.
Continues from OUT/eyes.pt if that is there; the log is OUT/eyes.csv.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from training.vision.data import Pictures, jittered, load, pixels
from training.vision.lm import LanguageModel, Lora, answers, pack, prompt
from training.vision.pretrain import advance, batch, optimizers_of, recoloured, save
from training.vision.read import check, lesson, told
from training.vision.tower import Projector, Tower, TowerConfig
from training.vision.words import Words, silent

SILENCE = 0.1  # weight of a cell of which nothing is told


def imitate(projector: Projector, words: Words, tower: Tower, data: Pictures, count: int) -> None:
    """Let the projector begin with the words of `count` pictures, by least squares of its last layer: from the scale
    that stage A leaves, steps of gradients diverge."""
    chosen = np.random.default_rng(0).permutation(len(data))[:count]
    cells, places, whole = (torch.from_numpy(v) for v in data.labels(chosen))
    with torch.no_grad():
        features = torch.cat([tower(pixels(data.images[part])) for part in np.array_split(chosen, -(-count // 50))])
        wanted = torch.cat([words(*part) for part in zip(*(v.split(100) for v in (cells, places, whole)), strict=True)])
        pooled = torch.cat([projector.pooled(part) for part in features.split(100)]).flatten(0, 1)
        weight, target = weights(cells).flatten()[:, None], wanted.flatten(0, 1)
        middle, mean = (weight * pooled).sum(0) / weight.sum(), (weight * target).sum(0) / weight.sum()
        pooled, target = pooled - middle, target - mean
        square = (weight * pooled).T @ pooled
        square += 1e-3 * square.diagonal().mean() * torch.eye(len(square))
        last = torch.linalg.solve(square, (weight * pooled).T @ target)
        projector.mlp_2.weight.copy_(last.T)
        projector.mlp_2.bias.copy_(mean - middle @ last)
        projector.peg_0.weight.zero_()
        projector.peg_0.bias.zero_()


def weights(cells: torch.Tensor) -> torch.Tensor:
    """How much each cell [n, cells] counts."""
    return torch.where(silent(cells), SILENCE, 1.0)


def apart(found: torch.Tensor, wanted: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
    """Mean square between embeddings and words, as a part of the words' own."""
    weight = weights(cells)[..., None]
    centre = (weight * wanted).sum((0, 1)) / weight.sum()
    return (weight * (found - wanted).square()).sum() / (weight * (wanted - centre).square()).sum()


def rate(step: int, done: float) -> float:
    """Part of the top rate: a short way up, and linear down to nothing at done = 1."""
    return min(1.0, (step + 1) / 20) * max(0.0, 1 - done)


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--minutes", type=float, default=60, help="of the whole training, over all its starts")
    parser.add_argument("--batch", type=int, default=2, help="pictures of a step")
    parser.add_argument("--questions", type=int, default=10, help="about each picture")
    parser.add_argument("--rate", type=float, default=0.001, help="of LoRA")
    parser.add_argument("--tower-rate", type=float, default=0.0001, help="of the tower; more unlearns the words")
    parser.add_argument("--words", type=float, default=0.1, help="weight of the distance to the labels' words")
    parser.add_argument("--recoloured", type=float, default=0.35, help="share of pictures in strange colours")
    parser.add_argument("--imitate", type=int, default=2000, help="pictures that the projector begins with")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--limit", type=int, help="pictures to load")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    config = TowerConfig()
    tower, projector = Tower(config), Projector(config)
    lm = LanguageModel(args.model)
    path, step, before = args.out / "eyes.pt", 0, 0.0
    state = torch.load(path if path.exists() else args.out / "tower.pt")
    read = state if path.exists() else torch.load(args.out / "reader.pt")
    lm.lora, words = Lora(lm, read["rank"], read["first"]), Words(lm)
    modules = {"tower": tower, "projector": projector, "lora": lm.lora, "words": words}
    for name, module in modules.items():
        module.load_state_dict((read if name in ("lora", "words") else state)[name])
    words.requires_grad_(False)
    slow = torch.optim.AdamW(lm.lora.parameters(), lr=args.rate, betas=(0.9, 0.98), weight_decay=0.0)
    optimizers = [slow, *optimizers_of({"tower": tower, "projector": projector}, args.tower_rate)]
    valid, data = load(args.data / "valid", limit=250), load(args.data / "train", limit=args.limit)
    if path.exists():
        for optimizer, kept in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        step, before = state["step"], state["seconds"]
    else:
        imitate(projector, words, tower, data, min(args.imitate, len(data)))

    def seen(chosen: list[int]) -> torch.Tensor:
        return projector(tower(pixels(valid.images[chosen])))

    def keep() -> None:
        kept = {name: module.state_dict() for name, module in modules.items()}
        kept |= {"rank": lm.lora.rank, "first": lm.lora.first, "config": config.__dict__}
        kept |= {"step": step, "seconds": before + time.time() - began}
        save(path, kept | {"optimizers": [optimizer.state_dict() for optimizer in optimizers]})

    began, losses = time.time(), []
    if not step:
        keep()
        print("0," + told(check(lm, seen, valid, 15)), flush=True)
    while (done := (before + time.time() - began) / 60 / args.minutes) < 1:
        rng = np.random.default_rng([args.seed, step])
        chosen = rng.integers(len(data), size=args.batch)
        images, cells, places, whole, flip = batch(data, chosen, rng)
        facts = [data.facts[i].mirrored() if turn else data.facts[i] for i, turn in zip(chosen, flip, strict=True)]
        strange = recoloured(images, cells, whole, rng, args.recoloured)
        asked = [
            lesson(f, f"{args.seed} {step} {i}", args.questions, colours=not strange[i]) for i, f in enumerate(facts)
        ]
        prompts = [[prompt(lm, question) for question in questions] for questions in asked]
        embeddings = projector(tower(jittered(images, torch.Generator().manual_seed(step))))
        asked_about = [i for i, questions in enumerate(prompts) if questions]
        loss = embeddings.sum() * 0
        if asked_about:
            batched = pack([prompts[i] for i in asked_about], embeddings.shape[1])
            loss, _ = answers(lm, embeddings[asked_about], batched)
        plain = torch.from_numpy(~strange)
        distance = apart(embeddings[plain], words(cells[plain], places[plain], whole[plain]), cells[plain])
        (loss + (args.words * distance if plain.any() else 0.0)).backward()
        for part in (lm.lora, tower, projector):
            torch.nn.utils.clip_grad_norm_(part.parameters(), 1.0)
        advance(optimizers, rate(step, done))
        losses.append((float(loss.detach()), float(distance.detach()) if plain.any() else np.nan))
        step += 1
        if step % 10 == 0:
            line = f"{step},{before + time.time() - began:.0f}," + ",".join(f"{v:.4f}" for v in np.nanmean(losses, 0))
            losses = []
            if step % 20 == 0:
                keep()
            if step % 200 == 0:
                line += "," + told(check(lm, seen, valid, 15))
            with open(args.out / "eyes.csv", "a") as log:
                log.write(line + "\n")
            print(line, flush=True)
    keep()


if __name__ == "__main__":
    main()
