"""`llm-core models`: the models known by name and the files found locally, with size, license and path."""

from __future__ import annotations

import argparse
import json

from llm_core.catalog import DEFAULT_MODEL, MODELS
from llm_core.hub import cached, local_files, models_dir

SUMMARY = "list models: name, size, license, and where the file is"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("--json", action="store_true", help="print a list of objects")


def listing() -> list[dict[str, object]]:
    """One row per known model (path None: not here yet), then one per other .gguf file in the search folders."""
    rows: list[dict[str, object]] = []
    known_files = set()
    for entry in MODELS.values():
        path = cached(entry)
        known_files.add(path)
        rows.append(
            {
                "name": entry.name,
                "default": entry.name == DEFAULT_MODEL,
                "cached": path is not None,
                "path": str(path) if path else None,
                "size": entry.size,
                "license": entry.license,
                "description": entry.description,
            }
        )
    for name, path in local_files().items():
        if path not in known_files:
            row = {"name": name, "default": False, "cached": True, "path": str(path), "size": path.stat().st_size}
            rows.append({**row, "license": None, "description": "local file"})
    return rows


def run(args: argparse.Namespace) -> int:
    """Print the listing."""
    rows = listing()
    if args.json:
        print(json.dumps(rows, indent=2))
        return 0
    width = max(len(str(row["name"])) for row in rows)
    for row in rows:
        where = row["path"] or f"not here: llm-core fetch {row['name']}"
        print(f"{row['name']:{width}}  {int(str(row['size'])) / 1e6:6.0f} MB  {row['license'] or '-':18}  {where}")
        print(f"{'':{width}}  {row['description']}")
    print(f"models are kept in {models_dir()}")
    return 0
