"""What the shipped seccomp programs refuse, read by a small interpreter: every machine's can be tested."""

from __future__ import annotations

import ctypes
import errno
import importlib.util
import struct
from pathlib import Path

import pytest
from codex_lib_linux_confinement import seccomp

FOLDER = Path(__file__).parent.parent
SHIPPED = FOLDER / "codex_lib_linux_confinement" / "programs"

AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
OTHER_ARCH = 0x40000003  # 32-bit x86

ALLOW = 0x7FFF0000
EPERM = 0x00050000 | errno.EPERM
ENOSYS = 0x00050000 | errno.ENOSYS

# asm/unistd.h of each machine: x86_64, aarch64
NUMBERS = {
    "openat": (257, 56),
    "truncate": (76, 45),
    "ftruncate": (77, 46),
    "openat2": (437, 437),
    "execve": (59, 221),
    "clone": (56, 220),
    "clone3": (435, 435),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "open_tree_attr": (467, 467),
    "mount_setattr": (442, 442),
    "bpf": (321, 280),
    "io_uring_setup": (425, 425),
    "keyctl": (250, 219),
    "kcmp": (312, 272),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "shmat": (30, 196),
    "mq_open": (240, 180),
    "ptrace": (101, 117),
    "prlimit64": (302, 261),
    "sched_setaffinity": (203, 122),
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
    "ioctl": (16, 29),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    "accept": (43, 202),
    "accept4": (288, 242),
    "sendto": (44, 206),
    "sendmsg": (46, 211),
    "recvmsg": (47, 212),
}

UNIX, INET, INET6, NETLINK, PACKET, VSOCK = 1, 2, 10, 16, 17, 40
STREAM, DGRAM, RAW, SEQPACKET = 1, 2, 3, 5
CLOEXEC = 0o2000000

BOTH = [
    ("execve", (), ALLOW),
    ("openat2", (), ALLOW),
    ("truncate", (), ALLOW),
    ("ptrace", (), ALLOW),
    ("sendmsg", (), ALLOW),
    ("clone", (0x3D0F00,), ALLOW),  # a thread
    ("clone", (0x4111,), ALLOW),  # vfork
    *(("clone", (flag | 17,), EPERM) for flag in (0x20000, 0x10000000, 0x20000000, 0x40000000, 0x8000000)),
    ("clone3", (), ENOSYS),
    ("unshare", (0x400,), ALLOW),
    ("unshare", (0x80,), EPERM),
    ("unshare", (0x10000400,), EPERM),
    *((name, (), EPERM) for name in ("setns", "mount", "umount2", "open_tree_attr", "mount_setattr", "bpf")),
    *((name, (), EPERM) for name in ("io_uring_setup", "keyctl", "kcmp", "process_vm_writev", "pidfd_getfd")),
    *((name, (), EPERM) for name in ("shmat", "mq_open")),
    *((name, (0,), ALLOW) for name in ("prlimit64", "sched_setaffinity")),
    *((name, (1,), EPERM) for name in ("prlimit64", "sched_setaffinity")),
    ("setpriority", (0, 0), ALLOW),
    ("setpriority", (0, 7), EPERM),
    ("setpriority", (2, 0), EPERM),
    ("ioprio_set", (1, 0), ALLOW),
    ("ioprio_set", (3, 0), EPERM),
    ("ioctl", (0, 0x5401), ALLOW),
    ("ioctl", (0, 0x5412), EPERM),
    ("ioctl", (0, 0xFFFFFFFF00005412), EPERM),
    ("ioctl", (0, 0x541C), EPERM),
    ("socket", (PACKET, RAW), EPERM),
    ("socket", (VSOCK, STREAM), EPERM),
    ("socket", (INET, RAW), EPERM),
    ("socket", (INET6, RAW | CLOEXEC), EPERM),
    ("socket", (INET, 10), EPERM),
    ("socket", (46, STREAM), EPERM),
    ("socket", (0xFFFFFFFF, STREAM), EPERM),
    ("socket", (1 << 32 | VSOCK, STREAM), EPERM),
    ("socket", (UNIX, STREAM), ALLOW),
    ("socketpair", (UNIX, STREAM | CLOEXEC), ALLOW),
    ("socketpair", (UNIX, SEQPACKET), ALLOW),
]
CALLS = {
    "network-none": [
        *BOTH,
        *((name, (), EPERM) for name in ("connect", "bind", "listen", "accept", "accept4")),
        *(("socket", (family, STREAM), EPERM) for family in range(64) if family != UNIX),
        *(("socketpair", (UNIX, kind), EPERM) for kind in range(16) if kind not in (STREAM, SEQPACKET)),
        ("socket", (UNIX, DGRAM | CLOEXEC), EPERM),
        ("socket", (UNIX, 1 << 32 | DGRAM), EPERM),
        ("socket", (1 << 32 | INET, STREAM), EPERM),
    ],
    "network-all": [
        *BOTH,
        *((name, (), ALLOW) for name in ("connect", "bind", "listen", "accept", "accept4", "sendto")),
        *(("socket", (family, STREAM), ALLOW) for family in (UNIX, INET, INET6)),
        *(("socket", (family, DGRAM), ALLOW) for family in (UNIX, INET, INET6)),
        ("socket", (NETLINK, RAW), ALLOW),
        *(("socket", (f, STREAM), EPERM) for f in range(64) if f not in (UNIX, INET, INET6, NETLINK)),
    ],
    "no-truncate": [
        ("truncate", (), EPERM),
        ("ftruncate", (), ALLOW),
        ("openat2", (), ENOSYS),
        ("openat", (0, 0, 0o1000), EPERM),
        ("openat", (0, 0, 0o1000 | CLOEXEC), EPERM),
        ("openat", (0, 0, 0), ALLOW),
        ("openat", (0, 0, 0o1101), ALLOW),
        ("openat", (0, 0, 0o1102), ALLOW),
    ],
    "no-unix": [
        *(("socket", (UNIX, kind), EPERM) for kind in range(16)),
        ("socket", (UNIX, STREAM | CLOEXEC), EPERM),
        ("socket", (1 << 32 | UNIX, STREAM), EPERM),
        *(("socket", (family, STREAM), ALLOW) for family in (INET, INET6, NETLINK)),
        *(("socketpair", (UNIX, kind), EPERM) for kind in range(16) if kind not in (STREAM, SEQPACKET)),
        ("socketpair", (UNIX, DGRAM | CLOEXEC), EPERM),
        ("socketpair", (UNIX, 1 << 32 | DGRAM), EPERM),
        *(("socketpair", (UNIX, kind | CLOEXEC), ALLOW) for kind in (STREAM, SEQPACKET)),
        *((name, (), ALLOW) for name in ("connect", "bind", "listen", "accept", "accept4", "sendto", "sendmsg")),
    ],
}


