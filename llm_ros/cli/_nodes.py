"""The robot's nodes as child processes of one command: started together, watched, stopped together.

In: parameter files and overrides. A child that ends by itself ends the group; so does Ctrl-C, SIGTERM or SIGHUP.
Children share our process group and get a SIGTERM from the kernel if we are killed, so none is left behind. Knows
processes and YAML, no rclpy.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path

from llm_core.errors import RequestError
from llm_ros.share import config_file

# Executable -> its module; also the name of the node and of its default parameters, config/NAME.yaml.
NODES = {
    "llm_node": "llm_ros.nodes.llm_node",
    "planner_node": "llm_ros.nodes.planner_node",
    "vqa_node": "llm_ros.nodes.vqa_node",
    "voice_node": "llm_ros.nodes.voice_node",
    "chat_node": "llm_ros.nodes.chat_node",
    "mock_robot": "llm_ros.nodes.mock_robot",
}
STOP_PATIENCE_S = 15.0
STOPPED = "stopped by a signal"
_PR_SET_PDEATHSIG = 1


def check_config(path: str) -> Path:
    """The parameter file, if every section in it is for one of NODES. Raises RequestError.

    ROS leaves out sections of other nodes without a word, so a mistyped name would go unseen.
    """
    import yaml

    try:
        sections = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise RequestError(f"{path}: not a readable YAML file: {error}") from None
    if not isinstance(sections, dict):
        raise RequestError(f"{path}: a mapping from node names to ros__parameters wanted")
    for name, section in sections.items():
        known = NODES
        if str(name).split("/")[-1] not in (*known, "*", "**"):
            raise RequestError(f"{path}: section {name!r} is for no node that is started here ({', '.join(known)})")
        if not isinstance(section, dict) or set(section) != {"ros__parameters"}:
            raise RequestError(f"{path}: section {name!r}: one key, ros__parameters, wanted")
    return Path(path).resolve()


class NodeGroup:
    """The running nodes. A context manager: leaving it stops them."""

    def __init__(
        self,
        configs=(),
        model: str | None = None,
        namespace: str = "",
        mmproj="",
        lora="",
        camera="",
        voice="",
        mock=False,
        chat=False,
    ):
        """Starts NODES with their default parameters, then `configs` (checked paths), then `model`, `mmproj` and `lora`
        (as model.lora), in `namespace`; vqa_node only where there is a `camera`, a topic, voice_node where there is a
        `voice`, a source of sound, which then speaks with chat_node if there is one; with `mock` a simulated robot
        beside them, with `chat` chat_node."""
        self._ended: queue.SimpleQueue[tuple[str, int]] = queue.SimpleQueue()
        self._children: dict[str, subprocess.Popen] = {}
        self._signals = {
            number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        }
        chosen = {"model.name": model, "model.mmproj": mmproj, "model.lora": lora}
        overrides = {
            "llm_node": {"autostart": True} | {name: value for name, value in chosen.items() if value},
            "planner_node": {},
        }
        if camera:
            overrides["vqa_node"] = {"autostart": True, "camera.topic": camera}
        if voice:
            target = {"target": "chat"} if chat else {}
            overrides["voice_node"] = {"autostart": True, "audio.source": voice} | target
        if mock:
            overrides["mock_robot"] = {}
        if chat:
            overrides["chat_node"] = {"autostart": True}
        try:
            for name in overrides:
                files = [config_file(f"{name}.yaml"), *configs]
                self._start(name, NODES[name], files, overrides[name], namespace)
        except BaseException:
            self.stop()
            raise

    def _on_signal(self, number, _frame):
        self._ended.put((STOPPED, number))

    def _start(self, name, module, files, overrides, namespace):
        command = [sys.executable, "-m", module, "--ros-args"]
        for file in files:
            command += ["--params-file", str(file)]
        for parameter, value in overrides.items():
            command += ["-p", f"{parameter}:={json.dumps(value)}"]
        if namespace:
            command += ["-r", f"__ns:={namespace}"]
        env = dict(os.environ)
        env.setdefault("RCUTILS_CONSOLE_OUTPUT_FORMAT", "[{name}] {severity}: {message}")
        child = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, preexec_fn=_die_with_parent)
        self._children[name] = child
        threading.Thread(target=lambda: self._ended.put((name, child.wait())), daemon=True).start()

    def wait(self, timeout: float | None = None) -> tuple[str, int] | None:
        """What ended first: (node name, its exit code), (STOPPED, signal), or None after `timeout` seconds."""
        with contextlib.suppress(queue.Empty):
            return self._ended.get(timeout=timeout)
        return None

    def finish(self, what: str) -> None:
        """Makes `wait` return (what, 0); from any thread."""
        self._ended.put((what, 0))

    def stop(self) -> None:
        """Ends all nodes: asks, waits, kills."""
        for child in self._children.values():
            if child.poll() is None:
                child.terminate()
        for name, child in self._children.items():
            try:
                child.wait(STOP_PATIENCE_S)
            except subprocess.TimeoutExpired:
                print(f"{name} did not stop within {STOP_PATIENCE_S:g} s: killing it", file=sys.stderr)
                child.kill()
                child.wait()
        for number, handler in self._signals.items():
            signal.signal(number, handler)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()


def _die_with_parent():
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def ending(what: tuple[str, int]) -> str:
    """How a node's end reads."""
    name, code = what
    return f"{name} was killed by signal {-code}" if code < 0 else f"{name} ended with code {code}"
