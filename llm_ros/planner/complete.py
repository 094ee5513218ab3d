"""From goals to a plan: inserts the steps that make each goal possible and leaves out those that are already done.

In: goals in order, each with what it tells about where things are. Out: checked steps. The search is backward
chaining over the
skills' own needs and effects, bounded in depth and length; it knows the names of neither skills nor predicates. A need
that nothing can bring about is a `PlanError` that says which one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from llm_ros.planner.conditions import Condition, State, same
from llm_ros.planner.plan import PlanError, Step
from llm_ros.planner.refer import FreeText, Goal
from llm_ros.planner.skills import Skill, Skills
from llm_ros.planner.validate import check_step, initial_state, unmet
from llm_ros.planner.world import World

MAX_DEPTH = 6
MAX_STEPS = 60
_FALLBACK = {"find_person": "go_to", "find_object": "go_to"}
_WRITTEN = "\u2026"


@dataclass
class _Progress:
    state: State
    steps: list[Step]


class Completer:
    """Completes goals for one set of skills and one world."""

    def __init__(self, skills: Skills, world: World):
        self.skills, self.world = skills, world
        makers = sorted(skills.values(), key=lambda skill: len(skill.effects))
        self._makers: dict[str, list[tuple[Skill, Condition]]] = {}
        for skill in makers:
            for effect in skill.effects:
                if not effect.negated:
                    self._makers.setdefault(effect.predicate, []).append((skill, effect))

    def complete(self, goals: list[Goal], facts: dict[str, str] | None = None) -> list[Step]:
        """The steps that reach every goal in order. Raises PlanError."""
        progress = _Progress(initial_state(self.world, facts), [])
        for goal in goals:
            self._learn(progress, goal.facts)
            step = self._step(goal)
            if step is None or self._done(progress, step):
                continue
            self._reach(progress, step, MAX_DEPTH)
        if not progress.steps:
            progress.steps += [
                check_step(step, self.skills, self.world) for goal in goals[-1:] if (step := self._step(goal))
            ]
        return progress.steps

    def reach(self, step: Step, state: State) -> list[Step]:
        """The step, after whatever makes it possible in `state`. Raises PlanError."""
        progress = _Progress(state, [])
        self._reach(progress, step, MAX_DEPTH, step.inserted)
        return progress.steps

    def makers(self, predicate: str) -> list[Skill]:
        """The skills that bring a predicate about, those with the fewest effects first."""
        return [skill for skill, _ in self._makers.get(predicate, ())]

    def _learn(self, progress: _Progress, facts: dict[str, str]) -> None:
        """What is said to be elsewhere is not in reach any more."""
        state = progress.state
        moved = [name for name, place in facts.items() if place not in (state.places.get(name), state.at)]
        found = tuple(name for name in state.found if not any(same(name, other) for other in moved))
        progress.state = replace(state, places={**state.places, **facts}, found=found)

    def _step(self, goal: Goal) -> Step | None:
        if goal.role.startswith("skill:"):
            skill = self.skills[goal.role[6:]]
            return Step(skill.name, dict(goal.args))
        skill = self.skills.playing(goal.role)
        if skill is None and goal.role in _FALLBACK:
            place = next(iter(goal.facts.values()), None)
            skill = self.skills.playing(_FALLBACK[goal.role])
            return Step(skill.name, {skill.slots["location"]: place}) if skill and place else None
        if skill is None:
            raise PlanError("impossible", f"I have no skill to {goal.role.replace('_', ' ')}")
        return Step(skill.name, {skill.slots[slot]: value for slot, value in goal.args.items() if slot in skill.slots})

    def _done(self, progress: _Progress, step: Step) -> bool:
        """Whether the step would change nothing that the plan knows of: being there, having found it."""
        effects = [effect for effect in self.skills[step.skill].effects if not effect.negated]
        if not effects or any(effect.predicate not in ("at", "found") for effect in effects):
            return False
        return all(progress.state.holds(effect, step.args, self.world) for effect in effects) and (
            any(
                effect.predicate != "at" or progress.state.at == step.args.get(effect.terms[0][0]) for effect in effects
            )
        )

    def _reach(self, progress: _Progress, step: Step, depth: int, inserted: bool = False) -> None:
        """Appends the step, preceded by whatever its needs require."""
        step = self._checked(replace(step, inserted=inserted))
        skill = self.skills[step.skill]
        for _ in range(2 * len(skill.needs) + 1):
            need = unmet(step, skill, progress.state, self.world)
            if need is None:
                break
            maker = self._maker(progress, step, need) if depth else None
            if maker is None:
                if need.predicate in ("found", "at") and not self._makers.get(need.predicate):
                    break
                raise PlanError(*self._why(progress, step, need))
            self._reach(progress, maker, depth - 1, inserted=True)
        else:
            raise PlanError("precondition", f"{step}: needs {unmet(step, skill, progress.state, self.world)}")
        if len(progress.steps) >= MAX_STEPS:
            raise PlanError("too_long", f"the plan has more than {MAX_STEPS} steps")
        progress.state = progress.state.after(skill.effects, step.args)
        progress.steps.append(step)

    def _checked(self, step: Step) -> Step:
        """Checks a step; a text that the model has yet to write counts as any text."""
        written = {name: value for name, value in step.args.items() if isinstance(value, FreeText)}
        step = check_step(
            replace(step, args={**step.args, **{name: _WRITTEN for name in written}}), self.skills, self.world
        )
        return replace(step, args={name: written.get(name, value) for name, value in step.args.items()})

    def _maker(self, progress: _Progress, step: Step, need: Condition) -> Step | None:
        """A step one of whose effects is the need, with all its required arguments known from it."""
        if need.negated:
            return None
        values = need.bind(step.args, progress.state.places)
        wanted = self.skills[step.skill].argument(need.terms[0][0]) if need.terms else None
        fitting = []
        for skill, effect in self._makers.get(need.predicate, ()):
            args = {name: value for (name, is_place), value in zip(effect.terms, values, strict=False) if not is_place}
            if any(arg.name not in args and not arg.optional for arg in skill.args) or not args:
                continue
            kind = skill.argument(next(iter(args))).type
            same_kind = wanted is not None and (need.terms[0][1] or kind == wanted.type)
            fitting.append((not same_kind, len(skill.effects), len(fitting), Step(skill.name, args)))
        return min(fitting, key=lambda entry: entry[:3])[3] if fitting else None

    def _why(self, progress: _Progress, step: Step, need: Condition) -> tuple[str, str]:
        """The typed reason and the sentence for a need that cannot be brought about."""
        values = [str(value).replace("_", " ") for value in need.bind(step.args, progress.state.places)]
        held = (progress.state.holding or "").replace("_", " ")
        sentences = {
            "hand_empty": f"I can hold one object at a time and still hold the {held}",
            "placement": f"nothing can be put on the {' '.join(values)}",
            "graspable": f"I cannot pick up the {' '.join(values)}",
            "holding": f"I have no way to take the {' '.join(values)}",
        }
        return "impossible", sentences.get(need.predicate, f"{step.skill} needs {need}, and no skill brings that about")
