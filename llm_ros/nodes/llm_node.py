"""llm_node: one model for the whole robot, as a lifecycle node.

Configure loads the model and warms it up, activate serves, deactivate lets requests finish for `grace_period` seconds
and aborts the rest, cleanup frees the memory. The servers exist from the start and say why they cannot serve, as ROS
rejections carry no reason. Each request runs in a thread of its own (serving.py): no callback waits. All maths is in
llm_core.
"""

from __future__ import annotations

import contextlib
import gc
import time
from functools import partial

from diagnostic_msgs.msg import DiagnosticArray
from llm_ros.msg import Response
from llm_ros.srv import Detokenize, Generate, GetModelInfo, Tokenize
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup

from llm_core.engine import Engine
from llm_core.errors import LLMCoreError, RequestError
from llm_core.sampling import SamplingParams
from llm_ros import conversions as convert
from llm_ros import qos
from llm_ros.adapters import load_shipped
from llm_ros.nodes.action_server import ABORT, SUCCEED
from llm_ros.nodes.deferred_service import create_deferred_service
from llm_ros.nodes.diagnostics import diagnostic_array, engine_status, release_memory, rss_mb
from llm_ros.nodes.generate_server import KINDS, generate_server
from llm_ros.nodes.lifecycle import LifecycleNode
from llm_ros.nodes.run import run_node
from llm_ros.nodes.serving import Serving
from llm_ros.params import (
    ContextParams,
    CpuParams,
    ModelParams,
    SamplingDefaults,
    ServingParams,
    StartParams,
    read,
)


class LLMNode(LifecycleNode):
    """See the module. `make_engine(model=, context=, cpu=, progress=)` builds the engine: a test may pass its own."""

    GROUPS = (ModelParams, ContextParams, CpuParams, SamplingDefaults, ServingParams, StartParams)
    FIXED = (ModelParams, ContextParams, CpuParams)

    def __init__(self, name: str = "llm_node", *, make_engine=None, **node_options):
        """Raises ParameterError for parameters that cannot be used."""
        super().__init__(name, **node_options)
        self._make_engine = make_engine or engine_from_params
        self._serving: Serving | None = None
        self._create_servers()
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.create_timer(1.0, self._every_second, callback_group=MutuallyExclusiveCallbackGroup())

    def _create_servers(self):
        self._servers = [generate_server(self, kind, self._begin) for kind in KINDS]
        services = MutuallyExclusiveCallbackGroup()
        for service_type, name, callback in (
            (Tokenize, "tokenize", self._tokenize),
            (Detokenize, "detokenize", self._detokenize),
            (GetModelInfo, "get_model_info", self._get_model_info),
        ):
            self.create_service(service_type, f"~/{name}", callback, callback_group=services, qos_profile=qos.SERVICES)
        create_deferred_service(
            self, Generate, "~/generate", self._generate, callback_group=services, qos_profile=qos.SERVICES
        )

    # Lifecycle

    def _load(self):
        log, begun = self.get_logger(), time.monotonic()
        model, context, cpu = (read(self, group) for group in (ModelParams, ContextParams, CpuParams))
        log.info(f"loading {model.name}")
        stages = set()

        def progress(what, part):
            if what not in stages:  # one line for each stage, however often it reports
                stages.add(what)
                log.info(f"loading: {what} ({100 * part:.0f} %, {time.monotonic() - begun:.1f} s)")

        engine = self._make_engine(model=model, context=context, cpu=cpu, progress=progress)
        try:
            warm = engine.generate("Hello", SamplingParams(max_tokens=8, temperature=0.0, ignore_eos=True))
        except BaseException:
            engine.close()
            raise
        self._serving = Serving(engine)
        info, usage = engine.info, warm.usage
        sight = f", sees by {info.vision}" if info.vision else ""
        lora = "".join(f", adapter {adapter.name}" for adapter in engine.adapters)
        log.info(
            f"loaded {info.name} ({info.architecture}, {info.parameters / 1e6:.0f} M parameters, {info.quantization}, "
            f"{info.size_bytes / 1e6:.0f} MB{sight}{lora}) in {time.monotonic() - begun:.1f} s; "
            f"context {engine.n_ctx} tokens, warm-up {usage.decode_tps:.0f} tokens/s, memory {rss_mb():.0f} MB"
        )

    def _stop_serving(self):
        grace = read(self, ServingParams).grace_period
        if not self._serving.drain(grace):
            count = self._serving.stop_all(
                f"llm_node was deactivated and the request took longer than {grace:g} s to finish"
            )
            self._serving.drain(10.0)
            self.get_logger().warning(f"aborted {count} requests")

    def _free(self):
        before = rss_mb()
        serving, self._serving = self._serving, None
        if serving is None:
            return
        serving.stop_all("llm_node was shut down")
        serving.drain(10.0)
        serving.engine.close()
        del serving
        gc.collect()
        release_memory()
        self.get_logger().info(f"freed the model: memory {before:.0f} -> {rss_mb():.0f} MB")

    # Requests

    def _ready(self) -> Serving:
        """The Serving, or RequestError if the node does not serve now."""
        serving = self._serving
        self.check_active()
        return serving

    def _loaded(self) -> Serving:
        serving = self._serving
        if serving is None:
            raise RequestError(f"{self.get_name()} is {self._state}: no model is loaded")
        return serving

    def _begin(self, message, on_partial, on_done):
        """Starts the request of any interface's `message`.

        `on_partial(PartialResponse)` for every piece, `on_done(state, Response, error)` once. Returns the Request, or
        None if it could not be begun.
        """
        try:
            serving = self._ready()
            params = convert.sampling_from_ros(
                message.sampling_config, read(self, SamplingDefaults), message.stop, message.stop_token_ids
            )
            adapters = convert.lora_from_ros(message.lora, serving.engine.adapters)
            urgency = convert.urgency_from_ros(message.priority, message.deadline)
            self._check_sight(message, serving)
        except LLMCoreError as error:
            on_done(ABORT, Response(finish_reason=Response.FINISH_UNKNOWN), str(error))
            return None
        tokenizer = serving.engine.tokenizer

        def on_event(event):
            on_partial(convert.partial_to_ros(event, tokenizer))

        def finished(outcome):
            response = convert.response_to_ros(outcome.completion, outcome.finish_reason, tokenizer)
            on_done(outcome.state, response, outcome.error)

        return serving.start(partial(convert.prompt_from_ros, message), params, adapters, *urgency, on_event, finished)

    def _check_sight(self, message, serving):
        count = len(message.images) + len(message.compressed_images)
        if count and not serving.engine.info.vision:
            raise RequestError(
                f"{count} pictures, but {self.get_name()}'s model takes none: its parameter model.mmproj names no "
                "vision tower"
            )

    def _generate(self, request, reply):
        def on_done(state, response, error):
            reply(Generate.Response(response=response, success=state == SUCCEED, error=error))

        try:
            _check_service(request)
        except RequestError as error:
            on_done(ABORT, Response(finish_reason=Response.FINISH_UNKNOWN), str(error))
        else:
            self._begin(request, lambda piece: None, on_done)

    def _tokenize(self, request, response):
        with _errors_in(response):
            response.tokens = list(
                self._loaded().engine.tokenizer.encode(request.text, add_special=request.add_special)
            )
        return response

    def _detokenize(self, request, response):
        with _errors_in(response):
            engine = self._loaded().engine
            for token in request.tokens:
                if not 0 <= token < engine.tokenizer.n_vocab:
                    raise RequestError(f"tokens has {token}: ids from 0 to {engine.tokenizer.n_vocab - 1} wanted")
            response.text = convert.safe_text(engine.tokenizer.decode(list(request.tokens), request.skip_special))
        return response

    def _get_model_info(self, _request, response):
        with _errors_in(response):
            response.info = convert.model_info_to_ros(self._loaded().engine)
        return response

    # Housekeeping

    def _every_second(self):
        for server in self._servers:
            server.drop_orphans()
        serving = self._serving
        info, stats = (serving.engine.info, serving.engine.stats()) if serving else (None, None)
        status = engine_status(self.get_name(), self._state, info, stats)
        self._diagnostics.publish(diagnostic_array(self.get_clock().now().to_msg(), status))


