"""A camera's latest frame and its age, for nodes and scripts.

In: a node that somebody spins, a topic. Out: `Camera.frame(max_age)`, a Frame that is young enough, or a CameraError
that says what is wrong: no publisher, another type, no frame, an old one. Frames are kept as the bytes that came and
read only when they are asked for, so a fast camera costs little.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.qos import qos_profile_sensor_data
from rclpy.serialization import deserialize_message
from rclpy.time import Time as Instant
from sensor_msgs.msg import CompressedImage, Image

from llm_core.errors import LLMCoreError

TYPES = {"raw": Image, "compressed": CompressedImage}


class CameraError(LLMCoreError):
    """There is no frame to ask about; says why."""


@dataclass(frozen=True)
class Frame:
    """A frame: its message, how many came before it, and how old it was (seconds) when it was taken."""

    message: Image | CompressedImage
    number: int
    age: float

    @property
    def stamp(self):
        """When it was taken, as the camera says (builtin_interfaces/Time)."""
        return self.message.header.stamp

    @property
    def frame_id(self) -> str:
        """The camera's coordinate frame."""
        return self.message.header.frame_id


class Camera:
    """The latest frame of `topic`. `transport`: "raw", "compressed", or "auto": compressed if the topic's name ends so.

    A frame's age counts from its arrival; with `use_stamps` from its stamp, if that makes it older (a stamp of 0 says
    nothing). So both a slow network and a camera that stands still are noticed.
    """

    def __init__(self, node, topic: str, transport: str = "auto", use_stamps: bool = True):
        if transport == "auto":
            transport = "compressed" if topic.endswith("/compressed") else "raw"
        self._node, self._type, self._use_stamps = node, TYPES[transport], use_stamps
        self._changed = threading.Condition()
        self._data: bytes | None = None
        self._message = None  # of _data, once somebody wanted it
        self._arrived = self._begun = time.monotonic()
        self._number = 0
        self._subscription = node.create_subscription(
            self._type,
            topic,
            self._got,
            qos_profile_sensor_data,
            callback_group=MutuallyExclusiveCallbackGroup(),
            raw=True,
        )
        self.topic = self._subscription.topic_name

    def _got(self, data: bytes):
        with self._changed:
            self._data, self._message = data, None
            self._arrived = time.monotonic()
            self._number += 1
            self._changed.notify_all()

    @property
    def number(self) -> int:
        """How many frames have come."""
        with self._changed:
            return self._number

    def latest(self) -> Frame | None:
        """The newest frame however old it is, or None."""
        with self._changed:
            if self._data is None:
                return None
            if self._message is None:
                self._message = deserialize_message(self._data, self._type)
            message, number, arrived = self._message, self._number, self._arrived
        age = time.monotonic() - arrived
        if self._use_stamps and (message.header.stamp.sec or message.header.stamp.nanosec):
            since = self._node.get_clock().now() - Instant.from_msg(message.header.stamp, clock_type=self._clock_type)
            age = max(age, since.nanoseconds / 1e9)
        return Frame(message, number, age)

    @property
    def _clock_type(self):
        return self._node.get_clock().clock_type

    def frame(self, max_age: float, wait: float = 0.0, cancelled: Callable[[], bool] = lambda: False) -> Frame:
        """The newest frame, at most `max_age` seconds old; waits up to `wait` seconds for one. Raises CameraError.

        `cancelled()` ends the waiting; whoever makes it true calls `wake`.
        """
        end = time.monotonic() + wait
        while True:
            found = self.latest()
            if found is not None and found.age <= max_age:
                return found
            seen = found.number if found else 0
            if not self.wait(lambda seen=seen: self._number != seen or cancelled(), end - time.monotonic()):
                raise CameraError(self._why(found, max_age))
            if cancelled():
                raise CameraError(f"cancelled while waiting for a frame on {self.topic}")

    def wait(self, condition: Callable[[], bool], timeout: float | None) -> bool:
        """Waits until `condition()`, asked after each frame and each `wake`; False if it is not after `timeout` s."""
        with self._changed:
            return self._changed.wait_for(condition, timeout if timeout is None else max(0.0, timeout))

    def wake(self) -> None:
        """Makes whoever waits look at its condition again."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Ends the subscription."""
        self._node.destroy_subscription(self._subscription)

    def _why(self, found: Frame | None, max_age: float) -> str:
        if found is not None:
            since = time.monotonic() - self._arrived
            text = f"the newest frame on {self.topic} is {found.age:.2f} s old, at most {max_age:g} s are allowed"
            if since + 0.01 < found.age:
                text += f" (it came {since:.2f} s ago; its stamp says the rest)"
            return text
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        wanted = f"sensor_msgs/msg/{self._type.__name__}"
        others = sorted({info.topic_type for info in publishers} - {wanted})
        since = time.monotonic() - self._begun
        if not publishers:
            return f"no frame on {self.topic}: nobody publishes there"
        if others:
            return f"no frame on {self.topic}: {', '.join(others)} is published there, {wanted} expected"
        return f"no frame on {self.topic} in the {since:.1f} s since it is listened to ({len(publishers)} publishers)"
