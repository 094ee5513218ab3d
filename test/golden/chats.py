"""Records how transformers renders chat templates: the real models' and those of test/chat_helpers.py.

python test/golden/chats.py record MODEL.gguf     writes test/data/chats.json (needs transformers, and llama-cpp-python)
python test/golden/chats.py compare MODEL.gguf…   renders and tokenizes with the file's own template, prints differences
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from transformers.utils.chat_template_utils import render_jinja_template

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "test"), str(Path(__file__).parent)]

from chat_helpers import CONVERSATIONS, TEMPLATES, TOOLS  # noqa: E402
from tokens import Peer  # noqa: E402

from llm_core.chat import ChatTemplate  # noqa: E402
from llm_core.gguf import open_gguf  # noqa: E402
from llm_core.tokenizer import Tokenizer  # noqa: E402


def theirs(source: str, messages: list, tools: list | None, add: bool, **names: str) -> str | None:
    """transformers' rendering, None where the template refuses."""
    try:
        rendered, _ = render_jinja_template(
            [messages], tools=tools, chat_template=source, add_generation_prompt=add, **names
        )
    except Exception as error:
        print("refused:", error)
        return None
    return rendered[0]


def names_of(tokenizer: Tokenizer) -> dict[str, str]:
    return {
        f"{role}_token": tokenizer.vocab.tokens[tokenizer.vocab.ids[role]] if role in tokenizer.vocab.ids else ""
        for role in ("bos", "eos", "unk", "pad")
    }


def record(path: str) -> None:
    with open_gguf(path) as file:
        tokenizer = Tokenizer.from_metadata(file.metadata)
        sources = {**TEMPLATES, "model": file.metadata["tokenizer.chat_template"]}
    peer = Peer(path)
    out: dict[str, dict] = {}
    for name, source in sources.items():
        for kind, messages in CONVERSATIONS.items():
            if kind == "tools" and "tool_calls" not in source:
                continue  # the template drops the calls; we write them out as text
            tools = TOOLS if kind == "tools" else None
            text = theirs(source, messages, tools, True, **names_of(tokenizer))
            if text is not None:
                ids = peer.model.tokenize(text.encode(), add_bos=False, special=True)
                out.setdefault(name, {})[kind] = {"text": text, "ids": ids}
    target = ROOT / "test" / "data" / "chats.json"
    target.write_text(json.dumps(out, separators=(",", ":")) + "\n")
    print(f"{target.relative_to(ROOT)}: {target.stat().st_size} bytes")


def compare(paths: list[str]) -> int:
    wrong = 0
    for path in paths:
        peer = Peer(path)
        with open_gguf(path) as file:
            tokenizer = Tokenizer.from_metadata(file.metadata)
            chat = ChatTemplate.from_metadata(file.metadata, tokenizer)
        for kind, messages in CONVERSATIONS.items():
            if kind == "tools" and "tool_calls" not in chat.sources["default"]:
                continue
            tools = TOOLS if kind == "tools" else None
            text = theirs(chat.sources["default"], messages, tools, True, **names_of(tokenizer))
            ours = chat.render(messages, tools)
            ids = peer.model.tokenize(ours.encode(), add_bos=False, special=True)
            same = (text == ours if text is not None else "refused"), ids == chat.encode(messages, tools)
            print(Path(path).name, chat.name, kind, "text", same[0], "ids", same[1])
            wrong += not all(same)
    return 1 if wrong else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["record"] and len(sys.argv) == 3:
        record(sys.argv[2])
    elif sys.argv[1:2] == ["compare"] and len(sys.argv) > 2:
        sys.exit(compare(sys.argv[2:]))
    else:
        sys.exit(__doc__)
