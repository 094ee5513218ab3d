"""`llm-ros skills import DOMAIN.pddl`: the actions of a PDDL domain as a skills file."""

from __future__ import annotations

import argparse

from llm_core.errors import RequestError

SUMMARY = "make a skills file from a PDDL domain"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The domain; what its words mean."""
    subparsers = parser.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=type(parser))
    sub = subparsers.add_parser("import", help=SUMMARY, description=f"{SUMMARY}; it is printed")
    sub.add_argument("domain", metavar="DOMAIN.pddl", help="domain in typed or untyped STRIPS")
    for name in ("type", "predicate"):
        sub.add_argument(
            f"--{name}",
            action="append",
            default=[],
            metavar="WORD=MEANING",
            help=f"what a {name} of the domain is here, such as "
            + ("crate=object; robot, ignore: no argument" if name == "type" else "on=located; ignore: left out"),
        )


def run(args: argparse.Namespace) -> int:
    """0 if the skills were printed. RequestError otherwise."""
    from llm_ros.planner.import_pddl import import_skills
    from llm_ros.planner.strictyaml import read_text

    try:
        print(
            import_skills(
                read_text(args.domain), args.domain, _pairs("type", args.type), _pairs("predicate", args.predicate)
            ),
            end="",
        )
    except ValueError as error:
        raise RequestError(str(error)) from error
    return 0


def _pairs(option: str, texts: list[str]) -> dict[str, str]:
    for text in texts:
        if text.count("=") != 1:
            raise RequestError(f"--{option} {text}: expected WORD=MEANING")
    return dict(text.split("=") for text in texts)
