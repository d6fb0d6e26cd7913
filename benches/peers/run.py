"""Measures the peers: `run.py REQUEST --out FOLDER`.

The request is a JSON object:
    engines   names of peers, such as "jax"
    threads   numbers of threads
    rounds    how often each engine runs
    pace      the fields of `timing.Pace` that differ from its defaults
    cases     the fields of `common.Case`, and optionally `engines`, the only ones for this case
    reference optional: the harness's own digests, records without times that come first in the
              comparison of results

Each round runs every engine in a process of its own, one after the other, so that slow minutes of
the machine hit all alike and each round compiles anew. Writes `peers.json`, the best mode of each
operation; and `peers-facts.json`: all modes, versions, peers that are absent and why, modes that
failed, results that disagree. Ends with 1 if results disagree.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import environment
from merge import Record, best_modes, disagreements, key, merge_rounds

HERE = Path(__file__).parent

# A process that takes longer hangs.
PROCESS_SECONDS = 3600


@dataclass
class Session:
    """What a run has found."""

    python: Path
    request: dict[str, Any]
    records: list[Record] = field(default_factory=list)
    failures: list[Record] = field(default_factory=list)

    def run(self, engine: str, threads: int, turn: int) -> None:
        """Runs an engine once over all its cases."""
        cases = [case for case in self.request["cases"] if engine in engines_of(case, engine)]
        if not cases:
            return
        cases = [{k: v for k, v in case.items() if k != "engines"} for case in cases]
        part = {"threads": threads, "turn": turn, "cases": cases}
        part["pace"] = self.request.get("pace", {})
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "request.json"
            path.write_text(json.dumps(part))
            records, reason = run_process(self.python, engine, path)
        if reason:
            self.failures.append({"engine": engine, "threads": threads, "error": reason})
        self.records += [record for record in records if "error" not in record]
        self.failures += [record for record in records if "error" in record]


def engines_of(case: dict[str, Any], default: str) -> list[str]:
    return case.get("engines", [default])


def run_process(python: Path, engine: str, path: Path) -> tuple[list[Record], str | None]:
    """The records of a script, or what went wrong."""
    command = [str(python), str(HERE / f"{engine}_peer.py"), str(path)]
    # The sources' folder stays free of compiled files.
    settings = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "JAX_PLATFORMS": "cpu"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=settings, timeout=PROCESS_SECONDS
        )
    except subprocess.TimeoutExpired:
        return [], f"took more than {PROCESS_SECONDS} seconds"
    if done.returncode != 0:
        reason = environment.last_line(done.stderr)
        return [], f"ended with code {done.returncode}: {reason}"
    return json.loads(done.stdout), None


def measure(request: dict[str, Any], python: Path, engines: list[str]) -> Session:
    session = Session(python, request)
    for turn in range(request["rounds"]):
        for threads in request["threads"]:
            for engine in engines:
                print(f"peers: round {turn + 1}, {engine}, {threads} threads", file=sys.stderr)
                session.run(engine, threads, turn)
    return session


def distinct(failures: list[Record]) -> list[Record]:
    """Each failure once, however many rounds had it."""
    texts = {json.dumps(failure, sort_keys=True): failure for failure in failures}
    return list(texts.values())


def record_of(mode: Record) -> Record:
    """A record without what only this program reads."""
    return {name: value for name, value in mode.items() if not name.startswith("digest_")}


def main() -> int:
    parser = argparse.ArgumentParser(description="Measures the peers.")
    parser.add_argument("request", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--venv", type=Path, default=HERE.parents[1] / "target" / "peers-venv")
    arguments = parser.parse_args()
    request = json.loads(arguments.request.read_text())
    python, absent = environment.ensure(arguments.venv, request["engines"])
    engines = [engine for engine in request["engines"] if engine not in absent]
    for engine, reason in absent.items():
        print(f"peers: {engine} is absent: {reason}", file=sys.stderr)
    session = measure(request, python, engines)
    modes = sorted(merge_rounds(session.records), key=lambda record: str(key(record)))
    pins = environment.sections(environment.REQUIREMENTS.read_text())
    facts = {
        "absent": absent,
        "versions": {engine: environment.versions(pins[engine]) for engine in engines},
        "rounds": request["rounds"],
        "failures": distinct(session.failures),
        "disagreements": disagreements(request.get("reference", []) + modes),
        "modes": modes,
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    best = [record_of(mode) for mode in best_modes(modes)]
    for name, value in (("peers", best), ("peers-facts", facts)):
        (arguments.out / f"{name}.json").write_text(json.dumps(value, indent=1) + "\n")
    for line in facts["disagreements"]:
        print(f"peers: {line}", file=sys.stderr)
    return 1 if facts["disagreements"] else 0


if __name__ == "__main__":
    sys.exit(main())
