"""How long each stage of a run took."""

from collections.abc import Callable, Mapping

__all__ = ["StageClock"]


class StageClock:
    """Stands where progress is told, passes it on, and adds up the seconds of each stage."""

    def __init__(self, tell: Callable[[str, float], None], clock: Callable[[], float]) -> None:
        self._tell, self._clock = tell, clock
        self._stage: str | None = None
        self._since = clock()
        self._seconds: dict[str, float] = {}

    def __call__(self, stage: str, fraction: float) -> None:
        """Progress: the fraction of a stage that is done."""
        if stage != self._stage:
            self._end()
            self._stage = stage
        self._tell(stage, fraction)

    def seconds(self) -> Mapping[str, float]:
        """By stage, in the order in which they began; the present one up to now."""
        self._end()
        return dict(self._seconds)

    def _end(self) -> None:
        now = self._clock()
        if self._stage is not None:
            self._seconds[self._stage] = self._seconds.get(self._stage, 0.0) + now - self._since
        self._since = now
