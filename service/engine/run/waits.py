"""What the steps of a run wait for, and what has come for them: replies, times, and the ends of other executions."""

import asyncio
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from db import workflow_runs, workflow_steps
from db.pool import Pool
from db.workflow_runs import ClaimedRun
from db.workflow_steps import StepRow
from service.engine.run.progress import Place
from service.engine.run.turn import read_moment

_LOOK_S = 1.0
"""How often is looked for replies, and for the ends of other executions, while the run is held."""
_LEAST_S = 0.05
"""So long after a look is looked again at the soonest: our clock may go before the database's."""


class Waits:
    """Of one turn of one worker at one run. What has come the database says: it takes replies, and ends times."""

    def __init__(self, pool: Pool, claimed: ClaimedRun) -> None:
        self._pool = pool
        self._claimed = claimed
        self._steps: dict[Place, StepRow] = {}
        self._looking = asyncio.Lock()
        self._looked_at = 0.0
        self.arrivals = 0
        """How often something has come."""

    def put(self, step: StepRow) -> None:
        self._steps[step.node_id, step.iteration] = step

    def drop(self, place: Place) -> None:
        self._steps.pop(place, None)

    def get(self, place: Place) -> StepRow | None:
        return self._steps.get(place)

    @property
    def any_came(self) -> bool:
        return any(_has_come(step) for step in self._steps.values())

    @property
    def for_executions(self) -> bool:
        return any(one["for"] == "execution" for _, _, one in self._open())

    def stands_still(self, place: Place) -> bool:
        """Return whether a step waits that nothing has come for."""
        step = self._steps.get(place)
        return step is not None and not _has_come(step)

    def of(self, place: Place) -> dict[str, Any]:
        """Return what the items of a node wait for, by index, and under "came" what has come."""
        step = self._steps.get(place)
        if step is None:
            return {}
        came = step.resumed or {}
        return {
            key: {**one, "came": came[key]} if key in came else one
            for key, one in (step.waiting or {}).items()
            if key != "more"
        }

    def wakes_at(self) -> datetime | None:
        """Return when the first of the waits is over that nothing has come for."""
        return min(
            (read_moment(one["until"]) for _, _, one in self._open() if one.get("until")), default=None
        )

    def look_in_s(self) -> float:
        """Return after how long a look can find something."""
        wake_at = self.wakes_at()
        left_s = _LOOK_S if wake_at is None else (wake_at - datetime.now(UTC)).total_seconds()
        return min(max(left_s, _LEAST_S), _LOOK_S)

    async def look(self) -> None:
        """See now and then whether something has come."""
        loop = asyncio.get_running_loop()
        async with self._looking:
            wake_at = self.wakes_at()
            due = wake_at is not None and wake_at <= datetime.now(UTC)
            if loop.time() >= self._looked_at + (_LEAST_S if due else _LOOK_S):
                await self.refresh()

    async def refresh(self) -> None:
        """See whether something has come."""
        self._looked_at = asyncio.get_running_loop().time()
        if not self._steps:
            return
        async with self._pool.acquire() as conn:
            steps = await workflow_steps.settle_waits(conn, self._claimed.execution_id, self._claimed.epoch)
        for step in steps:
            self._note((step.node_id, step.iteration), step.resumed or {})
        await self._look_for_executions()

    async def _look_for_executions(self) -> None:
        wanted = {
            one["execution_id"]: (place, key) for place, key, one in self._open() if one["for"] == "execution"
        }
        if not wanted:
            return
        async with self._pool.acquire() as conn:
            found = await workflow_runs.find_children(conn, list(wanted))
        for execution_id, (place, key) in wanted.items():
            child = found.get(execution_id)
            if child is None:
                error = {"message": "It was deleted."}
                came = {"status": "CANCELED", "output": None, "error": error, "execution_id": execution_id}
                self._note(place, {key: came})
            elif child.status != "RUNNING":
                self._note(place, {key: msgspec.to_builtins(child)})

    def _note(self, place: Place, came: Mapping[str, Any]) -> None:
        step = self._steps.get(place)
        before = {} if step is None else step.resumed or {}
        if step is not None and before != {**before, **came}:
            self._steps[place] = msgspec.structs.replace(step, resumed={**before, **came})
            self.arrivals += 1

    def _open(self) -> Iterator[tuple[Place, str, dict[str, Any]]]:
        """Yield what nothing has come for: the step, the index of its item, and what that waits for."""
        for place, step in self._steps.items():
            for key, one in (step.waiting or {}).items():
                if key not in (step.resumed or {}):
                    yield place, key, one


def _has_come(step: StepRow) -> bool:
    return any(key in (step.resumed or {}) for key in step.waiting or {})
