"""`llm-ros listen`: what is said, from a microphone or a WAV file, as text or as plans; without ROS unless --node."""

from __future__ import annotations

import argparse
import json
import sys

from llm_core.errors import RequestError

SUMMARY = "turn speech into text or plans, from the microphone or a WAV file"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the sound comes from, what hears it, what is done with it."""
    from llm_ros.voice.recognizer import BACKENDS
    from llm_ros.voice.sources import SOURCES

    parser.add_argument("wav", nargs="?", help="WAV file; without it the microphone, until Ctrl-C")
    parser.add_argument(
        "--source", choices=[name for name in SOURCES if name not in ("topic", "wav")], default="microphone"
    )
    parser.add_argument("--device", default="", metavar="D", help="which microphone")
    parser.add_argument("--recognizer", choices=list(BACKENDS), default="pocketsphinx", help="(%(default)s)")
    parser.add_argument("--recognizer-model", default="", metavar="DIR", help="folder of the recogniser's model")
    parser.add_argument("--wake-word", default="", metavar="W", help="only what begins or ends so counts; several: a,b")
    parser.add_argument("--json", action="store_true", help="one JSON object for each utterance")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--plan", action="store_true", help="plan what is heard, in this process")
    what.add_argument("--node", metavar="NAME", help="send what is heard to this planner_node")
    parser.add_argument("--execute", action="store_true", help="with --node: let the robot carry it out")
    parser.add_argument("--skills", metavar="S.yaml", help="skills file (default: config/skills.yaml)")
    parser.add_argument("--world", metavar="W.yaml", help="world file (default: config/world.yaml)")
    parser.add_argument("--model", metavar="M", help="with --plan: path or name of the model that plans")


def run(args: argparse.Namespace) -> int:
    """0 at the end of the file or after Ctrl-C. RequestError, AudioError or RecognizerError otherwise."""
    from llm_ros.planner import ConfigError, load_skills, load_world
    from llm_ros.share import config_file

    if args.execute and not args.node:
        raise RequestError("--execute needs --node: a plan made here moves no robot")
    if args.model and not args.plan:
        raise RequestError("--model needs --plan")
    try:
        skills = load_skills(args.skills or config_file("skills.yaml"))
        world = load_world(args.world or config_file("world.yaml"))
    except ConfigError as error:
        raise RequestError(str(error)) from error
    if args.plan:
        return _offline(args, skills, world)
    if args.node:
        return _node(args, skills, world)
    return _listen(args, skills, world, lambda command: {})


def _listen(args, skills, world, act) -> int:
    """Prints each utterance and what `act(command)` makes of it, a dict of lines or JSON values."""
    from llm_ros.voice.correct import Corrector
    from llm_ros.voice.hearing import Address, Hearing, Meaning
    from llm_ros.voice.recognizer import make_recognizer
    from llm_ros.voice.sources import open_source
    from llm_ros.voice.vocabulary import Vocabulary

    wake = tuple(word.strip() for word in args.wake_word.split(",") if word.strip())
    vocabulary = Vocabulary(skills, world, wake)
    recognizer = make_recognizer(args.recognizer, vocabulary, args.recognizer_model)
    hearing = Hearing(recognizer, Corrector(vocabulary), Address(wake, 8.0))
    source = open_source("wav" if args.wav else args.source, args.device, args.wav or "")
    if not args.wav:
        print("listening; Ctrl-C ends", file=sys.stderr, flush=True)

    def show(heard):
        told = act(heard.command) if heard.meaning == Meaning.COMMAND else {}
        if args.json:
            values = {"status": heard.meaning.name.lower(), "text": heard.text, "command": heard.command}
            values |= {"raw": heard.recognition.text, "confidence": round(heard.recognition.confidence, 3)}
            values |= {"duration": round(heard.duration, 3), "latency": round(heard.latency, 3)}
            print(json.dumps(values | told, ensure_ascii=False), flush=True)
            return
        note = {Meaning.IGNORED: "  (ignored)", Meaning.STOP: "  (stop)"}.get(heard.meaning, "")
        print(f"{heard.text}{note}", flush=True)
        for value in told.values():
            print(f"  {json.dumps(value, ensure_ascii=False)}", flush=True)

    try:
        for samples in source:
            for heard in hearing.push(samples):
                show(heard)
        for heard in hearing.flush():
            show(heard)
    except KeyboardInterrupt:
        return 0
    finally:
        source.close()
    return 0


def _offline(args, skills, world) -> int:
    from llm_core import Engine
    from llm_ros.planner import Planner
    from llm_ros.planner.generator import engine_generate
    from llm_ros.planner.offline import CONTEXT, DEFAULT_MODEL

    engine = Engine(args.model or DEFAULT_MODEL, n_ctx=CONTEXT, max_requests=1)
    try:
        planner = Planner(engine_generate(engine), skills, world)
        return _listen(args, skills, world, lambda command: {"plan": planner.plan(command).to_json()})
    finally:
        engine.close()


def _node(args, skills, world) -> int:
    from llm_ros.cli._client import cancelled_by_interrupt, wait_for_planner
    from llm_ros.client import CallError, PlannerClient, connect
    from llm_ros.plan_conversions import plan_from_ros

    with connect() as node:
        client = PlannerClient(node, args.node)
        wait_for_planner(client, 10.0)

        def act(command):
            try:
                with cancelled_by_interrupt(client.plan(command, execute=args.execute)) as call:
                    return {"plan": plan_from_ros(call.result().plan)}
            except CallError as error:
                return {"error": str(error)}

        return _listen(args, skills, world, act)
