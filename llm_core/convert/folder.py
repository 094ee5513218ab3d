"""A Hugging Face folder (config.json, safetensors, tokenizer files) as one GGUF file.

`convert_folder(folder, target, type)` gives keys, names and values as llama.cpp's converter does, for the
architectures that run here. Nothing is taken on trust: the new file must load as a model before it takes its name.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from llm_core.convert.hyperparameters import Family, HFConfig, Placed, find_family, place
from llm_core.convert.mixes import MIXES, fitting
from llm_core.convert.mmproj import write_mmproj
from llm_core.convert.multimodal import split_config, split_tensors
from llm_core.convert.quantize import QUANTIZATION_VERSION
from llm_core.convert.safetensors import SafeTensor, open_folder, read_json
from llm_core.convert.vocabulary import vocabulary_keys
from llm_core.errors import ModelError, RequestError
from llm_core.gguf import GGMLType, GGUFWriter, ValueType, open_gguf
from llm_core.models import load_model
from llm_core.paths import unfinished
from llm_core.quants import quantize
from llm_core.tokenizer import Tokenizer

TYPES = ("F32", "F16", "BF16", "Q8_0")
# float32 values held at a time
SLAB = 16 << 20
_EMBEDDING = "model.embed_tokens.weight"


@dataclass(frozen=True)
class Converted:
    """What was written."""

    architecture: str
    type: str
    tensors: int
    values: int
    bytes: int


def convert_folder(
    folder: str | os.PathLike,
    target: str | os.PathLike,
    type: str | None = None,
    progress: Callable[[str, float], None] | None = None,
    mmproj: str | os.PathLike | None = None,
) -> Converted:
    """Write the model in `folder` as `target`, matrices in `type` (of TYPES; None: F16 if they are that, else BF16).

    Of a model that sees this is the language model; `mmproj` is the file for its vision tower and projector.

    `progress(tensor name, share done)` is called before every tensor, and with 1.0 at the end. Raises ModelError for
    what is missing, broken or not supported in the folder, RequestError for the type.
    """
    folder, target = Path(folder), Path(target)
    if type is not None and type.upper() not in TYPES:
        raise RequestError(f"--type {type}: must be one of {', '.join(TYPES)}")
    source = str(folder / "config.json")
    config = HFConfig(read_json(folder / "config.json"), source)
    parts = split_config(config)
    tensors, tower = open_folder(folder), {}
    if parts is not None:
        config = parts.text
        tensors, tower = split_tensors(tensors, str(folder))
    elif mmproj is not None:
        raise RequestError(f"--mmproj {os.fspath(mmproj)}: the model in {folder} does not see")
    family = find_family(config)
    if _EMBEDDING not in tensors:
        raise ModelError(f"{folder}: tensor '{_EMBEDDING}' is missing")
    embedding = tensors[_EMBEDDING]
    name = type.upper() if type is not None else "F16" if embedding.dtype == "F16" else "BF16"
    keys = {f"{family.architecture}.{key}": value for key, value in family.keys(config).items()}
    vocabulary = vocabulary_keys(folder, config.int("vocab_size"), family.architecture, config.values)
    with unfinished(target) as temporary:
        with GGUFWriter(temporary) as writer:
            writer.add("general.architecture", family.architecture).add("general.type", "model")
            writer.add("general.name", folder.resolve().name)
            writer.add("general.file_type", MIXES[name].file_type)
            writer.add("general.quantization_version", QUANTIZATION_VERSION)
            for key, value in (keys | vocabulary).items():
                writer.add(key, value, item_type=ValueType.STRING if key.endswith(".merges") else None)
            count = _write_tensors(writer, tensors, family, config, MIXES[name].base, progress)
        with open_gguf(temporary) as file:
            load_model(file)
            Tokenizer.from_metadata(file.metadata)
            size = sum(tensor.nbytes for tensor in file.tensors.values())
        if mmproj is not None:
            write_mmproj(folder, Path(mmproj), name, parts, tower)
    if progress:
        progress("", 1.0)
    return Converted(family.architecture, name, *count, size)


def _write_tensors(
    writer: GGUFWriter,
    tensors: dict[str, SafeTensor],
    family: Family,
    config: HFConfig,
    kind: GGMLType,
    progress: Callable[[str, float], None] | None,
) -> tuple[int, int]:
    """(tensors, values) written: first what follows from the configuration, then the folder's tensors."""
    extra = family.extra(config)
    for name, values in extra.items():
        writer.add_tensor(name, values)
    total, done, count = sum(t.size for t in tensors.values()), 0, len(extra)
    values = sum(v.size for v in extra.values())
    for name, tensor in tensors.items():
        if progress:
            progress(name, done / total)
        done += tensor.size
        placed = place(name, tensor.rows if len(tensor.shape) > 1 else tensor.columns, family, config)
        if placed is not None:
            _write_tensor(writer, tensor, placed, kind)
            count, values = count + 1, values + tensor.size
    return count, values


def _write_tensor(writer: GGUFWriter, tensor: SafeTensor, placed: Placed, kind: GGMLType) -> None:
    """A vector as F32, a matrix as `kind`, a slab of rows at a time."""
    if len(tensor.shape) == 1:
        values = tensor.read(slice(None)).reshape(-1)
        values = values if placed.order is None else values[placed.order]
        writer.add_tensor(placed.name, values + np.float32(placed.shift) if placed.shift else values)
        return
    if len(tensor.shape) != 2 or not tensor.size:
        raise ModelError(f"tensor '{tensor.name}': shape {tensor.shape} is neither a vector nor a matrix")
    kind = fitting(kind, tensor.columns)
    out = np.empty((tensor.rows, tensor.columns // kind.block * kind.nbytes), np.uint8)
    step = max(1, SLAB // tensor.columns)
    for start in range(0, tensor.rows, step):
        rows = slice(start, start + step)
        values = tensor.read(rows if placed.order is None else placed.order[rows])
        out[rows] = quantize(values, kind)
    writer.add_tensor(placed.name, out.reshape(-1), kind, tensor.shape)
