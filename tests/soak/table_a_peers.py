#!/usr/bin/env python3
"""Runs table A of the failure tests, the faults on which known pools were compared, against the pools of Python that are
installed, beside the figures of this library's trial:

    tests/soak/table_a_peers.py build/release/tests/soak

Each cell runs in a session of its own with two workers and twenty items; no return in 12 s is a HANG. "passed" means:
back in time, only the faulty item fails, and no process is left behind.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

HANG = 12.0
ITEMS = 20
FAULTY = 7


class Unloadable(Exception):
    """Its pickle cannot be loaded again."""

    def __init__(self, one, two):
        super().__init__(one)


def fault(row, item):
    if item == FAULTY:
        if row in (1,):
            os._exit(0)
        if row == 2:
            os._exit(3)
        if row == 3:
            os.kill(os.getpid(), signal.SIGSEGV)
        if row in (4, 16, 17):
            os.kill(os.getpid(), signal.SIGKILL)
        if row == 5:
            os.kill(os.getpid(), signal.SIGSTOP)
        if row == 6:
            raise Unloadable(1, 2)
        if row == 7:
            return lambda: None
        if row == 18:
            if os.fork() == 0:
                time.sleep(300)
            os.kill(os.getpid(), signal.SIGKILL)
    return item


def task(argument):
    row, item = argument
    if row == 9:
        return item
    if row == 10:
        if FAULTY == item[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return item[0]
    if row == 11:
        time.sleep(0.005)
        with open(os.environ["EXECUTED"], "a") as executed:
            executed.write("x")
        return item
    if row in (13, 14, 15):
        time.sleep(300 if row != 14 else 0)
        return item
    return fault(row, item)


def ppe_results(inputs):
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(2, mp_context=get_context("fork")) as pool:
        yield from pool.map(task, inputs)


def mp_results(inputs):
    from multiprocessing import get_context

    with get_context("fork").Pool(2) as pool:
        yield from pool.imap(task, inputs)


def joblib_results(inputs):
    from joblib import Parallel, delayed

    yield from Parallel(n_jobs=2, return_as="generator")(delayed(task)(each) for each in inputs)


POOLS = {"ProcessPoolExecutor": ppe_results, "multiprocessing.Pool": mp_results, "joblib (loky)": joblib_results}


def run_cell(pool, row):
    """In a process of its own: prints what was delivered, and ends."""
    if row == 16:
        threading.Thread(target=steal_children, daemon=True).start()
    if row == 17:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    pulled = 0

    def inputs():
        nonlocal pulled
        many = {9: ITEMS, 11: 400, 12: 20_000}.get(row, ITEMS)
        for item in range(many):
            pulled += 1
            if row == 8 and item == FAULTY:
                raise ValueError("the input is broken")
            payload = {9: bytes(8 << 20), 10: (item, bytes(60 << 20) if item == FAULTY else b"")}.get(row, item)
            yield row, payload

    if row in (13, 14):
        threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGKILL)).start()
    if row == 15:
        threading.Timer(1.0, os.killpg, (0, signal.SIGINT)).start()
    delivered, error = 0, None
    results = POOLS[pool](inputs())
    while True:
        try:
            next(results)
            delivered += 1
        except StopIteration:
            break
        except BaseException as raised:  # of whatever kind: the row is judged by what came before
            error = type(raised).__name__
            if not isinstance(raised, Unloadable) or delivered >= ITEMS - 1:
                break
        if (row == 11 and delivered == 2) or (row == 12 and delivered == 1):
            break
    print(json.dumps({"delivered": delivered, "error": error, "pulled": pulled}), flush=True)
    if row == 14:
        time.sleep(300)
    del results


def steal_children():
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            time.sleep(0.001)


def survivors(session):
    found = 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as stat:
                fields = stat.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found += 1
            if int(name) != session:
                os.kill(int(name), signal.SIGKILL)
    return found


def judge(pool, row, directory):
    executed = os.path.join(directory, f"{row}-{pool[:3]}")
    child = subprocess.Popen(
        [sys.executable, __file__, "--cell", pool, str(row)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, start_new_session=True, text=True,
        env={**os.environ, "EXECUTED": executed},
    )
    begun = time.monotonic()
    while child.poll() is None and time.monotonic() - begun < HANG:
        time.sleep(0.02)
    hung = child.poll() is None
    if hung:
        child.kill()
        child.wait()
    time.sleep(1.0)
    left = survivors(child.pid)
    text = child.stdout.read() if not left or hung else ""
    said = json.loads(text) if text.strip().startswith("{") else {"delivered": 0, "error": None, "pulled": 0}
    if row in (13, 14, 15):
        return "HANG" if hung else "passed" if left == 0 else f"{left} processes left"
    if hung:
        return "HANG"
    if left:
        return f"{left} processes left"
    if row == 11:
        count = os.path.getsize(executed)
        return f"passed ({count})" if count <= 40 else f"{count} executed"
    if row == 12:
        return f"passed ({said['pulled']})" if said["pulled"] <= 1000 else f"{said['pulled']} pulled"
    wanted = {8: FAULTY, 9: ITEMS}.get(row, ITEMS - 1)
    return "passed" if said["delivered"] >= wanted else f"{said['delivered']} of {ITEMS}, {said['error']}"


def main(soak):
    import tempfile

    ours = {}
    for line in subprocess.run([soak, "table-a"], stdout=subprocess.PIPE, text=True, check=False).stdout.splitlines():
        found = re.match(r"row +(\d+) (.*): (passed|FAILED)( \(\d+\))?", line)
        if found:
            ours[int(found[1])] = (found[2], found[3] + (found[4] or ""))
    pools = [name for name in POOLS if name != "joblib (loky)" or joblib_is_there()]
    print("| # | fault | lenskit-parallel | " + " | ".join(pools) + " |")
    print("|---|---|---|" + "---|" * len(pools))
    with tempfile.TemporaryDirectory() as directory:
        for row in sorted(ours):
            peers = ["-" if row in (19, 20) else judge(pool, row, directory) for pool in pools]
            print(f"| {row} | {ours[row][0]} | {ours[row][1]} | " + " | ".join(peers) + " |", flush=True)


def joblib_is_there():
    try:
        import joblib  # noqa: F401
    except ImportError:
        return False
    return True


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "--cell":
        run_cell(sys.argv[2], int(sys.argv[3]))
    elif len(sys.argv) == 2:
        main(sys.argv[1])
    else:
        sys.exit(__doc__)
