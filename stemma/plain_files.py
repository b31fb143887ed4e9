"""Plain files: what may be opened and read to its end, and what stands in the place of one.

Opening a named pipe waits for a writer, `/dev/zero` never ends, and `/proc/kcore` is as large as
the address space. Whatever a user names as a file is looked at here before it is opened.
"""

from __future__ import annotations

import errno
import os
import stat
from functools import cache
from pathlib import Path

from stemma.errors import Problem, UserError

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_REFUSED = {
    errno.ELOOP: "a link in a circle",
    errno.EACCES: "in a folder that you may not enter",
    errno.ENAMETOOLONG: "a name too long for a file",
}


def not_plain(path: Path) -> str:
    """What is at `path` where no plain file can be read, in words; "" where one can."""
    try:
        found = path.stat()
    except FileNotFoundError:
        leads = str(path.readlink()) if path.is_symlink() else ""
        return f"a link that leads nowhere ({leads})" if leads else "no such file"
    except ValueError:  # NUL
        return "no path that a file can have"
    except OSError as error:
        return _REFUSED.get(error.errno or 0, "no such file")
    for is_kind, words in _KINDS:
        if is_kind(found.st_mode):
            return words
    if found.st_dev in _kernel_devices():
        return "a file of the kernel's, which no disk holds"
    return "" if _may_read(path) else "a file that you may not read"


def plain_file(path: Path, expected: str, hint: str = "") -> Path:
    """The path itself. Raises UserError where no plain file can be read there, and says what is."""
    if found := not_plain(path):
        raise UserError(Problem(str(path), found, expected, hint))
    return path


def _may_read(path: Path) -> bool:
    if os.access in os.supports_effective_ids:
        return os.access(path, os.R_OK, effective_ids=True)
    return os.access(path, os.R_OK)


@cache
def _kernel_devices() -> frozenset[int]:
    """The devices of `/proc` and `/sys`, whose files are made as they are read."""
    return _mounted(Path("/proc"), Path("/sys"))


def _mounted(*places: Path) -> frozenset[int]:
    """The devices of file systems that are mounted at these places: an empty `/sys`, as in a chroot
    or a small container, lies on the disk with all other files."""
    return frozenset(place.stat().st_dev for place in places if place.is_mount())
