"""A PEFT folder (adapter_config.json, adapter_model.safetensors) as a LoRA adapter in GGUF.

`convert_adapter(folder, target, base, type)` gives keys and names as llama.cpp's converter does. `base` is the model
that the adapter was trained for: a Hugging Face folder, of which config.json is read, or a GGUF file, against which the
result is checked. GGUF has one alpha for all matrices and divides it by the rank; where PEFT scales otherwise (rsLoRA,
alphas of single modules), the key holds what gives the first matrix its scale, and the others' B is multiplied by the
rest. What such a file cannot say (DoRA, biases, whole modules, …) is refused by field and value.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from llm_core.convert.folder import TYPES, Converted
from llm_core.convert.hyperparameters import FAMILIES, Family, HFConfig, find_family, place
from llm_core.convert.mixes import MIXES, fitting
from llm_core.convert.multimodal import split_config, split_tensors
from llm_core.convert.quantize import QUANTIZATION_VERSION
from llm_core.convert.safetensors import READABLE, SafeTensor, open_safetensors, read_json
from llm_core.errors import ModelError, RequestError
from llm_core.gguf import GGMLType, GGUFWriter, escape, open_gguf
from llm_core.hub import resolve
from llm_core.models import Model, load_model
from llm_core.models.adapter import A, B, load_adapter
from llm_core.paths import unfinished
from llm_core.quants import quantize

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_TENSOR = re.compile(r"base_model\.model\.(.+)\.lora_([AB])\.weight")
_HUB_ID = re.compile(r"([\w.-]+)/([\w.-]+)", re.ASCII)
_LITERAL = re.compile(r"[\w.-]+", re.ASCII)
# What the fields may be for an adapter that is W + scale * B A and nothing else.
_PLAIN = {
    "peft_type": ("LORA",),
    "use_dora": (None, False),
    "bias": (None, "none"),
    "lora_bias": (None, False),
    "modules_to_save": (None, []),
    "fan_in_fan_out": (None, False),
    "layer_replication": (None, []),
    "target_parameters": (None, []),
    "trainable_token_indices": (None, [], {}),
    "alora_invocation_tokens": (None, []),
    "use_qalora": (None, False),
    # the others train against weights that they have changed
    "init_lora_weights": (None, True, False, "gaussian", "orthogonal", "eva"),
}


@dataclass(frozen=True)
class Pair:
    """What is added to one weight, B A times alpha / rank: a [rank, k], b [n, rank]; rows of b in `order`."""

    a: SafeTensor
    b: SafeTensor
    alpha: float
    order: np.ndarray | None


def is_adapter_folder(folder: str | os.PathLike) -> bool:
    """Does the folder hold an adapter rather than a model?"""
    return (Path(folder) / CONFIG).exists()


def convert_adapter(
    folder: str | os.PathLike,
    target: str | os.PathLike,
    base: str | os.PathLike | None = None,
    type: str | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> Converted:
    """Write the adapter in `folder` as `target`, its matrices in `type` (of TYPES; None: as they are).

    `base`: folder, path or name of the model; None: the folder that adapter_config.json names, if it is here.
    `progress(weight, share done)` is called before every weight, and with 1.0 at the end. Raises ModelError for what is
    missing, broken or not supported, RequestError for type and base.
    """
    folder, target = Path(folder), Path(target)
    if type is not None and type.upper() not in TYPES:
        raise RequestError(f"--type {type}: must be one of {', '.join(TYPES)}")
    config = HFConfig(read_json(folder / CONFIG), str(folder / CONFIG))
    for key, allowed in _PLAIN.items():
        config.must(key, allowed)
    family, hyperparameters, model = _find_base(base, config)
    pairs = _pairs(folder / WEIGHTS, config, family, hyperparameters)
    first = next(iter(pairs.values()))
    if type is None and first.a.dtype in READABLE:
        type = first.a.dtype
    kind = MIXES[(type or "F32").upper()].base
    values = nbytes = 0
    with unfinished(target) as temporary:
        with GGUFWriter(temporary) as writer:
            writer.add("general.architecture", family.architecture).add("general.type", "adapter")
            writer.add("adapter.type", "lora").add("adapter.lora.alpha", first.alpha)
            writer.add("general.name", folder.resolve().name)
            for key, value in _base_keys(config).items():
                writer.add(key, value)
            writer.add("general.quantization_version", QUANTIZATION_VERSION)
            for index, (name, pair) in enumerate(pairs.items()):
                if progress:
                    progress(name, index / len(pairs))
                b = pair.b.read(slice(None) if pair.order is None else pair.order)
                _write(writer, name + A, pair.a.read(slice(None)), kind)
                _write(writer, name + B, b if pair.alpha == first.alpha else b * (pair.alpha / first.alpha), kind)
        with open_gguf(temporary) as file:
            values, nbytes = (sum(getattr(t, what) for t in file.tensors.values()) for what in ("size", "nbytes"))
        if model is not None:
            load_adapter(temporary, model).file.close()
    if progress:
        progress("", 1.0)
    return Converted(family.architecture, kind.name, 2 * len(pairs), values, nbytes)


def _find_base(base: str | os.PathLike | None, config: HFConfig) -> tuple[Family, HFConfig, Model | None]:
    """How the base model is named and arranged; the model itself where it is a GGUF file."""
    named = config.get("base_model_name_or_path")
    if base is None and isinstance(named, str) and (Path(named) / "config.json").is_file():
        base = named
    if base is None:
        raise RequestError(
            f"--base: the base model's folder or GGUF file wanted ({escape(repr(named), 80)} is no folder here)"
        )
    if Path(base).is_dir():
        path = Path(base) / "config.json"
        found = HFConfig(read_json(path), str(path))
        parts = split_config(found)
        found = found if parts is None else parts.text
        return find_family(found), found, None
    model = load_model(resolve(base))
    m, c = model.file.metadata, model.config
    family = next((one for one in FAMILIES.values() if one.architecture == m.architecture), None)
    if family is None:
        raise m.error("general.architecture", "adapters of this architecture cannot be converted")
    found = {
        "num_hidden_layers": c.n_layer,
        "num_attention_heads": c.n_head,
        "num_key_value_heads": c.n_kv,
        "tie_word_embeddings": "output.weight" not in model.file.tensors,
    }
    return family, HFConfig(found, model.source), model


def _pairs(path: Path, config: HFConfig, family: Family, base: HFConfig) -> dict[str, Pair]:
    """The pairs by the GGUF names of the weights that they change."""
    source, modules = str(path), {}
    for name, tensor in open_safetensors(path).items():
        match = _TENSOR.fullmatch(name)
        if match is None:
            raise _unsupported(source, name, "only ….lora_A.weight and ….lora_B.weight of linear layers are supported")
        modules.setdefault(f"{match[1]}.weight", {})[match[2]] = tensor
    text, vision = split_tensors(modules, source)
    if vision:
        raise _unsupported(source, next(iter(vision.values())).popitem()[1].name, "the vision tower takes no adapter")
    if not text:
        raise ModelError(f"{escape(source)}: holds no tensors")
    pairs = {}
    for name, both in text.items():
        if len(both) < 2:
            raise _unsupported(source, both.popitem()[1].name, "there is no other half of it")
        a, b = both["A"], both["B"]
        if len(a.shape) != 2 or len(b.shape) != 2 or not a.size or a.rows != b.columns:
            raise _unsupported(source, a.name, f"shapes {a.shape} and {b.shape} are not those of A and B")
        placed = place(name, b.rows, family, base)
        if placed is None or placed.name.endswith("norm.weight") or placed.name == "token_embd.weight":
            raise _unsupported(source, a.name, f"{base.source} has no linear layer of its own there")
        pairs[placed.name] = Pair(a, b, _alpha(config, name.removesuffix(".weight"), a.rows), placed.order)
    return pairs


def _alpha(config: HFConfig, module: str, rank: int) -> float:
    """What divided by the rank is PEFT's scale of this module."""
    alpha, patterns = config.float("lora_alpha"), config.get("alpha_pattern") or {}
    if not isinstance(patterns, dict):
        raise config.error("alpha_pattern", patterns, "is no object")
    for pattern in patterns:
        if not _LITERAL.fullmatch(pattern):
            raise config.error("alpha_pattern", pattern, "is not supported: names of modules are, other patterns not")
        if f".{module}".endswith(f".{pattern}"):
            alpha = HFConfig(patterns, config.source).float(pattern)
            break
    return float(np.float32(alpha * math.sqrt(rank) if config.get("use_rslora") else alpha))


def _base_keys(config: HFConfig) -> dict[str, int | str]:
    """Which model it was trained for, as far as adapter_config.json tells others than its maker."""
    named = config.get("base_model_name_or_path")
    if not isinstance(named, str) or not named:
        return {}
    keys: dict[str, int | str] = {"general.base_model.count": 1, "general.base_model.0.name": Path(named).name}
    match = _HUB_ID.fullmatch(named)
    if match is not None and not Path(named).exists():
        keys |= {
            "general.base_model.0.organization": match[1],
            "general.base_model.0.repo_url": f"https://huggingface.co/{named}",
        }
    return keys


def _write(writer: GGUFWriter, name: str, values: np.ndarray, kind: GGMLType) -> None:
    kind = fitting(kind, values.shape[1])
    writer.add_tensor(name, quantize(values, kind).reshape(-1), kind, values.shape)


def _unsupported(source: str, name: str, problem: str) -> ModelError:
    return ModelError(f"{escape(source)}: tensor '{escape(name, 120)}': {problem}")
