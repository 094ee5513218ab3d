"""qwen2vl: the language half of Qwen2-VL and Qwen2.5-VL (Wang et al., 2024): qwen2 whose heads turn in three sections,
by time, row and column of a picture's token; text turns by its position in all of them, which is plain rotation.
"""

from llm_core.kernels.rope import N_SECTIONS
from llm_core.models.blocks import default_spec, pre_norm_decoder

INTERLEAVED_ROPE = False


def rope_sections(model):
    """Pairs of each section. Raises GGUFError when they are not three that make up the rotated pairs."""
    m, half = model.file.metadata, model.config.rope.n_rot // 2
    key = m.key("{arch}.rope.dimension_sections")
    sections = m.ints(key, min=0, max=half, max_length=4)
    if len(sections) < N_SECTIONS or any(sections[N_SECTIONS:]) or sum(sections) != half:
        raise m.error(key, f"{sections}: {N_SECTIONS} sections of {half} pairs together are supported")
    return tuple(sections[:N_SECTIONS])


def record(g, model):
    """Pre-norm decoder with SiLU gates; the biases are there because the file has them."""
    pre_norm_decoder(g, model, default_spec(model))
