"""The targets T1 to T13: what is compared with what, and the ratio to reach.

A figure is (case, name), or (case, [names]) for the best of several. The ratio is first / second; where less is better
it must be at most the target.
"""
import dataclasses

LEAST, MOST = "≥", "≤"
PIPES = [f"bare pipes of {chunk}" for chunk in (512, 4096, 16384, 32768)]


@dataclasses.dataclass
class Target:
    id: str
    what: str
    first: tuple
    second: tuple
    sense: str
    ratio: float


def faster(id, what, case, peer, ratio, own="lenskit"):
    """Where more is better."""
    return Target(id, what, (case, own), (case, peer), LEAST, ratio)


def quicker(id, what, case, peer, ratio):
    """Where the figure is a time, and so the speed is the peer's time over ours."""
    return Target(id, what, (case, peer), (case, "lenskit"), LEAST, ratio)


def at_most(id, what, case, peer, ratio, own="lenskit"):
    """Where less is better."""
    return Target(id, what, (case, own), (case, peer), MOST, ratio)


EMPTY = "chosen chunks"
RATIOS = [
    faster("T1", "empty task, of the best bare pipe loop", EMPTY, PIPES, 0.5),
    *[faster("T1", f"empty task in chunks of {chunk}, of a bare pipe loop with the same", f"chunks of {chunk}",
             "bare pipes", 0.5) for chunk in (64, 512, 4096, 32768)],
    faster("T1", "empty task, of Boost.MPI at 512 a message", EMPTY, "Boost.MPI, 512 a message", 1),
    faster("T1", "empty task, of multiprocessing.Pool.map", EMPTY, "multiprocessing.Pool.map", 10),
    faster("T1", "empty task, of LensKit's invoker", EMPTY, "LensKit 0.14.4", 1000),
    *[quicker("T2", f"{case}, of OpenMP dynamic(1)", case, "OpenMP dynamic(1)", ratio) for case, ratio in (
        ("tasks of 1 µs", 0.93), ("tasks of 10 µs", 0.97), ("tasks of 100 µs", 0.98), ("tasks of 1 ms", 0.99))],
    *[quicker("T2", f"{case}, of an ordered oneTBB pipeline", case, "tbb pipeline", 1)
      for case in ("tasks of 1 µs", "tasks of 10 µs")],
    quicker("T2", "20 tasks of 1 ms, speed-up", "20 tasks of 1 ms", "plain loop", 1.94),
    quicker("T2", "uneven tasks, speed-up", "uneven tasks", "plain loop", 1.93),
    faster("T3", "recommender, of two independent processes", "users", "independent processes", 1),
    faster("T3", "recommender, of OpenMP dynamic(1)", "users", "OpenMP dynamic(1)", 0.97),
    faster("T3", "recommender, of LensKit's invoker", "users", "LensKit 0.14.4", 4.5),
    at_most("T4", "first result, small model, of bare forks and a round trip", "small model", "bare forks", 1.5),
    at_most("T4", "first result, 1 GB `inherit`, of bare forks", "1 GB inherited", "bare forks", 1.5),
    at_most("T4", "first result, 1 GB `shm`, of the fastest copy", "1 GB in shared memory",
            [f"{how} by {n} threads" for how in ("pwrite", "memcpy") for n in (1, 2)], 1.15),
    at_most("T4", "second invoker on a stored 1 GB, of one on a small model", "1 GB stored before",
            "lenskit, small model", 1.1),
    *[faster("T6", f"results: {case}, of Boost.MPI", case, [f"Boost.MPI, {n} a message" for n in (64, 512)], 1.5)
      for case in ("100 pairs", "string", "map", "nested aggregates")],
    faster("T6", "results: 100 pairs, of ProcessPoolExecutor", "100 pairs",
           [f"ProcessPoolExecutor, chunksize {n}" for n in (1, 64, 512)], 30),
    at_most("T6", "codec of 100 pairs, of memcpy by hand", "100 pairs to bytes and back", "memcpy by hand", 2,
            own="codec"),
    *[at_most("T7", f"latency of a task {case}, of bare pipes", case, "bare pipes", 1.5)
      for case in ("on two cores", "on one core", "wherever the kernel puts them")],
    *[faster("T8", f"results of {size}, of the best way of the kernel", f"{size}",
             ["pipe, slices of 4 KB", "pipe, slices of 64 KB", "socketpair", "process_vm_readv"], 0.8)
      for size in ("1 MB", "16 MB", "64 MB")],
    *[faster("T9", f"64 workers, {case}, of 2 workers", case, "2 workers", ratio, own="64 workers")
      for case, ratio in (("tasks of 10 µs", 0.72), ("tasks of 100 µs", 0.96))],
    faster("T10", "log records of a worker, of spdlog's async logger", "records of one worker", "spdlog async", 0.5),
]

MEGABYTE = 1e6
ENGINES = ("processes", "threads")
MIXED = ("10 tasks, two long", "200 tasks, some long", "Pareto lengths, 2 workers", "Pareto lengths, 4 workers",
         "Pareto lengths, 2 workers, busy")
WAYS = [f"{chunks}, {call}" for chunks in ("", ", chunks of 1") for call in ("map", "as_completed")]


def of_greedy(m, case, engine):
    """The slowest way to call, but for 5 ms that a pool may take whatever it runs."""
    slowest = max(m("T12", case, f"{engine}{way}") for way in WAYS)
    return (slowest - 5e-3) / m("T12", case, "greedy queue")


# Figures that are no ratio of two measurements: what, how it follows from medians, sense, limit, unit.
FIGURES = [
    ("T4", "first result, small model", lambda m: m("T4", "small model", "lenskit") * 1e3, MOST, 1.0, "ms"),
    *[("T5", f"8 workers, {kind}, of original and one copy",
       lambda m, kind=kind: m("T5", "1 GB, original kept", kind) / (2 * m("T5", "1 GB, limits", "model")), MOST, 1.01, "")
      for kind in ("shared_array", "vector")],
    *[("T5", f"8 workers, {kind} moved in, of the model",
       lambda m, kind=kind: m("T5", "1 GB, moved in", kind) / m("T5", "1 GB, limits", "model"), MOST, 1.02, "")
      for kind in ("shared_array", "vector")],
    ("T5", "memory of a further worker",
     lambda m: (m("T5", "small model", "64 workers") - m("T5", "small model", "8 workers")) / 56 / 1e3, MOST, 150, "KB"),
    *[("T12", f"{case}, {engine}, time less 5 ms, of a greedy queue",
       lambda m, case=case, engine=engine: of_greedy(m, case, engine), MOST, 1.03, "")
      for case in MIXED for engine in ENGINES],
    *[("T13", f"{case}, {engine}", lambda m, case=case, engine=engine: m("T13", case, engine) * 1e3, MOST, limit, "ms")
      for case, limit in (("chunks of 8, late", 5), ("chunks of 8, behind a long one, late", 5),
                          ("chosen chunks, late", 5), ("a dropped range, next map late", 20)) for engine in ENGINES],
    *[("T13", f"{case}, {engine}", lambda m, case=case, engine=engine: m("T13", case, engine), MOST, limit, what)
      for case, limit, what in (("chunks of 8, before it", 0, "results"),
                                ("chunks of 8, behind a long one, before it", 0, "results"),
                                ("chosen chunks, before it", 0, "results"),
                                ("a dropped range, started after it", 2, "tasks")) for engine in ENGINES],
]

# T11: a growth exponent of 1 is linear; a little more is noise.
AXES = ["tasks", "task length, s", "payload, bytes", "model, bytes", "workers"]
LINEAR = 1.1
