"""Hostile templates end in one ModelError, soon and without memory growth; nothing runs before the first rendering."""

from __future__ import annotations

import gc
import os
import resource
import select
import subprocess
import sys
import threading
import time

import pytest

from llm_core.chat import Sandbox, TemplateRefused
from llm_core.errors import ModelError, RequestError

ENDLESS = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
HOSTILE = {
    "range": ("{% for i in range(10**9) %}{% endfor %}", "Range too big"),
    "loops": (ENDLESS, "took more than"),
    "output": ("{% for i in range(99999) %}{{ 'a' * 1000 }}{% endfor %}", "characters of text"),
    "multiply": ("{{ 'a' * 10**10 }}", "memory"),
    "list": ("{{ [1] * 10**9 }}", "memory"),
    "doubling": (
        "{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
        "memory|took more than",  # on a busy machine touching 256 MiB may take that long
    ),
    "power": ("{{ 9**9**9 + 9**(9**9) }}", "took more than|memory|Overflow"),
    "center": ("{{ 'a' | center(10**10) }}", "memory"),
    "format": ("{{ '%01000000000d' | format(3) }}", "memory"),
    "recursion": ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "RecursionError"),
    "nesting": ("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "RecursionError|ended with status"),
    "blocks": ("{% for i in range(3) %}" * 200 + "{% endfor %}" * 200, "chat template"),
    "class": ("{{ ''.__class__.__mro__ }}", "SecurityError"),
    "globals": ("{{ cycler.__init__.__globals__ }}", "SecurityError"),
    "mutate": ("{{ messages.append(1) }}", "SecurityError"),
    "include": ("{% include '/etc/passwd' %}", "no loader"),
    "syntax": ("{% if %}", "TemplateSyntaxError"),
    "undefined": ("{{ a.b.c }}", "UndefinedError"),
}


@pytest.mark.parametrize("kind", list(HOSTILE))
def test_a_hostile_template_is_an_error_soon(kind):
    source, message = HOSTILE[kind]
    sandbox = Sandbox(source)
    start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelError, match=message) as caught:
        sandbox.render({"messages": []})
    assert time.monotonic() - start < 10  # half a second of computing; the rest is how busy the machine is
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10
    assert str(caught.value).startswith("chat template: ") and len(str(caught.value)) < 700
    sandbox.close()


def test_the_limits_are_the_kernels():
    sandbox = Sandbox(ENDLESS, cpu_s=0.1)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    with pytest.raises(ModelError, match=r"took more than 0\.1 s of computing"):
        sandbox.render({})
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime < 2


def test_after_an_error_the_next_rendering_works():
    sandbox = Sandbox("{% if long %}" + ENDLESS + "{% endif %}ok {{ n }}", cpu_s=0.2)
    for n in range(2):
        with pytest.raises(ModelError, match="took more than"):
            sandbox.render({"long": True})
        assert sandbox.render({"n": n}) == f"ok {n}"


def test_a_worker_that_died_is_replaced():
    sandbox = Sandbox("ok")
    assert sandbox.render({}) == "ok"
    sandbox._process.kill()
    sandbox._process.wait()
    assert sandbox.render({}) == "ok"


def test_nothing_is_compiled_or_started_before_the_first_rendering():
    sandbox = Sandbox("{% if %}")
    assert sandbox._process is None


def test_the_process_ends_with_its_owner():
    sandbox = Sandbox("ok")
    sandbox.render({})
    process = sandbox._process
    assert process.poll() is None
    del sandbox
    gc.collect()
    assert process.poll() is not None


def test_the_process_ends_when_its_owner_is_killed():
    script = (
        "from llm_core.chat import Sandbox; s = Sandbox('ok'); s.render({}); print(s._process.pid, flush=True); input()"
    )
    owner = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    worker = os.pidfd_open(int(owner.stdout.readline()))
    with owner:
        owner.kill()
    ended, _, _ = select.select([worker], [], [], 30)
    os.close(worker)
    assert ended


def test_a_closed_sandbox_starts_no_other_process():
    sandbox = Sandbox("ok")
    sandbox.render({})
    process = sandbox._process
    sandbox.close()
    assert process.poll() is not None
    with pytest.raises(RequestError, match="chat template: closed"):
        sandbox.render({})
    assert sandbox._process is None
    sandbox.close()


def test_a_refusal_is_the_requests_fault_and_a_broken_template_the_models():
    with pytest.raises(TemplateRefused, match="chat template: no such role") as caught:
        Sandbox("{{ raise_exception('no such role' ~ 'x' * 10000) }}").render({})
    assert isinstance(caught.value, RequestError) and not isinstance(caught.value, ModelError)
    assert len(str(caught.value)) < 700
    with pytest.raises(ModelError, match="chat template: UndefinedError"):
        Sandbox("{{ no_such_helper('no such role') }}").render({})


def test_variables_must_be_plain_data():
    with pytest.raises(RequestError, match="not plain data"):
        Sandbox("x").render({"messages": [object()]})


def test_long_conversations_are_not_mistaken_for_attacks():
    text = "water " * 400_000
    assert (
        Sandbox("{% for m in messages %}{{ m }}{% endfor %}", max_chars=10).render({"messages": [text] * 2}) == text * 2
    )


def test_many_threads_share_one_template():
    sandbox = Sandbox("{{ n }}")
    results: dict[int, str] = {}

    def work(n):
        results[n] = sandbox.render({"n": n})

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: str(n) for n in range(8)}


def test_helpers_that_templates_expect():
    source = "{{ strftime_now('%Y') }} {{ x | tojson }} {{ x | tojson(indent=2) }}{% generation %}!{% endgeneration %}"
    text = Sandbox(source).render({"x": {"a": "<é>"}})
    assert text == time.strftime("%Y") + ' {"a": "<é>"} {\n  "a": "<é>"\n}!'


def test_the_process_can_write_no_file(tmp_path):
    # nothing in a template can open one; the limit is there should the sandbox ever be escaped
    sandbox = Sandbox("ok")
    sandbox.render({})
    limits = open(f"/proc/{sandbox._process.pid}/limits").read()
    line = next(line for line in limits.splitlines() if line.startswith("Max file size"))
    assert line.split()[3:5] == ["0", "0"]
    assert os.getpid() != sandbox._process.pid
