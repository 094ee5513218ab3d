"""Steps and words: what stands between braces in a text to say (`{result}`, `{time}`, …), and a step as it is told."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from llm_ros.planner.plan import Step
from llm_ros.planner.validate import MAX_TEXT

_BRACED = re.compile(r"\{(\w+)\}")
NOTHING = "nothing"


def fill_texts(step: Step, result: str | None, now: datetime) -> Step:
    """The step with its texts filled in. `result`: what the latest step found out, if one did."""
    values = {
        "result": NOTHING if result is None else result,
        "time": f"{now:%H:%M}",
        "date": f"{now:%B} {now.day}, {now.year}",
        "weekday": f"{now:%A}",
        "tomorrow": f"{now + timedelta(days=1):%A}",
        "month": f"{now:%B}",
        "year": f"{now:%Y}",
    }

    def fill(value):
        if not isinstance(value, str):
            return value
        return _BRACED.sub(lambda match: values.get(match[1], match[0]), value)

    return Step(step.skill, {name: fill(value) for name, value in step.args.items()}, step.inserted)


def shortened(step: Step) -> Step:
    """The step with no text too long to say: one with its result filled in may have become that."""
    args = {
        name: value if not isinstance(value, str) or len(value) <= MAX_TEXT else value[: MAX_TEXT - 3] + "..."
        for name, value in step.args.items()
    }
    return Step(step.skill, args, step.inserted)


def phrase(step: Step) -> str:
    """A step in words: "place apple, kitchen table"."""
    values = ", ".join(str(value).replace("_", " ") for value in step.args.values())
    return f"{step.skill.replace('_', ' ')} {values}".strip()
