"""Which rules a fence becomes, and when rulesets are made anew."""

from __future__ import annotations

import errno
import os
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from codex_lib_linux_confinement import landlock, restriction, seccomp
from codex_lib_linux_confinement.rules import (
    EXECUTE,
    IOCTL_DEV,
    MAKE,
    READ,
    READ_DIR,
    REFER,
    RESOLVE_UNIX,
    TRUNCATE,
    WRITE,
    handled_file_rights,
    rules,
)

from codex_host.errors import SandboxError
from codex_host.permissions import Fence, Network

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="landlock is a part of Linux")

MAKE_DEVICES = 1 << 6 | 1 << 11


@pytest.fixture
def tree(tmp_path):
    """A folder with a secret in its depth, and neighbours of it on each level."""
    top = tmp_path.resolve()
    for folder in ("home/config", "home/project", "other"):
        (top / folder).mkdir(parents=True)
    for file in ("home/config/secret", "home/config/plain", "home/notes"):
        (top / file).touch()
    (top / "home" / "link").symlink_to(top / "home" / "config" / "secret")
    return top


def read_paths(fence):
    return {path for path, rights in rules(fence).items() if rights & READ == READ}


def test_reading_everything_leaves_out_devices():
    fence = Fence(readable=None, writable=())
    paths = read_paths(fence)
    assert {"/usr", "/etc", "/proc"} <= paths
    assert not {"/", "/dev"} & paths
    assert rules(fence)["/"] == READ_DIR
    assert rules(fence)["/dev/null"] & IOCTL_DEV


def test_hiding_gives_rights_to_the_neighbours(tree):
    paths = read_paths(Fence(readable=(tree,), writable=(), hidden=(tree / "home" / "config" / "secret",)))
    own = {path for path in paths if path.startswith(str(tree))}
    assert own == {f"{tree}/{path}" for path in ("other", "home/project", "home/notes", "home/config/plain")}


def test_a_readable_folder_in_a_hidden_one_stays_hidden(tree):
    fence = Fence(readable=(tree / "home" / "config",), writable=(tree / "home" / "config",), hidden=(tree / "home",))
    assert not [path for path in rules(fence) if path.startswith(str(tree))]


def test_a_name_that_only_begins_alike_is_not_below(tree):
    (tree / "home2").mkdir()
    fence = Fence(readable=(), writable=(tree / "home2",), hidden=(tree / "home",))
    assert rules(fence)[f"{tree}/home2"] == WRITE


def test_hiding_below_a_writable_folder_is_refused(tree):
    fence = Fence(readable=None, writable=(tree,), hidden=(tree / "home" / "config",))
    with pytest.raises(SandboxError, match="landlock cannot hide"):
        rules(fence)


@pytest.mark.parametrize("readable", [None, ()])
def test_what_is_hidden_is_closed_to_writing_where_all_else_is_open(tree, readable):
    fence = Fence(readable=readable, writable=None, hidden=(tree / "home" / "config" / "secret",))
    granted = rules(fence)
    for path in ("other", "home/project", "home/notes", "home/config/plain"):
        assert granted[f"{tree}/{path}"] == (WRITE if readable is None else WRITE & ~READ)
    assert granted["/usr"] & WRITE & ~READ == WRITE & ~READ
    above = ("home/config/secret", "home/config", "home", "")
    assert not [path for path in above if f"{tree}/{path}".rstrip("/") in granted]
    assert granted.get("/", READ_DIR) == READ_DIR
    handled = handled_file_rights(fence, landlock.NEWEST_ABI)
    assert handled & (WRITE | MAKE_DEVICES | RESOLVE_UNIX) == WRITE | MAKE_DEVICES | RESOLVE_UNIX
    assert not handled & IOCTL_DEV


def test_writing_is_not_handled_where_it_is_open_to_all():
    fence = Fence(readable=None, writable=None)
    assert not handled_file_rights(fence, landlock.NEWEST_ABI) & (MAKE | MAKE_DEVICES | TRUNCATE | IOCTL_DEV)
    assert rules(fence)["/"] & REFER  # denied unless allowed, whether handled or not


