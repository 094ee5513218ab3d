"""What the planner tests share: the development set's worlds and skills, and generators that stand in for a model."""

from functools import cache, lru_cache
from pathlib import Path

from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper

from llm_ros.planner import Planner, load_skills, load_world
from llm_ros.planner.evaluate import read_set

DATA = Path(__file__).parent / "data"
CONFIG = Path(__file__).parents[1] / "config"
WORLDS = {
    "home": CONFIG / "world.yaml",
    "cottage": DATA / "planner_cottage.yaml",
    "office": DATA / "planner_office.yaml",
    "blind": DATA / "planner_blind_world.yaml",
    "fresh": DATA / "planner_fresh_world.yaml",
    "clinic": DATA / "planner_clinic_world.yaml",
    "arena": DATA / "planner_arena.yaml",
}
SKILLS = {
    "full": CONFIG / "skills.yaml",
    "minimal": DATA / "planner_skills_minimal.yaml",
    "other": DATA / "planner_skills_other.yaml",
}


class Bytes:
    """A vocabulary of single bytes, for llguidance without a model."""

    def __init__(self):
        self.eos_token_id = 256
        self.bos_token_id = None
        self.tokens = [bytes([i]) for i in range(256)] + [b"\xff</s>"]
        self.special_token_ids = [256]

    def __call__(self, text):
        return list(text.encode() if isinstance(text, str) else text)


@lru_cache(maxsize=1)
def tokenizer():
    return LLTokenizer(TokenizerWrapper(Bytes()))


def matcher(grammar):
    """A matcher for a Lark grammar over bytes; fails on a grammar that does not compile."""
    from llguidance import grammar_from

    found = LLMatcher(tokenizer(), grammar_from("lark", grammar))
    assert not found.is_error(), found.get_error()
    return found


def accepts(grammar, text):
    """Whether a whole text is in the language of a grammar."""
    walk = matcher(grammar)
    data = list(text.encode())
    return walk.try_consume_tokens(data) == len(data) and walk.is_accepting()


def obedient(prefer="A", log=None):
    """A generator that obeys any grammar as a model would: forced bytes, else `prefer` where allowed, else the first
    allowed
    byte that leads on; sentences end as soon as they may. `log` collects (messages, grammar)."""

    def generate(messages, grammar, max_tokens, on_text, cancelled):
        if log is not None:
            log.append((messages, grammar))
        walk, text = matcher(grammar), bytearray()
        import numpy as np

        words = np.zeros((tokenizer().vocab_size + 31) // 32, dtype=np.int32)
        while not walk.is_stopped() and len(text) < 4000 and not cancelled():
            forced = walk.compute_ff_tokens()
            if not forced:
                walk.unsafe_compute_mask_ptr(words.ctypes.data, words.nbytes)
                allowed = set(np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little")[:256]))
                if not allowed:
                    break
                choice = next(
                    (byte for byte in (*b".", *prefer.encode(), *b"abcdefgh") if byte in allowed), min(allowed)
                )
                forced = [int(choice)]
            assert walk.consume_tokens(forced)
            piece = bytes(byte for byte in forced if byte < 256)
            text += piece
            on_text(piece.decode())
        return text.decode()

    return generate


def scripted(text, chunk=3):
    """A generator that writes a given text in pieces, whatever the grammar."""

    def generate(messages, grammar, max_tokens, on_text, cancelled):
        written = ""
        for start in range(0, len(text), chunk):
            if cancelled():
                break
            on_text(text[start : start + chunk])
            written += text[start : start + chunk]
        return written

    return generate


@cache
def parts(skills="full", world="home"):
    """Of a skills file and a world file, or their names above."""
    return load_skills(SKILLS.get(skills, skills)), load_world(WORLDS.get(world, world))


@cache
def obedient_planner(skills="full", world="home"):
    return Planner(obedient(), *parts(skills, world), examples=0)


def planned(command, skills="full", world="home"):
    """The plan of a command as "step; step", or "refuse reason", or "clarify"."""
    plan = obedient_planner(skills, world).plan(command)
    if plan.status == "plan":
        return "; ".join(map(str, plan.steps))
    return f"{plan.status} {plan.reason}".strip()


def development_set():
    return read_set(DATA / "planner_dev.json")
