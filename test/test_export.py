"""Plans for other tools: behavior trees read by another XML parser, PDDL solved by pyperplan with a plan of the same
effect."""

from __future__ import annotations

import re
from xml.dom import minidom

import pytest
from execution_helpers import SKILLS, WORLD, steps
from planner_helpers import development_set, obedient_planner, parts
from pyperplan import grounding, search
from pyperplan.heuristics.relaxation import hFFHeuristic
from pyperplan.pddl.parser import Parser

from llm_ros.planner.export import course_of, export
from llm_ros.planner.export_pddl import Pddl
from llm_ros.planner.plan import PlanError, Step
from llm_ros.planner.skills import parse_skills
from llm_ros.planner.validate import unmet
from llm_ros.planner.world import parse_world

HOSTILE_SKILLS = """
skills:
  go_to: {args: {location: {type: location}}, effects: [at(location), not found(*)]}
  Sequence: {args: {name: {type: text}, ID: {type: text}, result: {type: text}}, safety: confirm}
  define: {args: {object: {type: object, free: true}}, needs: [], effects: [found(object)]}
  Define: {args: {and: {type: text, optional: true}}}
"""
HOSTILE_WORLD = "rooms: [define, Define, o'neil's room, Küche, küche, 7 up, object]\nlocations: {}\n"
TEXTS = ['<a & "b">', "{foo}", "json:x", "]]> -- <!--", "; ) (define", "x:=1 || 'y'", "\u2028\u0085é", "{result}", "😀"]


def hostile_plan():
    names = parse_world(HOSTILE_WORLD).rooms
    plan = [Step("go_to", {"location": name}) for name in names] + [Step("Define"), Step("define", {"object": "(x) ;"})]
    plan += [Step("Sequence", {"name": text, "ID": text[::-1], "result": "{x}"}) for text in TEXTS]
    return plan, parse_skills(HOSTILE_SKILLS), parse_world(HOSTILE_WORLD)


# Behavior trees


def tick(document, failures=()):
    """What a tree does whose n-th attempts at actions fail as told: names of the attempts, and whether it succeeds."""
    entries, log, failures = {}, [], list(failures)

    def script(code):
        for part in filter(None, code.split(";")):
            name, value = re.fullmatch(r"\s*([A-Za-z]\w*):=([01])\s*", part).groups()
            entries[name] = int(value)

    def fails(code):
        parts = [re.fullmatch(r"([A-Za-z]\w*) != ([01])", part).groups() for part in code.split(" || ")] if code else []
        return any(entries[name] != int(value) for name, value in parts)

    def run(node):
        children = [child for child in node.childNodes if child.nodeType == node.ELEMENT_NODE]
        if fails(node.getAttribute("_failureIf")):
            return False
        if node.tagName == "Script":
            script(node.getAttribute("code"))
            good = True
        elif node.tagName == "RetryUntilSuccessful":
            good = any(run(children[0]) for _ in range(int(node.getAttribute("num_attempts"))))
        elif node.tagName == "Action":
            log.append(node.getAttribute("ID"))
            good = not (failures.pop(0) if failures else False)
        else:
            good = all(run(child) for child in children)
        if good:
            script(node.getAttribute("_onSuccess"))
        return good

    return log, run(document.getElementsByTagName("Sequence")[0])


def tree(text):
    """The document; fails if a node has ports that its model does not."""
    document = minidom.parseString(text.encode())
    model = document.getElementsByTagName("TreeNodesModel")[0]
    ports = {
        action.getAttribute("ID"): {port.getAttribute("name") for port in action.childNodes if port.attributes}
        for action in model.getElementsByTagName("Action")
    }
    names = [
        action.getAttribute("name") for action in document.getElementsByTagName("Action") if action.hasAttribute("name")
    ]
    assert len(set(names)) == len(names) and all(re.fullmatch(r"\w+", name) for name in names)
    for action in document.getElementsByTagName("Action"):
        if action.parentNode is not model:
            assert set(action.attributes.keys()) - {"ID", "name"} <= ports[action.getAttribute("ID")]
    return document


def test_a_tree_does_the_steps_with_the_retries_timeouts_and_needs_of_the_executor():
    text = export(
        "bt", steps("go_to table; find_object apple; pick apple; go_to shelf; place apple shelf"), *small(), "x--y"
    )
    document = tree(text["tree"])
    root = document.documentElement
    assert (root.tagName, root.getAttribute("BTCPP_format")) == ("root", "4")
    done = ["go_to", "find_object", "pick", "go_to", "place"]
    assert tick(document) == (done, True)
    assert tick(document, [True, False]) == (["go_to", *done], True)
    assert tick(document, [False, False, True, True])[1] is False  # one retry, as the skill says
    timeouts = [int(node.getAttribute("msec")) for node in document.getElementsByTagName("Timeout")]
    assert timeouts == [90000, 66000, 20000, 90000, 75000]
    node = document.getElementsByTagName("RetryUntilSuccessful")[2]  # without `pick` nothing is in the hand
    node.parentNode.removeChild(node)
    assert tick(document) == (["go_to", "find_object", "go_to"], False)


