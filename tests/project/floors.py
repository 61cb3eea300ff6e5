"""floors.py [ROOT]: proves that a file includes its own floor or lower ones, and that spdlog, Boost.Serialization and
POSIX each stay in their rooms. Prints one line a violation.

The floors: 0 the operating system, 1 the wire, 2 sharing and logs and the words they are written in, 3 what runs in a
worker, 4 what decides in the caller, 5 the engines that carry it out, 6 the public rooms.
"""
import pathlib
import re
import sys

# The first pattern that matches a path (without include/lenskit/ or src/) gives its floor.
FLOORS = [
    (r"(detail/)?os/|error\.[ch]pp$|version\.hpp$", 0),
    (r"(detail/)?wire/", 1),
    (r"(detail/)?(share|log|random|progress)/", 2),
    (r"(sharing_mode|shared_array|persist_method|random|progress|logging)\.[ch]pp$", 2),
    (r"(detail/)?worker/", 3),
    (r"(detail/)?dispatch/", 4),
    (r"(detail/)?engines/|engine\.hpp$", 5),
    (r"", 6),
]

# The operating system's rooms, and the files in which a child is forked, started and seen to crash.
POSIX_ROOMS = r"^(include/lenskit/detail/os/|src/os/|src/(engines/spawner\w*|worker/crash_handler)\.[ch]pp$)"

# What may be included or called only in some rooms: name, what to look for, where it is allowed.
ROOMS = [
    ("spdlog", r"#\s*include\s*<spdlog/", r"^(include/lenskit/detail/log/|src/log/|include/lenskit/logging\.hpp$)"),
    ("Boost.Serialization", r"#\s*include\s*<boost/(serialization|archive)/",
     r"^(include/lenskit/detail/(wire|share)/|src/(wire|share)/|include/lenskit/shared_array\.hpp$)"),
    ("a POSIX header", r"#\s*include\s*<(sys/(?!types\.h)\w+|unistd|fcntl|poll|sched|dlfcn|pthread|pwd)"
     r"(\.h)?>", POSIX_ROOMS),
    ("a system call", r"(?<![\w:.>~])(::\s*)?(fork|waitpid|waitid|wait4|mmap|munmap|mprotect|madvise|memfd_create|pipe2|"
     r"socketpair|epoll_\w+|pidfd_\w+|prctl|setpgid|sigaction|pthread_sigmask|setrlimit|getrlimit|dlopen|dlsym)\s*\(",
     POSIX_ROOMS),
]


def without_comments(text):
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m[0].count("\n"), text, flags=re.DOTALL)
    text = re.sub(r'"(\\.|[^"\\\n])*"', lambda m: m[0] if "#include" in m[0] else '""', text)
    return re.sub(r"//[^\n]*", "", text)


def floor_of(path):
    for pattern, floor in FLOORS:
        if re.match(pattern, path):
            return floor


def violations(root):
    for base in ("include/lenskit", "src"):
        for path in sorted((root / base).rglob("*.[ch]pp")):
            name = path.relative_to(root).as_posix()
            if name.startswith("src/doctor/"):
                continue  # a program, above all floors
            own = floor_of(path.relative_to(root / base).as_posix())
            text = path.read_text(encoding="utf-8")
            for number, line in enumerate(text.splitlines(), 1):
                included = re.match(r"\s*#\s*include\s*<lenskit/([^>]+)>", line)
                if included and floor_of(included[1]) > own:
                    yield f"{name}:{number}: floor {own} includes {included[1]} of floor {floor_of(included[1])}"
            for number, line in enumerate(without_comments(text).splitlines(), 1):
                for what, pattern, allowed in ROOMS:
                    if re.search(pattern, line) and not re.match(allowed, name):
                        yield f"{name}:{number}: {what} outside its rooms: {line.strip()}"


def main():
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2]
    found = list(violations(root))
    print("\n".join(found) if found else "the floors hold")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
