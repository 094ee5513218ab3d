"""`llm-core inspect FILE`: what is in a GGUF file, without running any of it.

Reads the header only. Everything from the file is data here: strings are printed with control characters escaped, a
chat template is shown and never compiled, metadata that make no sense are shown as they are. A model of an
architecture that runs here, but whose hyperparameters or vocabulary cannot be right, and a broken LoRA adapter are
shown and are errors all the same (exit code 2). Needs no kernels.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import Counter
from typing import Any

from llm_core.errors import ModelError, RequestError, naming
from llm_core.gguf import GGUFFile, Metadata, ValueType, escape, open_gguf
from llm_core.hub import resolve
from llm_core.models import architectures, check_config
from llm_core.models.adapter import read_adapter
from llm_core.models.names import is_adapter
from llm_core.quants import FORMATS
from llm_core.tokenizer import Vocab

SUMMARY = "show what is in a GGUF file: metadata, sizes, tensors"

_SHOWN_ITEMS = 8
_SHOWN_CHARACTERS = 72

# JSON name and label of what the file says about its model, by metadata key
_FACTS = (
    ("context_length", "context", "context_length"),
    ("block_count", "layers", "block_count"),
    ("embedding_length", "embedding", "embedding_length"),
    ("feed_forward_length", "feed-forward", "feed_forward_length"),
    ("head_count", "heads", "attention.head_count"),
    ("head_count_kv", "key/value heads", "attention.head_count_kv"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this verb's options."""
    parser.add_argument(
        "file", metavar="FILE", help="a .gguf file (any part of a split set stands for the set) or a model's name"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    parser.add_argument("--tensors", action="store_true", help="list every tensor")
    parser.add_argument("--metadata", metavar="KEY", help="print the whole value of this key and nothing else")


def run(args: argparse.Namespace) -> int:
    """Prints the report. Raises GGUFError for a broken file, RequestError for a key that is not there, and ModelError,
    after the report, for a model that cannot be right.
    """
    with open_gguf(resolve(args.file, download=False)) as file:
        wrong = problem(file) if args.metadata is None else None
        if args.metadata is not None:
            text = _one_value(file.metadata, args.metadata, args.json)
        elif args.json:
            text = json.dumps(_plain(report(file, args.tensors)), indent=2)
        else:
            text = _tables(file, args.tensors)
    # a terminal that cannot show a letter gets its escape
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding))
    if wrong is not None:
        sys.stdout.flush()
        raise wrong
    return 0


def problem(file: GGUFFile) -> ModelError | None:
    """Why a model of an architecture that runs here does not, as far as its metadata tell, or why an adapter cannot be
    used with any. None for one that is right, and for what is no model for us: another architecture, a vocabulary
    without tensors.
    """
    metadata = file.metadata
    if is_adapter(metadata):
        try:
            read_adapter(file)
        except ModelError as error:
            return error
        return None
    ours = metadata.get("general.architecture") in architectures()
    if not ours or not file.tensors or metadata.get("general.type", "model") != "model":
        return None
    try:
        check_config(file)
        with naming(metadata.source):
            Vocab.from_metadata(metadata)
    except ModelError as error:
        return error
    return None


