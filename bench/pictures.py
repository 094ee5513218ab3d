"""Questions about pictures of independent making: `python bench/pictures.py [--model M] [--mmproj P] [--json OUT]`.

`data/pictures.zip` holds 120 scenes that were drawn without a look at the generator of our training scenes (320 * 240,
tables and floors with up to five things), and 1,101 questions in wordings of their own with the word that the answer
must hold. Prints right answers by kind of question, with 95 % intervals (Wilson's).
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import zipfile
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from llm_core import Engine, SamplingParams  # noqa: E402
from llm_ros.planner.judge import wilson  # noqa: E402

PICTURES = Path(__file__).parent / "data" / "pictures.zip"
NUMBERS = "zero one two three four five six".split()


def right(said: str, answer: str) -> bool:
    """Whether a reply gives the answer: begins with yes or no, or holds the word (a number as digit or word)."""
    words = [str(NUMBERS.index(word)) if word in NUMBERS else word for word in re.findall("[a-z0-9]+", said.lower())]
    if answer in ("yes", "no"):
        return words[:1] == [answer]
    return answer.split()[-1] in words


def rows(question: dict) -> set[str]:
    """The rows of the table that a question counts in."""
    found = {question["kind"]}
    if question["answer"] in ("yes", "no"):
        found |= {"yes/no"}
    if question["kind"] in ("side", "depth"):
        found |= {"relation"}
    return found


def main() -> None:
    """Ask and count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--mmproj", default="auto", help="path or name (default: what the model comes with)")
    parser.add_argument("--pictures", type=Path, default=PICTURES, help="zip with questions.json and its pictures")
    parser.add_argument("--json", type=Path, help="file for every question and reply")
    args = parser.parse_args()
    hits, records = defaultdict(list), []
    with zipfile.ZipFile(args.pictures) as held, Engine(args.model, mmproj=args.mmproj, n_ctx=2048) as engine:
        for question in json.loads(held.read("questions.json")):
            image = held.read(question["image"])
            content = [{"type": "image", "image": image}, {"type": "text", "text": question["question"]}]
            params = SamplingParams(temperature=0, max_tokens=32)
            said = engine.chat([{"role": "user", "content": content}], params).text.strip()
            for row in rows(question):
                hits[row].append(right(said, question["answer"]))
            records.append({**question, "said": said})
    print("| question | asked | right | 95 % interval |\n| --- | --- | --- | --- |")
    for row, found in sorted(hits.items()):
        low, high = wilson(sum(found), len(found))
        print(f"| {row} | {len(found)} | {sum(found) / len(found):.1%} | {low:.1%} to {high:.1%} |")
    if args.json:
        args.json.write_text(json.dumps(records, indent=1))


if __name__ == "__main__":
    main()
