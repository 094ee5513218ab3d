"""From a model's path or name to the parts that an engine needs: runner, tokenizer, chat template, facts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from llm_core.engine.draft import CHUNK, DraftModel
from llm_core.errors import ModelError

Progress = Callable[[str, float], None]  # (what is being done, fraction of the whole)


@dataclass(frozen=True)
class ModelInfo:
    """What a client may want to know of a loaded model."""

    name: str
    architecture: str
    path: str
    n_ctx: int  # context of this engine, tokens
    n_ctx_train: int  # context that the model was made for; 0 when it does not say
    n_vocab: int
    parameters: int
    quantization: str  # the type that holds most parameters, e.g. "Q4_K"
    size_bytes: int  # tensor data
    has_chat_template: bool
    vision: str = ""  # the projector of the mmproj file, "" without one
    fingerprint: str = ""  # the same for every file of a model, whatever its format (gguf/fingerprint.py)


class Parts(NamedTuple):
    """What an engine is made of. A test may pass its own."""

    runner: object
    tokenizer: object
    chat_template: object | None = None
    info: ModelInfo | None = None
    eyes: object | None = None  # vision.splice.Eyes
    loras: Mapping[str, object] = MappingProxyType({})  # adapters that the runner has attached, by name


def load_parts(
    model: str | Path,
    n_ctx: int,
    n_blocks: int | None,
    max_rows: int,
    n_threads: int | None,
    pin: bool,
    progress: Progress | None,
    kv_type: str = "f16",
    pool=None,
    adapters: Mapping[str, Path] = MappingProxyType({}),
) -> Parts:
    """Open, check and pack a model. Raises ModelError. The kernels take a second to import, so they come last: what
    is wrong with the file's header is told before."""
    say = progress or (lambda what, fraction: None)
    say("opening the model file", 0.0)
    from llm_core.chat import ChatTemplate
    from llm_core.gguf import open_gguf
    from llm_core.hub import resolve
    from llm_core.models import check_config
    from llm_core.tokenizer import Tokenizer

    path = resolve(model)
    file = open_gguf(path)
    check_config(file)
    say("reading the vocabulary", 0.05)
    tokenizer = Tokenizer.from_metadata(file.metadata)
    template = ChatTemplate.from_metadata(file.metadata, tokenizer)
    from llm_core.models import load_model
    from llm_core.models.adapter import load_adapter
    from llm_core.program import Runner

    loaded = load_model(file)
    checked = {name: load_adapter(path, loaded) for name, path in adapters.items()}
    if n_blocks is None:
        n_blocks = 2 * -(-n_ctx // Runner.block_size)
    try:
        runner = Runner(
            loaded,
            n_ctx=n_ctx,
            n_blocks=n_blocks,
            max_rows=max_rows,
            n_threads=n_threads,
            pin=pin,
            kv_type=kv_type,
            pool=pool,
            progress=lambda what, fraction: say(what, 0.2 + 0.79 * fraction),
        )
    except MemoryError as error:
        raise ModelError(f"{path}: not enough memory to load the model ({error or 'none left'})") from error
    try:
        loras = {name: attach(runner, adapter, say) for name, adapter in checked.items()}
    except BaseException:
        runner.close()
        raise
    say("ready", 1.0)
    return Parts(runner, tokenizer, template, _info(file, path, runner), loras=loras)


def attach(runner, adapter, say: Progress | None = None):
    """The adapter as the runner's steps take it. Raises ModelError."""
    try:
        return runner.attach(adapter, None if say is None else lambda what, fraction: say(what, 0.99))
    except MemoryError as error:
        raise ModelError(f"{adapter.source}: not enough memory to load the adapter ({error or 'none left'})") from error


def load_tower(mmproj: str | Path):
    """The checked vision tower of an mmproj file (`vision.VisionModel`), a path or a name. Raises ModelError."""
    from llm_core.hub import resolve
    from llm_core.vision.model import load_vision

    return load_vision(resolve(mmproj))


def shipped_tower(fingerprint: str) -> Path | None:
    """The mmproj file that comes with this package for the model of a fingerprint (`ModelInfo.fingerprint`), if any."""
    from llm_core.gguf import open_gguf
    from llm_core.gguf.fingerprint import BASE
    from llm_core.hub import WEIGHTS

    files = ((path, open_gguf(path).metadata) for path in sorted(WEIGHTS.glob("*.gguf")))
    return next((path for path, found in files if fingerprint and found.str(BASE, default="") == fingerprint), None)


def with_eyes(parts: Parts, tower, progress: Progress | None) -> Parts:
    """The parts of an engine that sees, with the tower on the threads of its runner, and the adapter that its file may
    hold. Raises ModelError unless the tower's embeddings are the model's; the runner is closed then."""
    from llm_core.models.adapter import load_companion
    from llm_core.vision.runner import VisionRunner
    from llm_core.vision.splice import Eyes

    model = parts.runner.model
    try:
        if tower.width != model.config.n_embd:
            raise ModelError(
                f"{tower.source}: its embeddings are {tower.width} wide, those of {model.source} "
                f"{model.config.n_embd}: the two files do not belong together"
            )
        if tower.tower.axial and not model.sections:
            raise ModelError(
                f"{tower.source}: its pictures are for a model that turns by row and column, {model.source} does not: "
                "the two files do not belong together"
            )
        adapter = load_companion(tower.file, model)
        lora = None if adapter is None else attach(parts.runner, adapter, progress)
        eyes = Eyes(tower, VisionRunner(tower, pool=parts.runner.pool, progress=progress), lora)
    except BaseException as error:
        parts.runner.close()
        if isinstance(error, MemoryError):
            raise ModelError(f"{tower.source}: not enough memory to load it ({error or 'none left'})") from error
        raise
    info = None if parts.info is None else replace(parts.info, vision=tower.config.projector)
    return parts._replace(info=info, eyes=eyes)


def load_draft(
    model: str | Path | Parts, big: Parts, n_ctx: int, kv_type: str, progress: Progress | None
) -> DraftModel:
    """The small model that guesses for a big one, on the big one's threads. Raises ModelError unless both have the
    same vocabulary."""
    if not isinstance(model, Parts):
        say = None if progress is None else lambda what, part: progress(f"draft model: {what}", part)
        blocks = -(-n_ctx // big.runner.block_size)
        model = load_parts(model, n_ctx, blocks, CHUNK, None, False, say, kv_type, big.runner.pool)
    small, tokens = model.tokenizer, big.tokenizer.token_bytes
    if small.n_vocab != big.tokenizer.n_vocab or model.runner.n_vocab != big.runner.n_vocab:
        why = f"it has {small.n_vocab} tokens ({model.runner.n_vocab} logits)"
        why += f", the model {big.tokenizer.n_vocab} ({big.runner.n_vocab})"
    else:
        other = next((i for i in range(small.n_vocab) if small.token_bytes(i) != tokens(i)), None)
        if other is None:
            return DraftModel(model.runner)
        why = f"token {other} is {small.token_bytes(other)!r}, the model's {tokens(other)!r}"
    model.runner.close()
    raise ModelError(f"draft_model {model.info.name if model.info else ''}: its vocabulary is not the model's: {why}")


def _info(file, path: Path, runner) -> ModelInfo:
    from llm_core.gguf.fingerprint import fingerprint

    metadata = file.metadata
    parameters: Counter = Counter()
    for tensor in file.tensors.values():
        size = 1
        for dimension in tensor.shape:
            size *= dimension
        parameters[tensor.type.name] += size
    return ModelInfo(
        name=metadata.str("general.name", default=Path(path).stem),
        architecture=metadata.architecture,
        path=str(path),
        n_ctx=runner.n_ctx,
        n_ctx_train=metadata.int("{arch}.context_length", default=0),
        n_vocab=runner.n_vocab,
        parameters=sum(parameters.values()),
        quantization=parameters.most_common(1)[0][0] if parameters else "",
        size_bytes=sum(tensor.data.nbytes for tensor in file.tensors.values()),
        has_chat_template="tokenizer.chat_template" in metadata,
        fingerprint=fingerprint(file),
    )
