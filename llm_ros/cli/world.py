"""`llm-ros world …`: shows and changes the world of the running planner_node."""

from __future__ import annotations

import argparse
import json

from llm_ros.cli._client import wait_for_planner
from llm_ros.planner.world_edit import KINDS, Change

SUMMARY = "show and change the world of the running planner_node"
# Verb -> what it does, its positional arguments, the change that it makes ("": none).
_VERBS = {
    "show": ("the world and what is believed of it", "", ""),
    "yaml": ("the world as a world file", "", ""),
    "reload": ("let the node read its skill and its world file again", "", ""),
    "save": ("write the world to its file, or to another one", "file?", ""),
    "add": ("a new object, person, room, location or door", "name", "add"),
    "remove": ("take something out of the world", "name", "remove"),
    "move": ("tell where something is now; no place: nobody knows", "name location?", "move"),
    "open": ("tell that a door or piece of furniture is open", "name", "open"),
    "close": ("tell that it is closed", "name", "close"),
    "synonym": ("another word for a name", "name synonym", "add_synonym"),
    "unsynonym": ("a word that no longer means it", "name synonym", "remove_synonym"),
    "forbid": ("a place that the robot must not go to", "name", "forbid"),
    "allow": ("it may again", "name", "allow"),
    "pose": ("where a location is", "name pose*", "set_pose"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One sub-verb for each entry of the table."""
    subparsers = parser.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=type(parser))
    for verb, (summary, positional, change) in _VERBS.items():
        sub = subparsers.add_parser(verb, help=summary, description=summary)
        for argument in positional.split():
            name = argument.rstrip("?*")
            if name == "pose":
                sub.add_argument("pose", nargs="+", type=float, metavar="X Y [YAW]", help="metres and radians")
                sub.add_argument("--frame", default="", help="the frame of the pose (default: as it is)")
            else:
                sub.add_argument(name, nargs="?" if argument.endswith("?") else None, default="")
        if verb == "add":
            sub.add_argument("--kind", choices=KINDS, default="object", help="what it is (%(default)s)")
            sub.add_argument("--category", default="", help="the category of an object; made if it is new")
            sub.add_argument("--in", dest="location", default="", metavar="PLACE", help="where it is, or in which room")
        if change:
            sub.add_argument("--save", action="store_true", help="write the changed world to its file, too")
        if verb == "show":
            sub.add_argument("--json", action="store_true", help="print it as JSON")
        sub.add_argument("--node", default="planner_node", metavar="NAME", help="which node to ask (%(default)s)")
        sub.add_argument("--wait", type=float, default=10.0, metavar="S", help="seconds to wait for it (%(default)g)")


def run(args: argparse.Namespace) -> int:
    """0 if it was shown or changed. CallError otherwise."""
    from llm_ros.client import PlannerClient, connect
    from llm_ros.world_conversions import change_to_ros

    with connect() as node:
        client = PlannerClient(node, args.node)
        wait_for_planner(client, args.wait)
        what = _VERBS[args.verb][2]
        if what:
            fields = {
                key: value for key, value in vars(args).items() if key in Change.__dataclass_fields__ and key != "what"
            }
            response = client.update_world([change_to_ros(Change(what, **fields))], save=args.save)
            print(f"done{f', saved to {response.saved}' if response.saved else ''}")
        elif args.verb == "save":
            print(f"saved to {client.update_world(save=True, save_as=args.file).saved}")
        elif args.verb == "reload":
            client.reload()
            print("done")
        else:
            world = client.world()
            lines = {"yaml": lambda: world.yaml.rstrip("\n"), "show": lambda: _shown(world, args.json)}[args.verb]()
            print(lines)
    return 0


def _shown(world, as_json: bool) -> str:
    if as_json:
        items = [
            {name: getattr(item, name) for name in ("name", "kind", "category", "location", "believed_at", "forbidden")}
            for item in world.items
        ]
        return json.dumps(
            {
                "file": world.file,
                "robot_at": world.robot_at,
                "holding": world.holding,
                "found": list(world.found),
                "items": items,
            },
            ensure_ascii=False,
        )
    lines = [f"{world.file}: robot at {world.robot_at or '?'}, in its hand: {world.holding or 'nothing'}"]
    for item in world.items:
        door = {item.IS_OPEN: "open", item.IS_CLOSED: "closed"}.get(item.door, "")
        place = item.believed_at if item.kind in ("object", "person") else item.location
        moved = f"(file: {item.location})" if item.kind == "object" and item.location not in ("", place) else ""
        notes = (place and f"at {place}", moved, door, "forbidden" if item.forbidden else "", ", ".join(item.synonyms))
        lines.append(f"  {item.kind:9}{item.name:28}{' '.join(filter(None, notes))}".rstrip())
    return "\n".join(lines)
