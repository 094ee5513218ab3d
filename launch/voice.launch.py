"""voice_node alone, for a planner_node or chat_node that runs. `ros2 launch llm_ros voice.launch.py --show-args` lists
arguments.
"""

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

DEFAULTS = PathJoinSubstitution([FindPackageShare("llm_ros"), "config", "voice_node.yaml"])
CHOICES = {"target": "target", "source": "audio.source", "recognizer": "recognizer.name", "wake_word": "wake_word"}


def generate_launch_description():
    """The node with the installed parameters, then those of `config`, then the single ones that were given."""
    given = [
        DeclareLaunchArgument(name, default_value="", description=f"Stronger than {parameter} in a file")
        for name, parameter in CHOICES.items()
    ]
    return LaunchDescription(
        [
            DeclareLaunchArgument("config", default_value="", description="ROS parameter file on top of the installed"),
            DeclareLaunchArgument("namespace", default_value="", description="Namespace of the node"),
            DeclareLaunchArgument(
                "execute", default_value="", choices=["", "true", "false"], description="Carry out what is heard"
            ),
            DeclareLaunchArgument(
                "autostart", default_value="true", choices=["true", "false"], description="Listen at once"
            ),
            *given,
            OpaqueFunction(function=_node),
        ]
    )


def _node(context):
    """Only arguments that were given override the files."""
    config, execute = (LaunchConfiguration(name).perform(context) for name in ("config", "execute"))
    parameters = [DEFAULTS, *([config] if config else [])]
    for name, parameter in CHOICES.items():
        if value := LaunchConfiguration(name).perform(context):
            parameters.append({parameter: ParameterValue(value, value_type=str)})
    if execute:
        parameters.append({"execute": execute == "true"})
    parameters.append({"autostart": ParameterValue(LaunchConfiguration("autostart"), value_type=bool)})
    return [
        Node(
            package="llm_ros",
            executable="voice_node",
            name="voice_node",
            namespace=LaunchConfiguration("namespace"),
            parameters=parameters,
            output="screen",
        )
    ]
