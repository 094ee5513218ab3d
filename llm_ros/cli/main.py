"""`llm-ros VERB …`: the same frame as `llm-core` (llm_core/cli/main.py: verbs, errors, exit codes), with this folder's
verbs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import llm_ros.cli
from llm_core.cli import main as frame


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    return frame.main(argv, program="llm-ros", package=llm_ros.cli)


if __name__ == "__main__":
    sys.exit(main())
