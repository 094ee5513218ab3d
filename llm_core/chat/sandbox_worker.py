"""Renders one chat template in a process of its own; started by sandbox.py, never imported.

In, on standard input: a line of JSON {"source", "memory_mb"}, then one {"variables", "cpu_s", "max_chars"} per
rendering. Out: one line per rendering, {"text"} or {"error", "raised"} ("raised": the template itself refused, by
`raise_exception`). The kernel enforces the limits: SIGPROF ends the process when a rendering's computing time is used
up, RLIMIT_AS bounds its memory, and it can write no file. Needs nothing but the standard library and jinja2.
"""

import json
import resource
import signal
import sys
from datetime import datetime

sys.path.pop(0)  # this folder holds no module for us

import jinja2  # noqa: E402
import jinja2.ext  # noqa: E402
import jinja2.sandbox  # noqa: E402


class Refused(jinja2.TemplateError):
    """The template called `raise_exception`."""


class GenerationTag(jinja2.ext.Extension):
    """`{% generation %}…{% endgeneration %}` marks what the assistant wrote, for training; here it is its content."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser):
        """Jinja's hook: the nodes between the tags."""
        next(parser.stream)
        return parser.parse_statements(["name:endgeneration"], drop_needle=True)


def raise_exception(message):
    """What templates call to refuse a conversation."""
    raise Refused(message)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    """JSON without Jinja's HTML escapes, which no model was trained with."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def strftime_now(form):
    """The local time in `form`."""
    return datetime.now().strftime(form)


def compiled(source):
    """The template in the immutable sandbox, with the white space rules and helpers that chat templates rely on."""
    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[GenerationTag, jinja2.ext.loopcontrols]
    )
    env.filters["tojson"] = tojson
    env.globals.update(raise_exception=raise_exception, strftime_now=strftime_now)
    return env.from_string(source)


def render(template, variables, max_chars):
    """The text; ValueError when it is longer than `max_chars`."""
    parts, size = [], 0
    for part in template.generate(**variables):
        size += len(part)
        if size > max_chars:
            raise ValueError(f"more than {max_chars} characters of text")
        parts.append(part)
    return "".join(parts)


def main():
    """One template, many renderings; ends with standard input."""
    # the parent may ignore or block these: here the timer must end the process, and Ctrl-C is the parent's to handle
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPROF})
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    setup = json.loads(sys.stdin.readline())
    memory = setup["memory_mb"] << 20
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    template = None
    for line in sys.stdin:
        request = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, request["cpu_s"])
        try:
            template = template or compiled(setup["source"])
            answer = {"text": render(template, request["variables"], request["max_chars"])}
        except Refused as error:
            answer = {"error": str(error)[:500], "raised": True}
        except MemoryError:
            answer = {"error": f"needs more than {setup['memory_mb']} MiB of memory", "raised": False}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"[:500], "raised": False}
        line = json.dumps(answer)
        signal.setitimer(signal.ITIMER_PROF, 0)
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
