"""The clock of both sides of tolerance.py."""
import time

SHORT = 1e-3  # calls below it are timed several at once


def least(call, r):
    """Seconds of a call, the least in r["seconds"] after one to warm up, which alone counts where there is no time for another."""
    clock = time.process_time if r["processor"] else time.perf_counter
    began = time.perf_counter()
    def timed(count):
        start = clock()
        for _ in range(count): call()
        return (clock() - start) / count
    first = timed(1)
    count, times = max(1, min(100, int(SHORT / max(first, 1e-6)))), []
    while time.perf_counter() - began < r["seconds"]: times.append(timed(count))
    return min(times, default=first)
