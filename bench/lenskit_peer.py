"""lenskit_peer.py [--quick]: LensKit's own invoker for T1 and T3; one line of JSON a measurement.

The recommender of T3 is the one of support/recommender.hpp, as one would write it with NumPy.
"""
import json
import logging
import sys
import time

import numpy as np
from lenskit.util.parallel import invoker

WORKERS = 2
QUICK = "--quick" in sys.argv[1:]


def same(_model, x):
    return x


def recommend(model, user):
    users, items = model
    scores = items @ users[user]
    best = np.argpartition(-scores, 100)[:100]
    return best[np.argsort(-scores[best])]


def report(target, case, unit, count, pool, inputs):
    begin = time.perf_counter()
    got = sum(1 for _ in pool.map(inputs))
    taken = time.perf_counter() - begin
    if got != count:
        raise RuntimeError(f"{got} results instead of {count}")
    print(json.dumps({"id": target, "case": case, "unit": unit, "name": "LensKit 0.14.4", "value": count / taken}),
          flush=True)


def main():
    logging.disable(logging.WARNING)
    few = 10_000 if QUICK else 40_000
    with invoker(None, same, WORKERS) as pool:
        list(pool.map(range(100)))
        report("T1", "chosen chunks", "tasks/s", few, pool, range(few))
    random = np.random.default_rng(1)
    n_users = 1_000 if QUICK else 5_000
    users = random.uniform(-1, 1, (n_users, 64)).astype(np.float32)
    items = random.uniform(-1, 1, (60_000, 64)).astype(np.float32)
    with invoker((users, items), recommend, WORKERS) as pool:
        list(pool.map(range(10)))
        report("T3", "users", "users/s", n_users, pool, range(n_users))


if __name__ == "__main__":
    main()
