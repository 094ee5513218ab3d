"""`llm-ros mock-robot`: a simulated robot that serves every skill, until Ctrl-C."""

from __future__ import annotations

import argparse
import json

SUMMARY = "serve all skills with a simulated robot until Ctrl-C"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One option for each parameter of the node."""
    import dataclasses

    from llm_ros.params import MockParams

    for spec in dataclasses.fields(MockParams):
        parser.add_argument(
            f"--{spec.name.replace('_', '-')}",
            dest=spec.name,
            type=type(spec.default),
            default=spec.default,
            metavar="X",
            help=f"{spec.metadata['description']} ({spec.default!r})",
        )


def run(args: argparse.Namespace) -> int:
    """0 after Ctrl-C or SIGTERM, 2 for options that cannot be used."""
    import dataclasses

    from llm_ros.nodes.mock_robot import main
    from llm_ros.params import MockParams

    given = ["--ros-args"]
    for spec in dataclasses.fields(MockParams):
        given += ["-p", f"{spec.name}:={json.dumps(getattr(args, spec.name))}"]
    return main(["mock_robot", *given])