@pytest.mark.parametrize(
    ("writable", "hidden", "network", "abi", "expected"),
    [
        ((), (), Network.NONE, 10, ""),
        ((), (), Network.NONE, 3, ""),
        ((), (), Network.NONE, 2, "truncate"),
        ((), (), Network.ALL, 9, ""),
        ((), (), Network.ALL, 8, "unix"),
        ((), (), Network.ALL, 1, "truncate unix"),
        (None, (), Network.ALL, 1, ""),
        (None, ("/secret",), Network.ALL, 1, "truncate"),
    ],
)
def test_which_seccomp_programs_go_with_a_fence(writable, hidden, network, abi, expected):
    if reason := seccomp.unavailable():
        pytest.skip(reason)
    fence = Fence(readable=None, writable=writable, hidden=tuple(map(Path, hidden)), network=network)
    named = {"truncate": seccomp.truncate_program(), "unix": seccomp.unix_program()}
    wanted = (seccomp.program(network), *(named[name] for name in expected.split()))
    assert restriction._programs(fence, abi) == wanted


def test_writable_folders_make_no_devices():
    assert not WRITE & (MAKE_DEVICES | IOCTL_DEV | RESOLVE_UNIX)


@pytest.mark.parametrize(("abi", "bits"), [(1, 13), (2, 14), (3, 15), (4, 15), (5, 16), (8, 16), (9, 17), (10, 17)])
def test_no_right_is_handled_that_the_kernel_does_not_know(abi, bits):
    confined = handled_file_rights(Fence(readable=None, writable=()), abi)
    assert confined == (1 << bits) - 1
    free = handled_file_rights(Fence(readable=None, writable=None), abi)
    assert free & EXECUTE
    assert not free & TRUNCATE
    assert bool(free & REFER) is (abi >= 2)


def test_a_ruleset_is_kept_while_its_folders_are_the_same(tree):
    if reason := restriction.unavailable():
        pytest.skip(reason)
    fence = Fence(readable=None, writable=(tree / "other",))
    made = []
    rulesets = landlock.Rulesets(landlock.abi())
    make = rulesets._make
    rulesets._make = lambda *given: made.append(given) or make(*given)
    before = set(os.listdir("/proc/self/fd"))
    for _ in range(3):
        os.close(rulesets.descriptor(fence))
    assert len(made) == 1
    os.close(rulesets.descriptor(replace(fence, network=Network.ALL)))
    assert len(made) == 2
    (tree / "other").rename(tree / "old")
    (tree / "other").mkdir()
    os.close(rulesets.descriptor(fence))
    assert len(made) == 3
    for number in range(40):
        (tree / f"root{number}").mkdir()
        os.close(rulesets.descriptor(replace(fence, writable=(tree / f"root{number}",))))
    assert len(set(os.listdir("/proc/self/fd")) - before) <= 16
    rulesets.close()
    rulesets.close()
    assert set(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("number", "release", "says"),
    [
        (
            errno.ENOSYS,
            "5.4.0-216-generic",
            r"has no landlock \(needs Linux 5\.13; here 5\.4\.0-216-generic\)",
        ),
        (errno.ENOSYS, "6.1", "built without landlock"),
        (errno.EPERM, "5.15.0", "EPERM.*seccomp profile forbids it"),
        (errno.EOPNOTSUPP, "6.1.0", "not enabled at boot: add landlock"),
        (errno.ENOSYS, "5", "needs Linux 5.13"),
    ],
)
def test_the_reasons_say_what_to_do(number, release, says):
    assert re.search(says, landlock._reason(number, release))


def test_a_machine_without_a_program_is_named(monkeypatch):
    class Name:
        machine = "riscv64"

    monkeypatch.setattr(os, "uname", Name)
    assert seccomp.unavailable() == "there is no seccomp program for riscv64, only for x86_64 and aarch64"


def test_other_systems_are_told_that_this_is_for_linux(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert restriction.unavailable() == "landlock is a part of Linux; this is darwin"
