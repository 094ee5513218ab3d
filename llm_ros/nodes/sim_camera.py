"""sim_camera: pictures of simulated scenes (`llm_ros.sim`) on a camera topic, so that everything that sees runs without
a robot.

Publishes `topic` (sensor_msgs/Image, rgb8, sensor-data QoS) and, latched, `~/truth` (std_msgs/String): what is in the
picture, from left to right. A thread of its own renders, as OpenGL wants.
"""

from __future__ import annotations

import threading
import time

from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
from std_msgs.msg import String

from llm_ros import qos
from llm_ros.nodes.run import run_node
from llm_ros.params import SimCameraParams, check_change, declare, read
from llm_ros.sim.draw import draw


class SimCameraNode(Node):
    """See the module. `studio`: what makes pictures, by (width, height); MuJoCo unless a test has another. Raises
    RequestError if it cannot be had, ParameterError for parameters that cannot be used."""

    def __init__(self, name: str = "sim_camera", studio=None, **node_options):
        super().__init__(name, **node_options)
        declare(self, SimCameraParams)
        self._params = read(self, SimCameraParams)
        self._make_studio = studio or _studio
        self._make_studio(32, 32).close()  # what is missing is missed at once
        self._images = self.create_publisher(Image, self._params.topic, qos_profile_sensor_data)
        self._truth = self.create_publisher(String, "~/truth", qos.LATCHED)
        self._seed = self._params.seed
        self._changed = threading.Event()
        self._closed = threading.Event()
        self.add_on_set_parameters_callback(self._on_change)
        self._thread = threading.Thread(target=self._run, name="llm_ros.sim_camera", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop publishing."""
        self._closed.set()
        self._thread.join(timeout=10.0)

    def _on_change(self, parameters) -> SetParametersResult:
        """Only the seed changes while pictures are made."""
        for parameter in parameters:
            if parameter.name not in ("seed", "use_sim_time"):
                reason = f"{parameter.name} is read-only while the node runs"
                return SetParametersResult(successful=False, reason=reason)
        reason = check_change(self, parameters, (SimCameraParams,), {})
        if not reason:
            for parameter in parameters:
                if parameter.name == "seed":
                    self._seed = parameter.value
                    self._changed.set()
        return SetParametersResult(successful=not reason, reason=reason)

    def _run(self) -> None:
        p = self._params
        studio = self._make_studio(p.width, p.height)
        try:
            message, until, tick = None, 0.0, time.monotonic()
            while not self._closed.is_set():
                now = time.monotonic()
                if message is None or self._changed.is_set() or (p.scene_period and now >= until):
                    if message is not None and not self._changed.is_set():
                        self._seed += 1
                    self._changed.clear()
                    message = self._take(studio)
                    until = now + p.scene_period
                message.header.stamp = self.get_clock().now().to_msg()
                self._images.publish(message)
                tick = max(tick + 1 / p.rate, time.monotonic())
                self._closed.wait(tick - time.monotonic())
        finally:
            studio.close()

    def _take(self, studio) -> Image:
        p = self._params
        view = studio.look(draw(self._seed, kind=p.kind or None))
        names = ", ".join(view.scene.names) or "nothing"
        self._truth.publish(String(data=names))
        self.get_logger().info(f"scene {self._seed}: {names}")
        image = Image(height=p.height, width=p.width, encoding="rgb8", is_bigendian=0, step=3 * p.width)
        image.header.frame_id = p.frame_id
        image.data = view.image.tobytes()
        return image


def _studio(width: int, height: int):
    from llm_ros.sim.studio import Studio

    return Studio(width, height)


def main(args=None) -> int:
    """Entry point: the node with the parameters of the command line. Returns the exit code."""
    return run_node(SimCameraNode, args)
