#!/usr/bin/env python3
"""profile.py PROGRAM [ARGUMENT...]: where the time of all processors goes while a benchmark runs, in per cent.

Needs perf, and the right to look at the kernel. `--benchmark_filter=lenskit` leaves the peers out. In a virtual machine
without a counter of cycles perf samples by the clock: what always runs in step with a timer is not seen.
"""
import collections
import re
import subprocess
import sys
import tempfile

# The first that matches counts.
KINDS = [
    ("idle", r"safe_halt|cpuidle|intel_idle|mwait|do_idle"),
    ("tasks and their journal", r"run_tasks|run_chunk"),
    ("checksums", r"add_in_hardware|add_by_table|crc32c"),
    ("copies by the kernel", r"_copy_(from|to)_iter|copy_user|copy_mc|rep_movs"),
    ("copies by the program", r"mem(move|cpy|set)"),
    ("pages: faults, zeroing, giving back",
     r"clear_page|page_fault|fault|folio|unmap|zap_|mmu_gather|free_pages|frozen_pages|charge|lruvec|pte|vma|mas_|mm_"),
    ("malloc", r"malloc|_int_free|^cfree|operator (new|delete)|unlink_chunk"),
    ("forks and ends of processes", r"copy_process|dup_m|copy_page_range|fork|exit_|do_exit|wait_task"),
    ("the dynamic linker", r"^_?dl_|do_lookup_x|check_match|strcmp"),
    ("scheduling and wake-ups",
     r"sched|schedule|wake|enqueue|dequeue|finish_task|switch|irqrestore|unlock_irq|hrtimer|timer|tick|softirq|smp_call|"
     r"futex|poll|rcu"),
]


def kind_of(command, symbol, in_kernel):
    if command == "swapper":
        return "idle"
    for kind, pattern in KINDS:
        if re.search(pattern, symbol):
            return kind
    return "sockets and other system calls" if in_kernel else "the rest of the program"


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    with tempfile.NamedTemporaryFile(suffix=".data") as data:
        subprocess.run(["perf", "record", "-q", "-a", "-F", "8000", "-o", data.name, *sys.argv[1:]], check=True,
                       stdout=subprocess.DEVNULL)
        report = subprocess.run(
            ["perf", "report", "-i", data.name, "--no-children", "-s", "comm,symbol", "-g", "none", "-F",
             "overhead,comm,symbol", "-t", "\t"], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True).stdout
    shares = collections.defaultdict(collections.Counter)
    for line in report.splitlines():
        match = re.match(r"\s*([\d.]+)%\s*\t(.+?)\s*\t\[(.)\]\s*(.+)", line)
        if match:
            share, command, level, symbol = match.groups()
            who = "workers" if command in ("lenskit-worker", "lenskit-spawner") else "parent and others"
            kind = kind_of(command, symbol, level == "k")
            shares[kind]["" if kind == "idle" else who] += float(share)
    print(f"{'per cent of all processors':40} {'parent':>8} {'workers':>8}")
    for kind, by in sorted(shares.items(), key=lambda each: -sum(each[1].values())):
        parent, workers = by["parent and others"] + by[""], by["workers"]
        if parent + workers >= 0.5:
            print(f"{kind:40} {parent:8.1f} {workers if kind != 'idle' else 0:8.1f}")


if __name__ == "__main__":
    main()
