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


def measure(bench: Bench) -> list[Row]:
    """Three rows: free text, and the two schemas with our free text as their floor."""
    prompt = bench.ours.encode(PROMPT)
    rates: dict[str, dict[str, list[float]]] = {}
    for kind, schema in (("free", None), ("loose", LOOSE), ("tight", TIGHT)):

        def rate(side, _round, schema=schema) -> float:
            return side.generate(prompt, N_TOKENS, schema).tps

        bench.turns(f"grammar, {kind}, warming up", rate, 1)
        rates[kind] = bench.turns(f"grammar, {kind}", rate)
    free = rates["free"]["ours"]
    rows = [row("grammar", "text without a schema", "tokens/s", rates["free"])]
    for kind, share in (("loose", 0.95), ("tight", 1.0)):
        rows.append(
            row(
                "grammar", f"text under a {kind} schema", "tokens/s", rates[kind], floors=free,
                floor_is="our own text without a schema", goal=Goal(share=share),
            )
        )  # fmt: skip
    return rows
