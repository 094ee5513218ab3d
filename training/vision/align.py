"""Stage C: the tower takes the place of the labels: `python -m training.vision.align DATA OUT`.

Begins with OUT/tower.pt (stage A) and OUT/reader.pt (stage B): the projector is first taught to say what the
labels' words say, then all learn to answer together through the language model.
Continues from OUT/eyes.pt if that is there, its own or a shipped model's (`recall --tower`); the log is OUT/eyes.csv.
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


class Alignment:
    """All that learns, where it is kept, and one step of it."""

    def __init__(self, args: argparse.Namespace):
        self.args, self.path, self.steps, self.before, self.began = args, args.out / "eyes.pt", 0, 0.0, time.time()
        self.config = TowerConfig()
        self.tower, self.projector, self.lm = Tower(self.config), Projector(self.config), LanguageModel(args.model)
        begun = self.path.exists()
        state = torch.load(self.path if begun else args.out / "tower.pt")
        read = state if begun else torch.load(args.out / "reader.pt")
        self.lm.lora, self.words = Lora(self.lm, read["rank"], read["first"]), Words(self.lm)
        self.modules = {
            "tower": self.tower, "projector": self.projector, "lora": self.lm.lora, "words": self.words
        }  # fmt: skip
        for name, module in self.modules.items():
            module.load_state_dict((read if name in ("lora", "words") else state)[name])
        self.words.requires_grad_(False)
        slow = torch.optim.AdamW(self.lm.lora.parameters(), lr=args.rate, betas=(0.9, 0.98), weight_decay=0.0)
        seeing = {"tower": self.tower, "projector": self.projector}
        self.optimizers = [slow, *optimizers_of(seeing, args.tower_rate)]
        self.data = load(args.data / "train", limit=args.limit)
        if begun:
            for optimizer, kept in zip(self.optimizers, state.get("optimizers", ()), strict="optimizers" in state):
                optimizer.load_state_dict(kept)
            self.steps, self.before = state["step"], state["seconds"]
        else:
            imitate(self.projector, self.words, self.tower, self.data, min(args.imitate, len(self.data)))
        self.began = time.time()

    @property
    def seconds(self) -> float:
        """Of all starts."""
        return self.before + time.time() - self.began

    @property
    def done(self) -> float:
        """Part of the time that is over."""
        return self.seconds / 60 / self.args.minutes

    def keep(self) -> None:
        """Write the checkpoint."""
        kept = {name: module.state_dict() for name, module in self.modules.items()}
        kept |= {"rank": self.lm.lora.rank, "first": self.lm.lora.first, "config": self.config.__dict__}
        kept |= {"step": self.steps, "seconds": self.seconds}
        save(self.path, kept | {"optimizers": [optimizer.state_dict() for optimizer in self.optimizers]})

    def step(self) -> tuple[float, float]:
        """Learn from some pictures: questions about the first of them, the words of all that have their own colours.
        Returns (loss of the answers, distance from the words)."""
        args, lm = self.args, self.lm
        rng = np.random.default_rng([args.seed, self.steps])
        chosen = rng.integers(len(self.data), size=args.batch + args.told)
        images, cells, places, whole, flip = batch(self.data, chosen, rng)
        strange = recoloured(images, cells, whole, rng, args.recoloured)
        prompts = []
        for i in range(args.batch):
            facts = self.data.facts[chosen[i]].mirrored() if flip[i] else self.data.facts[chosen[i]]
            asked = lesson(facts, f"{args.seed} {self.steps} {i}", args.questions, not strange[i], args.more)
            prompts.append([prompt(lm, question) for question in asked])
        with torch.autocast("cpu", torch.bfloat16):
            embeddings = self.projector(self.tower(jittered(images, torch.Generator().manual_seed(self.steps)))).float()
        loss, distance = embeddings.sum() * 0, torch.zeros(())
        about = [i for i, questions in enumerate(prompts) if questions]
        if about:
            loss, _ = answers(lm, embeddings[about], pack([prompts[i] for i in about], embeddings.shape[1]))
        plain = torch.from_numpy(~strange)
        if plain.any():
            wanted = self.words(cells[plain], places[plain], whole[plain])
            distance = apart(embeddings[plain], wanted, cells[plain])
        (loss + args.words * distance).backward()
        for part in (lm.lora, self.tower, self.projector):
            torch.nn.utils.clip_grad_norm_(part.parameters(), 1.0)
        advance(self.optimizers, rate(self.steps, self.done))
        self.steps += 1
        return float(loss.detach()), float(distance.detach())

    def check(self, valid: Pictures) -> str:
        """How many answers about pictures that are not learned from are right, by kind."""
        return told(check(self.lm, lambda i: self.projector(self.tower(pixels(valid.images[i]))), valid, 15))


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--minutes", type=float, default=60, help="of the whole training, over all its starts")
    parser.add_argument("--batch", type=int, default=4, help="pictures of a step that are asked about")
    parser.add_argument("--questions", type=int, default=6, help="about each of them")
    parser.add_argument("--more", nargs="*", default=(), metavar="KIND", help="kinds of questions to ask more often")
    parser.add_argument("--told", type=int, default=12, help="pictures more of a step, compared with their words only")
    parser.add_argument("--rate", type=float, default=0.001, help="of LoRA")
    parser.add_argument("--tower-rate", type=float, default=0.0002, help="of the tower; more unlearns the words")
    parser.add_argument("--words", type=float, default=0.3, help="weight of the distance to the labels' words")
    parser.add_argument("--recoloured", type=float, default=0.35, help="share of pictures in strange colours")
    parser.add_argument("--imitate", type=int, default=2000, help="pictures that the projector begins with")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--limit", type=int, help="pictures to load")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    learning, valid, losses = Alignment(args), load(args.data / "valid", limit=250), []
    if not learning.steps:
        learning.keep()
        print("0," + learning.check(valid), flush=True)
    while learning.done < 1:
        losses.append(learning.step())
        step = learning.steps
        if step % 20 == 0:
            learning.keep()
        if step % 10 == 0:
            line = f"{step},{learning.seconds:.0f}," + ",".join(f"{v:.4f}" for v in np.mean(losses, 0))
            losses = []
            if step % 200 == 0:
                line += "," + learning.check(valid)
            with open(args.out / "eyes.csv", "a") as log:
                log.write(line + "\n")
            print(line, flush=True)
    learning.keep()


if __name__ == "__main__":
    main()
