"""Simulated scenes without MuJoCo: the same from the same seed, physically possible, and what questions about them say.

The digest was recorded once (Python 3.11); positions are rounded, so that another libm may differ in the last bits.
"""

from __future__ import annotations

import hashlib
import math
import random

import numpy as np
import pytest

from llm_ros.sim import COLOURS, HELD_OUT_PAIRS, SHAPES, Camera, draw
from llm_ros.sim.facts import Fact, Facts
from llm_ros.sim.meshes import OUTLINES, handle, turned
from llm_ros.sim.questions import KINDS, Asker, ask

SCENES = [draw(seed) for seed in range(300)]


def test_a_seed_is_one_scene():
    assert draw(11) == SCENES[11] and draw(12) != draw(13)
    said = "\n".join(
        f"{s.seed} {s.kind} {[(t.name, *(round(v, 5) for v in t.position)) for t in s.things]} {s.look.seed}"
        for s in SCENES[:40]
    )
    assert hashlib.sha256(said.encode()).hexdigest()[:16] == "74cc88d7bbd00bde"


def test_training_scenes_hold_no_held_out_pair_and_all_else():
    pairs = {(t.shape, t.colour) for s in (draw(seed) for seed in range(1500)) for t in s.things}
    assert not pairs & HELD_OUT_PAIRS
    assert len(pairs) == len(SHAPES) * len(COLOURS) - len(HELD_OUT_PAIRS)
    for seed in range(50):
        first = draw(seed, unseen_pairs=True).things[0]
        assert (first.shape, first.colour) in HELD_OUT_PAIRS


def test_new_poses_are_never_usual_ones():
    for seed in range(300):
        usual, new = draw(seed, kind="table").camera.pitch, draw(seed, kind="table", poses="new").camera.pitch
        assert not (34 < usual < 40 or usual > 55)
        assert 35 <= new <= 39 or new >= 56


def test_things_stand_where_there_is_room():
    for scene in SCENES:
        for i, thing in enumerate(scene.things):
            if thing.base >= 0:
                base = scene.things[thing.base]
                assert thing.position[2] == pytest.approx(base.position[2] + 2 * base.size[2])
                assert base.support != "thing"
            for other in scene.things[:i]:
                apart = math.dist(thing.position[:2], other.position[:2]) > thing.reach + other.reach
                above = abs(thing.position[2] - other.position[2]) >= 2 * min(thing, other, key=_bottom).size[2] - 1e-9
                assert apart or above, (scene.seed, thing, other)
            if thing.under_table:
                x, y, half_x, half_y, high = scene.table
                assert abs(thing.position[0] - x) < half_x and 2 * thing.size[2] < high


def _bottom(thing) -> float:
    return thing.position[2]


def test_a_camera_projects_as_a_pinhole():
    """Looking straight along y from 2 away: a right-angled frame, by hand."""
    camera = Camera(target=(0, 0, 0), azimuth=0, pitch=0, distance=2, fovy=90)
    assert camera.project((0, 0, 0), 200, 100) == pytest.approx((100, 50, 2))
    assert camera.project((1, 0, 0.5), 200, 100) == pytest.approx((125, 37.5, 2))  # focal length 50
    assert camera.project((0, 1, 0), 200, 100)[2] == pytest.approx(3)
    assert camera.ahead((5, 1, 7)) == pytest.approx(3)
    # From the right, turned: its axes are a rotation, and the target stays in the middle.
    camera = Camera((0.1, 0.2, 0.3), 50, 35, 1.5, 40, roll=7)
    assert np.allclose(camera.axes @ camera.axes.T, np.eye(3))
    assert camera.position[0] > 0.1 and camera.position[1] < 0.2 and camera.position[2] > 0.3
    assert camera.project((0.1, 0.2, 0.3), 64, 48) == pytest.approx((32, 24, 1.5))


def test_without_a_base_what_stood_on_it_is_gone():
    scene = next(s for s in SCENES if any(t.base >= 0 for t in s.things))
    base = next(t.base for t in scene.things if t.base >= 0)
    rest = scene.without({base}).things
    assert len(rest) == len(scene.things) - 1 - sum(t.base == base for t in scene.things)
    assert all(t.base < len(rest) for t in rest)


