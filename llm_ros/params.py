"""ROS parameters <-> frozen configs.

A group of parameters is a frozen dataclass whose fields carry description, unit and range: the one source for declaring
them on a node (`declare`), reading them (`read`), checking a change (`check_change`) and for docs/ros.md. `read`
returns a validated config or raises ParameterError naming parameter and value. Knows rclpy's Node and Parameter, no
engine.
"""

from __future__ import annotations

import dataclasses
import math
import secrets
from dataclasses import dataclass, field

from llm_core.catalog import DEFAULT_MODEL
from llm_core.errors import RequestError
from llm_core.lora import adapter_files, adapter_scales

_INT_MAX = 2**63 - 1


class ParameterError(RequestError):
    """A parameter that cannot be used: names the parameter, its value and what is allowed."""


def param(default, description, low=None, high=None, *, above=None):
    """A dataclass field that is a ROS parameter; the range is [low, high], or (above, high] where the lower end is
    open.
    """
    meta = {
        "description": description,
        "low": above if above is not None else low,
        "high": high,
        "open": above is not None,
    }
    return field(default=default, metadata=meta)


def _range_text(meta) -> str:
    low, high = meta["low"], meta["high"]
    return f"{'(' if meta['open'] else '['}{low}, {high}]"


def check_value(name: str, spec: dataclasses.Field, value) -> None:
    """Raises ParameterError, calling the value `name`, unless it has the type of the field's default and lies in its
    range.
    """
    kind = type(spec.default)
    if isinstance(value, bool) is not (kind is bool) or not isinstance(value, (kind, int) if kind is float else kind):
        raise ParameterError(f"{name} = {value!r}: needs a {kind.__name__}")
    meta = spec.metadata
    if kind is float and not math.isfinite(value):
        raise ParameterError(f"{name} = {value!r}: needs a finite number")
    if meta["low"] is not None:
        too_low = value <= meta["low"] if meta["open"] else value < meta["low"]
        if too_low or value > meta["high"]:
            raise ParameterError(f"{name} = {value!r}: out of range {_range_text(meta)}")


@dataclass(frozen=True)
class Group:
    """Base of a parameter group: `prefix` is its ROS name; values are checked when it is built."""

    prefix = ""

    def __post_init__(self):
        for spec in dataclasses.fields(self):
            check_value(full_name(type(self), spec.name), spec, getattr(self, spec.name))


def full_name(group: type, field_name: str) -> str:
    """The ROS name of a field, such as "sampling.temp"."""
    return f"{group.prefix}.{field_name}" if group.prefix else field_name


def _listed(read_entries, name: str, text: str):
    """What llm_core makes of the entries, separated by commas, of parameter `name`. Raises ParameterError."""
    try:
        return read_entries([entry.strip() for entry in text.split(",") if entry.strip()], name)
    except RequestError as error:
        raise ParameterError(str(error)) from None


@dataclass(frozen=True)
class ModelParams(Group):
    """Which model."""

    prefix = "model"
    name: str = param(DEFAULT_MODEL, "The model: path of a GGUF file, or a name that `llm-core models` lists")
    speculate: bool = param(True, "Guess tokens ahead where that is faster; answers are the same")
    mmproj: str = param("auto", "The model's vision tower: file or name of an mmproj; auto: ours for it; empty: none")
    draft: str = param("", "A smaller model with the same vocabulary that guesses too: path or name; empty: none")
    lora: str = param("", "LoRA adapters: [NAME=]FILE[:SCALE], each path or name, separated by commas; empty: none")
    lora_apply: bool = param(True, "A request that names no adapters gets all of model.lora; false: none of them")

    def adapters(self) -> dict[str, tuple[str, float]]:
        """{name: (file, scale)} of model.lora."""
        return _listed(adapter_files, "model.lora", self.lora)

    def __post_init__(self):
        super().__post_init__()
        self.adapters()
        if not self.name.strip():
            raise ParameterError("model.name = '': needs a path or the name of a model")
        if self.draft and not self.speculate:
            raise ParameterError(f"model.draft = {self.draft!r}: a draft model guesses, but model.speculate is false")


