"""Contenders in turns: each starts and fits once (cold), then round after round everyone fits again (warm).

One fit runs at a time, all other processes are stopped meanwhile, and the order of a round begins one place later than
the one before: noise of the machine, and whatever a neighbour leaves behind, hits all alike.
"""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from measure.contenders import Answer
from measure.process import Contender, Ended, Process

__all__ = ["Record", "Rules", "race", "repeats_for"]


@dataclass(frozen=True, slots=True)
class Rules:
    """`limit_s` holds for a warm fit; a start (import and first fit, compilation included) has `compile_s` more.
    `repeats` None: 5 fits under 5 s, 3 under 30 s, else 1."""

    limit_s: float
    threads: int
    repeats: int | None = None
    compile_s: float = 180.0


def repeats_for(seconds: float, rules: Rules) -> int:
    """How many measured fits where one takes so long."""
    if rules.repeats is not None:
        return rules.repeats
    return 5 if seconds < 5 else 3 if seconds < 30 else 1


@dataclass(slots=True)
class Record:
    """Measurements of one contender. `ended` says why it stopped early, or is empty. `over_mib` holds, for each warm
    fit, the peak memory beyond the loaded points and the imported library; `answers` the .npz of each."""

    name: str
    ended: str = ""
    import_s: float | None = None
    first_s: float | None = None
    seconds: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    over_mib: list[float] = field(default_factory=list)
    peak_anew: bool = True
    answers: list[Path] = field(default_factory=list)
    quality: dict[str, list[float]] = field(default_factory=dict)
    extra: dict[str, list[float]] = field(default_factory=dict)
    """Other times in seconds, by heading."""

    def answer(self, number: int) -> Answer:
        with np.load(self.answers[number]) as arrays:
            return dict(arrays)

    def to_json(self) -> dict[str, Any]:
        """As JSON, without the answers."""
        return {name: value for name, value in asdict(self).items() if name != "answers"}


class _Lane:
    """One contender, from start to end."""

    def __init__(self, contender: Contender, points: Path, folder: Path, rules: Rules) -> None:
        self.record, self._rules, self._folder, self._loaded_mib = Record(contender.name), rules, folder, 0.0
        (folder / "compiled").mkdir(parents=True)
        self.process = Process(contender, points, rules.threads, folder / "compiled", folder / "log")

    def warm_up(self) -> None:
        rules = self._rules
        try:
            ready = self.process.reply(rules.limit_s + rules.compile_s)
            self.record.import_s, self._loaded_mib = ready["import_s"], ready["loaded_mib"]
            self.process.order(0, self._folder / "first.npz")
            self.record.first_s = self.process.reply(rules.limit_s + rules.compile_s)["seconds"]
        except Ended as end:
            self.record.ended = f"{end} (first fit)" if self.record.import_s is not None else str(end)
        self._say(f"first fit {self.record.first_s or 0:.2f} s")

    def wants(self, number: int) -> bool:
        if self.record.ended:
            return False
        seconds = self.record.seconds
        return not seconds or number < repeats_for(seconds[0], self._rules)

    def fit(self, number: int) -> None:
        answer = self._folder / f"{number}.npz"
        self.process.resume()
        try:
            self.process.order(number + 1, answer)
            reply = self.process.reply(self._rules.limit_s)
        except Ended as end:
            self.record.ended = str(end)
        else:
            self.record.seconds.append(reply["seconds"])
            self.record.cpu_s.append(reply["cpu_s"])
            self.record.over_mib.append(max(0.0, reply["peak_mib"] - self._loaded_mib))
            self.record.peak_anew = reply["peak_anew"]
            self.record.answers.append(answer)
        self._say(f"warm fit {number + 1}: {self.record.seconds[-1] if self.record.seconds else 0:.3f} s")

    def _say(self, news: str) -> None:
        print(f"  {self.record.name}: {self.record.ended or news}", file=sys.stderr, flush=True)


def race(contenders: Sequence[Contender], points: Path, folder: Path, rules: Rules) -> list[Record]:
    """A record of each contender, in the order given. `folder` is where answers and logs go."""
    with ExitStack() as stack:
        lanes: list[_Lane] = []
        for place, contender in enumerate(contenders):
            lane = _Lane(contender, points, folder / str(place), rules)
            stack.enter_context(lane.process)
            lane.warm_up()
            lane.process.pause()
            lanes.append(lane)
        number = 0
        while any(lane.wants(number) for lane in lanes):
            turn = number % len(lanes)
            for lane in lanes[turn:] + lanes[:turn]:
                if lane.wants(number):
                    lane.fit(number)
                    lane.process.pause()
            number += 1
    return [lane.record for lane in lanes]
