"""llm_node, planner_node and chat_node. `ros2 launch llm_ros chat.launch.py --show-args` lists the arguments."""

from launch.actions import IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

SHARE = FindPackageShare("llm_ros")
DEFAULTS = PathJoinSubstitution([SHARE, "config", "chat_node.yaml"])


def generate_launch_description():
    """bringup.launch.py with its arguments, and chat_node with the same `config`, `namespace` and `autostart`."""
    bringup = PythonLaunchDescriptionSource(PathJoinSubstitution([SHARE, "launch", "bringup.launch.py"]))
    return LaunchDescription([IncludeLaunchDescription(bringup), OpaqueFunction(function=_chat)])


def _chat(context):
    config = LaunchConfiguration("config").perform(context)
    autostart = {"autostart": ParameterValue(LaunchConfiguration("autostart"), value_type=bool)}
    return [
        Node(
            package="llm_ros",
            executable="chat_node",
            name="chat_node",
            namespace=LaunchConfiguration("namespace"),
            parameters=[DEFAULTS, *([config] if config else []), autostart],
            output="screen",
        )
    ]
