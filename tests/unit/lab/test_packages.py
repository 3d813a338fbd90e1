"""The list of packages and the check for them."""

from tests.lab import packages, paths

LISTED = packages.listed((paths.LAB_SOURCES / "packages.txt").read_text(encoding="utf-8"))


def test_comments_and_blanks_are_no_packages() -> None:
    assert packages.listed("# one\n\nrunc # low level\n  containerd\n") == ["runc", "containerd"]


def test_every_listed_package_can_be_checked_for() -> None:
    assert set(LISTED) == set(packages.PROGRAMS) | set(packages.FILES)
    assert len(set(LISTED)) == len(LISTED)


def test_what_is_missing_is_named() -> None:
    absent = packages.missing(LISTED, lambda program: program != "runc", lambda path: "cni" not in path)
    assert sorted(absent) == ["containernetworking-plugins", "runc"]
    assert packages.missing(LISTED, lambda _: True, lambda _: True) == []
