"""Constrained output: every kind of grammar and exactly its language, forced tokens in batches, clear refusals."""

import json
import random
import re
import threading

import numpy as np
import pytest
from fake_runner import EOS, FakeRunner, FakeTokenizer, fake_parts

from llm_core import Engine, Grammar, RequestError, SamplingParams
from llm_core.engine.batch import union
from llm_core.gbnf import gbnf_to_lark
from llm_core.grammar import GrammarCompiler

PERSON = {
    "type": "object",
    "properties": {
        "name": {"enum": ["robot", "hello world"]},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}
JSON_GBNF = r"""
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::=
  "{" ws (
            string ":" ws value
    ("," ws string ":" ws value)*
  )? "}" ws
array  ::= "[" ws (value ("," ws value)*)? "]" ws
string ::=
  "\"" ( [^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) # escapes
  )* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws
ws ::= | " " | "\n" [ \t]{0,20}
"""


@pytest.fixture(scope="module")
def compiler():
    return GrammarCompiler(FakeTokenizer(), FakeTokenizer.n_vocab)


@pytest.fixture(scope="module")
def engine():
    with Engine(fake_parts(), max_queue=200) as engine:
        yield engine


def accepts(compiler, grammar, text) -> bool:
    """Whether the grammar takes the text byte by byte and could end there."""
    constraint = compiler.compile(grammar)
    for byte in text.encode():
        try:
            constraint.accept(byte)
        except RequestError:
            return False
    return constraint.accepting


@pytest.mark.parametrize(
    "grammar, check",
    [
        (Grammar.regex("[a-c]{2,4}(x|yz)"), lambda text: re.fullmatch("[a-c]{2,4}(x|yz)", text)),
        (Grammar.json(PERSON), lambda t: set(json.loads(t)) == {"name", "age"} and 0 <= json.loads(t)["age"] <= 150),
        (Grammar.json(json.dumps(PERSON)), lambda text: json.loads(text)["name"] in ("robot", "hello world")),
        (Grammar.lark('start: "go" (" to" | " from") " the " PLACE\nPLACE: "kitchen" | "hall"'), lambda t: "go " in t),
        (Grammar.gbnf('root ::= "(" root ")" | [0-9]{1,3}'), lambda t: re.fullmatch(r"\(*\d{1,3}\)*", t)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("temperature", [0, 1.2])
def test_answers_match_their_grammar(engine, compiler, grammar, check, temperature):
    for seed in range(6):
        completion = engine.generate(
            f"prompt {seed}", SamplingParams(temperature=temperature, seed=seed, grammar=grammar)
        )
        if completion.finish_reason == "stop":  # a grammar that can go on for ever may also end at max_tokens
            assert check(completion.text), completion.text
            assert accepts(compiler, grammar, completion.text)


def test_the_end_of_the_grammar_ends_the_answer_without_another_step(engine):
    completion = engine.generate("a", SamplingParams(seed=1, grammar=Grammar.regex("abc")))
    assert (completion.text, completion.finish_reason, completion.stop) == ("abc", "stop", "grammar")


def test_forced_tokens_are_appended_in_one_step():
    runner = FakeRunner()
    text = "robot: go to the kitchen and say hello"
    with Engine(fake_parts(runner)) as engine:
        completion = engine.generate("q", SamplingParams(seed=1, grammar=Grammar.regex(f"({text}|no)")))
        if completion.text == "no":
            completion = engine.generate(
                "q", SamplingParams(seed=1, logit_bias={ord("n"): -1e6}, grammar=Grammar.regex(f"({text}|no)"))
            )
        assert completion.text == text
        assert completion.usage.completion_tokens > 20
        assert len(runner.batches) <= 4  # prompt; the one choice; no step for what is forced after it


def test_an_answer_that_the_grammar_fixes_needs_no_model():
    runner = FakeRunner()
    with Engine(fake_parts(runner)) as engine:
        completion = engine.generate("q", SamplingParams(grammar=Grammar.regex("go to the kitchen")))
        assert (completion.text, completion.stop) == ("go to the kitchen", "grammar")
        assert not runner.batches
        # What it fixes at the beginning is told before the first step, and computed together with the prompt.
        handle = engine.submit("q", SamplingParams(seed=1, grammar=Grammar.regex("say (hello|robot)")))
        assert next(iter(handle)).text.startswith("say")
        assert handle.result(timeout=10).text in ("say hello", "say robot")
        assert len(runner.batches) == 1


def test_forced_tokens_are_the_models_own_tokens(engine):
    completion = engine.generate("q", SamplingParams(seed=1, grammar=Grammar.regex("hello robot")))
    assert list(completion.tokens) == FakeTokenizer().encode("hello robot", add_special=False)


TIGHT, LOOSE = Grammar.regex("(robot|hello|the end)( [0-9])?"), Grammar.regex("(?s:.){1,9}")


def test_a_tight_grammar_asks_for_few_logits_and_a_loose_one_for_all():
    runner = FakeRunner()  # gives NaN for what was not asked
    with Engine(fake_parts(runner)) as engine:
        for seed in range(20):
            assert engine.generate("q", SamplingParams(seed=seed, grammar=TIGHT)).text
        assert runner.panels and all(panels is not None and len(panels) <= 4 for panels in runner.panels)
        runner.panels.clear()
        engine.generate("q", SamplingParams(seed=1, grammar=LOOSE))
        assert runner.panels[0] is None  # inside a character of several bytes it is tight
        runner.panels.clear()
        assert engine.generate("q", SamplingParams(seed=1, grammar=TIGHT, logprobs=1)).logprobs
        assert runner.panels and all(panels is None for panels in runner.panels)


@pytest.mark.parametrize("options", [{}, {"temperature": 0}, {"repeat_penalty": 1.3}, {"top_k": 3, "top_p": 0.9}])
def test_the_answer_is_the_same_whether_few_logits_are_computed_or_all(options):
    def answers(shared):
        with Engine(fake_parts(runner := FakeRunner())) as engine:
            runner.gate = threading.Event()
            if shared:  # a request without a grammar in every step: all logits are computed
                engine.submit("w", SamplingParams(seed=1, max_tokens=150, ignore_eos=True))
            handles = [engine.submit("q", SamplingParams(seed=seed, grammar=TIGHT, **options)) for seed in range(12)]
            runner.gate.set()
            found = [handle.result(30).tokens for handle in handles]
        few = [panels for panels in runner.panels if panels is not None]
        assert bool(few) is not shared
        return found

    assert answers(shared=True) == answers(shared=False)


def test_a_step_computes_what_any_of_its_requests_wants():
    few, more = np.array([2, 5]), np.array([1, 5, 9])
    assert union([few, more]).tolist() == [1, 2, 5, 9]
    assert union([few]).tolist() == [2, 5]
    assert union([few, None]) is None and union([]) is None


def test_logprobs_are_given_for_forced_tokens_too(engine):
    plain = engine.generate("q", SamplingParams(temperature=0, grammar=Grammar.regex("hello")))
    asked = engine.generate("q", SamplingParams(temperature=0, grammar=Grammar.regex("hello"), logprobs=1))
    assert asked.text == plain.text == "hello"
    assert [entry.token for entry in asked.logprobs] == list(asked.tokens)


def test_grammar_with_stops_and_max_tokens(engine):
    digits = Grammar.regex("[0-9]{40}")
    completion = engine.generate("q", SamplingParams(seed=2, grammar=digits, max_tokens=10))
    assert completion.finish_reason == "length" and len(completion.text) == 10 and completion.text.isdigit()
    forced = Grammar.regex("count: one two three")
    completion = engine.generate("q", SamplingParams(grammar=forced, stop=["two"]))
    assert (completion.text, completion.stop) == ("count: one ", "two")
    completion = engine.generate("q", SamplingParams(grammar=forced, max_tokens=3))
    assert (
        completion.finish_reason == "length" and len(completion.tokens) == 3 and forced.text.startswith(completion.text)
    )


def test_a_stop_id_may_come_only_where_the_grammar_may_end(engine):
    grammar = Grammar.regex("[ab]{3}[ab]*")
    for seed in range(20):
        params = SamplingParams(seed=seed, grammar=grammar, logit_bias={EOS: 30.0}, max_tokens=30)
        completion = engine.generate("q", params)
        assert len(completion.text) == 3 and completion.stop == EOS


def test_a_grammar_with_no_allowed_token_left_is_an_error(engine):
    params = SamplingParams(grammar=Grammar.regex("ab"), logit_bias={ord("a"): -float("inf")})
    with pytest.raises(RequestError, match="no token can be drawn"):
        engine.generate("q", params)
    assert engine.generate("q", SamplingParams(grammar=Grammar.regex("ab"))).text == "ab"


@pytest.mark.parametrize(
    "grammar, message",
    [
        (Grammar.regex("a(b"), "regex"), (Grammar.regex("(?=a)b"), "regex"),
        (Grammar.lark("start: nothing"), "nothing"), (Grammar.lark("no start here"), "lark"),
        (Grammar.json("{"), "not JSON"), (Grammar.json("[1]"), "object wanted"),
        (Grammar.json({"type": "nonsense"}), "nonsense"), (Grammar.gbnf('root ::= "a'), "line 1"),
        (Grammar.json('{"items":' * 5000 + "{}" + "}" * 5000), "recursion"),
        (Grammar.json({"not": {"type": "string"}, "minItems": "x"}), "json_schema"),
    ],
)  # fmt: skip
def test_a_bad_grammar_is_refused_at_submit_with_its_reason(engine, grammar, message):
    with pytest.raises(RequestError, match=message):
        engine.submit("q", SamplingParams(grammar=grammar))


def test_a_grammar_whose_masks_take_too_long_fails_its_request(monkeypatch):
    compiler = GrammarCompiler(FakeTokenizer(), FakeTokenizer.n_vocab)
    constraint = compiler.compile(Grammar.regex("[ab]+"))
    monkeypatch.setattr("llm_core.grammar.MAX_MASK_S", -1.0)
    with pytest.raises(RequestError, match="took"):
        constraint.mask()
    with pytest.raises(RequestError, match="took"):
        compiler.compile(Grammar.regex("[ac]+"))


def test_grammar_values_are_checked():
    for make in (
        lambda: Grammar("yaml", "x"),
        lambda: Grammar.regex(""),
        lambda: Grammar.lark(3),
        lambda: Grammar.json({"a": set()}),
    ):
        with pytest.raises(RequestError):
            make()
    with pytest.raises(RequestError, match="characters"):
        Grammar.regex("a" * (1 << 21))


def test_masks_have_the_bits_of_the_allowed_tokens(compiler):
    constraint = compiler.compile(Grammar.regex("(hello|the )"))
    bits = np.unpackbits(constraint.mask().view(np.uint8), bitorder="little")
    tokenizer = FakeTokenizer()
    wanted = {i for i in range(tokenizer.n_vocab) if i not in tokenizer.control_ids}
    wanted = {
        i
        for i in wanted
        if b"hello".startswith(tokenizer.token_bytes(i)) or b"the ".startswith(tokenizer.token_bytes(i))
    }
    assert set(np.flatnonzero(bits)) == wanted


def test_control_tokens_are_never_text(engine):
    completion = engine.generate("q", SamplingParams(grammar=Grammar.regex("<s>")))
    assert completion.text == "<s>" and not set(completion.tokens) & FakeTokenizer.control_ids


# --- GBNF


@pytest.mark.parametrize(
    "text, good",
    [
        ('{"a": [1,2.5e3 , {"b":"x\\n\\u00e9é"}], "c":true}', True), ("{}", True), ('{"a" 1}', False),
        ('{"a": 01}', False), ('{"a": [1,]}', False), ('{"a":\n\t"b"}', True),
    ],
)  # fmt: skip
def test_llama_cpps_json_grammar(compiler, text, good):
    assert accepts(compiler, Grammar.gbnf(JSON_GBNF), text) is good


@pytest.mark.parametrize(
    "gbnf, python",
    [
        ('root ::= [a-b]+ "end"', r"[ab]+end"),  # a greedy lexer would eat the b of "bend"
        ('root ::= a* b\na ::= "a" | "ab"\nb ::= "b"?', r"(a|ab)*b?"),
        ('root ::= "a"{2} ("b" | "" )\n  | "c"{1,} # a remark\n', r"aab?|c+"),
        (r'root ::= [^a\n] . "\x62"?', r"(?s:[^a\n].b?)"),
        ('root ::= (\n "a"\n | "b" "c"\n){1,2}', r"(a|bc){1,2}"),
        ('root ::= x-y\nx-y ::= xY\nxY ::= "a" "/"? "c"', r"a/?c"),
    ],
)
def test_gbnf_means_what_the_same_regex_means(compiler, gbnf, python):
    rng = random.Random(1)
    alphabet = "aabbcend/\n"
    texts = {"".join(rng.choices(alphabet, k=rng.randint(0, 6))) for _ in range(300)}
    texts |= {"abend", "bend", "aend", "aab", "ccc", "abab", "bca", "a/c", "ac", "xyb", "x\nb"}
    for text in sorted(texts):
        wanted = re.fullmatch(python, text) is not None
        assert accepts(compiler, Grammar.gbnf(gbnf), text) is wanted, text


@pytest.mark.parametrize(
    "gbnf, message",
    [
        ('root ::= a', "line 1: rule 'a' is not defined"), ('foo ::= "a"', "no rule 'root'"),
        ('\nroot ::= [a', "line 2.*not closed"), ('root ::= (a', "not closed"), ('root ::= "a" )', "not expected"),
        ('root = "a"', "'::=' wanted"), ("root ::= [b-a]", "range"), (r'root ::= "\q"', "escape"),
        (r'root ::= "\uD800"', "not a character"), ('root ::= "a"{3,2}', "not a count"), ('root ::= "a"{x}', "count"),
        ("root ::= <think>", "token references"), ('root ::= "a"\nroot ::= "b"', "defined twice"),
        ("root ::= []", "empty"), ("root ::= " + "(" * 5000, "nest deeper"),
        ('root ::= "a"' + "*" * 5000, "repetitions"), ("?", "name wanted"),
    ],
)  # fmt: skip
def test_a_bad_gbnf_says_where_and_why(gbnf, message):
    with pytest.raises(RequestError, match=message):
        gbnf_to_lark(gbnf)
