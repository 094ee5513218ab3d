"""planner_node's world over real DDS: changed, seen, saved, reloaded, shown; plans follow it."""

from __future__ import annotations

from functools import partial
from xml.etree import ElementTree

import pytest
from llm_ros.msg import Domain, Execution, Outcome, SeenObject, WorldChange
from ros_helpers import DEADLINE_S, FakeEngines, Ros, wait_until
from test_ros_execution import Robot, step

from llm_ros.cli.main import main
from llm_ros.client import CallError
from llm_ros.nodes.llm_node import LLMNode
from llm_ros.plan_conversions import plan_from_ros
from llm_ros.planner.skills import parse_skills
from llm_ros.planner.world import load_world, parse_world
from llm_ros.planner.world_edit import Change
from llm_ros.qos import LATCHED
from llm_ros.world_conversions import change_from_ros, change_to_ros


@pytest.fixture
def ros(request):
    ros = Ros(request.node.name)
    yield ros
    ros.close()


class House(Robot):
    """A planner_node that plans as well."""

    def __init__(self, ros, tmp_path, **options):
        self.llm = ros.add(partial(LLMNode, make_engine=FakeEngines()))
        assert self.llm.start()
        super().__init__(ros, tmp_path, **options)

    def plan(self, command):
        plan = plan_from_ros(self.client.plan(command).result(DEADLINE_S).plan)
        return "; ".join(f"{step['skill']} {' '.join(step['args'].values())}" for step in plan)

    def change(self, what, name, **fields):
        return self.client.update_world([change_to_ros(Change(what, name, **fields))])

    def item(self, name):
        return next(item for item in self.client.world().items if item.name == name)


def test_the_world_is_changed_while_it_runs(ros, tmp_path):
    house = House(ros, tmp_path)
    house.change("add", "lemon", category="fruits", location="shelf")
    assert house.plan("Pick up the lemon") == "go_to shelf; find_object lemon; pick lemon"
    house.change("move", "lemon", location="den")
    house.change("close", "shelf")
    lemon, shelf = house.item("lemon"), house.item("shelf")
    assert (lemon.kind, lemon.category, lemon.location, lemon.believed_at) == ("object", "fruits", "shelf", "den")
    assert shelf.door == shelf.IS_CLOSED and shelf.placement and shelf.location == "den"
    house.change("forbid", "shelf")
    assert house.item("shelf").forbidden and load_world(tmp_path / "world.yaml").forbidden == ()
    with pytest.raises(CallError, match=r"changes\[0\]: move 'unicorn': there is no such object or person"):
        house.change("move", "unicorn")
    for request, words in (
        ([WorldChange(change=77, name="x")], r"changes\[0\]\.change = 77: expected one of 1 \(add\)"),
        ([WorldChange(change=WorldChange.ADD)], r"changes\[0\]\.name is empty"),
        ([], "changes: 1 to 1000 are wanted, got 0"),
    ):
        with pytest.raises(CallError, match=words):
            house.client.update_world(request)
    saved = house.client.update_world(save=True).saved
    assert saved == str(tmp_path / "world.yaml") and load_world(saved).forbidden == ("shelf",)
    assert (tmp_path / "world.yaml").read_text() == house.client.world().yaml


def test_plans_follow_what_the_robot_did_and_what_is_seen(ros, tmp_path):
    house = House(ros, tmp_path, mock={})
    steps = [step("pick", object="apple"), step("place", object="apple", location="shelf")]
    house.client.execute(steps).result(DEADLINE_S)
    assert house.plan("Pick up the apple") == "go_to shelf; find_object apple; pick apple"
    world = house.client.world()
    assert world.robot_at == "shelf" and world.holding == "" and "apple" in world.found
    seen = house.client._node.create_publisher(SeenObject, "planner_node/seen", 10)
    wait_until(seen.get_subscription_count, "the node listens")
    seen.publish(SeenObject(name="x" * 500, location="table"))  # hostile ones are warned of
    seen.publish(SeenObject(name="pear", location="moon"))
    seen.publish(SeenObject(name="fig", category="fruits", location="shelf"))
    seen.publish(SeenObject(name="pear", location="den"))
    wait_until(lambda: house.item("pear").believed_at == "den", "it was heard")
    assert house.plan("Pick up the fig") == "go_to shelf; find_object fig; pick fig"
    seen.publish(SeenObject(name="pear", location="den", missing=True))
    wait_until(lambda: house.item("pear").believed_at == "", "it is gone")


