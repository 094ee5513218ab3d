"""Planning without ROS, for the command line: one command, or a batch file, with an engine in this process.

In: parsed arguments. Out: plans on standard output or in a file; the exit code. Bad input ends with code 2 and one
`error:` line.
COMMANDS.json is a list of {"id", "command"}; PLANS.json maps each id to a list of {"skill", "args"}, {"refuse":
reason} or {"clarify": question}.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from llm_ros.adapters import load_shipped
from llm_ros.planner.export import FORMATS, export
from llm_ros.planner.generator import engine_generate, rewriting
from llm_ros.planner.plan import Plan, PlanError, Step
from llm_ros.planner.planner import Planner
from llm_ros.planner.skills import load_skills
from llm_ros.planner.strictyaml import ConfigError
from llm_ros.planner.world import load_world
from llm_ros.share import config_file

DEFAULT_MODEL = "smollm2-135m-instruct"
CONTEXT = 4096


class InputError(ValueError):
    """Something in the arguments or the batch file that cannot be used."""


def add_offline_arguments(parser: ArgumentParser) -> None:
    """The options that `run` reads, besides the positional `command`."""
    parser.add_argument("--offline", action="store_true", help="plan in this process, without ROS")
    parser.add_argument("--skills", metavar="S.yaml", help="skills file (default: config/skills.yaml)")
    parser.add_argument("--world", metavar="W.yaml", help="world file (default: config/world.yaml)")
    parser.add_argument(
        "--model", metavar="M", default=None, help=f"path or name of a model (default: {DEFAULT_MODEL})"
    )
    parser.add_argument(
        "--rewrite",
        metavar="HOW",
        help="who puts unclear commands into plain words: auto (default: our adapter, with the model it is for), off, "
        "model (the model as it is), or the GGUF file of an adapter",
    )
    parser.add_argument("--batch", metavar="COMMANDS.json", help='list of {"id", "command"} to plan')
    parser.add_argument(
        "--export",
        nargs=2,
        metavar=("FORMAT", "FILE"),
        help="write the plan as behavior tree (bt FILE.xml) or as PDDL (pddl FILE.pddl: the problem, FILE-domain.pddl)",
    )
    parser.add_argument("--out", metavar="PLANS.json", help="where the plans of --batch go (default: standard output)")


def run(args: Namespace, engine=None) -> int:
    """Plans args.command or args.batch; returns the exit code. `engine`: used instead of loading args.model."""
    from llm_core import LLMCoreError

    try:
        commands = read_batch(args.batch) if args.batch else None
        if commands is None and not getattr(args, "command", None):
            raise InputError("give a command or --batch COMMANDS.json")
        if commands is not None and getattr(args, "command", None):
            raise InputError("give either a command or --batch, not both")
        if args.out and not args.batch:
            raise InputError("--out needs --batch")
        target = getattr(args, "export", None)
        if target and commands is not None:
            raise InputError("--export cannot be combined with --batch")
        check_export(target)
        skills = load_skills(args.skills or config_file("skills.yaml"))
        world = load_world(args.world or config_file("world.yaml"))
        with ExitStack() as opened:
            engine = engine or opened.enter_context(open_engine(args.model or DEFAULT_MODEL))
            rewrite, trained = rewriting(engine, getattr(args, "rewrite", None) or "auto", beside(opened))
            planner = Planner(engine_generate(engine), skills, world, rewrite=rewrite, trained=trained)
            if commands is None:
                command, plan = _single(planner, args.command, getattr(args, "json", False))
                if target:
                    write_export(target, _exported(target[0], plan, planner, command))
                return 0
            return _batch(planner, commands, args.out)
    except (InputError, ConfigError, LLMCoreError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def read_batch(path: str) -> list[tuple[str, str]]:
    """(id, command) pairs of a batch file. Raises InputError naming file and entry."""
    try:
        entries = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(entries, list):
        raise InputError(f'{path}: expected a list of {{"id", "command"}}, got {type(entries).__name__}')
    found: dict[str, str] = {}
    for number, entry in enumerate(entries):
        if (
            not isinstance(entry, dict)
            or not isinstance(entry.get("command"), str)
            or (isinstance(entry.get("id"), bool) or not isinstance(entry.get("id"), (str, int)))
        ):
            raise InputError(f'{path}: entry {number}: expected {{"id": text or number, "command": text}}')
        if str(entry["id"]) in found:
            raise InputError(f"{path}: entry {number}: id {entry['id']!r} is given twice")
        found[str(entry["id"])] = entry["command"]
    return list(found.items())


def beside(opened: ExitStack) -> Callable[[], object] | None:
    """What opens the model that our adapter fits, to reword for a larger one; None where it is not on this machine."""
    from llm_core.hub import MODELS, cached

    return (lambda: opened.enter_context(open_engine(DEFAULT_MODEL))) if cached(MODELS[DEFAULT_MODEL]) else None


def open_engine(model: str, **options):
    """An engine for one request at a time, with our adapters for its model. Raises ModelError."""
    from llm_core import Engine

    engine = Engine(model, n_ctx=CONTEXT, max_requests=1, **options)
    load_shipped(engine)
    return engine


def check_export(target: Sequence[str] | None) -> None:
    """Raises InputError for a format that does not exist."""
    if target and target[0] not in FORMATS:
        raise InputError(f"--export {target[0]}: expected one of {', '.join(FORMATS)}")


def write_export(target: Sequence[str], texts: Mapping[str, str]) -> None:
    """Writes what `export` made: the tree or the problem to the file, a domain beside it; says where it is."""
    path = Path(target[1])
    for name, text in texts.items():
        file = path.with_name(f"{path.stem}-domain{path.suffix}") if name == "domain" else path
        _write(file, text)
        print(f"{name}: {file}", file=sys.stderr)


def _exported(kind: str, plan: Plan, planner: Planner, command: str) -> dict[str, str]:
    if plan.status != "plan":
        raise InputError("there is no plan to export")
    try:
        return export(kind, plan.steps, planner.skills, planner.world, command)
    except PlanError as error:
        raise InputError(f"--export {kind}: {error}") from error


def ask_person() -> str:
    """The answer to a question that was printed, of whoever sits at the terminal; "" if nobody does, or has none."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return ""
    try:
        return input("> ").strip()
    except EOFError:
        print()
        return ""