@dataclass(frozen=True)
class ContextParams(Group):
    """How much room requests have."""

    prefix = "context"
    n_ctx: int = param(4096, "Context window: most tokens of a prompt and its response together", 16, 1 << 20)
    max_requests: int = param(16, "Most requests that are computed at once", 1, 256)
    max_queue: int = param(64, "Most requests that wait for their turn; one more is turned away", 0, 4096)
    max_rows: int = param(256, "Most tokens computed in one step, all requests together", 1, 4096)
    kv_type: str = param("f16", "Numbers of the KV cache: f16, or q8_0 for half the memory")

    def __post_init__(self):
        super().__post_init__()
        if self.kv_type not in ("f16", "q8_0"):
            raise ParameterError(f"context.kv_type = {self.kv_type!r}: needs f16 or q8_0")


@dataclass(frozen=True)
class CpuParams(Group):
    """What the engine may use of the computer."""

    prefix = "cpu"
    n_threads: int = param(0, "Threads that compute; 0: one for each CPU this process may use", 0, 256)
    pin: bool = param(False, "Keep every thread on a CPU of its own (at most as many threads as CPUs)")


@dataclass(frozen=True)
class SamplingDefaults(Group):
    """What a request gets that does not say otherwise; read for each request, so a change holds from the next one."""

    prefix = "sampling"
    max_tokens: int = param(512, "Most tokens to generate", 1, 1 << 20)
    temp: float = param(0.8, "Temperature; 0 always takes the likeliest token", 0.0, 100.0)
    top_k: int = param(40, "Keep the k likeliest tokens; 0: off", 0, 1 << 20)
    top_p: float = param(0.95, "Keep the likeliest tokens that sum up to this probability; 1: off", above=0.0, high=1.0)
    min_p: float = param(0.05, "Drop tokens less likely than this share of the likeliest; 0: off", 0.0, 1.0)
    typical_p: float = param(1.0, "Locally typical sampling; 1: off", above=0.0, high=1.0)
    penalty_last_n: int = param(64, "How many of the latest tokens the penalties look at; 0: off", 0, 1 << 20)
    penalty_repeat: float = param(1.0, "Divides the logit of a repeated token; 1: off", above=0.0, high=100.0)
    penalty_freq: float = param(0.0, "Taken from the logit for each repetition; 0: off", -100.0, 100.0)
    penalty_present: float = param(0.0, "Taken once from a repeated token's logit; 0: off", -100.0, 100.0)
    seed: int = param(-1, "Seed of requests that bring none; -1: a random one each time", -1, _INT_MAX)

    def draw_seed(self) -> int:
        """The seed of one request: the set one, or a fresh random one."""
        return self.seed if self.seed >= 0 else secrets.randbits(63)


@dataclass(frozen=True)
class StartParams(Group):
    """How the node starts."""

    autostart: bool = param(
        False, "Configure and activate at start, without a lifecycle manager; failing to ends the node"
    )


@dataclass(frozen=True)
class ServingParams(Group):
    """How the node serves."""

    grace_period: float = param(
        5.0, "Seconds that deactivation lets running requests finish before it aborts them", 0.0, 3600.0
    )


@dataclass(frozen=True)
class DomainParams(Group):
    """What there is to do, and where."""

    skills_file: str = param("", "YAML file of skills; empty: the skills.yaml that llm_ros installs")
    world_file: str = param("", "YAML file of rooms, locations, objects and people; empty: the installed world.yaml")


@dataclass(frozen=True)
class PlannerParams(DomainParams):
    """What planner_node plans over, and with which model node."""

    llm_node: str = param("llm_node", "Name of the llm_node that generates, relative to this node's namespace")
    llm_timeout: float = param(60.0, "Seconds to wait for that node to come up before a goal is aborted", 0.1, 3600.0)
    max_queue: int = param(8, "Most goals that wait while one is planned; one more is turned away", 0, 256)
    lora: str = param("", "Adapters of that node to plan with: NAME[:SCALE], separated by commas; empty: what it uses")
    rewrite: str = param("auto", "Who rewords unclear commands: auto (our adapter if it fits), off, model, an adapter")
    max_dialogues: int = param(32, "Most questions that wait for an answer; then the oldest is forgotten", 1, 4096)
    dialogue_timeout: float = param(600.0, "Seconds that a question waits for an answer", 1.0, 86400.0)

    def adapters(self) -> dict[str, float | None]:
        """{name: scale or None} of lora."""
        return _listed(adapter_scales, "lora", self.lora)

    def __post_init__(self):
        super().__post_init__()
        self.adapters()
        if not self.rewrite.strip():
            raise ParameterError("rewrite = '': needs auto, off, model, or the name of an adapter of the llm_node")


