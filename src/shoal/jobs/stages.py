"""Durations of the stages of a run."""

from collections.abc import Callable, Mapping

__all__ = ["StageClock"]


class StageClock:
    """A progress callback that passes progress on to `report` and adds up the seconds of each stage."""

    def __init__(self, report: Callable[[str, float], None], clock: Callable[[], float]) -> None:
        self._report, self._clock = report, clock
        self._stage: str | None = None
        self._since = clock()
        self._seconds: dict[str, float] = {}

    def __call__(self, stage: str, fraction: float) -> None:
        """Report the fraction of a stage that is done."""
        if stage != self._stage:
            self._end()
            self._stage = stage
        self._report(stage, fraction)

    def seconds(self) -> Mapping[str, float]:
        """Return the seconds by stage, in order of start; of the current stage up to now."""
        self._end()
        return dict(self._seconds)

    def _end(self) -> None:
        now = self._clock()
        if self._stage is not None:
            self._seconds[self._stage] = self._seconds.get(self._stage, 0.0) + now - self._since
        self._since = now
