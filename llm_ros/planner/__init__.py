"""Commands in words → checked plans over a robot's skills and world. No ROS inside; see docs/planning.md."""

from llm_ros.planner.plan import Plan, PlanError, Step
from llm_ros.planner.planner import Planner
from llm_ros.planner.skills import Skills, load_skills
from llm_ros.planner.strictyaml import ConfigError
from llm_ros.planner.world import World, load_world

__all__ = ["ConfigError", "Plan", "PlanError", "Planner", "Skills", "Step", "World", "load_skills", "load_world"]
