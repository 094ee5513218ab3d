"""What a node tells `/diagnostics`: one DiagnosticStatus from plain facts. In: state and engine statistics. No engine,
no node.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

_PAGE = os.sysconf("SC_PAGE_SIZE")
# Lifecycle state -> (level, what it means); an engine that failed is an error whatever the state.
_STATES = {
    "unconfigured": (DiagnosticStatus.STALE, "no model loaded"),
    "configuring": (DiagnosticStatus.STALE, "loading the model"),
    "inactive": (DiagnosticStatus.WARN, "model loaded, not serving"),
    "active": (DiagnosticStatus.OK, "serving"),
    "finalized": (DiagnosticStatus.STALE, "shut down"),
}

_IDLE = (DiagnosticStatus.WARN, "not listening to the camera")


def rss_mb() -> float:
    """Memory of this process that is in RAM, in 10^6 bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE / 1e6


def release_memory() -> None:
    """Gives freed memory back to the system, where the C library can (glibc)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def engine_status(name: str, state: str, info, stats) -> DiagnosticStatus:
    """The status of an llm_node; `info` and `stats` are the engine's, or None while there is none."""
    level, message = _STATES.get(state, (DiagnosticStatus.WARN, state))
    values = {"state": state, "memory_rss_mb": f"{rss_mb():.0f}"}
    if stats is not None:
        if stats.state == "failed":
            level, message = DiagnosticStatus.ERROR, "the engine has failed: clean up and configure the node again"
        elif stats.queued:
            message = f"serving, {stats.queued} waiting"
        used = stats.kv_blocks_used / stats.kv_blocks_total if stats.kv_blocks_total else 0.0
        values |= {
            "engine": stats.state,
            "running": stats.running,
            "queued": stats.queued,
            "tokens_per_s": f"{stats.tokens_per_s:.1f}",
            "prompt_tokens_per_s": f"{stats.prompt_tokens_per_s:.1f}",
            "kv_used_percent": f"{100 * used:.1f}",
            "kv_blocks_used": stats.kv_blocks_used,
            "kv_blocks_reusable": stats.kv_blocks_idle,
            "kv_blocks_total": stats.kv_blocks_total,
            "tiles_encoded": stats.tiles_encoded,
            "requests": stats.submitted,
            "refused": stats.refused,
            "guessed_tokens": stats.guessed_tokens,
            "right_guesses": stats.right_guesses,
        } | {f"finished_{reason}": count for reason, count in sorted(stats.finished.items())}
    if info is not None:
        values["model"] = info.name
    return _status(f"{name}: engine", level, message, values, "cpu")


def camera_status(name: str, state: str, camera, frame, questions: int, params) -> DiagnosticStatus:
    """The status of a vqa_node; `camera` and `frame` are None while there is none; `params`: its CameraParams."""
    level, message = _STATES["active"] if state == "active" else _IDLE
    values = {"state": state, "questions": questions, "topic": camera.topic if camera else params.topic}
    if state == "active" and frame is None:
        level, message = DiagnosticStatus.ERROR, "no frame has come"
    elif frame is not None:
        values |= {"frames": frame.number, "frame_age_s": f"{frame.age:.2f}"}
        if frame.age > params.max_frame_age:
            level, message = DiagnosticStatus.ERROR, f"the newest frame is {frame.age:.1f} s old"
    return _status(f"{name}: camera", level, message, values, "camera")


def voice_status(name: str, state: str, problem: str, counts: dict, working: int, how: dict) -> DiagnosticStatus:
    """The status of a voice_node; `problem`: the newest, `working`: commands under way, `how`: further values."""
    level, message = (
        (DiagnosticStatus.OK, "listening") if state == "active" else (DiagnosticStatus.WARN, "not listening")
    )
    if problem and state == "active":
        level, message = DiagnosticStatus.ERROR, problem
    values = {"state": state, "working": working, **how}
    values |= {key: f"{value:.1f}" if isinstance(value, float) else value for key, value in counts.items()}
    return _status(f"{name}: voice", level, message, values, "microphone")


def chat_status(name: str, state: str, at_work: int, sessions: int) -> DiagnosticStatus:
    """The status of a chat_node."""
    level, message = _STATES["active"] if state == "active" else (DiagnosticStatus.WARN, "not serving")
    values = {"state": state, "turns_at_work": at_work, "sessions": sessions}
    return _status(f"{name}: conversations", level, message, values, "conversations")


def _status(name, level, message, values: dict, hardware: str) -> DiagnosticStatus:
    return DiagnosticStatus(
        level=level,
        name=name,
        message=message,
        hardware_id=hardware,
        values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
    )


def diagnostic_array(stamp, *statuses: DiagnosticStatus) -> DiagnosticArray:
    """The message for `/diagnostics`."""
    out = DiagnosticArray(status=list(statuses))
    out.header.stamp = stamp
    return out
