"""report.py RESULTS OUT [COMMAND]: gathers the lines of JSON in the directory RESULTS, prints T1 to T13 with the target
beside each, and writes OUT/results.md and, where matplotlib is installed, the plots of T11.
"""
import collections
import json
import math
import os
import pathlib
import platform
import statistics
import subprocess
import sys

import targets


class Missing(Exception):
    """A peer was not measured."""


class Measurements:
    def __init__(self, directory):
        self.values = collections.defaultdict(list)
        self.curves = collections.defaultdict(lambda: collections.defaultdict(list))
        self.units = {}
        for path in sorted(pathlib.Path(directory).glob("*.jsonl")):
            for line in path.read_text(encoding="utf-8").splitlines():
                one = json.loads(line)
                self.units[one["id"], one["case"]] = one["unit"]
                if "x" in one:
                    self.curves[one["case"]][one["x"]].append(one["value"])
                else:
                    self.values[one["id"], one["case"], one["name"]].append(one["value"])

    def median(self, id, case, name):
        if (id, case, name) not in self.values:
            raise Missing(f"{name} was not measured")
        return statistics.median(self.values[id, case, name])

    def best(self, id, figure, less_is_better):
        case, names = figure
        if isinstance(names, str):
            return self.median(id, case, names)
        known = [self.median(id, case, name) for name in names if (id, case, name) in self.values]
        if not known:
            raise Missing(f"{names[0]} was not measured")
        return min(known) if less_is_better else max(known)

    def curve(self, case):
        return sorted((x, statistics.median(values)) for x, values in self.curves[case].items())


def growth(curve):
    """The exponent with which a curve grows over its last two orders of magnitude (or what there is of them)."""
    positive = [(math.log(x), math.log(y)) for x, y in curve if x > 0 and y > 0]
    last = [point for point in positive if point[0] >= positive[-1][0] - 2.01 * math.log(10)]
    if len(last) < 2:
        raise Missing("too few points")
    return statistics.linear_regression([x for x, _ in last], [y for _, y in last]).slope


def rows(measured):
    """Of each target: id, what, measured, target, whether it is met (None: not measured)."""
    for each in targets.RATIOS:
        try:
            less = each.sense == targets.MOST
            ratio = measured.best(each.id, each.first, less) / measured.best(each.id, each.second, less)
            yield row(each.id, each.what, ratio, each.sense, each.ratio, "")
        except Missing as missing:
            yield each.id, each.what, str(missing), f"{each.sense} {each.ratio:g}", None
    for id, what, compute, sense, limit, unit in targets.FIGURES:
        try:
            yield row(id, what, compute(measured.median), sense, limit, unit)
        except Missing as missing:
            yield id, what, str(missing), f"{sense} {limit:g} {unit}".strip(), None
    for axis in targets.AXES:
        for of in ("time", "memory"):
            what = f"growth of {of} with {axis.split(',')[0]} (exponent; 1 is linear)"
            try:
                yield row("T11", what, growth(measured.curve(f"{axis}, {of}")), targets.MOST, targets.LINEAR, "")
            except (Missing, IndexError):
                yield "T11", what, "not measured", f"{targets.MOST} {targets.LINEAR:g}", None


def row(id, what, value, sense, limit, unit):
    met = value >= limit if sense == targets.LEAST else value <= limit
    return id, what, f"{value:.4g} {unit}".strip(), f"{sense} {limit:g} {unit}".strip(), met


def word(met):
    return {True: "met", False: "MISSED", None: "not measured"}[met]


def machine():
    def first(command):
        try:
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]
        except (OSError, subprocess.CalledProcessError, IndexError):
            return "unknown"
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8")
                if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return [f"{os.cpu_count()} cores of {cpu}, {memory:.0f} GB", f"Linux {platform.release().split('-')[0]}", first(["c++", "--version"])]


