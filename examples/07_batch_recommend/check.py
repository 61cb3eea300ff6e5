"""check.py CHECK PROGRAM: one of the checks of batch_recommend that a comparison of its output cannot make."""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HEADER = "userId,movieId,rating,timestamp\n"
SKIP = 77


def run(program, *arguments):
    done = subprocess.run([program, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          check=False)
    print(done.stdout, done.stderr, sep="")
    return done


def recommends(program, users, *arguments):
    """Every user has 10 different items, and they are better than the most popular ones."""
    with tempfile.TemporaryDirectory() as folder:
        output = pathlib.Path(folder) / "recommendations.csv"
        done = run(program, *arguments, "--output", output)
        assert done.returncode == 0
        lines = [line.split(",") for line in output.read_text(encoding="utf-8").splitlines()[1:]]
    items = {}
    for user, rank, item, _ in lines:
        items.setdefault(user, {})[int(rank)] = item
    assert set(items) == users, "every user has recommendations"
    assert all(sorted(of) == list(range(1, 11)) and len(set(of.values())) == 10 for of in items.values())
    figures = re.findall(r"recall@10 ([\d.]+) +nDCG@10 ([\d.]+)", done.stdout)
    (recall, ndcg), (popular_recall, popular_ndcg) = [tuple(map(float, each)) for each in figures]
    assert recall > popular_recall > 0 and ndcg > popular_ndcg > 0


def movielens(program):
    here = pathlib.Path(__file__).resolve().parents[2]
    data = pathlib.Path(os.environ.get("LENSKIT_MOVIELENS", here.parent / "shared/data/ml-latest-small"))
    if not (data / "ratings.csv").is_file():
        print(f"no MovieLens data in {data}")
        sys.exit(SKIP)
    with open(data / "ratings.csv", encoding="utf-8") as file:
        recommends(program, {line.split(",")[0] for line in list(file)[1:]}, data)


def generated(program):
    recommends(program, {str(user) for user in range(1, 301)}, "--users", 300, "--items", 2000)


def broken_file(program, line):
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "ratings.csv"
        file.write_text(f"{HEADER}1,31,2.5,1260759144\n{line}\n1,1061,3.0,1260759182\n", encoding="utf-8")
        done = run(program, folder, "--output", pathlib.Path(folder) / "out.csv")
        assert not (pathlib.Path(folder) / "out.csv").exists()
    assert done.returncode == 1
    assert f"{file}:3: " in done.stderr and f'found "{line}"' in done.stderr


def malformed_line(program):
    for line in ("1,1029,three,1260759179", "1,1029,9.5,1260759179", "1,1029,3.0,1260759179,5", "x", ""):
        broken_file(program, line)


def too_few_values(program):
    broken_file(program, "1,1029,3.0")


def no_directory(program):
    done = run(program, "/nowhere/at/all")
    assert done.returncode == 1 and "cannot open /nowhere/at/all/ratings.csv" in done.stderr


if __name__ == "__main__":
    globals()[sys.argv[1]](sys.argv[2])
