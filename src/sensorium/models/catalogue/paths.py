"""Which file names may come from elsewhere: relative, plain, and not hidden."""

MAX_CHARS = 500


def is_safe(path: str) -> bool:
    """Whether a path from elsewhere stays below its folder and names no hidden file.

    Parts are separated by `/`; there is no empty part, none that begins with a dot, and neither a
    backslash, a colon (a drive, or a stream of a file) nor a control character anywhere.
    """
    if not 0 < len(path) <= MAX_CHARS or not path.isprintable() or "\\" in path or ":" in path:
        return False
    parts = path.split("/")
    return all(0 < len(part.encode()) <= 255 and part[0] != "." for part in parts)


def folder_of(path: str) -> str:
    """The folder part of a relative path, `""` at the top."""
    return path.rpartition("/")[0]


def file_of(path: str) -> str:
    """The file's own name."""
    return path.rpartition("/")[2]


def stem_of(path: str) -> str:
    """The file's own name without its last suffix."""
    name = file_of(path)
    stem, dot, _ = name.rpartition(".")
    return stem if dot else name
