"""Which user and group a name or a number means."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from workerd.errors import ConfigError
from workerd.worker.process.owner import Owner, find_owner


def test_nobody_is_named() -> None:
    assert find_owner("") is None


def test_a_name_and_its_number_are_the_same_with_the_groups_of_the_account() -> None:
    account = pwd.getpwnam("nobody")
    wanted = Owner(account.pw_uid, account.pw_gid, "nobody", account.pw_dir)
    assert find_owner("nobody") == find_owner(str(account.pw_uid)) == wanted
    assert find_owner("nobody", "0") == Owner(account.pw_uid, 0, "nobody", account.pw_dir)


def test_a_number_without_an_account_is_a_user_too() -> None:
    assert find_owner("54321") == Owner(54321, 54321)
    assert str(Owner(54321, 54321)) == "uid 54321"


def test_a_group_alone_leaves_the_user() -> None:
    assert find_owner("", "54321") == Owner(os.geteuid(), 54321)


@pytest.mark.parametrize(
    ("user", "group", "told"), [("nemo", "", "user 'nemo'"), ("", "nemo", "group 'nemo'")]
)
def test_who_is_not_known_is_told(user: str, group: str, told: str) -> None:
    with pytest.raises(ConfigError, match=f"there is no {told}; create it"):
        find_owner(user, group)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_directories_are_taken_with_all_in_them_and_links_are_not_followed(tmp_path: Path) -> None:
    own, others = tmp_path / "own", tmp_path / "others"
    (own / "deep").mkdir(parents=True)
    others.touch()
    (own / "deep" / "link").symlink_to(others)
    Owner(54321, 54321).take(own)
    assert {path.lstat().st_uid for path in (own, own / "deep", own / "deep" / "link")} == {54321}
    assert others.stat().st_uid == 0