def table(all_rows):
    lines = ["| id | figure | measured | target | |", "|---|---|---|---|---|"]
    return lines + [f"| {id} | {what} | {value} | {target} | {word(met)} |" for id, what, value, target, met in all_rows]


def medians(measured):
    lines = ["| id | case | | median | spread | n |", "|---|---|---|---|---|---|"]
    for (id, case, name), values in sorted(measured.values.items(), key=lambda item: (int(item[0][0][1:]), item[0][1])):
        middle = statistics.median(values)
        spread = f"{min(values):.3g} … {max(values):.3g}"
        lines.append(f"| {id} | {case} | {name} | {middle:.4g} {measured.units[id, case]} | {spread} | {len(values)} |")
    return lines


def plot(measured, out):
    try:
        import matplotlib
    except ImportError:
        print("matplotlib is not installed: no plots are drawn", file=sys.stderr)
        return []
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, places = plt.subplots(2, len(targets.AXES), figsize=(4 * len(targets.AXES), 7))
    for column, axis in enumerate(targets.AXES):
        for line, of in enumerate(("time", "memory")):
            case = f"{axis}, {of}"
            curve = [(x, y) for x, y in measured.curve(case) if x > 0]
            place = places[line][column]
            if not curve:
                continue
            place.loglog(*zip(*curve), marker="o")
            end_x, end_y = curve[-1]
            place.loglog([x for x, _ in curve], [end_y * x / end_x for x, _ in curve], linestyle=":", color="grey")
            place.set_xlabel(axis)
            place.set_ylabel(f"{of}, {measured.units['T11', case]}")
            low = min(y for _, y in curve)
            place.set_ylim(bottom=low / 2)
    figure.suptitle("Growth; dotted: linear")
    figure.tight_layout()
    figure.savefig(out / "growth.png", dpi=80)

    lengths = [case for case in ("tasks of 1 µs", "tasks of 10 µs", "tasks of 100 µs", "tasks of 1 ms")
               if ("T2", case, "plain loop") in measured.values]
    figure, place = plt.subplots(figsize=(7, 4))
    for name in ("OpenMP dynamic(1)", "lenskit", "tbb pipeline", "std::async"):
        known = [case for case in lengths if ("T2", case, name) in measured.values]
        place.plot([lengths.index(case) for case in known],
                   [measured.median("T2", case, "plain loop") / measured.median("T2", case, name) for case in known],
                   marker="o", label=name)
    place.set_xticks(range(len(lengths)), [case.removeprefix("tasks of ") for case in lengths])
    place.set_xlabel("length of a task")
    place.set_ylabel("speed-up over a plain loop, 2 workers")
    place.legend()
    figure.tight_layout()
    figure.savefig(out / "speed_up.png", dpi=80)
    return ["growth.png", "speed_up.png"]


def main():
    source, out = sys.argv[1], pathlib.Path(sys.argv[2])
    measured = Measurements(source)
    all_rows = sorted(rows(measured), key=lambda each: int(each[0][1:]))
    width = max(len(each[1]) for each in all_rows)
    for id, what, value, target, met in all_rows:
        print(f"{id:4} {what:{width}} {value:>14}  target {target:9} {word(met)}")
    met = sum(1 for each in all_rows if each[-1])
    missed = sum(1 for each in all_rows if each[-1] is False)
    print(f"{met} met, {missed} missed, {len(all_rows) - met - missed} not measured")
    pictures = plot(measured, out)
    lines = ["# Results of the benchmarks", "",
             f"Written by `{' '.join(sys.argv[3:]) or 'bench/report.py'}`. Medians; contestants take turns in random order.",
             "Ratios are of figures measured in the same run.", "", *[f"* {line}" for line in machine()], "",
             "## Targets", "", *table(all_rows), "",
             "What the rest of a missed target is spent on, and why it is missed: [profiles](profiles.md).", ""]
    lines += [f"![{picture.removesuffix('.png')}]({picture})" for picture in pictures]
    lines += ["", "## Medians", "", *medians(measured), ""]
    (out / "results.md").write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
