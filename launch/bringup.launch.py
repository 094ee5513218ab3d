"""llm_node and planner_node, as `llm-ros up` starts them. `ros2 launch llm_ros bringup.launch.py --show-args` lists
arguments.
"""

from launch.actions import IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

SHARE = FindPackageShare("llm_ros")
DEFAULTS = PathJoinSubstitution([SHARE, "config", "planner_node.yaml"])


def generate_launch_description():
    """llm.launch.py with its arguments, and the planner beside it with the same `config` and `namespace`."""
    llm = PythonLaunchDescriptionSource(PathJoinSubstitution([SHARE, "launch", "llm.launch.py"]))
    return LaunchDescription([IncludeLaunchDescription(llm), OpaqueFunction(function=_planner)])


def _planner(context):
    config = LaunchConfiguration("config").perform(context)
    return [
        Node(
            package="llm_ros",
            executable="planner_node",
            name="planner_node",
            namespace=LaunchConfiguration("namespace"),
            parameters=[DEFAULTS, *([config] if config else [])],
            output="screen",
        )
    ]
