"""What ROS expects in a process's environment, where no set-up file was sourced: a virtual environment with ROS wheels.

ROS finds packages through AMENT_PREFIX_PATH and its libraries through LD_LIBRARY_PATH. The wheels start each Python a
second time to set the latter, once per process tree: a child process in another environment would miss its own folders.
`complete_environment` repairs both; with a sourced ROS installation it changes nothing.
"""

import os
import sys

STARTED_AGAIN = "_ROS_WHEELS_BOOTSTRAP_COMPLETE"  # set by the wheels' start-up module


def complete_environment() -> None:
    """Make this process's environment fit the Python prefix it runs in. May start the process again (same arguments).

    Called when llm_ros is imported, before rclpy can be.
    """
    if not os.path.isfile(os.path.join(sys.prefix, "share", "ament_index", "resource_index", "packages", "rclpy")):
        return  # ROS is not in this prefix: a sourced installation has set what it needs
    os.environ.setdefault("AMENT_PREFIX_PATH", sys.prefix)
    libraries = os.path.join(sys.prefix, "lib")
    if libraries in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) or "rclpy" in sys.modules:
        return
    if os.environ.pop(STARTED_AGAIN, None):  # it was set for the parent's environment, which is another one
        os.environ["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, [libraries, os.environ.get("LD_LIBRARY_PATH")]))
        sys.stdout.flush()
        sys.stderr.flush()
        os.execve(sys.executable, sys.orig_argv, os.environ)
