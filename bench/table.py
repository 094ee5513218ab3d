"""Markdown tables of what `llm-core bench --json` printed: `python bench/table.py results/*.json`.

One table for each file, in the order given; a line above it says model, machine, peer and how busy the machine was.
A goal that was missed is marked. docs/performance.md has the tables of the models that this project publishes.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from llm_core.bench.report import figure  # noqa: E402

HEAD = ("what", "unit", "ours", "llama.cpp", "ratio", "floor", "share of it", "goal", "met")


def tables(result: dict) -> str:
    """One result as Markdown."""
    machine, settings = result["machine"], result["settings"]
    facts = [f"{result['threads']} threads", f"{machine['cpu']} ({machine['isa']})"]
    if "llama_cpp" in result:
        facts.append(f"llama-cpp-python {result['llama_cpp']['version']} ({result['llama_cpp']['system_info']})")
    facts.append(f"{settings['rounds']} turns, load average at the start {machine['load_average']:.1f}")
    lines = [f"**{Path(result['model']).stem}**, {result['file_mb']:.0f} MB: {'; '.join(facts)}", ""]
    lines += [_line(HEAD), _line(["---"] * len(HEAD)), *(_line(_cells(row)) for row in result["rows"])]
    floors = [f"{row['name']}: {row['floor_is']}" for row in result["rows"] if row["floor_is"]]
    return "\n".join([*lines, "", "Floors: " + "; ".join(floors) + "."] if floors else lines)


def _cells(row: dict) -> list[str]:
    return [
        row["name"],
        row["unit"],
        figure(row["ours"]),
        figure(row["theirs"]),
        "" if row["ratio"] is None else f"**{row['ratio']:.2f}**",
        figure(row["floor"]),
        "" if row["floor_share"] is None else f"{100 * row['floor_share']:.0f} %",
        row["goal"],
        {True: "yes", False: "**no**", None: ""}[row["met"]],
    ]


def _line(cells) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def main() -> None:
    """Print the tables of the files named on the command line."""
    parser = argparse.ArgumentParser(description="Markdown tables of results of `llm-core bench --json`")
    parser.add_argument("files", nargs="+", type=Path, help="results, one JSON object each")
    print("\n\n".join(tables(json.loads(path.read_text())) for path in parser.parse_args().files))


if __name__ == "__main__":
    main()
