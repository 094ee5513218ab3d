"""`llm-core VERB …`: finds the verb's file in this folder and runs it.

A verb is one module with `SUMMARY`, `add_arguments(parser)` and `run(args) -> int`; its name is the file's, "-" for
"_", and files that begin with "_" are not verbs. Only the module of the verb in use is imported. Exit codes: 0 done,
2 bad input (one `error:` line on stderr), 130 interrupted, 141 the reader of our output went away, 1 a bug of ours.
"""

from __future__ import annotations

import argparse
import os
import pkgutil
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import NoReturn

import llm_core.cli
from llm_core.errors import LLMCoreError

PROGRAM = "llm-core"
DONE, BUG, BAD_INPUT, INTERRUPTED, PIPE_CLOSED = 0, 1, 2, 130, 141


class Parser(argparse.ArgumentParser):
    """argparse with errors in one line and no abbreviated options."""

    def __init__(self, **options) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """One line, exit code 2."""
        report(message)
        raise SystemExit(BAD_INPUT)


def report(message: object) -> None:
    """One `error:` line on stderr, whatever the message holds."""
    line = " ".join(str(message).split()) or type(message).__name__
    print("error: " + "".join(c if c.isprintable() else repr(c)[1:-1] for c in line), file=sys.stderr, flush=True)


def verbs(package: ModuleType = llm_core.cli) -> dict[str, str]:
    """Verb → module, for every verb in the folder of `package`."""
    found = pkgutil.iter_modules(package.__path__)
    names = sorted(m.name for m in found if m.name != "main" and not m.name.startswith("_"))
    return {name.replace("_", "-"): f"{package.__name__}.{name}" for name in names}


def main(argv: Sequence[str] | None = None, program: str = PROGRAM, package: ModuleType = llm_core.cli) -> int:
    """Run one command of `program`, whose verbs are in `package`; returns its exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    _open_missing_streams()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal that cannot show a letter must not end the program
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _run(argv, program, verbs(package))
        sys.stdout.flush()
        return code
    except SystemExit as leaving:  # argparse, after --help or an error
        return leaving.code if isinstance(leaving.code, int) else DONE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _give_up_output()  # nobody reads: say nothing
        return PIPE_CLOSED
    except OSError as error:
        try:
            sys.stdout.flush()
        except OSError:
            _give_up_output()
        where = f"{error.filename}: " if error.filename is not None else ""
        report(f"{where}{error.strerror or error}")
        return BAD_INPUT
    except LLMCoreError as error:
        report(error)
        return BAD_INPUT
    except MemoryError as error:
        report(f"not enough memory{': ' if str(error) else ''}{error}")
        return BAD_INPUT
    except Exception as error:
        if os.environ.get("LLM_CORE_DEBUG"):
            raise
        report(f"internal error: {type(error).__name__}: {error} (LLM_CORE_DEBUG=1 shows where)")
        return BUG


def _give_up_output() -> None:
    """Keep the interpreter's own flush at exit from complaining about what could not be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _open_missing_streams() -> None:
    """A stream that the caller closed (`>&-`) gets its number back, so that no other file takes it: input is empty,
    messages go nowhere, and output is an error as soon as there is some.
    """
    for name, access, mode in (("stdin", os.O_RDONLY, "r"), ("stdout", os.O_RDONLY, "w"), ("stderr", os.O_WRONLY, "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, access), mode, encoding="utf-8"))


def _run(argv: list[str], program: str, known: dict[str, str]) -> int:
    if not argv:
        report(f"a command is missing; known are {', '.join(known)} ({program} --help tells more)")
        return BAD_INPUT
    if argv[0] in ("-h", "--help"):
        print(_overview(program, known))
        return DONE
    if argv[0] == "--version":
        print(f"{program} {_version()}")
        return DONE
    verb, rest = argv[0], argv[1:]
    if verb not in known:
        report(f"{verb!r} is not a command; known are {', '.join(known)}")
        return BAD_INPUT
    module = import_module(known[verb])
    parser = Parser(prog=f"{program} {verb}", description=module.SUMMARY)
    module.add_arguments(parser)
    return module.run(parser.parse_args(rest))


def _overview(program: str, known: dict[str, str]) -> str:
    width = max(map(len, known))
    lines = [f"  {verb:{width}}  {import_module(module).SUMMARY}" for verb, module in known.items()]
    return "\n".join([f"usage: {program} COMMAND …", "", *lines, "", f"{program} COMMAND --help tells more."])


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("llm_ros")
    except PackageNotFoundError:
        return "(not installed)"


if __name__ == "__main__":
    sys.exit(main())
