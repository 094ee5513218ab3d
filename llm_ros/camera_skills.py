"""Skills that a camera answers: which question a skill's argument becomes, and what the answer means to the executor.

Answers are constrained, so that a count is a number and a search is yes or no. A skill is one entry of SKILLS. Knows no
node.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from llm_core.errors import RequestError
from llm_ros.action import Ask, ExecuteSkill
from llm_ros.msg import CameraAnswer, Outcome

MOST = 20  # a count's largest answer


@dataclass(frozen=True)
class CameraSkill:
    """`argument`: the skill's argument that goes into `question`. `choices`: possible answers, none for any text.
    `result(value, answer)`: what the executor hears."""

    argument: str
    question: str
    choices: tuple[str, ...]
    result: Callable[[str, CameraAnswer], ExecuteSkill.Result]

    def value(self, goal: ExecuteSkill.Goal) -> str:
        """The argument of a goal. Raises RequestError if it is missing."""
        found = next((arg.value for arg in goal.args if arg.name == self.argument and arg.value.strip()), None)
        if found is None:
            raise RequestError(f"args of {goal.skill!r}: {self.argument} is missing")
        return found

    def ask(self, value: str) -> Ask.Goal:
        """The question; a name of the world (`red_mug`) is asked about in words."""
        return Ask.Goal(question=self.question.format(value.replace("_", " ")), choices=list(self.choices))


def _told(_value: str, answer: CameraAnswer) -> ExecuteSkill.Result:
    return ExecuteSkill.Result(success=True, text=answer.answer)


def _found(value: str, answer: CameraAnswer) -> ExecuteSkill.Result:
    if answer.answer == "yes":
        return ExecuteSkill.Result(success=True, text=value.replace("_", " "), facts=[f"found({value})"])
    why = Outcome(code=Outcome.POSTCONDITION, message=f"the camera sees no {value}")
    return ExecuteSkill.Result(success=False, outcome=why, facts=[f"not found({value})"])


SKILLS = {
    "detect": CameraSkill("what", "What is the {}?", (), _told),
    "count": CameraSkill("kind", "How many {} are there?", tuple(map(str, range(MOST + 1))), _told),
    "find_object": CameraSkill("object", "Is there a {}?", ("yes", "no"), _found),
}


def chosen(names: str) -> dict[str, CameraSkill]:
    """The skills of a list of names between spaces. Raises RequestError for one that is none."""
    for name in names.split():
        if name not in SKILLS:
            raise RequestError(f"skills has {name!r}: some of {', '.join(SKILLS)} wanted")
    return {name: SKILLS[name] for name in names.split()}
