"""Stage B: projector and tower learn to answer through the frozen language model:
`python -m training.vision.align DATA OUT`.

Begins with OUT/tower.pt (stage A), continues from OUT/eyes.pt if that is there; the log is OUT/eyes.csv.
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path

import numpy as np
import torch

from llm_ros.sim.questions import ask
from training.vision.data import Pictures, jittered, load, pixels
from training.vision.lm import LanguageModel, answers, pack, prompt
from training.vision.pretrain import advance, batch, optimizers_of, rate, save
from training.vision.tower import Heads, Projector, Tower, TowerConfig, heads_loss


@torch.no_grad()
def check(lm: LanguageModel, tower, projector, data: Pictures, count: int) -> dict[str, float]:
    """Parts of answers whose every token is the likeliest, by kind of question."""
    right: dict[str, list[bool]] = {}
    for i in range(count):
        questions = ask(data.facts[i], random.Random(f"check {i}"), 8)
        embeddings = projector(tower(pixels(data.images[i : i + 1])))
        made = [prompt(lm, question) for question in questions]
        _, hit = answers(lm, embeddings, pack([made], embeddings.shape[1]))
        at = 0
        for question, p in zip(questions, made, strict=True):
            right.setdefault(question.kind, []).append(bool(hit[at : at + len(p.answer)].all()))
            at += len(p.answer)
    return {kind: float(np.mean(hits)) for kind, hits in right.items()}


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--batch", type=int, default=8, help="pictures of a step")
    parser.add_argument("--questions", type=int, default=10, help="about each picture")
    parser.add_argument("--rate", type=float, default=0.01, help="of the projector's matrices; the tower's is a fifth")
    parser.add_argument("--heads", type=float, default=0.1, help="weight of stage A's loss")
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--limit", type=int, help="pictures to load")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    config = TowerConfig()
    tower, heads, projector = Tower(config), Heads(config), Projector(config)
    lm = LanguageModel(args.model)
    modules = {"tower": tower, "heads": heads, "projector": projector}
    optimizers = [
        *optimizers_of({"projector": projector}, args.rate),
        *optimizers_of({"tower": tower, "heads": heads}, args.rate / 5),
    ]
    valid, data = load(args.data / "valid", limit=250), load(args.data / "train", limit=args.limit)
    path, step = args.out / "eyes.pt", 0
    if path.exists():
        state = torch.load(path)
        for optimizer, kept in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        step = state["step"]
    else:
        state = torch.load(args.out / "tower.pt")
    for name, module in modules.items():
        module.load_state_dict(state[name])
    if not step:
        with torch.no_grad():  # embeddings begin as long as the words' are
            length = projector(tower(pixels(valid.images[:50]))).std()
            projector.scale(float(lm.weights["token_embd.weight"].std() / length))
    began, total = time.time(), 0.0
    while step < args.steps:
        rng = np.random.default_rng([args.seed, step])
        chosen = rng.integers(len(data), size=args.batch)
        images, cells, places, whole, flip = batch(data, chosen, rng)
        facts = [data.facts[i].mirrored() if turn else data.facts[i] for i, turn in zip(chosen, flip, strict=True)]
        asked = [ask(f, random.Random(f"{args.seed} {step} {i}"), args.questions) for i, f in enumerate(facts)]
        prompts = [[prompt(lm, question) for question in questions] for questions in asked]
        features = tower(jittered(images, torch.Generator().manual_seed(step)))
        embeddings = projector(features)
        loss, _ = answers(lm, embeddings, pack(prompts, embeddings.shape[1]))
        aside, _ = heads_loss(heads(embeddings), cells, places, whole)
        (loss + args.heads * aside).backward()
        torch.nn.utils.clip_grad_norm_([*tower.parameters(), *heads.parameters(), *projector.parameters()], 1.0)
        advance(optimizers, rate(step / args.steps))
        total += float(loss.detach())
        step += 1
        if step % 10 == 0 or step >= args.steps:
            line = f"{step},{total / 10:.4f},{time.time() - began:.0f}"
            total = 0.0
            if step % 50 == 0 or step >= args.steps:
                state = {name: module.state_dict() for name, module in modules.items()}
                save(path, state | {"step": step, "config": config.__dict__,
                                    "optimizers": [o.state_dict() for o in optimizers]})  # fmt: skip
                right = check(lm, tower, projector, valid, 40)
                line += "," + " ".join(f"{kind}={part:.2f}" for kind, part in sorted(right.items()))
            with open(args.out / "eyes.csv", "a") as log:
                log.write(line + "\n")
            print(line, flush=True)


if __name__ == "__main__":
    main()
