"""ROS messages <-> plain values and llm_core's types, in pairs: `*_from_ros` checks, `*_to_ros` always makes a sendable
message.

What a message cannot mean is a RequestError that names the message's field and its value. Strings that ROS cannot carry
(a NUL ends a string in C, a lone surrogate has no UTF-8) are refused on the way out of a client, and shown as U+FFFD on
the way out of a node, where they come from a model. Knows no node and no engine.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from numbers import Integral, Real

from llm_core.errors import RequestError
from llm_core.grammar import Grammar
from llm_core.lora import check_scale
from llm_core.sampling import SamplingParams
from llm_ros.images import in_messages, in_text, pictures_from_ros
from llm_ros.msg import (
    ChatMessage,
    LogitBias,
    LoraAdapter,
    ModelInfo,
    PartialResponse,
    Response,
    SamplingConfig,
    TokenProb,
    TokenProbArray,
    UsageStats,
)
from llm_ros.params import SamplingDefaults, check_value

ROLES = (ChatMessage.SYSTEM, ChatMessage.USER, ChatMessage.ASSISTANT, ChatMessage.TOOL)
PRIORITY_LIMIT = 100
DEADLINE_LIMIT = 3600.0 * 24
N_PROBS_LIMIT = 100

# Field of SamplingConfig and of the sampling.* parameters -> field of llm_core.SamplingParams.
_SAMPLING = {
    "max_tokens": "max_tokens",
    "temp": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "typical_p": "typical_p",
    "penalty_last_n": "penalty_last_n",
    "penalty_repeat": "repeat_penalty",
    "penalty_freq": "frequency_penalty",
    "penalty_present": "presence_penalty",
    "seed": "seed",
}
# What the fields hold when the client left them alone; all others hold -1.
_UNSET = {"penalty_freq": SamplingConfig.UNSET_PENALTY, "penalty_present": SamplingConfig.UNSET_PENALTY}
_GRAMMARS = {
    "grammar": Grammar.gbnf,
    "grammar_schema": Grammar.json,
    "grammar_regex": Grammar.regex,
    "grammar_lark": Grammar.lark,
}
# llm_core's finish reasons as constants of Response.
FINISH = {
    "stop": Response.FINISH_STOP,
    "length": Response.FINISH_LENGTH,
    "context_full": Response.FINISH_CONTEXT_FULL,
    "deadline": Response.FINISH_DEADLINE,
    "cancelled": Response.FINISH_CANCELLED,
    "error": Response.FINISH_ERROR,
}
FINISH_NAMES = {value: name for name, value in FINISH.items()} | {
    Response.FINISH_UNKNOWN: "unknown",
    Response.FINISH_ABORTED: "aborted",
}


def text_to_ros(name: str, text: str) -> str:
    """`text` if ROS can carry it; raises RequestError naming `name` if it is no text, or has NUL or broken UTF-8."""
    if not isinstance(text, str):
        raise RequestError(f"{name} is {text!r}: a text wanted")
    if "\0" in text:
        raise RequestError(f"{name} has a NUL character at position {text.index(chr(0))}: ROS strings cannot carry it")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise RequestError(f"{name} is not valid UTF-8 (at character {error.start})") from None
    return text


def safe_text(text: str) -> str:
    """`text` with everything that ROS cannot carry shown as U+FFFD."""
    return text.replace("\0", "\ufffd").encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def messages_to_ros(messages: str | Iterable[Mapping]) -> list[ChatMessage]:
    """Messages of {"role", "content"}, or one user's text, as ChatMessage list. Raises RequestError."""
    if isinstance(messages, str):
        messages = [{"role": ChatMessage.USER, "content": messages}]
    return [
        ChatMessage(role=text_to_ros("role", message["role"]), content=text_to_ros("content", message["content"]))
        for message in messages
    ]


def messages_from_ros(messages: Sequence[ChatMessage]) -> list[dict]:
    """ChatMessage list as llm_core's messages. Raises RequestError for none at all, for an unknown role, and where no
    message says anything.
    """
    if not messages:
        raise RequestError("messages is empty: at least one is needed")
    for index, message in enumerate(messages):
        if message.role not in ROLES:
            raise RequestError(f"messages[{index}].role is {message.role!r}: one of {', '.join(ROLES)} wanted")
    if not any(message.content.strip() for message in messages):
        raise RequestError("messages have no text: at least one character is needed")
    return [{"role": message.role, "content": message.content} for message in messages]


def _float_to_ros(name: str, value) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise RequestError(f"{name} is {value!r}: a number wanted")
    return float(value)


def _int_to_ros(name: str, value, bits: int = 32) -> int:
    limit = 1 << (bits - 1)
    if isinstance(value, bool) or not isinstance(value, Integral) or not -limit <= value < limit:
        raise RequestError(f"{name} is {value!r}: an integer of {bits} bits wanted")
    return int(value)


