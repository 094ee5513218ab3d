"""llm_node and planner_node, as `llm-ros up` starts them. `ros2 launch llm_ros bringup.launch.py --show-args` lists
arguments.
"""

from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

SHARE = FindPackageShare("llm_ros")


def generate_launch_description():
    """llm.launch.py with its arguments, and the planner beside it with the same `config` and `namespace`."""
    llm = PythonLaunchDescriptionSource(PathJoinSubstitution([SHARE, "launch", "llm.launch.py"]))
    mock = DeclareLaunchArgument(
        "mock", default_value="false", choices=["true", "false"], description="Also start a simulated robot"
    )
    return LaunchDescription([mock, IncludeLaunchDescription(llm), OpaqueFunction(function=_planner)])


def _planner(context):
    config = LaunchConfiguration("config").perform(context)
    names = ["planner_node"] + (["mock_robot"] if LaunchConfiguration("mock").perform(context) == "true" else [])
    return [
        Node(
            package="llm_ros",
            executable=name,
            name=name,
            namespace=LaunchConfiguration("namespace"),
            parameters=[PathJoinSubstitution([SHARE, "config", f"{name}.yaml"]), *([config] if config else [])],
            output="screen",
        )
        for name in names
    ]
