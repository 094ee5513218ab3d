"""What stands between braces in a text to say, filled in when it is said: `{result}`, `{time}`, `{date}` and so on."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from llm_ros.planner.plan import Step

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
