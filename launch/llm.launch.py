"""llm_node alone: loads its model and serves. `ros2 launch llm_ros llm.launch.py --show-args` lists the arguments."""

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

DEFAULTS = PathJoinSubstitution([FindPackageShare("llm_ros"), "config", "llm_node.yaml"])
CHOSEN = {"model.name": "model", "model.mmproj": "mmproj", "model.lora": "lora"}  # parameters, and their arguments


def generate_launch_description():
    """The node with the installed parameters, then those of `config`, then `model`, `mmproj` and `lora`."""
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "config", default_value="", description="ROS parameter file, applied on top of the installed ones"
            ),
            DeclareLaunchArgument(
                "model",
                default_value="",
                description="Path or name of a model; stronger than model.name in a file; empty: what the files say",
            ),
            DeclareLaunchArgument(
                "mmproj",
                default_value="",
                description="Path or name of the vision tower that belongs to the model; empty: what the files say",
            ),
            DeclareLaunchArgument(
                "lora",
                default_value="",
                description="LoRA adapters, [NAME=]FILE[:SCALE] separated by commas; empty: what the files say",
            ),
            DeclareLaunchArgument("namespace", default_value="", description="Namespace of the node"),
            DeclareLaunchArgument(
                "autostart",
                default_value="true",
                choices=["true", "false"],
                description="Load the model and serve at once, without a lifecycle manager",
            ),
            OpaqueFunction(function=_nodes),
        ]
    )


def _nodes(context):
    """Only arguments that were given override the files."""
    config, *chosen = (LaunchConfiguration(name).perform(context) for name in ("config", *CHOSEN.values()))
    parameters = [DEFAULTS, *([config] if config else [])]
    for name, value in zip(CHOSEN, chosen, strict=True):
        if value:
            parameters.append({name: ParameterValue(value, value_type=str)})
    parameters.append({"autostart": ParameterValue(LaunchConfiguration("autostart"), value_type=bool)})
    namespace = LaunchConfiguration("namespace")
    return [
        Node(
            package="llm_ros",
            executable="llm_node",
            name="llm_node",
            namespace=namespace,
            parameters=parameters,
            output="screen",
        )
    ]
