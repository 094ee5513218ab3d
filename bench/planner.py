"""How good and how fast plans are: success per class with Wilson intervals and time per command, for one model.

    python bench/planner.py --model smollm2-135m-instruct [--backend engine|llama-cpp] [--space tight|open] [--json
    OUT.json]

Reads a development set (test/data/planner_dev.json; llm_ros/planner/judge.py defines what counts) and prints one
line per class. `--space
open` measures the model by itself under a grammar of all skills and names; `tight` is what the planner does.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from llm_ros.adapters import load_shipped  # noqa: E402
from llm_ros.planner.generator import engine_generate, rewriting  # noqa: E402
from llm_ros.planner.judge import judge, wilson  # noqa: E402
from llm_ros.planner.planner import SPACES, Planner  # noqa: E402
from llm_ros.planner.skills import load_skills  # noqa: E402
from llm_ros.planner.world import load_world  # noqa: E402

DATA = ROOT / "test" / "data"
WORLDS = {
    "home": ROOT / "config" / "world.yaml",
    "cottage": DATA / "planner_cottage.yaml",
    "office": DATA / "planner_office.yaml",
    "blind": DATA / "planner_blind_world.yaml",
    "fresh": DATA / "planner_fresh_world.yaml",
    "clinic": DATA / "planner_clinic_world.yaml",
    "voices": DATA / "planner_voices_world.yaml",
}
SKILLS = {
    "full": ROOT / "config" / "skills.yaml",
    "minimal": DATA / "planner_skills_minimal.yaml",
    "other": DATA / "planner_skills_other.yaml",
}


def llama_generate(path: str, threads: int):
    """The same generator on llama-cpp-python, as the peer to compare with; masks by llguidance, greedy, prefix kept."""
    import llama_cpp
    import numpy as np
    from llguidance import LLMatcher, grammar_from
    from llguidance.llamacpp import lltokenizer_from_vocab

    model = llama_cpp.Llama(path, n_ctx=4096, n_threads=threads, verbose=False, logits_all=False)
    tokenizer = lltokenizer_from_vocab(llama_cpp.llama_model_get_vocab(model._model.model))
    template = llama_cpp.llama_chat_format.Jinja2ChatFormatter(
        model.metadata["tokenizer.chat_template"], eos_token="", bos_token="", add_generation_prompt=True
    )

    def generate(messages, grammar, max_tokens, on_text, cancelled) -> str:
        prompt = template(messages=messages).prompt
        tokens = model.tokenize(prompt.encode(), add_bos=False, special=True)
        matcher = LLMatcher(tokenizer, grammar_from("lark", grammar))
        if matcher.is_error():
            raise ValueError(matcher.get_error())
        kept = model.longest_token_prefix(model._input_ids, tokens[:-1])
        model.n_tokens = kept
        model._ctx.kv_cache_seq_rm(-1, kept, -1)
        pending, text, mask = tokens[kept:], b"", np.zeros((tokenizer.vocab_size + 31) // 32, dtype=np.int32)
        shown = ""
        for _ in range(max_tokens):
            if cancelled():
                break
            forced = matcher.compute_ff_tokens()
            if not forced:
                if matcher.is_stopped():
                    break
                model.eval(pending)
                pending = []
                logits = np.ctypeslib.as_array(
                    llama_cpp.llama_get_logits_ith(model._ctx.ctx, -1), shape=(model.n_vocab(),)
                )
                matcher.unsafe_compute_mask_ptr(mask.ctypes.data, mask.nbytes)
                allowed = np.unpackbits(mask.view(np.uint8), bitorder="little")[: model.n_vocab()].astype(bool)
                forced = [int(np.where(allowed, logits, -np.inf).argmax())]
            matcher.consume_tokens(forced)
            if model.token_eos() in forced:
                break
            pending += forced
            text += model.detokenize(forced, special=False)
            new = text.decode("utf-8", "ignore")
            on_text(new[len(shown) :])
            shown = new
        return shown

    return generate


def noting(rewrite, asked: list[str]):
    """The same generator, which notes what it wrote."""
    if rewrite is None:
        return None

    def generate(*request) -> str:
        asked.append(rewrite(*request))
        return asked[-1]

    return generate


def evaluate(
    entries: list[dict], generate, space: str, examples: int | None, rewrite=None, trained=False, asked=()
) -> list[dict]:
    """One record per entry: id, class, failure (None if right), seconds, first_step_s, plain (what was written)."""
    planners, records = {}, []
    for entry in entries:
        key = (entry.get("skills", "full"), entry["world"])
        if key not in planners:
            skills, world = load_skills(SKILLS[key[0]]), load_world(WORLDS[key[1]])
            planners[key] = Planner(generate, skills, world, space, examples, rewrite, trained)
            planners[key].plan("go there")
        planner, before = planners[key], len(asked)
        first: list[float] = []
        started = time.perf_counter()
        plan = planner.plan(entry["command"], on_step=lambda step, first=first: first.append(time.perf_counter()))
        seconds = time.perf_counter() - started
        failure = judge(entry, plan, planner.skills, planner.world)
        records.append(
            {
                "id": entry["id"],
                "class": entry["class"],
                "failure": failure,
                "seconds": seconds,
                "first_step_s": first[0] - started if first else None,
                "status": plan.status,
                "plain": asked[-1] if len(asked) > before else None,
                "plan": plan.to_json(),
            }
        )
    return records


def report(records: list[dict]) -> dict:
    """Success with Wilson intervals per class and in all, needless refusals, median times."""

    def rate(some: list[dict]) -> dict:
        right = sum(record["failure"] is None for record in some)
        low, high = wilson(right, len(some))
        return {
            "right": right,
            "total": len(some),
            "rate": right / len(some) if some else 0.0,
            "low": low,
            "high": high,
        }

    def seconds(some: list[dict]) -> dict:
        times = sorted(record["seconds"] for record in some)
        at = [times[min(len(times) - 1, math.ceil(share * len(times)) - 1)] for share in (0.5, 0.95)] if times else []
        return {"commands": len(times), "median_s": at[0] if at else None, "p95_s": at[1] if at else None}

    tasks = [record for record in records if record["class"] != "refuse"]
    steps = [record["first_step_s"] for record in records if record["first_step_s"] is not None]
    planned = [record["seconds"] for record in records if record["status"] == "plan"]
    return {
        "classes": {
            name: rate([r for r in records if r["class"] == name])
            for name in dict.fromkeys(r["class"] for r in records)
        },
        "tasks": rate(tasks),
        "refusals": rate([r for r in records if r["class"] == "refuse"]),
        "all": rate(records),
        "wrong_plans": sum(r["failure"] is not None and r["status"] == "plan" for r in records),
        "times": {
            "all": seconds(records),
            "read": seconds([r for r in records if r.get("plain") is None]),
            "reworded": seconds([r for r in records if r.get("plain") is not None]),
        },
        "needless_refusals": sum(r["status"] in ("refuse", "clarify") for r in tasks) / len(tasks) if tasks else 0.0,
        "median_s": statistics.median(planned) if planned else None,
        "median_first_step_s": statistics.median(steps) if steps else None,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True, help="path or name; llama-cpp takes a path")
    parser.add_argument("--backend", choices=("engine", "llama-cpp"), default="engine")
    parser.add_argument("--space", choices=SPACES, default="tight")
    parser.add_argument("--examples", type=int, default=None, help="worked examples in the prompt")
    parser.add_argument(
        "--rewrite",
        metavar="HOW",
        default="auto",
        help="who puts unclear commands into plain words: auto, off, model, or the file of an adapter (%(default)s)",
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--set", default=str(DATA / "planner_dev.json"), help="development set")
    parser.add_argument("--limit", type=int, default=None, help="only the first N entries")
    parser.add_argument("--json", metavar="OUT.json", help="also write figures and every record")
    parser.add_argument("--failures", action="store_true", help="print every failure")
    args = parser.parse_args()
    entries = json.loads(Path(args.set).read_text(encoding="utf-8"))[: args.limit]
    if args.backend == "engine":
        from llm_core import Engine

        engine = Engine(args.model, n_ctx=4096, n_threads=args.threads, max_requests=1)
        load_shipped(engine)
        generate = engine_generate(engine)
        rewrite, trained = rewriting(engine, args.rewrite)
    else:
        generate = llama_generate(args.model, args.threads)
        rewrite, trained = generate if args.rewrite == "model" else None, False
    asked: list[str] = []
    records = evaluate(entries, generate, args.space, args.examples, noting(rewrite, asked), trained, asked)
    figures = report(records)
    for name, rate in (*figures["classes"].items(), ("all tasks", figures["tasks"]), ("refusals", figures["refusals"])):
        print(
            f"{name:10} {rate['right']:3}/{rate['total']:3}  {100 * rate['rate']:5.1f} %  "
            f"[{100 * rate['low']:.1f}, {100 * rate['high']:.1f}]"
        )
    print(
        f"needless refusals {100 * figures['needless_refusals']:.1f} %; median {figures['median_s'] or 0:.3f} s a "
        f"planned command, "
        f"first step {figures['median_first_step_s'] or 0:.3f} s; "
        f"wrong plans {figures['wrong_plans']} of {len(records)}"
    )
    for name, times in figures["times"].items():
        if times["commands"]:
            within = f"{times['median_s']:.3f} s, 95 % within {times['p95_s']:.3f} s"
            print(f"{name:10} {times['commands']:3} commands, {within}")
    if args.failures:
        for record in records:
            if record["failure"]:
                print(record["id"], "|", record["failure"], "|", json.dumps(record["plan"], ensure_ascii=False))
    if args.json:
        Path(args.json).write_text(
            json.dumps(
                {"model": args.model, "backend": args.backend, "space": args.space, **figures, "records": records},
                indent=1,
            )
            + "\n",
            encoding="utf-8",
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
