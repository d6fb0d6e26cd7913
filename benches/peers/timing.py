"""The measuring loop: the same as the harness's own, so that both sides are timed alike."""

import gc
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter
from typing import Any

Call = Callable[[], Any]

# Samples of a call that takes longer than is to be spent on it.
SLOW_SAMPLES = 2


@dataclass(frozen=True)
class Pace:
    """How long to measure."""

    op_seconds: float = 0.6
    sample_seconds: float = 0.002
    min_samples: int = 5
    max_samples: int = 200


@dataclass
class Timing:
    """What a call took: seconds a call of each sample."""

    repetitions: int
    seconds: list[float] = field(default_factory=list)

    @property
    def minimum(self) -> float:
        return min(self.seconds)

    @property
    def median(self) -> float:
        return median(self.seconds)

    def is_enough(self, pace: Pace) -> bool:
        samples, spent = len(self.seconds), sum(self.seconds) * self.repetitions
        is_slow = self.seconds[0] > pace.op_seconds
        min_samples = SLOW_SAMPLES if is_slow else pace.min_samples
        enough = samples >= min_samples and spent >= pace.op_seconds
        return enough or samples >= pace.max_samples


def repeat(call: Call, repetitions: int) -> float:
    """Seconds of so many calls."""
    start = perf_counter()
    for _ in range(repetitions):
        call()
    return perf_counter() - start


def calibrate(call: Call, sample_seconds: float) -> int:
    """How many calls make a sample."""
    repetitions = 1
    for _ in range(20):
        seconds = max(repeat(call, repetitions), 1e-9)
        wanted = int(repetitions * sample_seconds / seconds) + 1
        if wanted <= repetitions + 1:
            break
        # Towards the goal in steps of ten at most: short calls are timed badly.
        repetitions, previous = min(wanted, 10 * repetitions), repetitions
        if repetitions <= 1.5 * previous:
            break
    return repetitions


def alternate(calls: list[Call], pace: Pace) -> list[Timing]:
    """Rounds of one sample of each call that still wants time: a disturbance hits all alike."""
    gc.collect()
    gc.disable()
    try:
        timings = [Timing(calibrate(call, pace.sample_seconds)) for call in calls]
        running = list(zip(calls, timings, strict=True))
        while running:
            for call, timing in running:
                seconds = repeat(call, timing.repetitions)
                timing.seconds.append(seconds / timing.repetitions)
            running = [pair for pair in running if not pair[1].is_enough(pace)]
    finally:
        gc.enable()
    return timings
