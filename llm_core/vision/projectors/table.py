"""Which projectors run, by the name that `clip.projector_type` gives them."""

from types import ModuleType

from llm_core.vision.projectors import conv_mlp, gemma3, idefics3, ldp, ldpv2, mlp, qwen2vl, qwen25vl

PROJECTORS: dict[str, ModuleType] = {
    "mlp": mlp,
    "conv_mlp": conv_mlp,
    "ldp": ldp,
    "ldpv2": ldpv2,
    "idefics3": idefics3,
    "gemma3": gemma3,
    "qwen2vl_merger": qwen2vl,
    "qwen2.5vl_merger": qwen25vl,
}


def find_projector(model) -> ModuleType:
    """The module of a model's projector. Raises ModelError that names one which does not run."""
    name = model.config.projector
    if name not in PROJECTORS:
        m = model.file.metadata
        key = "clip.vision.projector_type" if "clip.vision.projector_type" in m else "clip.projector_type"
        raise m.error(key, f"{name!r} is not supported; supported: {', '.join(PROJECTORS)}")
    return PROJECTORS[name]