@dataclass(frozen=True)
class SimCameraParams(Group):
    """What the simulated camera shows, and how often. `seed` may change while it runs."""

    topic: str = param("camera/image_raw", "Topic of the pictures, sensor_msgs/Image in rgb8")
    frame_id: str = param("camera", "Frame that the pictures are in")
    rate: float = param(5.0, "Pictures a second", above=0.0, high=60.0)
    width: int = param(320, "Pixels of a row", 32, 1920)
    height: int = param(240, "Rows of a picture", 32, 1080)
    seed: int = param(0, "Seed of the scene; the same seed is the same scene", 0, _INT_MAX)
    scene_period: float = param(10.0, "Seconds until the scene of the next seed; 0: the scene stays", 0.0, 86400.0)
    kind: str = param("", "Scenes: table, room; empty: either")

    def __post_init__(self):
        super().__post_init__()
        if self.kind not in ("", "table", "room"):
            raise ParameterError(f"kind = {self.kind!r}: needs table or room, or nothing")
        if not self.topic:
            raise ParameterError("topic = '': needs the name of a topic")


@dataclass(frozen=True)
class ExecutionParams(Group):
    """How planner_node carries plans out."""

    prefix = "execution"
    server_wait: float = param(5.0, "Seconds to wait for the action or service of a skill", 0.0, 3600.0)
    confirm_timeout: float = param(60.0, "Seconds to wait for a person's yes or no", 0.1, 86400.0)
    cancel_timeout: float = param(2.0, "Seconds for a server to stop before nobody waits for it", 0.0, 600.0)
    max_places: int = param(20, "At how many places one thing is looked for", 1, 1000)


@dataclass(frozen=True)
class MockParams(DomainParams):
    """The simulated robot of mock_robot."""

    speed: float = param(1.0, "How much faster than real time it moves", above=0.0, high=1000.0)
    failures: float = param(0.0, "Probability that an attempt at a skill goes wrong", 0.0, 1.0)
    failing: str = param("", "Probabilities of single skills, such as `pick=0.5,go_to=0`")
    kinds: str = param("fail,slip,reject,crash,lost,hang,mute,late", "What may go wrong, in equal shares")
    displaced: float = param(0.0, "Share of the things that are not where they usually are", 0.0, 1.0)
    absent: float = param(0.0, "Share of the things that are nowhere", 0.0, 1.0)
    seed: int = param(0, "Seed of everything that is random", 0, _INT_MAX)


@dataclass(frozen=True)
class CameraParams(Group):
    """Where vqa_node's pictures come from, and which of them it asks about."""

    prefix = "camera"
    topic: str = param("camera/image_raw", "Topic of the camera, relative to the node's namespace")
    transport: str = param("auto", "What is sent there: raw (Image), compressed (CompressedImage); auto: by the name")
    max_frame_age: float = param(2.0, "Seconds; no question is asked about an older frame", above=0.0, high=3600.0)
    frame_wait: float = param(1.0, "Seconds that a question waits for a frame that is young enough", 0.0, 60.0)
    use_stamps: bool = param(True, "A frame is as old as its stamp says, if that is more than since its arrival")

    def __post_init__(self):
        super().__post_init__()
        if not self.topic.strip():
            raise ParameterError(f"camera.topic = {self.topic!r}: needs the name of a topic")
        if self.transport not in ("auto", "raw", "compressed"):
            raise ParameterError(f"camera.transport = {self.transport!r}: needs auto, raw or compressed")


@dataclass(frozen=True)
class AskParams(Group):
    """How vqa_node asks, and which model node."""

    llm_node: str = param("llm_node", "Name of the llm_node that answers, relative to this node's namespace")
    llm_timeout: float = param(60.0, "Seconds to wait for that node to come up before a question fails", 0.1, 3600.0)
    system: str = param("", "What the model is told before each question; empty: nothing")
    max_tokens: int = param(64, "Most tokens of an answer", 1, 1 << 20)
    skills: str = param("", "Skills that the camera answers as skills/NAME, of: detect count find_object; empty: none")
    max_questions: int = param(8, "Most questions and watches at once; one more is turned away", 1, 256)


@dataclass(frozen=True)
class WatchParams(Group):
    """When a watch looks again."""

    prefix = "watch"
    change: float = param(0.02, "Share of the picture that must have changed for a watch to ask again", 0.0, 1.0)
    look_period: float = param(0.2, "Seconds between two looks for a change; a look costs some ms", 0.01, 3600.0)


