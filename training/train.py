"""Trains the LoRA that puts commands into plain words. Restartable: goes on from OUT/state.pt if it is there.

    python training/train.py --model smollm2-135m-instruct.gguf --pairs pairs.jsonl --out OUT --minutes 20

Writes OUT/loss.csv (step, minutes, pairs seen, loss, learning rate), OUT/state.pt and OUT/adapter.gguf every two
minutes. The loss counts the target's tokens only. The learning rate falls with the time that is left.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from llm_core.gguf import open_gguf  # noqa: E402
from llm_core.tokenizer import Tokenizer  # noqa: E402
from llm_ros.planner.rewrite import SYSTEM  # noqa: E402
from training.net import Net  # noqa: E402

PREFIX = f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n"


def encode(tokenizer: Tokenizer, prefix: list[int], pair: dict) -> tuple[list[int], int]:
    """(ids after the prefix, how many of them are the prompt) in the model's own chat format."""
    prompt = f"{PREFIX}{pair['text']}<|im_end|>\n<|im_start|>assistant\n"
    ids = tokenizer.encode(prompt, parse_special=True)
    if ids[: len(prefix)] != prefix:
        raise ValueError(f"the text runs into the prefix: {pair['text']!r}")
    ids = ids[len(prefix) :]
    return ids + tokenizer.encode(pair["plain"] + "<|im_end|>", add_special=False, parse_special=True), len(ids)


def batches(rows: list, budget: int, rng: random.Random):
    """Batches of similar length of about `budget` tokens, in random order, for ever."""
    while True:
        rng.shuffle(rows)
        for begin in range(0, len(rows), 4096):
            chunk = sorted(rows[begin : begin + 4096], key=lambda row: len(row[0]))
            found, batch = [], []
            for row in chunk:
                if batch and len(row[0]) * (len(batch) + 1) > budget:
                    found.append(batch)
                    batch = []
                batch.append(row)
            found.append(batch)
            rng.shuffle(found)
            yield from found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--pairs", nargs="+", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--begin", help="an adapter to go on from, of the same rank and first layer")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--alpha", type=float, default=32)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--tokens", type=int, default=2048, help="tokens a step")
    parser.add_argument("--first", type=int, default=10, help="the layer that the LoRA begins with")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer.from_metadata(open_gguf(args.model).metadata)
    pairs = [json.loads(line) for path in args.pairs for line in open(path, encoding="utf-8")]
    prefix = tokenizer.encode(PREFIX, parse_special=True)
    rows = [encode(tokenizer, prefix, pair) for pair in pairs]
    prefix = torch.tensor(prefix)
    net = Net(args.model, args.rank, args.alpha, args.seed, args.first)
    if args.begin:
        net.load(args.begin)
    optimizer = torch.optim.AdamW(net.lora.values(), lr=args.rate, weight_decay=0.0, betas=(0.9, 0.98))
    step, seen, spent = 0, 0, 0.0
    if (out / "state.pt").exists():
        state = torch.load(out / "state.pt")
        net.lora.load_state_dict(state["lora"])
        optimizer.load_state_dict(state["optimizer"])
        step, seen, spent = state["step"], state["seen"], state["spent"]
    rng, started, saved, losses = random.Random(f"{args.seed}-{step}"), time.monotonic() - spent, time.monotonic(), []

    def save() -> None:
        state = {"lora": net.lora.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "seen": seen}
        torch.save({**state, "spent": time.monotonic() - started}, out / "state.tmp")
        (out / "state.tmp").replace(out / "state.pt")
        net.save(out / "adapter.gguf")

    for batch in batches(rows, args.tokens, rng):
        share = (time.monotonic() - started) / (60 * args.minutes)
        if share >= 1:
            break
        rate = args.rate * min(1, (step + 1) / 40) * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * share)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        longest = max(len(ids) for ids, _ in batch)
        ids = torch.zeros(len(batch), longest, dtype=torch.long)
        target = torch.full((len(batch), longest), -100)
        for number, (row, prompt) in enumerate(batch):
            ids[number, : len(row)] = torch.tensor(row)
            target[number, prompt - 1 : len(row) - 1] = torch.tensor(row[prompt:])
        hidden = net(prefix, ids)
        wanted = target >= 0
        loss = F.cross_entropy(net.logits(hidden[wanted]), target[wanted])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.lora.values(), 1.0)
        optimizer.step()
        step, seen = step + 1, seen + len(batch)
        losses.append(loss.item())
        if step % 20 == 0:
            minutes = (time.monotonic() - started) / 60
            with open(out / "loss.csv", "a", encoding="utf-8") as log:
                log.write(f"{step},{minutes:.2f},{seen},{sum(losses) / len(losses):.4f},{rate:.2e}\n")
            losses.clear()
        if time.monotonic() - saved > 120:
            save()
            saved = time.monotonic()
    save()
    return 0


if __name__ == "__main__":
    sys.exit(main())