def answer(program: bytes, architecture: int, number: int, arguments: tuple[int, ...]) -> int:
    """What the program says to a system call: classic BPF over struct seccomp_data, seccomp(2)."""
    data = struct.pack("=iIQ6Q", number, architecture, 0, *(*arguments, 0, 0, 0, 0, 0, 0)[:6])
    instructions = list(struct.iter_unpack("=HBBI", program))
    at = accumulator = 0
    while True:
        code, if_true, if_false, value = instructions[at]
        at += 1
        match code:
            case 0x20:  # load a word
                (accumulator,) = struct.unpack_from("=I", data, value)
            case 0x54:  # and
                accumulator &= value
            case 0x06:  # return
                return value
            case 0x05:  # jump
                at += value
            case 0x15 | 0x25 | 0x35 | 0x45:  # jump if equal, greater, not less, any bit
                holds = {
                    0x15: accumulator == value,
                    0x25: accumulator > value,
                    0x35: accumulator >= value,
                    0x45: bool(accumulator & value),
                }[code]
                at += if_true if holds else if_false
            case _:
                raise AssertionError(f"an instruction of an unknown kind: {code:#x}")


@pytest.mark.parametrize("machine", seccomp.MACHINES)
@pytest.mark.parametrize("purpose", CALLS)
def test_what_a_program_says(machine, purpose):
    program = (SHIPPED / f"{machine}-{purpose}.bpf").read_bytes()
    column = seccomp.MACHINES.index(machine)
    for name, arguments, expected in CALLS[purpose]:
        said = answer(program, AUDIT_ARCH[machine], NUMBERS[name][column], arguments)
        assert said == expected, (name, [hex(argument) for argument in arguments], hex(said))


@pytest.mark.parametrize("machine", seccomp.MACHINES)
@pytest.mark.parametrize("purpose", CALLS)
def test_other_architectures_have_no_calls(machine, purpose):
    program = (SHIPPED / f"{machine}-{purpose}.bpf").read_bytes()
    others = {*AUDIT_ARCH.values(), OTHER_ARCH} - {AUDIT_ARCH[machine]}
    assert {answer(program, other, number, ()) for other in others for number in range(460)} == {ENOSYS}
    if machine == "x86_64":  # x32: the same architecture, another table
        x32 = {answer(program, AUDIT_ARCH[machine], 0x40000000 | number, ()) for number in range(600)}
        assert x32 == {ENOSYS}


def test_shipped_programs_are_those_that_the_script_makes():
    try:
        import pyseccomp
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"no libseccomp to compare with: {error}")
    version = pyseccomp._libseccomp.seccomp_version
    version.restype = ctypes.POINTER(ctypes.c_uint * 3)
    if tuple(version().contents[:2]) != (2, 5):
        pytest.skip("the shipped programs were made with libseccomp 2.5, which others may differ from")
    spec = importlib.util.spec_from_file_location("make_programs", FOLDER / "make_programs.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    made = script.programs()
    assert made == {file.name: file.read_bytes() for file in SHIPPED.iterdir()}
