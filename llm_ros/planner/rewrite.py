"""What a model is asked that puts a command into plain words (plain.py): the conversation and its system turn.

The system turn names the skills that play no role; it is the same for every command of a robot, so that an engine
that keeps prompt prefixes reads it once. Other models than the one with the adapter get worked examples.
"""

from __future__ import annotations

SYSTEM = "Say in plain words what the robot is to do."