def _check_service(request):
    if bool(request.prompt) == bool(request.messages):
        raise RequestError("give either prompt or messages, and not both")
    if not request.deadline > 0.0 or request.deadline > 3600.0:
        raise RequestError(f"deadline = {request.deadline:g}: out of range (0, 3600] seconds")


@contextlib.contextmanager
def _errors_in(response):
    """Runs a service's work: success, or its error as the response's text."""
    try:
        yield
        response.success = True
    except Exception as error:
        expected = isinstance(error, LLMCoreError)
        response.error = str(error) if expected else f"internal error: {type(error).__name__}: {error}"


def engine_from_params(*, model, context, cpu, progress) -> Engine:
    """The engine that the parameters describe. Raises ModelError or RequestError."""
    adapters = model.adapters()
    engine = Engine(
        model.name,
        n_ctx=context.n_ctx,
        n_threads=cpu.n_threads or None,
        pin=cpu.pin,
        max_rows=context.max_rows,
        kv_type=context.kv_type,
        max_requests=context.max_requests,
        max_queue=context.max_queue,
        speculate=model.speculate,
        draft_model=model.draft or None,
        mmproj=model.mmproj or None,
        adapters=adapters,
        default_adapters=list(adapters) if model.lora_apply else (),
        progress=progress,
    )
    try:
        load_shipped(engine)
    except BaseException:
        engine.close()
        raise
    return engine


def main(args=None) -> int:
    """Entry point of the executable `llm_node`."""
    return run_node(LLMNode, args)


if __name__ == "__main__":
    raise SystemExit(main())
