"""Questions about pictures from the command line: `up --camera`, `ask --image`, `ask --image-topic`, `watch`."""

from __future__ import annotations

import pytest
from camera_helpers import write_seeing_model
from PIL import Image as Pillow
from rclpy.qos import qos_profile_sensor_data
from ros_helpers import DEADLINE_S
from sensor_msgs.msg import Image
from test_ros_cli import llm_ros, running_up
from vision_folders import picture

from llm_ros import images
from llm_ros.client import LLMClient, VQAClient

A = picture(56)


def test_a_picture_that_is_none_is_one_line_and_code_2(tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    for path, expected in ((tmp_path / "text.png", "no picture of a known format"), ("/nowhere.png", "cannot be read")):
        done = llm_ros("ask", "What?", "--image", str(path), name="bad picture")
        assert done.returncode == 2 and expected in done.stderr and done.stderr.count("\n") == 1


def test_up_with_a_camera_answers(request, tmp_path):
    name = request.node.name
    model, mmproj = write_seeing_model(tmp_path)
    Pillow.fromarray(A).save(tmp_path / "a.png")
    args = ("--model", model, "--mmproj", mmproj, "--camera", "/eye/image_raw")
    with running_up(*args, name=name) as (ros, _):
        node = ros.client_node()
        publisher = node.create_publisher(Image, "/eye/image_raw", qos_profile_sensor_data)
        message = images.image_to_ros(A)
        node.create_timer(0.05, lambda: publisher.publish(message))
        llm, vqa = LLMClient(node), VQAClient(node)
        llm.wait_ready(60.0)
        vqa.wait_ready(DEADLINE_S)
        text = llm.chat("What?", images=[A], temp=0.0, max_tokens=6).result(DEADLINE_S).message.content
        assert vqa.ask_now("What?", max_tokens=6).answer == text.strip()
        for where in (("--image", str(tmp_path / "a.png")), ("--image-topic", "/eye/image_raw")):
            done = llm_ros("ask", "What?", *where, "--temp", "0", "--max-tokens", "6", name=name)
            assert done.returncode == 0 and text in done.stdout, done.stderr
        done = llm_ros("watch", "What?", "--choice", "yes", "--choice", "no", "--max-answers", "1", name=name)
        assert done.returncode == 0 and done.stdout.split()[0] in ("yes", "no"), done.stderr
        done = llm_ros("ask", "What?", "--image-topic", "/blind", "--image-wait", "0.2", name=name)
        assert done.returncode == 2 and "no frame on /blind: nobody publishes there" in done.stderr


@pytest.mark.parametrize("args, expected", [(("watch", " "), "question is empty"), (("watch",), "question")])
def test_bad_watches(args, expected):
    done = llm_ros(*args, name="bad watch")
    assert done.returncode == 2 and expected in done.stderr