@dataclass(frozen=True)
class ChatParams(Group):
    """How chat_node talks, and with which nodes."""

    llm_node: str = param("llm_node", "Name of the llm_node that talks, relative to this node's namespace")
    llm_timeout: float = param(60.0, "Seconds to wait for that node to come up before a goal is aborted", 0.1, 3600.0)
    planner_node: str = param("planner_node", "Name of the planner_node that acts; empty: there is only talk")
    planner_timeout: float = param(5.0, "Seconds to wait for that node before a goal is aborted", 0.1, 3600.0)
    system: str = param(
        "You are a friendly household robot. Answer in one or two short sentences.",
        "What the model is told before each conversation; empty: nothing",
    )
    max_tokens: int = param(200, "Most tokens of an answer", 1, 1 << 20)
    context_tokens: int = param(0, "Most tokens of a conversation that the model is given; 0: what fits", 0, 1 << 20)
    sessions_folder: str = param("", "Where conversations are kept; empty: llm_ros/chat in the user's state folder")
    max_sessions: int = param(64, "Most conversations that are kept; then the one that was quiet longest goes", 1, 9999)
    max_turns: int = param(200, "Most turns of a conversation that are kept", 2, 99999)
    max_chats: int = param(8, "Most turns that are answered at once; one more is turned away", 1, 256)
    say_skill: str = param("say", "Skill whose texts are told in the conversation as well; empty: none")


def declare(node, *groups: type) -> None:
    """Declares every field of the groups on `node`, with description and range.

    Raises ParameterError for an override (command line or params file) that is unknown, of the wrong type or out of
    range.
    """
    from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException

    for group in groups:
        for spec in dataclasses.fields(group):
            name = full_name(group, spec.name)
            try:
                node.declare_parameter(name, spec.default, _descriptor(spec))
            except (InvalidParameterTypeException, InvalidParameterValueException) as error:
                given = node._parameter_overrides.get(name)
                shown = repr(given.value) if given is not None else "?"
                kind = type(spec.default).__name__
                limits = f" in {_range_text(spec.metadata)}" if spec.metadata["low"] is not None else ""
                raise ParameterError(f"{name} = {shown}: needs a {kind}{limits}") from error
    # rclpy keeps overrides of undeclared parameters to itself, silently: a typing error in a user's YAML would go
    # unseen.
    unknown = sorted(
        name
        for name in node._parameter_overrides
        if not node.has_parameter(name) and not name.startswith("qos_overrides.")
    )
    if unknown:
        known = ", ".join(full_name(group, spec.name) for group in groups for spec in dataclasses.fields(group))
        raise ParameterError(f"unknown parameter {', '.join(unknown)}; {node.get_name()} has {known}")
    for group in groups:
        read(node, group)


def _descriptor(spec):
    """The ParameterDescriptor of one field."""
    from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

    out = ParameterDescriptor(description=spec.metadata["description"])
    low, high = spec.metadata["low"], spec.metadata["high"]
    if low is not None and isinstance(spec.default, float):
        out.floating_point_range = [FloatingPointRange(from_value=float(low), to_value=float(high))]
    elif low is not None:
        out.integer_range = [IntegerRange(from_value=low, to_value=high)]
    if spec.metadata["open"]:
        out.additional_constraints = f"greater than {low}"
    return out


def read(node, group: type):
    """The config that `node`'s parameters describe now: an instance of `group`. Raises ParameterError."""
    return group(
        **{spec.name: node.get_parameter(full_name(group, spec.name)).value for spec in dataclasses.fields(group)}
    )


def check_change(node, parameters, groups, frozen: dict) -> str:
    """Why a change of `parameters` must be refused, or "" if it is fine.

    `frozen` maps a group to the reason why its parameters cannot change now. The rest is checked as the whole group
    would be.
    """
    changed = {parameter.name: parameter.value for parameter in parameters}
    for group in groups:
        names = {full_name(group, spec.name): spec.name for spec in dataclasses.fields(group)}
        mine = {names[name]: value for name, value in changed.items() if name in names}
        if not mine:
            continue
        if group in frozen:
            return f"{full_name(group, next(iter(mine)))} is read-only now: {frozen[group]}"
        now = {short: node.get_parameter(name).value for name, short in names.items()}
        try:
            group(**(now | mine))
        except ParameterError as error:
            return str(error)
    return ""
