"""Stage B: the language model learns to read pictures, from labels instead of a tower: `python -m training.vision.read
DATA OUT`. Continues from OUT/reader.pt; the log is OUT/reader.csv.
"""

from __future__ import annotations

import argparse
import random
import re
import time
from collections.abc import Collection
from pathlib import Path

import numpy as np
import torch

from llm_ros.sim.facts import Facts
from llm_ros.sim.questions import Question, ask
from llm_ros.sim.scene import COLOURS
from training.vision.data import Pictures, load
from training.vision.lm import LanguageModel, Lora, answers, pack, prompt
from training.vision.pretrain import rate, save
from training.vision.words import Words, left_out

SHARES = {  # of the questions
    "exists": 3.0, "count": 2.5, "check": 1.5, "edge": 0.6, "side": 3.0, "depth": 2.5, "support": 1.5, "describe": 0.3,
}  # fmt: skip
COLOUR_WORDS = frozenset(COLOURS)


def labels_of(data: Pictures, chosen: np.ndarray, flip: np.ndarray):
    """(cells, places, whole, facts) of pictures, some mirrored."""
    facts = [data.facts[i].mirrored() if turn else data.facts[i] for i, turn in zip(chosen, flip, strict=True)]
    return *(torch.from_numpy(v) for v in data.labels(chosen, flip)), facts


def lesson(facts: Facts, seed: str, count: int, colours: bool = True, more: Collection[str] = ()) -> list[Question]:
    """Questions to learn from: as `ask` makes them, more of the kinds that are slow to learn, and of those in `more`.
    colours: may they and their answers speak of any?"""
    rng = random.Random(seed)
    asked = ask(facts, rng, 2 * count)
    if not colours:
        asked = [q for q in asked if COLOUR_WORDS.isdisjoint(re.findall("[a-z]+", f"{q.text} {q.answer}".lower()))]
    shares = SHARES | {kind: 4 * SHARES.get(kind, 1.0) for kind in more}
    order = sorted(asked, key=lambda q: rng.random() ** (1 / shares.get(q.kind, 1.0)), reverse=True)
    return order[:count]


@torch.no_grad()
def check(lm: LanguageModel, embeddings_of, data: Pictures, count: int, questions: int = 16) -> dict[str, float]:
    """Parts of answers whose every token is the likeliest, by kind of question; embeddings_of(numbers of pictures)."""
    right: dict[str, list[bool]] = {}
    for i in range(count):
        asked = ask(data.facts[i], random.Random(f"check {i}"), questions)
        embeddings = embeddings_of([i])
        made = [prompt(lm, question) for question in asked]
        _, hit = answers(lm, embeddings, pack([made], embeddings.shape[1]))
        at = 0
        for question, p in zip(asked, made, strict=True):
            right.setdefault(question.kind, []).append(bool(hit[at : at + len(p.answer)].all()))
            at += len(p.answer)
    return {kind: float(np.mean(hits)) for kind, hits in right.items()}


def told(right: dict[str, float]) -> str:
    """For a log."""
    return " ".join(f"{kind}={part:.2f}" for kind, part in sorted(right.items()))


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=1, help="pictures of a step")
    parser.add_argument("--questions", type=int, default=20, help="about each picture")
    parser.add_argument("--rank", type=int, default=12)
    parser.add_argument("--first", type=int, default=0, help="layer of the language model from which on the LoRA is")
    parser.add_argument("--rate", type=float, default=0.0015)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--limit", type=int, help="pictures to load")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    lm = LanguageModel(args.model)
    lm.lora, words = Lora(lm, args.rank, args.first), Words(lm)
    optimizer = torch.optim.AdamW([*lm.lora.parameters(), *words.parameters()], lr=args.rate, betas=(0.9, 0.98),
                                  weight_decay=0.0)  # fmt: skip
    valid, data = load(args.data / "valid", limit=250), load(args.data / "train", limit=args.limit, images=False)
    path, step = args.out / "reader.pt", 0
    if path.exists():
        state = torch.load(path)
        lm.lora.load_state_dict(state["lora"])
        words.load_state_dict(state["words"])
        if "optimizer" in state:
            optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
    print(f"{len(data)} pictures, from step {step}", flush=True)
    began, losses = time.time(), []

    def ideal(chosen: list[int]) -> torch.Tensor:
        cells, places, whole, _ = labels_of(valid, np.array(chosen), np.zeros(len(chosen), bool))
        return words(cells, places, whole)

    while step < args.steps:
        rng = np.random.default_rng([args.seed, step])
        generator = torch.Generator().manual_seed(step)
        chosen = rng.integers(len(data), size=args.batch)
        cells, places, whole, facts = labels_of(data, chosen, rng.random(args.batch) < 0.5)
        asked = [lesson(f, f"{args.seed} {step} {i}", args.questions) for i, f in enumerate(facts)]
        prompts = [[prompt(lm, question) for question in questions] for questions in asked]
        embeddings = words(cells, places, whole, left_out(args.batch, generator))
        embeddings = embeddings + 0.15 * words.std * torch.randn(embeddings.shape, generator=generator)
        loss, _ = answers(lm, embeddings, pack(prompts, embeddings.shape[1]))
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*lm.lora.parameters(), *words.parameters()], 1.0)
        for group in optimizer.param_groups:
            group["lr"] = args.rate * rate(step / args.steps)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(float(loss.detach()))
        step += 1
        if step % 10 == 0 or step >= args.steps:
            line = f"{step},{np.mean(losses):.4f},{time.time() - began:.0f}"
            losses = []
            if step % 20 == 0 or step >= args.steps:
                kept = {"lora": lm.lora.state_dict(), "words": words.state_dict(), "optimizer": optimizer.state_dict()}
                save(path, kept | {"rank": args.rank, "first": args.first, "step": step})
            if step % 200 == 0 or step >= args.steps:
                line += "," + told(check(lm, ideal, valid, 12))
            with open(args.out / "reader.csv", "a") as log:
                log.write(line + "\n")
            print(line, flush=True)


if __name__ == "__main__":
    main()
