"""`fit`, `evaluate` and `predict` against hand-written loops, Keras, Lightning and skorch.

    python examples/benchmarks/run.py --quick                       does everything run?
    python examples/benchmarks/run.py --workloads mlp lstm --rounds 15
    python examples/benchmarks/run.py --workloads mlp --frameworks lightning skorch
    python examples/benchmarks/run.py --report --peer-rounds 5      measure, then write docs/performance.md
    python examples/benchmarks/run.py --report --rounds 0           write it from the last results

Each (workload, framework) pair is a process of its own. The processes of a workload warm up one
after the other and then take turns, one epoch each, round by round, so that noise of the machine
falls on all alike. A framework that is not installed is left out. What is measured takes the place
of the same cells of the last results; the other cells stay. `--peer-rounds` gives other libraries
fewer turns, spread over the rounds.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from frameworks import FRAMEWORKS, PEERS, Framework
from workloads import WORKLOADS

HERE = Path(__file__).parent
Results = dict[str, Any]


class Worker:
    """A process that runs one round when told to."""

    def __init__(self, python: str, workload: str, name: str, scale: float) -> None:
        self.name, self.errors = name, tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            [python, str(HERE / "worker.py"), workload, name, str(scale)],
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"} | FRAMEWORKS[name].environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )
        self.facts: Results = {}
        self.rounds: list[float] = []

    def tell(self) -> None:
        """Go on: make ready the first time, then run a round."""
        assert self.process.stdin is not None
        if self.running:
            self.process.stdin.write("\n")
            self.process.stdin.flush()

    def listen(self) -> None:
        """Wait for the answer."""
        assert self.process.stdout is not None
        if not self.running:
            return
        if line := self.process.stdout.readline():
            answer = json.loads(line)
        else:
            self.errors.seek(0)
            answer = {"error": "".join(self.errors.readlines()[-12:])}
        self.facts |= answer
        self.rounds += [answer["us"]] if "us" in answer else []

    @property
    def running(self) -> bool:
        return not {"absent", "error"} & self.facts.keys()

    def result(self) -> Results:
        self.process.communicate()
        facts = {k: v for k, v in self.facts.items() if k != "us"}
        return facts | (_statistics(self.rounds) if self.rounds else {})


def _statistics(values: list[float]) -> Results:
    low, middle, high = statistics.quantiles(values * 2, n=4)  # twice: one round is enough
    return {"median": middle, "fastest": min(values), "spread": high - low, "rounds": values}


def measure(
    workload: str, names: list[str], python: str, rounds: dict[str, int], scale: float
) -> Results:
    """One row of the table."""
    workers = [Worker(python, workload, name, scale) for name in names]
    for worker in workers:  # they import at the same time
        worker.listen()
    for who in [names, *turns(names, rounds)]:  # at first they warm up
        for worker in workers:
            if worker.name in who:
                worker.tell()
                worker.listen()
    return {worker.name: worker.result() for worker in workers}


def measure_imports(names: list[str], python: str, rounds: dict[str, int]) -> Results:
    """Milliseconds that an import takes in a new process, from bytecode as pip leaves it."""
    times: dict[str, list[float]] = {n: [] for n in names if FRAMEWORKS[n].imports}
    for who in [names, *turns(names, rounds)]:  # the first fills the disk's cache and compiles
        for name in [n for n in times if n in who]:
            times[name].append(_import_milliseconds(python, FRAMEWORKS[name]))
    return {name: _statistics(values[1:]) for name, values in times.items() if min(values) > 0}


def turns(names: list[str], rounds: dict[str, int]) -> list[list[str]]:
    """Who runs in each round; those that run in fewer than the others do so at even distances."""
    most = max(rounds[name] for name in names)
    return [
        [n for n in names if (i + 1) * rounds[n] // most > i * rounds[n] // most]
        for i in range(most)
    ]


def expected(results: Results, workloads: list[str], rounds: dict[str, int], scale: float) -> float:
    """Seconds that the cells took last time, for so many rounds; nothing for cells that are new."""
    total = 0.0
    for row in workloads:
        for name, cell in results["workloads"].get(row, {}).items():
            if name not in rounds or "rounds" not in cell:
                continue
            last = results["calls"].get(cell.get("call"), {}).get("steps", 1.0)
            epoch = cell["median"] / 1e6 * cell.get("steps", 1e3) * scale / last
            total += rounds[name] * epoch + sum(cell.get("warm_up_s", []))
    return total


def _import_milliseconds(python: str, framework: Framework) -> float:
    environment = os.environ | framework.environment | {"PYTHONDONTWRITEBYTECODE": ""}
    command = [python, "-c", f"import {framework.imports}"]
    start = time.perf_counter()
    done = subprocess.run(command, env=environment, stderr=subprocess.DEVNULL, check=False)
    return -1.0 if done.returncode else (time.perf_counter() - start) * 1e3


def machine(python: str) -> Results:
    """What the figures depend on."""
    packages = ("torch", "keras", "jax", "tensorflow-cpu", "lightning", "skorch")
    code = f"""
import importlib.metadata as m, json, torch
installed = {{d.metadata["Name"].replace("_", "-"): d.version for d in m.distributions()}}
found = {{name: installed[name] for name in {packages} if name in installed}}
print(json.dumps({{"versions": found, "threads": torch.get_num_threads()}}))
"""
    found = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    cpu = next((li.split(":")[1].strip() for li in lines if li.startswith("model name")), "")
    return {
        "cpu": cpu or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "date": datetime.date.today().isoformat(),
        **json.loads(found.stdout),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    rows = [*WORKLOADS, "import"]
    parser.add_argument("--workloads", nargs="+", choices=rows, default=rows, metavar="NAME")
    parser.add_argument(
        "--frameworks", nargs="+", choices=FRAMEWORKS, default=list(FRAMEWORKS), metavar="NAME"
    )
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--peer-rounds", type=int, help="rounds of other libraries, if fewer")
    parser.add_argument("--steps", type=float, default=1.0, help="times the steps of each workload")
    parser.add_argument("--quick", action="store_true", help="2 rounds of a twentieth of the steps")
    parser.add_argument("--python", default=sys.executable, help="interpreter with the frameworks")
    parser.add_argument("--json", type=Path, default=Path("build/benchmarks.json"))
    parser.add_argument("--report", action="store_true", help="write docs/performance.md")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.steps = 2, 0.05

    import report

    results: Results = {"calls": {}, "workloads": {}}
    if options.json.exists():
        results |= json.loads(options.json.read_text())
    few = min(options.rounds, options.peer_rounds or options.rounds)
    rounds = {name: few if name in PEERS else options.rounds for name in options.frameworks}
    call = datetime.datetime.now().isoformat(" ", "seconds")
    if options.rounds:
        results["calls"][call] = machine(options.python) | {"steps": options.steps}
        minutes = expected(results, options.workloads, rounds, options.steps) / 60
        if minutes:
            print(f"about {minutes:.0f} minutes, going by the last results", flush=True)
    for name in options.workloads if options.rounds else []:
        if name == "import":
            cells = measure_imports(options.frameworks, options.python, rounds)
        else:
            cells = measure(name, options.frameworks, options.python, rounds, options.steps)
        row = results["workloads"].setdefault(name, {})
        new = {n: cell for n, cell in cells.items() if "absent" not in cell or n not in row}
        row |= {n: cell | {"call": call} for n, cell in new.items()}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(results, indent=1))
        print(report.terminal(name, row), flush=True)
    if options.report:
        report.write(results, HERE.parents[1] / "docs")


if __name__ == "__main__":
    main()
