"""Text under a JSON schema beside our own free text: a loose schema (free strings) and a tight one (enums, patterns).

Whole texts through the engine and through `Llama.generate`, greedy, the same prompt; the first token is left out of the
rate, so compiling the grammar and the prompt do not count. Tokens that a grammar forces count: not drawing them one by
one is a way to be faster.
"""

import json

from llm_core.bench.bench import Bench
from llm_core.bench.row import Goal, Row, row

SUMMARY = "text under a JSON schema, loose and tight"
QUICK = False
N_TOKENS = 128
PROMPT = "A list of long notes about a robot's day in the house, as JSON:\n"


def _objects(properties: dict) -> str:
    item = {
        "type": "object", "properties": properties, "required": list(properties), "additionalProperties": False,
    }  # fmt: skip
    return json.dumps({"type": "array", "items": item, "minItems": 16, "maxItems": 16})


LOOSE = _objects({"note": {"type": "string"}, "reason": {"type": "string"}})
TIGHT = _objects(
    {
        "skill": {"enum": ["go_to", "find_object", "pick", "place", "hand_over", "say"]},
        "room": {"enum": ["kitchen", "living_room", "bedroom", "bathroom", "office", "corridor"]},
        "code": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{4}$"},
        "urgent": {"type": "boolean"},
    }
)


KINDS = {"free": None, "loose": LOOSE, "tight": TIGHT}


def measure(bench: Bench) -> list[Row]:
    """Three rows: free text, and the two schemas with our free text of the same turn as their floor."""
    prompt = bench.ours.encode(PROMPT)

    def rates(side, _round) -> dict[str, float]:
        return {kind: side.generate(prompt, N_TOKENS, schema).tps for kind, schema in KINDS.items()}

    bench.turns("grammar, warming up", rates, 1)
    turns = bench.turns("grammar", rates)
    by_kind = {kind: {who: [found[kind] for found in all_] for who, all_ in turns.items()} for kind in KINDS}
    rows = [row("grammar", "text without a schema", "tokens/s", by_kind["free"])]
    for kind, share in (("loose", 0.95), ("tight", 1.0)):
        rows.append(
            row(
                "grammar", f"text under a {kind} schema", "tokens/s", by_kind[kind], floors=by_kind["free"]["ours"],
                floor_is="our own text without a schema", goal=Goal(share=share),
            )
        )  # fmt: skip
    return rows