def test_files_are_changed_by_parameter_and_reload(ros, tmp_path):
    from rclpy.parameter import Parameter

    house = House(ros, tmp_path)
    (tmp_path / "other.yaml").write_text("rooms: [barn]\nlocations: {hay: {room: barn}}\n")
    (tmp_path / "bad.yaml").write_text("rooms: [barn]\nlocations:\n  hay: {rom: barn}\n")

    def set_file(name):
        return house.node.set_parameters([Parameter("world_file", value=str(tmp_path / name))])[0]

    bad = set_file("bad.yaml")
    assert not bad.successful and "bad.yaml:3: locations.hay: missing key 'room'" in bad.reason
    assert house.node.get_parameter("world_file").value.endswith("world.yaml") and house.plan("Go to the den")
    assert set_file("other.yaml").successful and house.plan("Go to the barn") == "go_to barn"
    assert house.client.world().file.endswith("other.yaml")
    house.change("add", "cellar", kind="room")
    assert house.plan("Go to the cellar") == "go_to cellar"
    house.client.reload()  # the file does not have it
    assert house.plan("Go to the barn") == "go_to barn" and "cellar" not in house.client.world().yaml
    fixed = house.node.set_parameters([Parameter("max_queue", value=3)])[0]
    assert not fixed.successful and "max_queue is read-only now" in fixed.reason


def test_what_it_plans_over_is_published_when_it_changes(ros, tmp_path):
    house, domains = House(ros, tmp_path), []
    house.client._node.create_subscription(Domain, "planner_node/domain", domains.append, LATCHED)
    wait_until(lambda: domains, "the first one comes to who is late")
    assert domains[0].world == (tmp_path / "world.yaml").read_text()
    assert dict(parse_skills(domains[0].skills)) == dict(house.node._knowledge.skills)
    house.change("move", "apple", location="den")  # is only believed
    house.change("add", "cellar", kind="room")
    wait_until(lambda: len(domains) == 2, "the change is told")
    assert "cellar" in parse_world(domains[1].world).rooms
    house.client.reload()
    wait_until(lambda: len(domains) == 3, "the reload is told")
    assert domains[2] == domains[0]


def test_a_running_plan_is_told_that_a_place_is_forbidden(ros, tmp_path):
    house = Robot(ros, tmp_path, mock=dict(speed=20.0))
    call = house.client.execute([step("go_to", location="table"), step("go_to", location="shelf")])
    wait_until(lambda: any(view.status == Execution.RUNNING for view in house.shown), "it has begun")
    house.client.update_world([WorldChange(change=WorldChange.FORBID, name="shelf")])
    with pytest.raises(CallError, match="shelf is a forbidden zone") as caught:
        call.result(DEADLINE_S)
    assert caught.value.result.outcome.code == Outcome.INVALID


def test_changes_survive_the_way_through_messages():
    for change in (
        Change("add", "desk", "location", location="den", pose=(1.0, 2.0), frame="odom"),
        Change("add_synonym", "desk", synonym="bureau"),
    ):
        assert change_from_ros(change_to_ros(change)) == change


def test_verbs_of_the_command_line(ros, tmp_path, monkeypatch, capsys):
    house = Robot(ros, tmp_path)
    monkeypatch.setenv("ROS_DOMAIN_ID", str(ros.domain))

    def world(*words):
        code = main(["world", *words])
        out = capsys.readouterr()
        return code, (out.out or out.err).strip()

    added = world("add", "fig", "--category", "fruits", "--in", "shelf", "--save")
    assert added == (0, f"done, saved to {tmp_path / 'world.yaml'}")
    house.client.update_world([change_to_ros(Change("move", "apple", location="den"))])
    code, text = world("show")
    assert code == 0 and "at den (file: table)" in text and "fig" in text
    assert world("synonym", "moon", "luna")[0] == 2


def test_plans_are_exported(ros, tmp_path, monkeypatch, capsys):
    house = House(ros, tmp_path)
    with pytest.raises(CallError, match="no command has been planned yet"):
        house.client.export_plan("bt")
    house.plan("Pick up the apple")
    tree = ElementTree.fromstring(house.client.export_plan("bt")["tree"])
    names = [action.get("name") for action in tree.find("BehaviorTree").iter("Action")]
    assert names == ["01_go_to", "02_find_object", "03_pick"]
    texts = house.client.export_plan("pddl", [step("go_to", location="den")], "to the den")
    assert "(:action go_to" in texts["domain"] and "(did-go_to den)" in texts["problem"]
    with pytest.raises(CallError, match="there is no skill 'fly'"):
        house.client.export_plan("bt", [step("fly")])
    monkeypatch.setenv("ROS_DOMAIN_ID", str(ros.domain))
    file = tmp_path / "plan.xml"
    assert main(["plan", "Go to the den", "--export", "bt", str(file)]) == 0
    assert capsys.readouterr().out == "1. go_to(location=den)\n"
    assert ElementTree.parse(file).find("BehaviorTree").get("ID") == "Plan"
