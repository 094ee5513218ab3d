"""sim_camera over real ROS 2, with a studio that paints without MuJoCo."""

from __future__ import annotations

import numpy as np
import pytest
from rclpy.qos import qos_profile_sensor_data
from ros_helpers import Ros, wait_until
from sensor_msgs.msg import Image
from std_msgs.msg import String

from llm_ros import qos
from llm_ros.cli.main import main as llm_ros
from llm_ros.nodes.sim_camera import SimCameraNode
from llm_ros.params import ParameterError
from llm_ros.sim import draw


class View:
    """A picture in the grey that is the scene's seed."""

    def __init__(self, scene, width, height):
        self.scene = scene
        self.image = np.full((height, width, 3), scene.seed % 251, np.uint8)


class Studio:
    """Takes such pictures."""

    def __init__(self, width, height):
        self.size = width, height

    def look(self, scene):
        return View(scene, *self.size)

    def close(self):
        pass


@pytest.fixture
def ros(request):
    ros = Ros(request.node.name)
    yield ros
    ros.close()


def start(ros, **values):
    """(node, pictures so far, truths so far)."""
    client = ros.client_node()
    images, truths = [], []
    client.create_subscription(Image, "camera/image_raw", images.append, qos_profile_sensor_data)
    values = {"rate": 50.0, "width": 40, "height": 32, **values}
    node = ros.add(lambda **options: SimCameraNode(studio=Studio, **options), **values)
    client.create_subscription(String, "/sim_camera/truth", lambda m: truths.append(m.data), qos.LATCHED)
    return node, images, truths


def test_it_publishes_a_scene_and_what_is_in_it(ros):
    node, images, truths = start(ros, seed=7, scene_period=0.0, kind="table")
    wait_until(lambda: len(images) > 4 and truths, "five pictures and the truth")
    image = images[-1]
    assert (image.width, image.height, image.step) == (40, 32, 120)
    assert (image.encoding, image.header.frame_id) == ("rgb8", "camera")
    assert bytes(image.data) == bytes([7]) * (40 * 32 * 3)
    stamps = [(m.header.stamp.sec, m.header.stamp.nanosec) for m in images]
    assert stamps == sorted(set(stamps))
    assert truths == [", ".join(draw(7, kind="table").names) or "nothing"]


def test_the_next_scene_comes_by_itself_or_by_its_seed(ros):
    from rclpy.parameter import Parameter

    node, images, truths = start(ros, seed=20, scene_period=0.2)
    wait_until(lambda: {20, 21, 22} <= {m.data[0] for m in images}, "three scenes")
    assert node.set_parameters([Parameter("seed", value=100)])[0].successful
    wait_until(lambda: images[-1].data[0] >= 100, "the scene of the seed that was set")
    refused = node.set_parameters([Parameter("rate", value=2.0)])[0]
    assert not refused.successful and "rate" in refused.reason


@pytest.mark.parametrize("name, value", [("kind", "kitchen"), ("topic", ""), ("width", 4), ("seed", -1), ("lens", 1)])
def test_parameters_that_cannot_be_used_are_named(ros, name, value):
    with pytest.raises(ParameterError, match=name):
        start(ros, **{name: value})


@pytest.mark.parametrize("size", ["320", "ax5", "320x", "9x9"])
def test_a_size_that_is_none_is_one_error_line(size, capsys, tmp_path):
    assert llm_ros(["sim-camera", "--size", size, "--save", str(tmp_path / "a.png")]) == 2
    assert capsys.readouterr().err.startswith("error: ")
