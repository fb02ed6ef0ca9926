"""The process of one contender: `python -m measure.child JSON`, then one order a line on its standard input.

JSON: {"contender", "arguments", "threads", "points"}. It reads the points, then imports the library, says that it is
ready, and fits once for each order {"seed", "answer"}: `answer` is the .npz to write. Replies are lines of JSON.

Memory is what this process holds: `loaded_mib` once the points are read and the library is imported, `peak_mib` the
most during a fit. Where the kernel cannot start the peak anew for each fit, it is the peak since the process began.
"""

import gc
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import IO, Any

import numpy as np

from measure.contenders import CONTENDERS, Fit, Points, Unavailable

STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")


def resident_mib(field: str) -> float | None:
    """VmRSS (now) or VmHWM (peak); None without /proc."""
    if not STATUS.exists():
        return None
    lines = STATUS.read_text().splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:")), None)


def peak_mib() -> float:
    """Peak memory of this process, since the last `reset_peak`."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resident_mib("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def reset_peak() -> bool:
    """Restart the measurement of the peak; False if the kernel refuses."""
    try:
        CLEAR.write_text("5")
    except OSError:
        return False
    return True


def run_fit(fit: Fit, points: Points, order: dict[str, Any]) -> dict[str, Any]:
    gc.collect()
    reset_worked = reset_peak()
    before, cpu = time.monotonic(), time.process_time()
    answer = fit(points, order["seed"])
    at = time.monotonic()
    report = {"seconds": at - before, "cpu_s": time.process_time() - cpu, "at": at}
    report |= {"peak_mib": peak_mib(), "peak_anew": reset_worked}
    arrays: dict[str, Any] = {name: np.asarray(values) for name, values in answer.items()}
    np.savez(order["answer"], **arrays)
    return report


def serve(task: dict[str, Any], replies: IO[str]) -> None:
    def reply(message: dict[str, Any]) -> None:
        replies.write(json.dumps(message) + "\n")
        replies.flush()

    points: Points = np.load(task["points"])
    began = time.monotonic()
    try:
        fit = CONTENDERS[task["contender"]](task["threads"], **task["arguments"])
    except (ImportError, Unavailable) as error:
        reply({"absent": str(error)})
        return
    reply({"import_s": time.monotonic() - began, "loaded_mib": resident_mib("VmRSS") or peak_mib()})
    for line in sys.stdin:
        reply(run_fit(fit, points, json.loads(line)))


def main() -> None:
    # Libraries print: what they say goes to standard error, the replies stay alone.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(json.loads(sys.argv[1]), replies)


if __name__ == "__main__":
    main()
