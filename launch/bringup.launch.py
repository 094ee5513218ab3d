"""llm_node and planner_node: what `llm-ros up` starts. `ros2 launch llm_ros bringup.launch.py --show-args` lists the
arguments.
"""

from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

SHARE = FindPackageShare("llm_ros")


def generate_launch_description():
    """llm.launch.py with its arguments, and the planner beside it."""
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "planner_config",
                default_value=PathJoinSubstitution([SHARE, "config", "planner_node.yaml"]),
                description="ROS parameter file of planner_node",
            ),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(PathJoinSubstitution([SHARE, "launch", "llm.launch.py"]))
            ),
            Node(
                package="llm_ros",
                executable="planner_node",
                name="planner_node",
                output="screen",
                emulate_tty=True,
                namespace=LaunchConfiguration("namespace"),
                parameters=[LaunchConfiguration("planner_config")],
            ),
        ]
    )
