"""A plan as a behavior tree of BehaviorTree.CPP 4, in XML that Groot2 opens.

In: a `Course`. Out: XML with one Sequence. Each step is one action node named after
its skill, with its arguments as ports, given up after the skill's timeout and repeated as often as the executor would.
What the step needs is its `_failureIf`, what it changes its `_onSuccess`, both over blackboard entries that a first
Script sets, so that only the skills themselves (and `Confirm`, where a step has to be confirmed) are to be registered.
What the executor does beyond that (looking elsewhere, other skills, replanning) is not in the tree.

Source: behaviortree.dev/docs, "The XML format", "Pre and post conditions", "Scripting".
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

from llm_ros.planner.conditions import STATIC, Condition, State
from llm_ros.planner.export import Course
from llm_ros.planner.identifiers import Identifiers, one_line
from llm_ros.planner.plan import Step
from llm_ros.planner.skills import Skill

_BUILT_IN = """root BehaviorTree TreeNodesModel Action Condition Control Decorator SubTree Confirm Script
    ScriptCondition Sequence SequenceWithMemory AsyncSequence ReactiveSequence Fallback
    AsyncFallback ReactiveFallback Parallel ParallelAll IfThenElse WhileDoElse TryCatch Switch2
    Switch3 Switch4 Switch5 Switch6 Repeat RetryUntilSuccessful KeepRunningUntilFailure Inverter
    Timeout Delay ForceSuccess ForceFailure RunOnce Precondition SetBlackboard UnsetBlackboard
    AlwaysSuccess AlwaysFailure Sleep WasEntryUpdated SkipUnlessUpdated WaitValueUpdate
    EntryUpdatedAction LoopInt LoopBool LoopDouble LoopString LoopQueue ConsumeQueue ManualSelector""".split()
_PORTS = ("name", "ID", "result")
_SCRIPT_WORDS = ("true", "false")


def behavior_tree(course: Course, command: str = "") -> str:
    """The XML of a checked plan; `command` becomes a comment."""
    return _Tree(course).xml(command)


class _Tree:
    def __init__(self, course: Course):
        self.steps, self.skills, self.world, self.states = course.steps, course.skills, course.world, course.states
        self.ids, self.entries = Identifiers(_BUILT_IN), Identifiers(("result", *_SCRIPT_WORDS))
        self.needs = [list(self._needs(step, state)) for step, state in zip(self.steps, self.states, strict=False)]
        self.asked = dict.fromkeys((need.predicate, values) for needs in self.needs for need, values in needs)

    def xml(self, command: str) -> str:
        root = ET.Element("root", BTCPP_format="4", main_tree_to_execute="Plan")
        if command:
            # XML forbids two hyphens in a comment.
            root.append(ET.Comment(f" {one_line(command).replace('-', '- ')} "))
        sequence = ET.SubElement(ET.SubElement(root, "BehaviorTree", ID="Plan"), "Sequence", name="plan")
        if self.asked:
            code = "; ".join(f"{self._entry(fact)}:={self._value(fact, self.states[0])}" for fact in self.asked)
            ET.SubElement(sequence, "Script", name="as_it_is", code=code)
        for number in range(len(self.steps)):
            self._step(sequence, number)
        root.append(self._model())
        ET.indent(root)
        return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"

    def _step(self, parent: ET.Element, number: int) -> None:
        step, skill = self.steps[number], self.skills[self.steps[number].skill]
        name = f"{number + 1:02}_{self.ids[skill.name]}"
        if skill.safety == "confirm":
            question = _literal(f"May I do {one_line(str(step))}?")
            ET.SubElement(parent, "Action", ID="Confirm", name=f"{name}_confirm", question=question)
        outer = {"name": f"{name}_tries", "num_attempts": str(skill.retries + 1)}
        if self.needs[number]:
            asked = ((self._entry((need.predicate, values)), need.negated) for need, values in self.needs[number])
            outer["_failureIf"] = " || ".join(f"{entry} != {int(not negated)}" for entry, negated in asked)
        before, after = self.states[number : number + 2]
        changes = [fact for fact in self.asked if self._value(fact, before) != self._value(fact, after)]
        if changes:
            outer["_onSuccess"] = "; ".join(f"{self._entry(fact)}:={self._value(fact, after)}" for fact in changes)
        retry = ET.SubElement(parent, "RetryUntilSuccessful", outer)
        patience = {"name": f"{name}_timeout", "msec": str(max(1, round(1000 * skill.patience(step.args))))}
        ports = self._ports(skill)
        action = {"ID": self.ids[skill.name], "name": name}
        action |= {ports[key]: _literal(value) for key, value in step.args.items()}
        ET.SubElement(ET.SubElement(retry, "Timeout", patience), "Action", action, result="{result}")

    def _needs(self, step: Step, state: State):
        """Needs and what they speak of; left out are those that hold for good and those that nobody can check."""
        for need in self.skills[step.skill].needs:
            values = need.bind(step.args, state.places)
            if need.predicate not in STATIC and all(value is not None for value in values):
                yield need, values

    def _entry(self, fact: tuple[str, tuple]) -> str:
        return self.entries[" ".join((fact[0], *map(str, fact[1])))]

    def _value(self, fact: tuple[str, tuple], state: State) -> int:
        names = tuple(f"_{number}" for number in range(len(fact[1])))
        condition = Condition(fact[0], tuple((name, False) for name in names))
        return int(state.holds(condition, dict(zip(names, fact[1], strict=True)), self.world))

    def _ports(self, skill: Skill) -> Identifiers:
        ports = Identifiers(_PORTS)
        for arg in skill.args:
            _ = ports[arg.name]
        return ports

    def _model(self) -> ET.Element:
        """What Groot2 has to know about the nodes that BehaviorTree.CPP does not bring along."""
        model = ET.Element("TreeNodesModel")
        used = dict.fromkeys(step.skill for step in self.steps)
        for skill in (self.skills[name] for name in used):
            action = ET.SubElement(model, "Action", ID=self.ids[skill.name])
            for arg in skill.args:
                kind = "double" if arg.type == "number" else "std::string"
                port = ET.SubElement(action, "input_port", name=self._ports(skill)[arg.name], type=kind)
                port.text = f"{arg.type}{', optional' if arg.optional else ''}"
            ET.SubElement(action, "output_port", name="result", type="std::string").text = "what it found out"
            if skill.description:
                ET.SubElement(action, "description").text = _printable(skill.description)
        if any(self.skills[name].safety == "confirm" for name in used):
            confirm = ET.SubElement(model, "Action", ID="Confirm")
            ET.SubElement(confirm, "input_port", name="question", type="std::string").text = "to a person; no: failure"
        return model


def _printable(text: str) -> str:
    """Without the characters that XML cannot hold."""
    return "".join(char if char.isprintable() else " " for char in text)


def _literal(value) -> str:
    """A value as a port takes it literally: braces would make it the name of a blackboard entry."""
    if not isinstance(value, str):
        return repr(value)
    value = _printable(value)
    bare = value.strip()
    if bare.startswith("{") and bare.endswith("}") and bare != "{result}" or bare.startswith("json:"):
        return f"\u200b{value}\u200b"
    return value
