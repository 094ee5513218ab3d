"""Which architectures run here, by `general.architecture`: the modules of this package, and other names for them."""

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


def module_name(metadata: Metadata) -> str:
    """The module of this package that records the file's architecture. Raises GGUFError for one that does not run."""
    name = metadata.architecture
    if name not in architectures():
        raise metadata.error(
            "general.architecture", f"{name!r} is not supported; supported: {', '.join(architectures())}"
        )
    return f"llm_core.models.{ALIASES.get(name, name)}"
