"""Whether a directory lies on a disk that no other machine can write to, as Linux's list of mounts tells."""

from __future__ import annotations

import os
import re
from pathlib import Path

# of one kernel at a time; not here: network and virtual machine file systems (nfs, cifs, 9p, virtiofs, fuse.*, ...)
_LOCAL = frozenset("ext2 ext3 ext4 xfs btrfs zfs f2fs bcachefs jfs tmpfs ramfs overlay vfat exfat ntfs3".split())
MOUNTS = Path("/proc/self/mountinfo")


def on_local_disk(directory: Path) -> bool:
    """Whether this kernel alone knows all locks below a directory; False if that cannot be told."""
    kind = file_system(directory)
    return kind in _LOCAL


def file_system(directory: Path) -> str:
    """Type of the file system that a directory is, or would be, on, as in 'ext4'; '' where that cannot be told."""
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    real = Path(os.path.realpath(directory))
    found, depth = "", -1
    for line in lines:
        place, _, rest = line.partition(" - ")
        point = Path(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), place.split()[4]))
        # of two mounts on one point, the later hides the earlier
        if real.is_relative_to(point) and len(point.parts) >= depth:
            found, depth = rest.split()[0], len(point.parts)
    return found
