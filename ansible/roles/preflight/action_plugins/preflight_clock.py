"""How far a host's clock is from the control node's, asked over the connection that is open already."""

from __future__ import annotations

import time
from typing import Any

from ansible.plugins.action import ActionBase

SAMPLES = 5


class ActionModule(ActionBase):
    """`offset_s`, positive where the host's clock is ahead, and `error_s`, how wrong that can be."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask some times; the shortest way there and back knows best."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        error_s, offset_s = min(self._sample() for _ in range(SAMPLES))
        return {**result, "changed": False, "offset_s": round(offset_s, 4), "error_s": round(error_s, 4)}

    def _sample(self) -> tuple[float, float]:
        asked = time.time()
        answer = self._low_level_execute_command("date +%s.%N", sudoable=False)
        answered = time.time()
        host = float(answer["stdout"].split()[-1])
        # The host read its clock somewhere between the two: half of the time between them is the most it can be off.
        return (answered - asked) / 2, host - (asked + answered) / 2