@pytest.mark.parametrize("shape", OUTLINES)
def test_meshes_are_closed_and_of_the_size_that_is_said(shape):
    vertices, faces = turned(shape, 2.0, 3.0)
    assert vertices[:, 2].min() == 0 and vertices[:, 2].max() == pytest.approx(3.0)
    assert np.hypot(vertices[:, 0], vertices[:, 1]).max() == pytest.approx(2.0)
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    volume = np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6  # > 0: all faces look outwards
    assert 0 < volume < math.pi * 4 * 3
    assert len(handle(2.0, 3.0)[0])


def _fact(shape, colour, x, ahead, **more):
    given = {"support": "surface", "base": -1, "under_table": False, **more}
    return Fact(shape, colour, x, 0.5, ahead, ahead, **given)


FACTS = Facts(
    0, "room", True,
    (
        _fact("ball", "red", 0.2, 0.5),
        _fact("box", "blue", 0.5, 0.9),
        _fact("mug", "white", 0.5, 0.9, support="thing", base=1),
        _fact("ball", "green", 0.9, 0.7, under_table=True),
    ),
)  # fmt: skip
TRUE = {
    "Is there a red ball?": "Yes.", "Is there a green box?": "No.", "Do you see a mug?": "Yes.",
    "What colour is the mug?": "White.", "What is the blue object?": "A box.", "How many balls are there?": "2.",
    "How many objects are there?": "4.", "How many cones are there?": "0.",
    "Is the red ball left of the box?": "Yes.", "Is the mug right of the green ball?": "No.",
    "On which side of the red ball is the green ball?": "Right.",
    "Is the red ball in front of or behind the box?": "In front.", "Is the green ball behind the red ball?": "Yes.",
    "Which object is nearest?": "The red ball.", "Where is the mug?": "On the blue box.",
    "Where is the green ball?": "Under the table.", "Where is the box?": "On the floor.",
    "Is there anything under the table?": "Yes.", "What is on the blue box?": "A white mug.",
    "Where in the picture is the red ball?": "On the left.", "Where in the picture is the green ball?": "On the right.",
    "Is the box blue?": "Yes.", "Is the blue object a bowl?": "No.", "Is the mug white or orange?": "White.",
    "Are there any green balls?": "Yes.", "Is there anything black?": "No.", "How many of the objects are red?": "1.",
    "What is the rightmost object?": "The green ball.", "Is the red ball on the left or on the right?": "On the left.",
    "Please tell me: How many balls are there?": "2.", "how many balls are there": "2.",
    "Describe the picture.": "A red ball, a blue box, a white mug and a green ball.",
}  # fmt: skip


def test_answers_are_true_and_every_kind_is_asked():
    """What must be answered was written by hand."""
    found: dict[str, set[str]] = {}
    kinds = set()
    for seed in range(3000):
        for question in ask(FACTS, random.Random(seed), 20):
            found.setdefault(question.text, set()).add(question.answer)
            kinds.add(question.kind)
    assert {text: found.get(text) for text in TRUE} == {text: {answer} for text, answer in TRUE.items()}
    assert kinds == set(KINDS)
    assert all(len(answers) == 1 for answers in found.values())
    assert not any(f"{colour} {shape}" in text for text in found for shape, colour in HELD_OUT_PAIRS)


def test_the_mirror_image_turns_sides_only():
    turned_facts = FACTS.mirrored()
    asked = {q.text: q.answer for seed in range(800) for q in ask(turned_facts, random.Random(seed), 20)}
    assert asked["Is the red ball left of the box?"] == "No."
    assert asked["Where in the picture is the red ball?"] == "On the right."
    assert asked["Which object is nearest?"] == "The red ball."


def test_of_things_alike_nothing_is_asked_that_fits_both():
    facts = Facts(0, "table", False, (_fact("ball", "red", 0.2, 0.5), _fact("ball", "red", 0.8, 0.9)))
    asker = Asker(facts, random.Random(0), False)
    assert asker.thing() is None and asker.two() is None
    asked = [q for seed in range(200) for q in ask(facts, random.Random(seed), 20)]
    assert {q.kind for q in asked} == {"exists", "count", "nearest", "edge", "describe"}
