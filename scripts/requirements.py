"""Print what building, running and testing this package need, one requirement per line, sorted.

Read from pyproject.toml (build) and setup.cfg (run, test, lint), so that nothing is listed twice. Needs no package.
"""

import ast
import configparser
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def build_requirements() -> list[str]:
    """`requires` of pyproject.toml: a TOML array of strings is a Python list as well (3.10 has no TOML reader)."""
    array = re.search(r"^requires = (\[.*?^\])", (ROOT / "pyproject.toml").read_text(), re.DOTALL | re.MULTILINE)
    return ast.literal_eval(array[1])


def run_requirements(extras: tuple[str, ...] = ("test", "lint")) -> list[str]:
    """`install_requires` of setup.cfg and the named extras."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    lists = [config["options"]["install_requires"], *(config["options.extras_require"][extra] for extra in extras)]
    return [line for text in lists for line in text.splitlines() if line]


if __name__ == "__main__":
    print("\n".join(sorted({*build_requirements(), *run_requirements()})))
