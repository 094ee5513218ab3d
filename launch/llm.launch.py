"""llm_node alone: loads its model and serves. `ros2 launch llm_ros llm.launch.py --show-args` lists the arguments."""

from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

DEFAULT_CONFIG = PathJoinSubstitution([FindPackageShare("llm_ros"), "config", "llm_node.yaml"])


def generate_launch_description():
    """The node with its parameter file, and with what the arguments say on top."""
    return LaunchDescription(
        [
            DeclareLaunchArgument("config", default_value=DEFAULT_CONFIG, description="ROS parameter file of llm_node"),
            DeclareLaunchArgument(
                "model",
                default_value="smollm2-135m-instruct",
                description="The model: path of a GGUF file, or a name that `llm-core models` lists",
            ),
            DeclareLaunchArgument("namespace", default_value="", description="Namespace of the node"),
            DeclareLaunchArgument(
                "autostart",
                default_value="true",
                choices=["true", "false"],
                description="Load the model and serve at once, without a lifecycle manager",
            ),
            Node(
                package="llm_ros",
                executable="llm_node",
                name="llm_node",
                output="screen",
                emulate_tty=True,
                namespace=LaunchConfiguration("namespace"),
                parameters=[
                    LaunchConfiguration("config"),
                    {
                        "model.name": ParameterValue(LaunchConfiguration("model"), value_type=str),
                        "autostart": ParameterValue(LaunchConfiguration("autostart"), value_type=bool),
                    },
                ],
            ),
        ]
    )