def small():
    return parse_skills(SKILLS), parse_world(WORLD)


def test_hostile_names_in_a_tree():
    plan, skills, world = hostile_plan()
    document = tree(export("bt", plan, skills, world, "--> <evil/> --- -")["tree"])
    assert not document.getElementsByTagName("evil")
    log, good = tick(document)
    assert good and len(log) == len(plan) + len(TEXTS) and log.count("Confirm") == len(TEXTS)
    values = [
        node.getAttribute("name_2") for node in document.getElementsByTagName("Action") if node.hasAttribute("name_2")
    ]
    assert values[0] == "<a & 'b'>" and values[1] == "\u200b{foo}\u200b" and values[7] == "{result}"


# PDDL


def solved(course, folder):
    """The steps of pyperplan's own plan for an exported problem."""
    pddl = Pddl(course)
    (folder / "domain.pddl").write_text(pddl.domain())
    (folder / "problem.pddl").write_text(pddl.problem("x"))
    parser = Parser(str(folder / "domain.pddl"), str(folder / "problem.pddl"))
    task = grounding.ground(parser.parse_problem(parser.parse_domain()))
    plan = search.greedy_best_first_search(task, hFFHeuristic(task))
    assert plan is not None
    return [pddl.step(name, values) for name, *values in (operator.name[1:-1].split() for operator in plan)]


def same_effect(course, found):
    """Fails unless other steps are possible from the same beginning, end the same, and do what was to be done."""
    state = course.states[0]
    for step in found:
        assert unmet(step, course.skills[step.skill], state, course.world) is None, step
        state = state.after(course.skills[step.skill].effects, step.args)
    end = course.states[-1]
    assert (state.holding, state.closed, state.places) == (end.holding, end.closed, end.places)
    assert end.at in (state.at, course.states[0].at, None)
    assert {str(step) for step in course.steps if not step.inserted} <= set(map(str, found))


def test_a_classical_planner_finds_plans_of_the_same_effect(tmp_path):
    entries = [entry for entry in development_set() if entry.get("steps")]
    solved_ones = 0
    for entry in entries[::5]:
        which = entry.get("skills", "full"), entry["world"]
        plan = obedient_planner(*which).plan(entry["command"])
        try:
            course = course_of(plan.steps, *parts(*which))
            found = solved(course, tmp_path)
        except PlanError as error:
            assert "stands for several things" in str(error)
            continue
        same_effect(course, found)
        solved_ones += 1
    assert solved_ones >= len(entries[::5]) - 2


def test_hostile_names_in_pddl(tmp_path):
    plan, skills, world = hostile_plan()
    course = course_of(plan, skills, world)
    same_effect(course, solved(course, tmp_path))


def test_no_two_things_of_a_problem_share_a_name():
    """unified-planning refuses what does: a skill `place` beside a type of that name."""
    plan, skills, world = hostile_plan()
    plain = small()
    for text in (
        export("pddl", plan, skills, world)["domain"],
        export("pddl", steps("go_to table; find_object apple; pick apple"), *plain)["domain"],
    ):
        text = re.sub(r";.*", "", text)
        types = re.search(r"\(:types (.*)\)", text)[1]
        constants, predicates = (
            re.search(rf"\(:{part}\n(.*?)\n  \)\n", text, re.S)[1] for part in ("constants", "predicates")
        )
        names = set(types.split()) - {"object", "-"}
        for found in (
            re.findall(r"^ +(\S+) - ", constants, re.M),
            re.findall(r"\((\w[\w-]*)", predicates),
            re.findall(r"\(:action (\S+)", text),
        ):
            assert found and not names & set(found)
            names |= set(found)


def test_what_cannot_be_exported_says_why():
    skills, world = small()
    for plan, words in (
        ([], "without steps"),
        (steps("pick apple"), "step 1, pick.apple.: needs found"),
        ([Step("fly")], "no skill 'fly'"),
        (steps("go_to moon"), "I do not know 'moon'"),
    ):
        for kind in ("bt", "pddl"):
            with pytest.raises(PlanError, match=words):
                export(kind, plan, skills, world)
    twice = "find_object cup; pick cup; go_to shelf; place cup shelf"
    twice = steps(f"go_to table; {twice}; go_to counter; {twice}")
    assert "tree" in export("bt", twice, skills, world)
    with pytest.raises(PlanError, match="cup stands for several things"):
        export("pddl", twice, skills, world)
