"""A ledger lies on a disk of this machine, or nowhere."""

from pathlib import Path

import pytest

from polybot.adapters.storage import migrate
from polybot.adapters.storage.file_systems import file_system_of, refuse_network_file_system
from polybot.adapters.storage.ledger import open_ledger
from polybot.domain.modes import Mode
from polybot.errors import ConfigurationError

TABLE = """\
/dev/sda1 / ext4 rw 0 0
proc /proc proc rw 0 0
server:/home {share} nfs4 rw,vers=4.2 0 0
/dev/sdb1 {share}/disk xfs rw 0 0
host#dir {share}/disk/my\\040remote\\134place fuse.sshfs rw 0 0
damaged line
"""


@pytest.fixture
def share(tmp_path: Path) -> Path:
    return tmp_path / "share"


@pytest.fixture
def mounts(tmp_path: Path, share: Path) -> Path:
    path = tmp_path / "mounts"
    path.write_text(TABLE.format(share=share))
    return path


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("../paper.db", "ext4"),
        ("../shared/paper.db", "ext4"),
        ("paper.db", "nfs4"),
        ("deep/down/paper.db", "nfs4"),
        ("disk/paper.db", "xfs"),
        ("disk/my remote\\place/paper.db", "fuse.sshfs"),
        ("disk/../paper.db", "nfs4"),
    ],
)
def test_deepest_mount_decides(share: Path, mounts: Path, place: str, kind: str) -> None:
    assert file_system_of(share / place, mounts=mounts) == kind


def test_link_into_a_share_lies_on_the_share(tmp_path: Path, share: Path, mounts: Path) -> None:
    share.mkdir()
    (tmp_path / "home").symlink_to(share)
    assert file_system_of(tmp_path / "home" / "paper.db", mounts=mounts) == "nfs4"


def test_later_mount_hides_an_earlier_one(tmp_path: Path) -> None:
    table = tmp_path / "mounts"
    table.write_text(f"a {tmp_path} nfs rw 0 0\nb {tmp_path} ext4 rw 0 0\n")
    assert file_system_of(tmp_path / "paper.db", mounts=table) == "ext4"


def test_table_that_is_not_there_forbids_nothing(tmp_path: Path) -> None:
    """Other systems have none."""
    refuse_network_file_system(tmp_path / "paper.db", mounts=tmp_path / "none")


@pytest.mark.parametrize("place", ["paper.db", "disk/my remote\\place/paper.db"])
def test_ledger_on_a_share_is_refused_before_anything_is_written(
    share: Path, mounts: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that is there already: two machines would open it."""
    path = share / place
    monkeypatch.setattr(
        migrate,
        "refuse_network_file_system",
        lambda found: refuse_network_file_system(found, mounts=mounts),
    )
    with pytest.raises(ConfigurationError, match=r"network file system .* POLYBOT_HOME"):
        open_ledger(path, mode=Mode.PAPER)
    assert list(path.parent.iterdir()) == []


def test_ledger_on_a_disk_is_opened(tmp_path: Path) -> None:
    """With the real table of this machine."""
    with open_ledger(tmp_path / "paper.db", mode=Mode.PAPER) as ledger:
        assert ledger.positions() == ()
