"""How good and how fast plans are: a set of commands is planned and judged (judge.py), and counted per class.

A set is a JSON list of {"id", "command"} with "steps", "refuse" (reasons) or "clarify": true, and optionally "class",
"world" and "skills": files, found from the set's folder. Knows no model: it is given the planner's generators.
"""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from llm_ros.planner.judge import alternatives, judge, wilson
from llm_ros.planner.plan import Plan, parse_line
from llm_ros.planner.planner import Planner
from llm_ros.planner.skills import load_skills
from llm_ros.planner.world import load_world

EXPECTED = ("steps", "refuse", "clarify")


class SetError(ValueError):
    """A set that cannot be used: which file, which entry, why."""


def read_set(path: str | Path) -> list[dict]:
    """The entries of a set, their files as paths. Raises SetError."""
    path = Path(path)
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SetError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(entries, list) or not entries:
        raise SetError(f"{path}: expected a list of commands")
    return [_entry(path, number, entry) for number, entry in enumerate(entries)]


def _entry(path: Path, number: int, entry) -> dict:
    where = f"{path}: entry {number}"
    if not isinstance(entry, dict) or not isinstance(entry.get("command"), str):
        raise SetError(f'{where}: expected {{"id", "command", "steps", …}}')
    if sum(key in entry for key in EXPECTED[:1]) + any(key in entry for key in EXPECTED[1:]) != 1:
        raise SetError(f"{where}: needs either steps, or refuse or clarify")
    for key in ("steps", "refuse"):
        if not isinstance(entry.get(key, []), list) or not all(isinstance(one, str) for one in entry.get(key, [])):
            raise SetError(f"{where}: {key} = {entry[key]!r}: expected a list of texts")
    for step in (one for text in entry.get("steps", ()) for one in alternatives(text)):
        try:
            parse_line(step.partition("@")[0])
        except ValueError as error:
            raise SetError(f"{where}: steps: {error}") from error
    found = dict(entry, id=str(entry.get("id", number)))
    found["class"] = str(entry.get("class", "tasks" if "steps" in entry else "refuse"))
    for key in ("world", "skills"):
        if key in entry:
            if not isinstance(entry[key], str):
                raise SetError(f"{where}: {key} = {entry[key]!r}: expected the name of a file")
            found[key] = str((path.parent / entry[key]).resolve())
    return found


@dataclass
class Evaluation:
    """generate, rewrite, trained, space, examples: as `Planner`'s. skills, world: the files of entries that name
    none."""

    generate: Callable[..., str]
    skills: str | Path
    world: str | Path
    rewrite: Callable[..., str] | None = None
    trained: bool = False
    space: str = "tight"
    examples: int | None = None
    _planners: dict[tuple[str, str], Planner] = field(default_factory=dict)
    _written: list[str] = field(default_factory=list)

    def run(self, entries: Sequence[Mapping], on_record: Callable[[dict], None] = lambda record: None) -> list[dict]:
        """One record per entry: id, class, failure (None if right), seconds, first_step_s, status, plain (what the
        rewriting model wrote), plan. Raises ConfigError."""
        records = []
        for entry in entries:
            planner = self._planner(str(entry.get("skills", self.skills)), str(entry.get("world", self.world)))
            records.append({"id": entry["id"], "class": entry["class"], **self._tried(planner, entry)})
            on_record(records[-1])
        return records

    def _planner(self, skills: str, world: str) -> Planner:
        if (skills, world) not in self._planners:
            rewrite = self._noted if self.rewrite else None
            parts = load_skills(skills), load_world(world)
            planner = Planner(self.generate, *parts, self.space, self.examples, rewrite, self.trained)
            planner.plan("go there")  # what is made once is not timed
            self._planners[skills, world] = planner
        return self._planners[skills, world]

    def _tried(self, planner: Planner, entry: Mapping) -> dict:
        first: list[float] = []
        before, started = len(self._written), time.perf_counter()
        plan: Plan = planner.plan(entry["command"], on_step=lambda step: first.append(time.perf_counter()))
        seconds = time.perf_counter() - started
        return {
            "command": entry["command"],
            "failure": judge(entry, plan, planner.skills, planner.world),
            "seconds": seconds,
            "first_step_s": first[0] - started if first else None,
            "status": plan.status,
            "plain": self._written[-1] if len(self._written) > before else None,
            "plan": plan.to_json(),
        }

    def _noted(self, *request) -> str:
        self._written.append(self.rewrite(*request))
        return self._written[-1]


def figures(records: Sequence[Mapping]) -> dict:
    """Success with Wilson intervals per class and in all, needless refusals, wrong plans, times in seconds."""
    tasks = [record for record in records if record["class"] != "refuse"]
    steps = [record["first_step_s"] for record in records if record["first_step_s"] is not None]
    planned = [record["seconds"] for record in records if record["status"] == "plan"]
    needless = sum(record["status"] in ("refuse", "clarify") for record in tasks)
    return {
        "classes": {
            name: _rate([r for r in records if r["class"] == name])
            for name in dict.fromkeys(r["class"] for r in records)
        },
        "tasks": _rate(tasks),
        "refusals": _rate([r for r in records if r["class"] == "refuse"]),
        "all": _rate(records),
        "wrong_plans": sum(r["failure"] is not None and r["status"] == "plan" for r in records),
        "times": {
            "all": _times(records),
            "read": _times([r for r in records if r["plain"] is None]),
            "reworded": _times([r for r in records if r["plain"] is not None]),
        },
        "needless_refusals": needless / len(tasks) if tasks else 0.0,
        "median_s": statistics.median(planned) if planned else None,
        "median_first_step_s": statistics.median(steps) if steps else None,
    }


def _rate(some: Sequence[Mapping]) -> dict:
    right = sum(record["failure"] is None for record in some)
    low, high = wilson(right, len(some))
    return {"right": right, "total": len(some), "rate": right / len(some) if some else 0.0, "low": low, "high": high}


def _times(some: Sequence[Mapping]) -> dict:
    times = sorted(record["seconds"] for record in some)
    at = [times[min(len(times) - 1, math.ceil(share * len(times)) - 1)] for share in (0.5, 0.95)] if times else []
    return {"commands": len(times), "median_s": at[0] if at else None, "p95_s": at[1] if at else None}


def told(found: Mapping) -> str:
    """Figures for people, a line each."""
    rates = {**found["classes"], "all tasks": found["tasks"], "refusals": found["refusals"]}
    lines = [
        f"{name:10} {rate['right']:3}/{rate['total']:3}  {100 * rate['rate']:5.1f} %  "
        f"[{100 * rate['low']:.1f}, {100 * rate['high']:.1f}]"
        for name, rate in rates.items()
    ]
    lines.append(
        f"needless refusals {100 * found['needless_refusals']:.1f} %; median {found['median_s'] or 0:.3f} s a planned "
        f"command, first step {found['median_first_step_s'] or 0:.3f} s; "
        f"wrong plans {found['wrong_plans']} of {found['all']['total']}"
    )
    for name, times in found["times"].items():
        if times["commands"]:
            within = f"{times['median_s']:.3f} s, 95 % within {times['p95_s']:.3f} s"
            lines.append(f"{name:10} {times['commands']:3} commands, {within}")
    return "\n".join(lines)
