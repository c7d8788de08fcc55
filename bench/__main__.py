"""python -m bench SCENARIO|all [--on embedded|production] [--scale 1.0]: measure, print, store in bench/results/."""

from __future__ import annotations

import argparse
import asyncio
import json

from bench.machine import write_result
from bench.scenarios import KINDS, SCENARIOS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("scenario", choices=[*SCENARIOS, "all"])
    parser.add_argument("--on", choices=KINDS, default="production")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full length; below 1 nothing is stored")
    options = parser.parse_args()
    for name in SCENARIOS if options.scenario == "all" else [options.scenario]:
        figures = asyncio.run(SCENARIOS[name](options.on, options.scale))
        print(json.dumps({name: figures}, indent=1, ensure_ascii=False), flush=True)
        if options.scale >= 1:
            print("stored in", write_result(f"{name}-{options.on}", figures), flush=True)


if __name__ == "__main__":
    main()
