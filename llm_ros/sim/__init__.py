"""Simulated scenes that a robot's camera may see: drawn from a seed (`scene.py`, `draw.py`), rendered by MuJoCo
(`studio.py`, the extra `sim`), with the truth about them from geometry and from what is visible.
"""

from llm_ros.sim.draw import HELD_OUT_PAIRS, draw
from llm_ros.sim.scene import COLOURS, SHAPES, Camera, Look, Scene, Thing

__all__ = ["COLOURS", "HELD_OUT_PAIRS", "SHAPES", "Camera", "Look", "Scene", "Thing", "draw"]
