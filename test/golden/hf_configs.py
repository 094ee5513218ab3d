"""Records config.json of every case of tiny_models, as `transformers` saves it: test/data/hf_configs.json.

Run from the checkout: `python test/golden/hf_configs.py` (needs torch and transformers 5).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent.parent)]

from tiny_models import CASES  # noqa: E402
from transformers_logits import MODELS, hf_config  # noqa: E402

if __name__ == "__main__":
    configs = {}
    for name, case in CASES.items():
        config = hf_config(case)
        config.architectures = [MODELS[case.arch][1].__name__]
        configs[name] = json.loads(config.to_json_string(use_diff=True))
    path = HERE.parent / "data" / "hf_configs.json"
    path.write_text(json.dumps(configs, separators=(",", ":")) + "\n")
    print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")
