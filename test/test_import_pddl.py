"""Skills from PDDL domains: a classic one, our own export back again, and what cannot be told."""

from __future__ import annotations

import pytest
from planner_helpers import obedient, obedient_planner, parts

from llm_ros.cli.main import main
from llm_ros.planner import Planner
from llm_ros.planner.export import course_of
from llm_ros.planner.export_pddl import Pddl
from llm_ros.planner.import_pddl import import_skills
from llm_ros.planner.sexpr import PddlError
from llm_ros.planner.skills import parse_skills
from llm_ros.planner.world import parse_world

# The gripper domain of the first planning competition, with types.
GRIPPER = """
(define (domain gripper)
  (:requirements :strips :typing)
  (:types room ball gripper)
  (:predicates (at-robby ?r - room) (at ?b - ball ?r - room) (free ?g - gripper) (carry ?o - ball ?g - gripper))
  (:action move :parameters (?from ?to - room)
    :precondition (at-robby ?from)  ; where it comes from
    :effect (and (at-robby ?to) (not (at-robby ?from))))
  (:action pick :parameters (?obj - ball ?room - room ?g - gripper)
    :precondition (and (at ?obj ?room) (at-robby ?room) (free ?g))
    :effect (and (carry ?obj ?g) (not (at ?obj ?room)) (not (free ?g))))
  (:action drop :parameters (?obj - ball ?room - room ?g - gripper)
    :precondition (and (carry ?obj ?g) (at-robby ?room))
    :effect (and (at ?obj ?room) (free ?g) (not (carry ?obj ?g)))))
"""


def conditions(skill):
    return sorted(map(str, skill.needs)), sorted(map(str, skill.effects))


def test_a_classic_domain_becomes_skills_that_plan():
    skills = parse_skills(import_skills(GRIPPER))
    assert [(arg.name, arg.type) for arg in skills["move"].args] == [("to", "location")]
    assert conditions(skills["move"]) == ([], ["at(to)"])
    assert conditions(skills["pick"]) == (["at(place(obj))", "hand_empty"], ["holding(obj)"])
    assert conditions(skills["drop"]) == (
        ["at(room)", "holding(obj)"],
        ["hand_empty", "located(obj, room)", "not holding(obj)"],
    )
    world = parse_world("rooms: [a, b]\nlocations: {}\nobjects: {ball: {location: a}}\n")
    plan = Planner(obedient(), skills, world).plan("drop the ball in b")
    assert [str(step) for step in plan.steps] == ["move(a)", "pick(ball)", "move(b)", "drop(ball, b)"]


def test_our_own_domain_comes_back_as_the_skills_that_it_was_made_of():
    skills, world = parts()
    plan = obedient_planner().plan("Put the apple on the desk and close the front door")
    back = parse_skills(import_skills(Pddl(course_of(plan.steps, skills, world)).domain()))
    assert list(back) == list(skills)
    for name, skill in skills.items():
        needs, effects = conditions(skill)
        # An effect that a later one overrules says nothing in PDDL, where all happen at once.
        assert conditions(back[name]) == (needs, [effect for effect in effects if effect != "not at(*)"]), name
        assert [(arg.name, arg.type) for arg in back[name].args] == [(arg.name, arg.type) for arg in skill.args]


def test_words_of_the_domain_can_be_given_a_meaning():
    text = GRIPPER.replace("ball", "crate").replace("carry", "lifts")
    with pytest.raises(PddlError, match=r"d.pddl:11: action pick: type crate of \?obj|predicate lifts"):
        import_skills(text, "d.pddl")
    text = text.replace("(at-robby ?room) (free ?g))", "(at-robby ?room) (free ?g) (lit ?room))")
    given = dict(types={"crate": "object"}, predicates={"lifts": "holding", "lit": "ignore"})
    assert "holding(obj)" in import_skills(text, **given)
    with pytest.raises(ValueError, match="type x = 'y': expected one of location"):
        import_skills(GRIPPER, types={"x": "y"})


def domain(action):
    return f"(define (domain d)\n(:types room item robot)\n(:action act :parameters (?r - room ?x - item)\n{action}))"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "1: expected one form"),
        ("(define", "1: .*without"),
        (")", "1: .*without"),
        ("(" * 100, "nested deeper"),
        ("(define (problem p))", "1: expected .domain NAME."),
        ("(define (domain d))", "no :action"),
        ("(define (domain d)\n(:functions (x)))", "2: :functions has no counterpart"),
        ("(define (domain d)\n(:requirements :fluents))", "2: requirement :fluents"),
        ("(define (domain d)\n\n(:durative-action a))", "3: :durative-action"),
        ("(define (domain d)\n(:types a - (either b c)))", "2: .*either"),
        ("(define (domain d)\n(:types - b))", "2: expected one type"),
        ("(define (domain d)\n(:action))", "2: :action without a name"),
        ("(define (domain d)\n(:action a :cost 3))", "2: action a: :cost"),
        ("(define (domain d)\n(:action a :parameters (?x ?x)))", r"2: \?x is given twice"),
        (domain("\n:precondition (or (at ?r) (found ?x))"), r"5: action act: \(or ...\) has no counterpart"),
        (domain(":precondition (found ?y)"), r"4: action act: \?y is no parameter"),
        (domain(":precondition (shiny ?x)"), "4: action act: predicate shiny"),
        (domain(":precondition (found ?x ?r)"), r"4: action act: found as found takes 1 name\(s\), got 2"),
        (domain(":effect (graspable ?x)"), "graspable cannot be changed"),
        (domain(":precondition (closed ?x)"), "a closed door cannot be needed"),
        (domain(":effect (not (located ?x ?r))"), "no longer there"),
        (domain(":effect (found home)"), "home is no argument"),
        (domain(":effect (when (at ?r) (found ?x))"), r"\(when ...\) has no counterpart"),
        (domain(":effect found"), "4: action act: :effect"),
        (
            "(define (domain d)\n(:types colour)\n(:action a :parameters (?c - colour) :effect (found ?c)))",
            "3: .*type colour",
        ),
        ("(define (domain d)\n(:action 1a))", "2: '1a' cannot be the name of a skill"),
        ("(define (domain d)\n(:action a-b)(:action a_b))", "2: action a_b: there is already"),
    ],
)
def test_what_has_no_counterpart_is_named_with_its_line(text, words):
    with pytest.raises(PddlError, match=f"home.pddl:(?s:{words})|home.pddl:.*{words}"):
        import_skills(text, "home.pddl")


def test_a_large_domain_costs_no_time():
    with pytest.raises(PddlError, match="more than 100000 words"):
        import_skills("(define (domain d) (:types " + "x " * 200_000 + "))")
    many = " ".join(f"t{n}" for n in range(50_000))
    with pytest.raises(PddlError, match="no :action"):
        import_skills(f"(define (domain d) (:types {many} - object))")


def test_the_verb(tmp_path, capsys):
    (tmp_path / "d.pddl").write_text(GRIPPER.replace("carry", "lifts"))
    assert main(["skills", "import", str(tmp_path / "d.pddl"), "--predicate", "lifts=holding"]) == 0
    assert set(parse_skills(capsys.readouterr().out)) == {"move", "pick", "drop"}
    for words, error in (
        ([str(tmp_path / "d.pddl")], "d.pddl:11: action pick: predicate lifts"),
        ([str(tmp_path / "no.pddl")], "no such file"),
        ([str(tmp_path / "d.pddl"), "--type", "ball"], "--type ball: expected WORD=MEANING"),
    ):
        assert main(["skills", "import", *words]) == 2 and error in capsys.readouterr().err
