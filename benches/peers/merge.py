"""From the records of all rounds to one record an operation, and the check that results agree."""

import math
from statistics import median
from typing import Any

Record = dict[str, Any]

ID = ("suite", "case", "engine", "op", "dtype", "threads")

# Relative differences that rounding explains; products of some thousand terms in another order.
TOLERANCE = {"f64": 1e-9, "f32": 2e-3}


def key(record: Record, *more: str) -> tuple[Any, ...]:
    return tuple(record[name] for name in (*ID, *more))


def merge_rounds(records: list[Record]) -> list[Record]:
    """One record of each mode: the least of the minima, the median of the medians."""
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        groups.setdefault(key(record, "mode"), []).append(record)
    return [merge_group(group) for group in groups.values()]


def merge_group(group: list[Record]) -> Record:
    merged = dict(group[0])
    merged["seconds_min"] = min(record["seconds_min"] for record in group)
    for name in ("seconds_median", "seconds_first"):
        merged[name] = median(record[name] for record in group)
    peaks = [record["peak_bytes"] for record in group if "peak_bytes" in record]
    return merged | ({"peak_bytes": max(peaks)} if peaks else {})


def best_modes(modes: list[Record]) -> list[Record]:
    """Of each operation the mode with the least minimum, in the order of the modes."""
    best: dict[tuple[Any, ...], Record] = {}
    for record in modes:
        known = best.get(key(record))
        if known is None or record["seconds_min"] < known["seconds_min"]:
            best[key(record)] = record
    return list(best.values())


def disagreements(modes: list[Record]) -> list[str]:
    """Digests that differ between the modes and engines of one case, operation and type."""
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for record in modes:
        what = (record["case"], record["op"], record["dtype"])
        groups.setdefault(what, []).append(record)
    found = []
    for (case, op, dtype), group in groups.items():
        for name in sorted({field for record in group for field in record}):
            if name.startswith("digest_"):
                with_it = [record for record in group if name in record]
                found += differing(f"{case} {op} {dtype}", name, with_it, TOLERANCE[dtype])
    return found


def differing(what: str, name: str, group: list[Record], tolerance: float) -> list[str]:
    reference = group[0]
    # A sum of products may cancel: its rounding is relative to the norm.
    scale = max(abs(reference[name]), abs(reference.get("digest_norm", 0.0)))
    return [
        f"{what}: {name} is {record[name]} by {described(record)},"
        f" {reference[name]} by {described(reference)}"
        for record in group
        if not math.isclose(record[name], reference[name], rel_tol=0.0, abs_tol=tolerance * scale)
    ]


def described(record: Record) -> str:
    return f"{record['engine']} ({record['mode']}, {record['threads']} threads)"
