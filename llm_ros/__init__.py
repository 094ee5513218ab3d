"""The robot side: ROS 2 nodes, clients and the planner over `llm_core`. No maths inside.

`llm_ros.msg`, `.srv` and `.action` are generated when the package is built. When this source tree shadows an installed
package (`python -m pytest` in a checkout), they are still found in the installed one.
"""

from pkgutil import extend_path

from llm_ros.environment import complete_environment

__path__ = extend_path(__path__, __name__)
complete_environment()
