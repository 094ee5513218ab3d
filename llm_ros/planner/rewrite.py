"""Asks a model to put a command into plain words (plain.py), and plans these.

In: a command that the reader is unsure of. Out: the completed steps of the plain commands that the model wrote under
their grammar, or None where they refuse, ask or cannot be done: then what the reader said stands. The system turn is
the same for every command, so that an engine that keeps prompt prefixes reads it once.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from llm_ros.planner.complete import Completer
from llm_ros.planner.interpret import Interpreter
from llm_ros.planner.plain import PlainForms
from llm_ros.planner.plan import PlanError, Step
from llm_ros.planner.refer import Question
from llm_ros.planner.tags import tag

SYSTEM = "Say in plain words what the robot is to do."
MAX_TOKENS = 96
# Plain commands have no conditions: a command that has one is left to the reader, which asks.
CONDITIONAL = re.compile(
    r"\b(if|unless|when(ever)? (it|he|she|they)|in case|as long as|provided|otherwise)\b", re.IGNORECASE
)


# What untrained models are shown: tagged commands and their plain forms.
EXAMPLES = (
    (
        "The thing1 belongs on the place1, it's been lying in the place2 since yesterday",
        "move thing1 from place2 to place1",
    ),
    ("I'm parched, a thing1 would be great", "bring thing1 to me"),
    ("person1 keeps asking for a thing1. You'll find him in the place1.", "bring thing1 to person1 in place1"),
    (
        "person1 has no idea where the place1 is, she's over by the place2, help her out",
        "guide person1 from place2 to place1",
    ),
    ("Never leave person1's side till he is at the place1", "follow person1 to place1"),
    ("Got any thing1 left in the place1?", "tell me whether thing1 in place1"),
    ("We need a tally of the kind1 in the place1", "tell me how many kind1 in place1"),
    ("What is lying around on the place1?", 'tell me what "is lying around on the place1" in place1'),
    (
        "Somebody should let person1 know that lunch is served, he is in the place1",
        'tell person1 in place1 "lunch is served"',
    ),
    ("The chap with the beard at the place1 has something to ask, see to it", 'answer "chap with the beard" in place1'),
    ("Quiz person1 at the place1 on when the bus leaves", 'ask person1 in place1 "when the bus leaves"'),
    ("It's cold, who left the place1 open?", "close place1"),
    ("Stop there for half a minute, then off to the place1 with you", 'wait "half a minute"\ngo to place1'),
    ("Have a nose around the place1 for the thing1", "find thing1 in place1"),
    ("thing1, place1, chop chop", "move thing1 to place1"),
    ("Nobody has said hello to person1 yet, she's in the place1", "greet person1 in place1"),
    ("Knit person1 a scarf", "refuse impossible"),
    ("Kick person1 in the shins", "refuse unsafe"),
    ("Hand it over to person1", "bring ? to person1"),
)


class Rewriter:
    """generate: as `Planner`'s. trained: its model was trained on such pairs (training/) and needs no examples."""

    def __init__(
        self, generate: Callable[..., str], interpreter: Interpreter, completer: Completer, trained: bool = False
    ):
        self._examples = () if trained else EXAMPLES
        self._generate, self._interpreter, self._completer = generate, interpreter, completer
        self._forms = PlainForms(completer.skills, interpreter.names)

    def steps(self, command: str, cancelled: Callable[[], bool]) -> list[Step] | None:
        """The steps of the command's plain form; None if there are none."""
        tagged = tag(command, self._interpreter.names)
        asked = [{"role": "system", "content": SYSTEM}]
        for said, plain in (*self._examples, (tagged.text, "")):
            asked += [{"role": "user", "content": said}, {"role": "assistant", "content": plain}]
        asked.pop()
        text = self._generate(asked, self._forms.grammar(tagged), MAX_TOKENS, lambda piece: None, cancelled)
        try:
            readings = self._interpreter.read_spoken(self._forms.read(text, tagged))
            return self._completer.complete(readings.readings[0]) if len(readings.readings) == 1 else None
        except (PlanError, Question, ValueError):
            return None
