"""A robot and its house that exist only in memory, with faults: what everything can be tried on. No ROS inside."""

from llm_ros.simulation.clock import SimClock
from llm_ros.simulation.faults import Faults
from llm_ros.simulation.house import House
from llm_ros.simulation.simulator import SimRobot, Simulator

__all__ = ["Faults", "House", "SimClock", "SimRobot", "Simulator"]
