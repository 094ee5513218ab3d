"""Templates for models that bring none: chosen by the control tokens that the vocabulary has.

`fallback(tokenizer) -> (name, source)`. The first line of `TABLE` whose tokens are all there wins; the last asks for
none. They have the turns of the published formats; tools and unknown roles are folded in by template.py.
"""

from __future__ import annotations

from llm_core.tokenizer import Tokenizer

_CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ 'ipython' if m.role == 'tool' else m.role }}"
    "<|end_header_id|>\n\n{{ m.content | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
_GEMMA = (
    "{{ bos_token }}{% for m in messages %}{% if m.role not in ['user', 'assistant'] %}"
    "{{ raise_exception('only user and assistant turns') }}{% endif %}"
    "<start_of_turn>{{ 'model' if m.role == 'assistant' else 'user' }}\n{{ m.content | trim }}<end_of_turn>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
_PHI3 = (
    "{% for m in messages %}{% if m.role == 'tool' %}{{ raise_exception('no tool turns') }}{% endif %}"
    "<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
_ZEPHYR = (
    "{% for m in messages %}{% if m.role == 'tool' %}{{ raise_exception('no tool turns') }}{% endif %}"
    "<|{{ m.role }}|>\n{{ m.content }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
_LLAMA2 = (
    "{% for m in messages %}{% if m.role == 'tool' %}{{ raise_exception('no tool turns') }}"
    "{% elif m.role == 'system' %}{% if not loop.first %}{{ raise_exception('system comes first') }}{% endif %}"
    "{% elif m.role == 'user' %}{{ bos_token }}[INST] {% if loop.index0 == 1 and messages[0].role == 'system' %}"
    "<<SYS>>\n{{ messages[0].content }}\n<</SYS>>\n\n{% endif %}{{ m.content | trim }} [/INST]"
    "{% else %} {{ m.content | trim }} {{ eos_token }}{% endif %}{% endfor %}"
)
_PLAIN = (
    "{% for m in messages %}{{ m.role | capitalize }}: {{ m.content | trim }}\n{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)

# name, tokens that must be there, template
TABLE: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("chatml", ("<|im_start|>", "<|im_end|>"), _CHATML),
    ("llama3", ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"), _LLAMA3),
    ("gemma", ("<start_of_turn>", "<end_of_turn>"), _GEMMA),
    ("phi3", ("<|user|>", "<|assistant|>", "<|end|>"), _PHI3),
    ("zephyr", ("<|user|>", "<|assistant|>"), _ZEPHYR),
    ("llama2", ("[INST]", "[/INST]"), _LLAMA2),
    ("plain", (), _PLAIN),
)


def fallback(tokenizer: Tokenizer) -> tuple[str, str]:
    """(name, template source) for a model without a template."""
    tokens = set(tokenizer.vocab.tokens)
    return next((name, source) for name, needed, source in TABLE if tokens.issuperset(needed))