def report(file: GGUFFile, tensors: bool = False) -> dict[str, Any]:
    """Everything about a file as JSON-ready values (but for NaN and infinities); `tensors` adds the list of them.

    Sizes are in bytes; arrays of more than 8 items are given by their length and their first items.
    """
    metadata = file.metadata
    by_type: dict[str, dict[str, int]] = {}
    for tensor in file.tensors.values():
        row = by_type.setdefault(tensor.type.name, {"tensors": 0, "parameters": 0, "bytes": 0})
        for name, amount in (("tensors", 1), ("parameters", tensor.size), ("bytes", tensor.nbytes)):
            row[name] += amount
    parameters = sum(row["parameters"] for row in by_type.values())
    nbytes = sum(row["bytes"] for row in by_type.values())
    template = metadata.get("tokenizer.chat_template")
    found = {
        "path": str(file.path),
        "files": [str(part) for part in file.parts],
        "file_bytes": file.size,
        "version": file.version,
        "alignment": file.alignment,
        "architecture": metadata.get("general.architecture"),
        "name": metadata.get("general.name"),
        "parameters": parameters,
        "tensor_count": len(file.tensors),
        "tensor_bytes": nbytes,
        "bits_per_parameter": round(8 * nbytes / parameters, 3) if parameters else None,
        "types": by_type,
        "problem": str(problem(file) or "") or None,
        "unsupported_types": sorted({t.type.name for t in file.tensors.values() if t.type not in FORMATS}),
        **{name: _of_architecture(metadata, key) for name, _, key in _FACTS},
        "adapter": _adapter(file),
        "vocabulary": _vocabulary(metadata),
        "chat_template": isinstance(template, str),
        "chat_template_characters": len(template) if isinstance(template, str) else None,
        "metadata": {key: _entry(metadata, key) for key in metadata},
    }
    if tensors:
        found["tensors"] = [
            {
                "name": t.name,
                "type": t.type.name,
                "shape": list(t.shape),
                "bytes": t.nbytes,
                "offset": t.offset,
                "file": t.mapping.source,
            }
            for t in file.tensors.values()
        ]
    return found


def _of_architecture(metadata: Metadata, key: str) -> Any:
    """`<architecture>.<key>` whatever it is; a list of per-layer values is given once if they are all equal."""
    value = metadata.get(f"{metadata.get('general.architecture')}.{key}")
    if isinstance(value, list):
        distinct = Counter(map(repr, value))
        value = value[0] if len(distinct) == 1 else value[:_SHOWN_ITEMS]
    return value


def _adapter(file: GGUFFile) -> dict[str, Any] | None:
    """What a LoRA adapter is for and how large it is; None for another file or a broken one."""
    try:
        adapter = read_adapter(file) if is_adapter(file.metadata) else None
    except ModelError:
        return None
    if adapter is None:
        return None
    kinds = Counter(_kind(name) for name in adapter.pairs)
    return {
        "type": "lora",
        "alpha": adapter.alpha,
        "ranks": sorted({pair.rank for pair in adapter.pairs.values()}),
        "base_model": file.metadata.get("general.base_model.0.name"),
        "weights": len(adapter.pairs),
        "targets": dict(kinds),
    }


def _kind(name: str) -> str:
    """ "blk.3.attn_q.weight" → "attn_q"."""
    return name.removesuffix(".weight").rpartition(".")[2]


def _vocabulary(metadata: Metadata) -> dict[str, Any]:
    tokens = metadata.get("tokenizer.ggml.tokens")
    return {
        "model": metadata.get("tokenizer.ggml.model"),
        "pre": metadata.get("tokenizer.ggml.pre"),
        "size": len(tokens) if isinstance(tokens, list) else None,
    }


def _type_name(metadata: Metadata, key: str) -> str:
    kind, item = metadata.types[key]
    return kind.name if kind is not ValueType.ARRAY else f"ARRAY[{item.name}]"


def _entry(metadata: Metadata, key: str) -> dict[str, Any]:
    value = metadata[key]
    entry = {"type": _type_name(metadata, key)}
    if isinstance(value, list) and len(value) > _SHOWN_ITEMS:
        return {**entry, "length": len(value), "first": value[:_SHOWN_ITEMS]}
    return {**entry, "value": value}