def _bool_to_ros(name: str, value) -> bool:
    if not isinstance(value, bool):
        raise RequestError(f"{name} is {value!r}: true or false wanted")
    return value


def _bias_to_ros(name: str, value) -> list[LogitBias]:
    if not isinstance(value, Mapping):
        raise RequestError(f"{name} is {value!r}: a mapping from token id to number wanted")
    return [
        LogitBias(token=_int_to_ros(f"{name} token", token), bias=_float_to_ros(f"{name}[{token}]", bias))
        for token, bias in value.items()
    ]


# ROS type of a field -> what makes a sendable value of it. rclpy itself checks nothing and may crash on what does not
# fit.
_SENDABLE = {
    "int32": _int_to_ros,
    "int64": partial(_int_to_ros, bits=64),
    "float": _float_to_ros,
    "boolean": _bool_to_ros,
    "string": text_to_ros,
    "sequence<llm_ros/LogitBias>": _bias_to_ros,
}


def sampling_to_ros(**values) -> SamplingConfig:
    """A SamplingConfig of the given fields; `logit_bias` is a mapping. Raises RequestError for what cannot be sent."""
    message, types = SamplingConfig(), SamplingConfig.get_fields_and_field_types()
    for name, value in values.items():
        if name not in types:
            raise RequestError(f"{name} is no field of SamplingConfig")
        setattr(message, name, _SENDABLE[types[name]](name, value))
    return message


def lora_to_ros(adapters: str | Iterable[str] | Mapping[str, float | None]) -> list[LoraAdapter]:
    """Adapters by their names, or {name: scale} with None for the node's own scale. Raises RequestError."""
    names = [adapters] if isinstance(adapters, str) else adapters
    scales = adapters if isinstance(adapters, Mapping) else {}
    return [
        LoraAdapter(
            name=text_to_ros("lora", name),
            scale=LoraAdapter.UNSET_SCALE if scales.get(name) is None else check_scale(f"lora[{name!r}]", scales[name]),
        )
        for name in names
    ]


def lora_from_ros(adapters: Sequence[LoraAdapter], loaded) -> dict[str, float] | None:
    """{name: scale} as `Engine.submit` takes it, None for none named. `loaded`: the engine's adapters. Raises
    RequestError for a name that is not among them or comes twice, and for a scale out of range.
    """
    usual = {info.name: info.scale for info in loaded}
    chosen = {}
    for index, adapter in enumerate(adapters):
        name, scale = adapter.name, adapter.scale
        if name not in usual:
            known = ", ".join(map(repr, usual)) or "none"
            raise RequestError(f"lora[{index}].name is {name!r}: no such adapter is loaded; loaded: {known}")
        if name in chosen:
            raise RequestError(f"lora[{index}].name is {name!r}, which is there already")
        unset = scale == LoraAdapter.UNSET_SCALE
        chosen[name] = usual[name] if unset else check_scale(f"lora[{index}].scale", scale)
    return chosen or None


def request_to_ros(
    message, stop: Sequence[str], stop_token_ids: Sequence[int], lora, priority: int, deadline: float, sampling
):
    """Fills the fields that every generating message has; returns it. Raises RequestError for what ROS cannot carry."""
    message.stop = [text_to_ros("stop", text) for text in stop]
    message.stop_token_ids = [_int_to_ros("stop_token_ids", token) for token in stop_token_ids]
    message.priority, message.deadline = _int_to_ros("priority", priority), _float_to_ros("deadline", deadline)
    message.sampling_config, message.lora = sampling_to_ros(**sampling), lora_to_ros(lora)
    return message


def sampling_from_ros(
    message: SamplingConfig, defaults: SamplingDefaults, stop: Sequence[str] = (), stop_token_ids: Sequence[int] = ()
) -> SamplingParams:
    """What a request asks of the sampler, with `defaults` for all it leaves open. Raises RequestError."""
    specs = {spec.name: spec for spec in dataclasses.fields(SamplingDefaults)}
    values = {}
    for name, core_name in _SAMPLING.items():
        value = getattr(message, name)
        if value == _UNSET.get(name, -1):
            value = getattr(defaults, name)
        elif isinstance(value, float):
            value = float(f"{value:.7g}")  # 0.8 and not 0.800000011920929: all that a float32 holds, and no more
        check_value(f"sampling_config.{name}", specs[name], value)
        values[core_name] = value
    values["seed"] = message.seed if message.seed >= 0 else defaults.draw_seed()
    if not -1 <= message.n_probs <= N_PROBS_LIMIT:
        raise RequestError(f"sampling_config.n_probs = {message.n_probs}: out of range [-1, {N_PROBS_LIMIT}]")
    wanted = {name: getattr(message, name) for name in _GRAMMARS if getattr(message, name)}
    if len(wanted) > 1:
        raise RequestError(f"sampling_config has {' and '.join(wanted)}: only one of them can be followed")
    grammar = next((_GRAMMARS[name](text) for name, text in wanted.items()), None)
    for text in stop:
        if not text:
            raise RequestError("stop has an empty text: it would end the response before it begins")
    return SamplingParams(
        **values,
        logprobs=message.n_probs if message.n_probs >= 0 else None,
        grammar=grammar,
        logit_bias={int(bias.token): float(bias.bias) for bias in message.logit_bias},
        ignore_eos=message.ignore_eos,
        stop=tuple(stop),
        stop_ids=[int(token) for token in stop_token_ids],
    )


