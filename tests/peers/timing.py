"""How all peers are timed."""
import statistics, time


def measure(work, seconds):
    """Best and median milliseconds of repeated calls after two that do not count."""
    times = []
    for _ in range(2):
        work()
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        begin = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - begin))
    return dict(best_ms=min(times), median_ms=statistics.median(times), repeats=len(times))
