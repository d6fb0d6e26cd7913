"""The virtual environment of the peers, made from the pinned file.

`environment.py FOLDER ENGINE…` prints a JSON object: the interpreter, the engines that are absent
with the reasons, and the versions of the others' packages.
"""

import hashlib
import json
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "requirements.txt"
HEADING = "# peer:"

# Which module shows that an engine is there.
MODULES = {"jax": "jax, optax", "torch": "torch", "casadi": "casadi", "scipy": "scipy.sparse"}


def sections(text: str) -> dict[str, list[str]]:
    """The requirements of each engine."""
    found: dict[str, list[str]] = {}
    engines: list[str] = []
    for line in text.splitlines():
        if line.startswith(HEADING):
            engines = line.removeprefix(HEADING).split()
        elif line.strip() and not line.startswith("#"):
            for engine in engines:
                found.setdefault(engine, []).append(line.strip())
    return found


def ensure(folder: Path, engines: list[str]) -> tuple[Path, dict[str, str]]:
    """Makes or completes the environment.

    Returns its interpreter, and of each engine that cannot be had the reason.
    """
    bin_ = folder / ("Scripts" if sys.platform == "win32" else "bin")
    python = bin_ / ("python.exe" if sys.platform == "win32" else "python")
    if not python.exists():
        venv.create(folder, with_pip=True)
    requirements = sections(REQUIREMENTS.read_text())
    absent = {}
    for engine in engines:
        if engine not in requirements:
            absent[engine] = "no such peer"
        elif reason := install(python, folder, engine, requirements[engine]):
            absent[engine] = reason
    return python, absent


def install(python: Path, folder: Path, engine: str, lines: list[str]) -> str | None:
    """Installs an engine that is not installed yet; returns what is wrong with it."""
    # Changed pins are another engine.
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    stamp = folder / f"{engine}.installed"
    if not (stamp.exists() and stamp.read_text() == digest):
        print(f"peers: installing {engine}", file=sys.stderr, flush=True)
        command = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", *lines]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return f"cannot be installed: {last_line(done.stderr)}"
    check = [str(python), "-c", f"import {MODULES[engine]}"]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return f"cannot be imported: {last_line(done.stderr)}"
    stamp.write_text(digest)
    return None


def last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:300] if lines else "no message"


def versions(lines: list[str]) -> dict[str, str]:
    """Name and version of each pinned requirement."""
    pins = (line.split(";")[0].strip().split("==") for line in lines)
    return {name: version for name, version in pins}


def main() -> None:
    """Makes the environment for the engines of the command line and says what came of it."""
    folder, engines = Path(sys.argv[1]).resolve(), sys.argv[2:]
    python, absent = ensure(folder, engines)
    pins = sections(REQUIREMENTS.read_text())
    found = {engine: versions(pins[engine]) for engine in engines if engine not in absent}
    json.dump({"python": str(python), "absent": absent, "versions": found}, sys.stdout)


if __name__ == "__main__":
    main()