def urgency_from_ros(priority: int, deadline: float) -> tuple[int, float | None]:
    """(priority, seconds or None for no deadline). Raises RequestError for values out of range."""
    if not -PRIORITY_LIMIT <= priority <= PRIORITY_LIMIT:
        raise RequestError(f"priority = {priority}: out of range [-{PRIORITY_LIMIT}, {PRIORITY_LIMIT}]")
    return priority, deadline_from_ros(deadline)


def deadline_from_ros(deadline: float) -> float | None:
    """Seconds, or None where the message says 0. Raises RequestError for a value out of range."""
    if not 0.0 <= deadline <= DEADLINE_LIMIT:
        raise RequestError(f"deadline = {deadline:g}: out of range [0, {DEADLINE_LIMIT:g}] seconds")
    return deadline or None


def probs_to_ros(logprobs, tokenizer) -> list[TokenProbArray]:
    """llm_core's TokenLogprobs as messages; [] for None."""

    def one(token, logprob):
        text = safe_text(tokenizer.token_bytes(token).decode("utf-8", "replace"))
        return TokenProb(token=int(token), logprob=float(logprob), token_text=text)

    return [
        TokenProbArray(chosen=one(item.token, item.logprob), data=[one(*top) for top in item.top])
        for item in logprobs or ()
    ]


def partial_to_ros(event, tokenizer) -> PartialResponse:
    """An Event of llm_core.engine as feedback."""
    return PartialResponse(
        text=safe_text(event.text), tokens=list(event.tokens), probs=probs_to_ros(event.logprobs, tokenizer)
    )


def response_to_ros(completion, finish_reason: int, tokenizer) -> Response:
    """A Completion of llm_core.engine (None if nothing was begun) with one of Response.FINISH_*."""
    if completion is None:
        return Response(finish_reason=finish_reason)
    used = completion.usage
    usage = UsageStats(
        prompt_tokens=used.prompt_tokens,
        cached_tokens=used.cached_prompt_tokens,
        completion_tokens=used.completion_tokens,
        total_tokens=used.prompt_tokens + used.completion_tokens,
        queue_time=used.queue_s,
        prompt_time=used.prefill_s,
        completion_time=used.decode_s,
    )
    return Response(
        text=safe_text(completion.text),
        tokens=list(completion.tokens),
        finish_reason=finish_reason,
        probs=probs_to_ros(completion.logprobs, tokenizer),
        usage=usage,
    )


def model_info_to_ros(engine) -> ModelInfo:
    """Facts about a loaded engine."""
    info, tokenizer = engine.info, engine.tokenizer
    return ModelInfo(
        name=safe_text(info.name),
        path=safe_text(info.path),
        architecture=safe_text(info.architecture),
        file_type=info.quantization,
        n_params=info.parameters,
        size_bytes=info.size_bytes,
        n_ctx=engine.n_ctx,
        n_ctx_train=info.n_ctx_train,
        n_vocab=info.n_vocab,
        stop_token_ids=sorted(tokenizer.stop_ids),
        bos_token_id=_id(tokenizer.bos_id),
        eos_token_id=_id(tokenizer.eos_id),
        has_chat_template=info.has_chat_template,
        projector=safe_text(info.vision),
        lora=[LoraAdapter(name=safe_text(adapter.name), scale=adapter.scale) for adapter in engine.adapters],
        lora_applied=[safe_text(adapter.name) for adapter in engine.adapters if adapter.default],
    )


def _id(token: int | None) -> int:
    return -1 if token is None else token


def prompt_from_ros(message) -> tuple[str | list[dict], list | None]:
    """What a generating message wants continued or answered (`prompt` or `messages`), and the pictures of its text, as
    `Engine.submit` takes them. Raises RequestError."""
    pictures = pictures_from_ros(message.images, message.compressed_images)
    messages = getattr(message, "messages", None)
    if messages is None or getattr(message, "prompt", ""):
        if not message.prompt:
            raise RequestError("prompt is empty: at least one character is needed")
        return in_text(message.prompt, pictures), pictures or None
    messages = messages_from_ros(messages)
    return in_messages(messages, pictures) if pictures else messages, None
