"""`llm-core chat`: a conversation on the terminal, or with lines from a pipe (each line is one message).

The answer comes as it is made; Ctrl-C ends an answer (what was said stays in the conversation), a second one at the
prompt ends the program. Lines that begin with "/" are commands; with `--mmproj` one of them shows the model a picture.
Earlier turns, pictures among them, are not computed again: the engine finds them in its cache.
"""

from __future__ import annotations

import argparse
import sys

from llm_core.cli import _options
from llm_core.errors import RequestError

SUMMARY = "talk with a model"

HELP = (
    "/reset  forget the conversation   /system TEXT  set the system message and reset   "
    "/image FILE  show a picture with the next message   /exit  leave"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    _options.add_model_options(parser)
    _options.add_speculation_options(parser)
    _options.add_lora_option(parser)
    _options.add_vision_options(parser)
    parser.add_argument("--system", metavar="T", help="system message")
    _options.add_sampling_options(parser)


def run(args: argparse.Namespace) -> int:
    """Talk until /exit or the end of the input. From a pipe, the first error ends the program (exit 2)."""
    params = _options.sampling_params(args)
    if hasattr(sys.stdin, "reconfigure"):
        sys.stdin.reconfigure(errors="strict")  # in the C locale, broken UTF-8 would pass as surrogates
    args.mmproj = args.mmproj or "auto"
    with _options.open_engine(args) as engine:
        if engine.chat_template is None:
            raise RequestError("the model has no chat template: use `llm-core generate`")
        Conversation(engine, params, args.system, interactive=sys.stdin.isatty()).run()
    return 0


class Conversation:
    """The turns so far and the loop over the next ones."""

    def __init__(self, engine, params, system: str | None, interactive: bool) -> None:
        self.engine = engine
        self.params = params
        self.interactive = interactive
        self.messages: list[dict] = []
        self.set_system(system)

    def set_system(self, system: str | None) -> None:
        """Begin anew, with this system message."""
        self.system = system
        self.pictures: list[dict] = []  # for the next message
        self.messages = [] if system is None else [{"role": "system", "content": system}]

    def run(self) -> None:
        """Read lines and act on them."""
        if self.interactive:
            import readline  # noqa: F401  gives input() line editing

            print(HELP)
        while True:
            try:
                line = input("> " if self.interactive else "").strip()
            except EOFError:
                return
            except UnicodeDecodeError as error:
                raise RequestError(f"stdin: not UTF-8 text (byte {error.start})") from None
            if line == "/exit":
                return
            if not line:
                continue
            try:
                self.command(line) if line.startswith("/") else self.answer(line)
            except RequestError as error:
                if not self.interactive:
                    raise
                print(f"error: {error}", file=sys.stderr, flush=True)

    def command(self, line: str) -> None:
        """One of the lines that begin with a slash."""
        name, _, rest = line.partition(" ")
        commands = {
            "/reset": lambda: self.set_system(self.system),
            "/system": lambda: self.set_system(rest.strip() or None),
            "/image": lambda: self.show(rest.strip()),
            "/help": lambda: print(HELP),
        }
        if name not in commands:
            raise RequestError(f"{name} is not a command: {HELP}")
        commands[name]()

    def show(self, path: str) -> None:
        """A picture that goes with the next message; RequestError when it is none, or the model cannot see."""
        if self.engine.info is None or not self.engine.info.vision:
            raise RequestError("/image: the model does not see (--mmproj gives it a vision tower)")
        from llm_core.vision import open_image

        open_image(path, "/image:")
        self.pictures.append({"type": "image", "image": path})

    def answer(self, text: str) -> None:
        """One turn: the user's text, the model's answer. A turn that fails leaves the conversation as it was."""
        pictures, self.pictures = self.pictures, []
        content = [*pictures, {"type": "text", "text": text}] if pictures else text
        turn = [*self.messages, {"role": "user", "content": content}]
        handle = self.engine.submit(turn, self.params)
        try:
            for event in handle:
                print(event.text, end="", flush=True)
        except KeyboardInterrupt:
            handle.cancel()
            if not self.interactive:
                raise
        completion = handle.result()
        print(flush=True)
        _options.note(completion)
        self.messages = [*turn, {"role": "assistant", "content": completion.text}]
