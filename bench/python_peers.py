"""python_peers.py [--quick]: the pools of Python for T1 and T6, in turn; one line of JSON a measurement."""
import concurrent.futures
import json
import multiprocessing
import sys
import time

WORKERS = 2
QUICK = "--quick" in sys.argv[1:]


def same(x):
    return x


def pairs(x):
    return [(x + i, 0.5) for i in range(100)]


def report(target, case, name, count, consume):
    begin = time.perf_counter()
    got = consume()
    taken = time.perf_counter() - begin
    if got != count:
        raise RuntimeError(f"{name}: {got} results instead of {count}")
    print(json.dumps({"id": target, "case": case, "unit": "tasks/s", "name": name, "value": count / taken}), flush=True)


def length(results):
    return sum(1 for _ in results)


def main():
    many, few = (400_000, 10_000) if QUICK else (2_000_000, 40_000)
    context = multiprocessing.get_context("fork")
    with context.Pool(WORKERS) as pool, \
            concurrent.futures.ProcessPoolExecutor(WORKERS, mp_context=context) as executor:
        length(executor.map(same, range(WORKERS * 2)))  # starts its workers
        case = "chosen chunks"
        report("T1", case, "multiprocessing.Pool.map", many, lambda: length(pool.map(same, range(many))))
        for chunk in (1, 64, 512):
            count = few if chunk == 1 else many
            report("T1", case, f"ProcessPoolExecutor, chunksize {chunk}", count,
                   lambda: length(executor.map(same, range(count), chunksize=chunk)))
            report("T6", "100 pairs", f"ProcessPoolExecutor, chunksize {chunk}", few,
                   lambda: length(executor.map(pairs, range(few), chunksize=chunk)))
        try:
            import joblib
        except ImportError:
            print("joblib is not installed: it is left out", file=sys.stderr)
            return
        with joblib.Parallel(n_jobs=WORKERS) as parallel:
            parallel(joblib.delayed(same)(x) for x in range(WORKERS))
            report("T1", case, "joblib", few, lambda: length(parallel(joblib.delayed(same)(x) for x in range(few))))


if __name__ == "__main__":
    main()
