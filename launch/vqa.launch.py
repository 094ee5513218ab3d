"""llm_node and vqa_node beside it: questions about a camera. `ros2 launch llm_ros vqa.launch.py --show-args` lists
arguments.
"""

from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

SHARE = FindPackageShare("llm_ros")
DEFAULTS = PathJoinSubstitution([SHARE, "config", "vqa_node.yaml"])


def generate_launch_description():
    """llm.launch.py with its arguments, and vqa_node with the same `config`, `namespace` and `autostart`."""
    llm = PythonLaunchDescriptionSource(PathJoinSubstitution([SHARE, "launch", "llm.launch.py"]))
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "camera", default_value="", description="Topic of the camera; empty: as the files say"
            ),
            IncludeLaunchDescription(llm),
            OpaqueFunction(function=_vqa),
        ]
    )


def _vqa(context):
    """Only arguments that were given override the files."""
    config, camera = (LaunchConfiguration(name).perform(context) for name in ("config", "camera"))
    parameters = [DEFAULTS, *([config] if config else [])]
    if camera:
        parameters.append({"camera.topic": ParameterValue(camera, value_type=str)})
    parameters.append({"autostart": ParameterValue(LaunchConfiguration("autostart"), value_type=bool)})
    return [
        Node(
            package="llm_ros",
            executable="vqa_node",
            name="vqa_node",
            namespace=LaunchConfiguration("namespace"),
            parameters=parameters,
            output="screen",
        )
    ]
