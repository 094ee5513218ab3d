"""The planner on llama.cpp: `llm-ros evaluate` with llama-cpp-python as the model, for comparison.

    python bench/planner.py --model MODEL.gguf [--space open] [--examples N] [--rewrite model] [--json OUT] SET.json

`--space open` measures the model by itself under a grammar of all skills and names, `--examples` how many worked
examples it is shown.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from llm_ros.cli.evaluate import show, write  # noqa: E402
from llm_ros.planner.evaluate import Evaluation, figures, read_set, told  # noqa: E402
from llm_ros.planner.planner import SPACES  # noqa: E402
from llm_ros.share import config_file  # noqa: E402


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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("set", metavar="SET.json")
    parser.add_argument("--model", required=True, help="path")
    parser.add_argument("--space", choices=SPACES, default="tight")
    parser.add_argument("--examples", type=int, default=None, help="worked examples in the prompt")
    parser.add_argument(
        "--rewrite", choices=("off", "model"), default="off", help="who puts unclear commands into plain words"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit", type=int, default=None, help="only the first N entries")
    parser.add_argument("--json", metavar="OUT.json", help="also write figures and every record")
    parser.add_argument("--failures", action="store_true", help="print every failure")
    args = parser.parse_args()
    generate = llama_generate(args.model, args.threads)
    evaluation = Evaluation(
        generate, config_file("skills.yaml"), config_file("world.yaml"), generate if args.rewrite == "model" else None,
        space=args.space, examples=args.examples,
    )  # fmt: skip
    records = evaluation.run(read_set(args.set)[: args.limit], show if args.failures else lambda record: None)
    found = figures(records)
    print(told(found))
    if args.json:
        write(
            args.json, {"model": args.model, "backend": "llama-cpp", "space": args.space, **found, "records": records}
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
