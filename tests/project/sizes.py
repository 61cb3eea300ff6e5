"""sizes.py [ROOT]: finds what has grown too large to be one thing: classes of include/lenskit/detail with more than 15
data members, interfaces with more than 10 functions, functions of more than 40 lines. Prints one line a violation.

It counts braces and knows no C++: a class is what follows `class` or `struct`, a function is a block behind a closing
parenthesis, counted from its first line to its last; a lambda belongs to the function around it.
"""
import pathlib
import re
import sys

MOST_MEMBERS = 15
MOST_VIRTUALS = 10
MOST_LINES = 40

PIECES = re.compile(r'R"\((?:.|\n)*?\)"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'|//[^\n]*|/\*.*?\*/',
                    flags=re.DOTALL)
CLASS = re.compile(r"^(?:template\s*<.*>\s*)?(?:requires\b.*?\s)?(?:class|struct|union)\s+(?:alignas\([^)]*\)\s*)?"
                   r"(?:\[\[\w+\]\]\s*)?([\w:]+(?:<.*?>)?)(?:\s+final)?\s*(?::.*)?$", flags=re.DOTALL)
CONTROL = re.compile(r"^(?:else|do|try|if|for|while|switch|catch|return)\b")
NO_MEMBER = re.compile(r"^(?:using|typedef|friend|static|static_assert|enum|template|class|struct|union)\b")
ACCESS = re.compile(r"^(?:(?:public|private|protected)\s*:\s*)+")


def without_text(text):
    """Comments, strings and preprocessor lines blanked, every line where it was."""
    text = PIECES.sub(lambda m: re.sub(r"[^\n]", " ", m[0]) if m[0][0] == "/" else '""' + "\n" * m[0].count("\n"), text)
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: "\n" * m[0].count("\n"), text, flags=re.MULTILINE)


def without_brackets(text):
    """What stands between parentheses, braces and template brackets left out."""
    before = None
    while before != text:
        before = text
        text = re.sub(r"\([^()]*\)|\{[^{}]*\}|<[^<>]*>", "", text)
    return text


class scanner:
    def __init__(self, name, text):
        self.name, self.text, self.at = name, without_text(text), 0
        self.classes = []  # name, line, data members, virtual functions
        self.functions = []  # name, line, lines

    def line(self, at):
        return self.text.count("\n", 0, at) + 1

    def skip_block(self):
        """Past the brace that closes the one it stands at."""
        depth = 0
        while self.at < len(self.text):
            depth += {"{": 1, "}": -1}.get(self.text[self.at], 0)
            self.at += 1
            if depth == 0:
                return

    def scan(self, counts=None):
        """A namespace's or a class's body, up to its closing brace."""
        begin, kept = self.at, ""
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == "}":
                self.at += 1
                return
            if char == ";":
                self.count(ACCESS.sub("", (kept + self.text[begin:self.at]).strip()), counts)
                self.at += 1
                begin, kept = self.at, ""
            elif char == "{":
                head = ACCESS.sub("", (kept + self.text[begin:self.at]).strip())
                kept = self.block(head, begin, counts)
                begin = self.at
            else:
                self.at += 1

    def block(self, head, begin, counts):
        """Deals with the block at a brace; returns what of it still belongs to the statement that goes on behind it."""
        found = CLASS.match(head)
        if found and "(" not in without_brackets(head):
            at = self.line(begin + len(self.text[begin:]) - len(self.text[begin:].lstrip()))
            own = {"data": 0, "virtual": 0}
            self.at += 1
            self.scan(own)
            self.classes.append((found[1], at, own["data"], own["virtual"]))
            return "member_of_that_type " if self.text[self.at:].lstrip()[:1] not in (";", "") else "using x"
        if re.match(r"^(?:inline\s+)?namespace\b|^extern\b", head):
            self.at += 1
            self.scan()
            return ""
        if re.match(r"^(?:enum)\b", head):
            self.skip_block()
            return "using x"
        if self.is_function(head):
            self.function(head, begin, counts)
            return ""
        self.skip_block()
        return head + " "

    @staticmethod
    def is_function(head):
        plain = without_brackets(re.sub(r"operator\s*(?:\(\)|[^\s\w(]+)", "operator_", head))
        return ")" in head and not CONTROL.match(head) and "=" not in plain.split(" : ")[0]

    def function(self, head, begin, counts):
        if "virtual" in head and counts is not None:
            counts["virtual"] += 0 if "~" in head else 1
        first = begin + len(self.text[begin:self.at]) - len(self.text[begin:self.at].lstrip())
        # A constructor's initialisers have braces of their own.
        self.skip_block()
        while re.match(r"\s*(?:,|\{|catch\b)", self.text[self.at:self.at + 200]):
            while self.at < len(self.text) and self.text[self.at] != "{":
                self.at += 1
            self.skip_block()
        name = re.search(r"([\w:~]+)\s*\(", re.sub(r"^(?:template\s*<[^>]*>|requires\b)", "", head))
        lines = self.line(self.at - 1) - self.line(first) + 1
        self.functions.append((name[1] if name else "?", self.line(first), lines))

    @staticmethod
    def count(statement, counts):
        if counts is None or not statement:
            return
        if re.match(r"^(?:\[\[\w+\]\]\s*)?virtual\b", statement):
            counts["virtual"] += 0 if "~" in statement else 1
            return
        plain = without_brackets(statement).strip()
        declared = without_brackets(re.sub(r"\([^()]*\)", "()", statement))
        named = re.sub(r"operator\s*[^\s\w(]+", "operator_", statement)
        is_call = re.search(r"[\w>]\s*\(", re.sub(r"=.*", "", re.sub(r"<.*>", "", named, flags=re.DOTALL)))
        if NO_MEMBER.match(plain) or not declared or (is_call and "alignas" not in statement):
            return
        counts["data"] += 1


def violations(root):
    for base in ("include", "src"):
        for path in sorted((root / base).rglob("*.[ch]pp")):
            name = path.relative_to(root).as_posix()
            found = scanner(name, path.read_text(encoding="utf-8"))
            while found.at < len(found.text):
                found.scan()
            for what, line, data, virtuals in found.classes:
                if data > MOST_MEMBERS and "/detail/" in name:
                    yield f"{name}:{line}: {what} has {data} data members, more than {MOST_MEMBERS}"
                if virtuals > MOST_VIRTUALS:
                    yield f"{name}:{line}: {what} has {virtuals} virtual functions, more than {MOST_VIRTUALS}"
            for what, line, lines in found.functions:
                if lines > MOST_LINES:
                    yield f"{name}:{line}: {what} has {lines} lines, more than {MOST_LINES}"


def main():
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2]
    found = list(violations(root))
    print("\n".join(found) if found else "nothing has grown too large")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
