"""Which architectures run here, by `general.architecture`: the modules of this package, and other names for them; and
which files are no models at all.
"""

import pkgutil
from pathlib import Path

from llm_core.gguf import Metadata

# Other names under which the same computation is published.
ALIASES = {"mistral": "llama"}
# Modules of this package that are no architecture.
_TOOLS = {"model", "config", "names", "rope", "blocks", "adapter"}


def architectures() -> list[str]:
    """The architectures that run here."""
    here = str(Path(__file__).parent)
    return sorted({m.name for m in pkgutil.iter_modules([here])} - _TOOLS | set(ALIASES))


def is_adapter(metadata: Metadata) -> bool:
    """Does the file say that it is an adapter, of whatever kind? (A vision tower's may hold one besides.)"""
    return metadata.get("general.type", "adapter" if "adapter.type" in metadata else "model") == "adapter"


def check_model(metadata: Metadata) -> None:
    """Raise GGUFError for a file that goes with a language model and is none: an adapter, a vision tower."""
    if is_adapter(metadata):
        key = "general.type" if "general.type" in metadata else "adapter.type"
        raise metadata.error(key, "this is a LoRA adapter and no model; give it beside its model (--lora, model.lora)")
    if metadata.architecture == "clip":
        raise metadata.error(
            "general.architecture",
            "'clip' is a vision tower and no model; give it beside its model (--mmproj, model.mmproj)",
        )


def module_name(metadata: Metadata) -> str:
    """The module of this package that records the file's architecture. Raises GGUFError for one that does not run."""
    check_model(metadata)
    name = metadata.architecture
    if name not in architectures():
        raise metadata.error(
            "general.architecture", f"{name!r} is not supported; supported: {', '.join(architectures())}"
        )
    return f"llm_core.models.{ALIASES.get(name, name)}"
