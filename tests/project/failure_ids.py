"""failure_ids.py [ROOT]: proves that the ids of failures mean something: each that a comment or the name of a test case
cites is a row of docs/failures.md, and each row has an automated test named by it (G16): a TEST_CASE whose name starts
with "W1: ", or a test_W1_... of tests/project. Prints what is wrong.
"""
import pathlib
import re
import sys

TABLE = "docs/failures.md"
FAMILIES = "WFPDSLEARXUHBKVO"
CITED = re.compile(rf"(?<![\w-])([{FAMILIES}]\d{{1,2}})\b(?!\.\d)")
# Strings are matched first, so that what looks like a comment in one is none.
PIECES = re.compile(r'"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/', flags=re.DOTALL)
TEST_CASE = re.compile(r'^TEST_CASE\("((?!G)[A-Z]\d+): ', flags=re.MULTILINE)  # G1, G2, ...: goals of the scorecard
TEST_METHOD = re.compile(r"^    def test_([A-Z]\d+)_", flags=re.MULTILINE)


def defined(root):
    """The ids of the table in its order, each as often as it is there."""
    return re.findall(r"^\| ([A-Z]\d+) \|", (root / TABLE).read_text(encoding="utf-8"), flags=re.MULTILINE)


def wrong_rows(ids):
    yield from (f"{TABLE}: {each} is there twice" for each in sorted({each for each in ids if ids.count(each) > 1}))
    for family in FAMILIES:
        numbers = sorted(int(each[1:]) for each in set(ids) if each[0] == family)
        if numbers != list(range(1, len(numbers) + 1)) or not numbers:
            yield f"{TABLE}: the rows of {family} are not numbered from 1 without a gap"
    yield from (f"{TABLE}: {each} is of no known family" for each in ids if each[0] not in FAMILIES)


def citations(root):
    """Where an id is cited: in a comment, or at the start of a test case's name."""
    for folder in ("include", "src", "tests", "examples", "bench"):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix not in (".cpp", ".hpp", ".pml"):
                continue
            text = path.read_text(encoding="utf-8")
            found = [(piece.start() + id.start(), id[1]) for piece in PIECES.finditer(text) if piece[0][0] == "/"
                     for id in CITED.finditer(piece[0])]
            found += [(name.start(), name[1]) for name in TEST_CASE.finditer(text)]
            for at, id in sorted(found):
                yield f"{path.relative_to(root)}:{text.count(chr(10), 0, at) + 1}", id


def named(root):
    tests = root / "tests"
    return ({id for path in tests.rglob("*_test.cpp") for id in TEST_CASE.findall(path.read_text("utf-8"))} |
            {id for path in tests.glob("project/*_test.py") for id in TEST_METHOD.findall(path.read_text("utf-8"))})


def check(root):
    """What is wrong, and what there is to say besides."""
    ids = defined(root)
    cited = list(citations(root))
    tested = named(root)
    missing = [each for each in dict.fromkeys(ids) if each not in tested]
    wrong = list(wrong_rows(ids))
    wrong += [f"{where}: {id} is not in {TABLE}" for where, id in cited if id not in ids]
    wrong += [f"no test is named by {each}" for each in missing]
    said = [f"{len(set(ids)) - len(missing)} of {len(set(ids))} failure modes have a test of their name"]
    said.append(f"{len(cited)} citations of {len({id for _, id in cited})} ids")
    return wrong, said


def main():
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2]
    wrong, said = check(root)
    print("\n".join(wrong + said))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
