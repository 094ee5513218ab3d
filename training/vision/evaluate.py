"""How often the engine's answers are right: `python -m training.vision.evaluate DATA/heldout eyes.gguf`.

Pictures of a rendered split go through `llm_core.Engine` as a user's would; the table has each kind of question with a
95 % interval (Wilson's). `yes/no`, `colour`, `count` and `relation` sum up what the goals are set for.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import defaultdict
from pathlib import Path

import numpy as np

from llm_core import Engine, SamplingParams
from llm_ros.planner.judge import wilson
from llm_ros.sim.facts import Facts
from llm_ros.sim.questions import ask

RELATIONS = ("side", "depth", "place", "support")


def classes(kind: str, answer: str) -> set[str]:
    """The rows of the table that a question counts in."""
    rows = {kind}
    if answer in ("Yes.", "No."):
        rows |= {"yes/no", f"yes/no: {answer[:-1].lower()}"}
    if kind in RELATIONS:
        rows.add("relation")
    if kind == "count" and int(answer[:-1]) <= 5:
        rows |= {"count to five", f"count: {answer[:-1]}"}
    return rows


def main() -> None:
    """Ask and count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("split", type=Path, help="folder of shards")
    parser.add_argument("mmproj", help="the file, or a name")
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--questions", type=int, default=10, help="about each picture")
    parser.add_argument("--json", type=Path, help="file for every question and answer")
    args = parser.parse_args()
    hits: dict[str, list[bool]] = defaultdict(list)
    records = []
    with Engine(args.model, mmproj=args.mmproj, n_ctx=1024) as engine:
        for image, facts in pictures(args.split, args.pictures):
            for question in ask(facts, random.Random(f"evaluate {facts.seed}"), args.questions, held_out=True):
                content = [{"type": "image", "image": image}, {"type": "text", "text": question.text}]
                params = SamplingParams(temperature=0, max_tokens=48)
                said = engine.chat([{"role": "user", "content": content}], params).text.strip()
                for row in classes(question.kind, question.answer):
                    hits[row].append(said == question.answer)
                records.append({"seed": facts.seed, **question.__dict__, "said": said})
    print("| question | asked | right | 95 % interval |\n| --- | --- | --- | --- |")
    for row, found in sorted(hits.items()):
        low, high = wilson(sum(found), len(found))
        print(f"| {row} | {len(found)} | {sum(found) / len(found):.1%} | {low:.1%} to {high:.1%} |")
    if args.json:
        args.json.write_text(json.dumps(records, indent=1))


def pictures(folder: Path, count: int):
    """The first pictures of a split with their facts."""
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as shard:
            for image, facts in zip(shard["images"], json.loads(str(shard["facts"])), strict=True):
                if count == 0:
                    return
                count -= 1
                yield image, Facts.read(facts)


if __name__ == "__main__":
    main()