def _plain(value: Any) -> Any:
    """JSON has no NaN and no infinities: they become the strings "NaN", "Infinity", "-Infinity"."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _one_value(metadata: Metadata, key: str, as_json: bool) -> str:
    if key not in metadata:
        raise RequestError(f"--metadata: the file has no key '{escape(key, 120)}'")
    value = metadata[key]
    if as_json:
        return json.dumps(_plain(value))
    items = value if isinstance(value, list) else [value]
    # a string keeps its line breaks (a template is read by people); an item of a list stays on its own line
    return "\n".join(
        "\n".join(map(escape, item.split("\n"))) if item is value and isinstance(item, str) else _shown(item, None)
        for item in items
    )


def _shown(value: Any, limit: int | None = _SHOWN_CHARACTERS) -> str:
    """A value on one line."""
    if isinstance(value, str):
        return escape(value, limit)
    if isinstance(value, list) and limit is not None:
        items = ", ".join(_shown(item, 24) for item in value[:_SHOWN_ITEMS])
        return f"[{items}, … {len(value):,} in all]" if len(value) > _SHOWN_ITEMS else f"[{items}]"
    return "-" if value is None else escape(str(value), limit)


def _bytes(number: int) -> str:
    size, units = float(number), ["B", "kB", "MB", "GB", "TB"]
    while size >= 1000 and len(units) > 1:
        size, units = size / 1000, units[1:]
    return f"{size:.4g} {units[0]}"


def _table(rows: list[tuple[str, ...]], right: tuple[int, ...] = ()) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(c.rjust(widths[i]) if i in right else c.ljust(widths[i]) for i, c in enumerate(row)).rstrip()
        for row in rows
    ]


def _model_facts(found: dict[str, Any]) -> list[tuple[str, str]]:
    vocabulary = found["vocabulary"]
    template = "none"
    if found["chat_template"]:
        template = f"{found['chat_template_characters']:,} characters (--metadata tokenizer.chat_template shows it)"
    return [
        *((label, _shown(found[name])) for name, label, _ in _FACTS),
        (
            "vocabulary",
            f"{_shown(vocabulary['size'])} tokens, model {_shown(vocabulary['model'])}, "
            f"pre-tokenizer {_shown(vocabulary['pre'])}",
        ),
        ("chat template", template),
    ]


def _adapter_facts(adapter: dict[str, Any]) -> list[tuple[str, str]]:
    ranks, targets = adapter["ranks"], adapter["targets"]
    return [
        ("adapter", f"{adapter['type']} for models of this architecture"),
        ("base model", _shown(adapter["base_model"])),
        ("alpha", f"{adapter['alpha']:g}"),
        ("rank", " to ".join(str(rank) for rank in dict.fromkeys((ranks[0], ranks[-1])))),
        (
            "changes",
            f"{adapter['weights']} weights: {', '.join(f'{n} {escape(kind, 40)}' for kind, n in targets.items())}",
        ),
    ]


def _tables(file: GGUFFile, tensors: bool) -> str:
    found = report(file)
    parts = f" in {len(file.parts)} files" if len(file.parts) > 1 else ""
    facts = [
        ("file", escape(found["path"])),
        ("format", f"GGUF version {file.version}, {_bytes(file.size)}{parts}, alignment {file.alignment}"),
        ("architecture", _shown(found["architecture"])),
        ("name", _shown(found["name"])),
        (
            "parameters",
            f"{found['parameters']:,} in {found['tensor_count']:,} tensors, {_bytes(found['tensor_bytes'])}"
            + (f", {found['bits_per_parameter']} bits each" if found["parameters"] else ""),
        ),
        *(_model_facts(found) if found["adapter"] is None else _adapter_facts(found["adapter"])),
    ]
    if found["unsupported_types"]:
        facts.append(("not supported", f"tensor types {', '.join(found['unsupported_types'])}"))
    lines = [line[2:] for line in _table(facts)]
    types = sorted(found["types"].items(), key=lambda item: -item[1]["bytes"])
    rows = [(name, f"{row['tensors']:,}", f"{row['parameters']:,}", _bytes(row["bytes"])) for name, row in types]
    lines += ["", "types", *_table([("type", "tensors", "parameters", "size"), *rows], right=(1, 2, 3))]
    metadata = file.metadata
    keys = [(escape(key, 80), _type_name(metadata, key), _shown(metadata[key])) for key in metadata]
    lines += ["", "metadata", *_table([("key", "type", "value"), *keys])]
    if tensors:
        rows = [
            (escape(t.name, 80), t.type.name, " x ".join(map(str, t.shape)) or "scalar", _bytes(t.nbytes))
            for t in file.tensors.values()
        ]
        lines += ["", "tensors (rows x columns)", *_table([("name", "type", "shape", "size"), *rows], right=(3,))]
    return "\n".join(lines)
