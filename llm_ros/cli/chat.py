"""`llm-ros chat`: a conversation with the running chat_node, line by line; `llm-ros chat "…"` says one thing.

What the robot says by itself is shown as it comes. Ctrl-C ends an answer that is being given; at the prompt, as the end
of the input does, it ends the program. The robot goes on with what it does.
"""

from __future__ import annotations

import argparse
import sys

from llm_core.errors import RequestError
from llm_ros.cli._client import HINT

SUMMARY = "talk with the running chat_node: commands, questions, anything"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to say, and in which conversation."""
    parser.add_argument("text", nargs="?", help="what to say; without it, lines are read until the end of the input")
    parser.add_argument("--session", default="", metavar="ID", help="which conversation (default: the node's default)")
    parser.add_argument("--history", action="store_true", help="show what was said in it, and end")
    parser.add_argument("--forget", action="store_true", help="forget what was said in it, and end")
    parser.add_argument("--list", action="store_true", help="list all conversations, and end")
    parser.add_argument("--node", default="chat_node", metavar="NAME", help="which node to talk with (%(default)s)")
    parser.add_argument(
        "--wait", type=float, default=10.0, metavar="S", help="seconds to wait for the node (%(default)g)"
    )
    parser.add_argument("--timeout", type=float, default=300.0, metavar="S", help="seconds for a reply (%(default)g)")


def run(args: argparse.Namespace) -> int:
    """0 when everything was said. CallError or RequestError otherwise."""
    from llm_ros.client import CallError, ChatClient, connect

    stored = args.history or args.forget or args.list
    if args.text is not None and stored:
        raise RequestError("--history, --forget and --list take no text")
    if args.text is not None and not args.text.strip():
        raise RequestError("the text is empty")
    with connect() as node:
        client = ChatClient(node, args.node)
        try:
            client.wait_ready(args.wait)
        except CallError as error:
            raise CallError(f"{error}: {HINT} --chat" if "found" in str(error) else str(error), error.status) from None
        if stored:
            _show_stored(client, args)
        elif args.text is not None:
            _say(client, args, args.text)
        else:
            _converse(client, args)
    return 0


def _show_stored(client, args) -> None:
    if args.list:
        print("\n".join(client.session().sessions), flush=True)
        return
    turns = client.session(args.session or "default", forget=args.forget).turns
    for turn in turns if args.history else ():
        print(f"{'> ' if turn.role == 'user' else ''}{turn.text}", flush=True)


def _converse(client, args) -> None:
    """Line by line. Lines that come from no terminal are shown as if they had been typed."""
    from llm_ros.client import CallError

    terminal = sys.stdin.isatty()
    client.listen(lambda turn: _tell(turn, args.session or "default", terminal))
    while (line := _line(terminal)) is not None:
        if not line.strip():
            continue
        try:
            _say(client, args, line)
        except KeyboardInterrupt:
            print(" …", flush=True)
        except CallError as error:
            print(f"({error})", flush=True)


def _line(terminal: bool) -> str | None:
    """What the person says next; None at the end."""
    try:
        if terminal:
            return input("> ")
        line = sys.stdin.readline()
    except (EOFError, KeyboardInterrupt):
        print()
        return None
    if not line:
        return None
    print(f"> {line.rstrip()}", flush=True)
    return line


def _say(client, args, text: str) -> None:
    """One turn; the reply is printed as it comes."""
    from llm_ros.cli._client import cancelled_by_interrupt

    with cancelled_by_interrupt(client.chat(text, session_id=args.session)) as call:
        for piece in call.text(args.timeout):
            print(piece, end="", flush=True)
    print(flush=True)


def _tell(turn, session: str, terminal: bool) -> None:
    from llm_ros.msg import ChatTurn

    if turn.kind == ChatTurn.NEWS and turn.session_id == session:
        print(f"\r* {turn.text}\n> " if terminal else f"* {turn.text}\n", end="", flush=True)