def _single(planner: Planner, command: str, as_json: bool) -> tuple[str, Plan]:
    """Plans a command, with the answers to its questions; (the command in the end, its plan)."""
    numbers = iter(range(1, 1000))

    def show(step: Step) -> None:
        print(f"{next(numbers)}. {step}", flush=True)

    plan = planner.plan(command, on_step=None if as_json else show)
    while plan.status == "clarify" and not as_json:
        print(json.dumps(plan.to_json(), ensure_ascii=False), flush=True)
        answer = ask_person()
        if not answer:
            return command, plan
        outcome = planner.answered(plan.inquiry, answer)
        if isinstance(outcome, Plan):
            plan = outcome
        else:
            command, plan = outcome, planner.plan(outcome, on_step=show)
    if as_json or plan.status != "plan":
        print(json.dumps(plan.to_json(), ensure_ascii=False), flush=True)
    return command, plan


def _batch(planner: Planner, commands: list[tuple[str, str]], out: str | None) -> int:
    plans, started = {}, time.perf_counter()
    for name, command in commands:
        plans[name] = planner.plan(command)
    text = json.dumps({name: plan.to_json() for name, plan in plans.items()}, ensure_ascii=False, indent=1) + "\n"
    if out is None:
        sys.stdout.write(text)
    else:
        _write(Path(out), text)
    print(summary(list(plans.values()), time.perf_counter() - started), file=sys.stderr)
    return 0


def summary(plans: list[Plan], seconds: float) -> str:
    """One line about a batch."""
    counts = {status: sum(plan.status == status for plan in plans) for status in ("plan", "refuse", "clarify")}
    each = seconds / len(plans) if plans else 0.0
    return (
        f"{len(plans)} commands: {counts['plan']} planned, {counts['refuse']} refused, {counts['clarify']} to clarify; "
        f"{seconds:.1f} s, {each:.2f} s each"
    )


def _write(path: Path, text: str) -> None:
    """Whole file or none; what is there and is no file (a pipe, /dev/stdout) is written to as it is."""
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")
        return
    handle, name = tempfile.mkstemp(dir=path.parent or ".", prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
