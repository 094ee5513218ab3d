"""Speed of a model on this machine beside its floor and beside llama.cpp: `llm-core bench` (docs/performance.md)."""

from llm_core.bench.bench import Bench, Options, machine_load
from llm_core.bench.report import case_names, check_cases, measure_cases, table
from llm_core.bench.row import Goal, Row

__all__ = ["Bench", "Goal", "Options", "Row", "case_names", "check_cases", "machine_load", "measure_cases", "table"]
