"""The launch files under the real `launch`, where it is installed: both nodes come up and plan."""

from __future__ import annotations

import pytest

launch_pytest = pytest.importorskip("launch_pytest", reason="launch is not on PyPI")

from launch.actions import IncludeLaunchDescription, SetEnvironmentVariable  # noqa: E402
from launch.launch_description_sources import PythonLaunchDescriptionSource  # noqa: E402
from launch_pytest.actions import ReadyToTest  # noqa: E402
from llm_ros.msg import Plan  # noqa: E402
from ros_helpers import Ros, domain_for  # noqa: E402

from launch import LaunchDescription  # noqa: E402
from llm_ros.client import LLMClient, PlannerClient  # noqa: E402
from llm_ros.share import share_dir  # noqa: E402

NAME = "bringup.launch.py"


@launch_pytest.fixture
def bringup():
    """Both nodes, in a namespace."""
    source = PythonLaunchDescriptionSource(str(share_dir() / "launch" / NAME))
    return LaunchDescription(
        [
            SetEnvironmentVariable("ROS_DOMAIN_ID", str(domain_for(NAME))),
            SetEnvironmentVariable("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST"),
            IncludeLaunchDescription(source, launch_arguments={"namespace": "robot"}.items()),
            ReadyToTest(),
        ]
    )


@pytest.mark.launch(fixture=bringup)
def test_bringup_plans():
    ros = Ros(NAME)
    try:
        node = ros.client_node()
        LLMClient(node, "/robot/llm_node").wait_ready(120.0)
        planner = PlannerClient(node, "/robot/planner_node")
        planner.wait_ready(20.0)
        assert planner.plan("Go to the kitchen").result(60.0).plan.status == Plan.PLANNED
    finally:
        ros.close()
