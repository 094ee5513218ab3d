"""Where the files beside the code are: config/ and launch/, in a checkout, a virtual environment or a colcon install.

Found from the place of this file alone, so it needs neither ROS nor its environment variables.
"""

from pathlib import Path

from llm_core.errors import LLMCoreError


def share_dir() -> Path:
    """The folder that holds config/, launch/ and package.xml: the checkout, or PREFIX/share/llm_ros.

    Raises LLMCoreError if there is none (the package was copied without its prefix).
    """
    package = Path(__file__).resolve().parent
    if (package.parent / "package.xml").is_file():
        return package.parent
    for prefix in package.parents:
        share = prefix / "share" / "llm_ros"
        if (share / "package.xml").is_file():
            return share
    raise LLMCoreError(f"no share/llm_ros beside {package}: install the package with pip or colcon")


def config_file(name: str) -> Path:
    """The path of config/NAME. Raises LLMCoreError naming the files that exist if it does not."""
    folder = share_dir() / "config"
    path = folder / name
    if not path.is_file():
        known = ", ".join(sorted(p.name for p in folder.glob("*.yaml"))) or "none"
        raise LLMCoreError(f"no configuration file {name!r} in {folder} (there are: {known})")
    return path
