"""What the machine offers: PostgreSQL's programs, and the user that runs its servers."""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from launcher.errors import LauncherError

CHECKOUT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class ServerUser:
    """The user that PostgreSQL runs as: it refuses root, so root hands it to the distribution's `postgres`."""

    name: str
    uid: int
    gid: int

    @property
    def as_popen(self) -> dict[str, object]:
        """Arguments for `subprocess` that start a program as this user."""
        if self.uid == os.getuid():
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, folder: Path) -> None:
        """Make a private folder of this user's."""
        folder.mkdir(mode=0o700, exist_ok=True)
        if self.uid != os.getuid():
            os.chown(folder, self.uid, self.gid)


def server_user() -> ServerUser:
    if os.getuid() != 0:
        me = pwd.getpwuid(os.getuid())
        return ServerUser(me.pw_name, me.pw_uid, me.pw_gid)
    try:
        entry = pwd.getpwnam("postgres")
    except KeyError:
        raise LauncherError(
            "root cannot run PostgreSQL, and this machine has no user `postgres` to run it: "
            "start Foresight as a normal user, or reinstall the package postgresql-common, which makes that user."
        ) from None
    return ServerUser(entry.pw_name, entry.pw_uid, entry.pw_gid)


def unreachable_parent(folder: Path, user: ServerUser) -> Path | None:
    """The first folder on the way to `folder` that `user` may not enter, if there is one."""
    for place in [*reversed(folder.parents), folder]:
        if not place.exists():
            return None
        entry = place.stat()
        if entry.st_uid == user.uid:
            allowed = stat.S_IXUSR
        elif entry.st_gid == user.gid:
            allowed = stat.S_IXGRP
        else:
            allowed = stat.S_IXOTH
        if not entry.st_mode & allowed:
            return place
    return None


def postgres_bin() -> Path:
    """The folder of initdb and its kin: what the shell part chose, else the newest that has PL/Python."""
    chosen = os.environ.get("FORESIGHT_PG_BIN")
    if chosen:
        return Path(chosen)
    controls = Path("/usr/share/postgresql").glob("*/extension/plpython3u.control")
    majors = sorted((int(path.parts[4]) for path in controls if path.parts[4].isdigit()), reverse=True)
    if not majors or majors[0] < 15:
        raise LauncherError("no PostgreSQL 15 or later with PL/Python is installed: start with ./foresight run")
    return Path(f"/usr/lib/postgresql/{majors[0]}/bin")
