import json
import re
import stat
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import codex_session_store_files
import pytest
from codex_session_store_files import FilesStore

from codex_host.errors import StoreError
from codex_host.items import UserMessage
from codex_host.records import ItemAdded, SessionBegan, TaskBegan, to_json
from codex_host.testing.session_store import SessionStoreContract, records

VERSION_7 = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"  # of RFC 9562: 2022-02-22 19:22:22 UTC


class TestFiles(SessionStoreContract):
    module = codex_session_store_files
    name = "files"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "home/sessions"


@pytest.fixture
def store(folder):
    return FilesStore(folder)


def write(store, session_id, *, began=1_700_000_000.0):
    log = store.open(session_id)
    log.append(records(session_id, began))
    log.close()
    return records(session_id, began)


def only_file(folder):
    [path] = folder.rglob("*.jsonl")
    return path


def test_files_stand_under_their_day_and_are_private(store, folder):
    before = time.strftime("%Y/%m/%d", time.gmtime())
    write(store, "one")
    path = only_file(folder)
    assert path.parent in {folder / before, folder / time.strftime("%Y/%m/%d", time.gmtime())}
    assert re.fullmatch(r"rollout-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-one\.jsonl", path.name)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for part in (folder.parent, folder, *path.parents[:3]):
        assert stat.S_IMODE(part.stat().st_mode) == 0o700


def test_each_record_is_a_line_of_json(store, folder):
    written = write(store, "one")
    lines = only_file(folder).read_bytes().split(b"\n")
    assert lines.pop() == b""
    assert [json.loads(line)["type"] for line in lines] == [type(record).__name__ for record in written]
    assert "é".encode() in lines[2]


def test_an_id_that_holds_its_time_is_found_without_looking(store, folder):
    write(store, VERSION_7)
    assert only_file(folder) == folder / f"2022/02/22/rollout-2022-02-22T19-22-22-{VERSION_7}.jsonl"
    assert len(list(store.load(VERSION_7))) == 9
    with pytest.raises(StoreError):
        store.load("017f22e2-79b1-7cc3-98c4-dc0c0c07398f")


@pytest.mark.parametrize("torn", [b"x", b'{"type": "TaskBegan", "ta', b"\0" * 200_000, b"{}"])
def test_a_torn_last_line_does_not_count_and_is_cut_off(store, folder, torn):
    written = write(store, "one")
    with only_file(folder).open("ab") as file:
        file.write(torn)
    assert tuple(store.load("one")) == written
    log = store.open("one")
    log.append([TaskBegan("2", 1.0)])
    log.close()
    assert tuple(store.load("one")) == (*written, TaskBegan("2", 1.0))


def test_a_file_that_is_nothing_but_a_torn_line_starts_anew(store, folder):
    store.open("one").close()
    only_file(folder).write_bytes(b'{"type": "Sess')
    assert list(store.load("one")) == []
    assert list(store.sessions()) == []
    assert tuple(store.load("one")) == ()
    assert write(store, "one") == tuple(store.load("one"))


def test_a_line_in_the_middle_that_makes_no_sense_is_named(store, folder):
    write(store, "one")
    path = only_file(folder)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b'{"type": "Strange"}\n', *lines[2:]]))
    loaded = store.load("one")
    assert len(list(islice(loaded, 2))) == 2
    with pytest.raises(StoreError, match=rf"{re.escape(str(path))}, line 3: .*Strange"):
        next(loaded)


def test_a_newer_form_is_refused(store, folder):
    write(store, "one")
    path = only_file(folder)
    path.write_bytes(path.read_bytes().replace(b'"format":1', b'"format":2'))
    with pytest.raises(StoreError, match="newer version"):
        list(store.load("one"))


def test_a_list_reads_no_further_than_it_is_asked(store, folder):
    for number in range(1, 29):
        put(folder, f"2024-02-{number:02}", number)
    put(folder, "2024-01-01", 0)
    (folder / "2024/02/28/notes.txt").write_text("not ours")
    (folder / "2024/notes").mkdir()
    sessions = store.sessions()
    assert [session.session_id for session in islice(sessions, 2)] == ["s28", "s27"]
    put(folder, "2024-01-31", 29)  # its month has not been looked into yet
    rest = [f"s{number}" for number in range(26, 0, -1)]
    assert [session.session_id for session in sessions] == [*rest, "s29", "s0"]


def put(folder, date, number):
    """A session of which only the first line makes sense."""
    path = folder / date.replace("-", "/") / f"rollout-{date}T10-00-00-s{number}.jsonl"
    path.parent.mkdir(parents=True)
    first = to_json(SessionBegan(f"s{number}", float(number), Path("/project"), "model", "provider", "0.1.0"))
    path.write_text(json.dumps(first) + "\nno json at all\n")


@pytest.mark.parametrize("first", [b"", b"\n", b"no json\n", b'{"type":"TaskBegan","task_id":"1","time":1}\n'])
def test_files_that_do_not_begin_as_a_session_are_not_listed(store, folder, first):
    write(store, "one")
    store.open("two").close()
    [path] = folder.rglob("*-two.jsonl")
    path.write_bytes(first)
    assert [session.session_id for session in store.sessions()] == ["one"]


def test_a_second_process_is_told_who_is_in_the_way(store, folder):
    log = store.open("one")
    with pytest.raises(StoreError, match=r"in use by another process: .*-one\.jsonl"):
        store.open("one")
    log.close()


def test_what_cannot_be_made_is_named(store, folder):
    folder.parent.mkdir()
    folder.write_text("a file in the way")
    with pytest.raises(StoreError, match=r"cannot be opened: .*sessions"):
        store.open("one")


def test_a_closed_log_takes_nothing(store):
    log = store.open("one")
    log.close()
    with pytest.raises(StoreError, match=r"cannot be written: .*one\.jsonl"):
        log.append(records("one"))


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from codex_host.errors import StoreError
from codex_host.records import TaskBegan
from codex_host.testing.session_store import records
from codex_session_store_files import FilesStore

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = FilesStore(Path(sys.argv[1])).open("one")
log.append([TaskBegan("1", 1.0)])
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
for _ in range(2):
    try:
        log.append(records("one"))
    except StoreError as error:
        print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.append([TaskBegan("2", 2.0)])
"""


def test_a_full_disk_leaves_no_half_append(store, folder):
    command = [sys.executable, "-c", FULL_DISK, str(folder)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.stdout.count("cannot be written") == 2, run.stderr
    assert run.returncode == 0, run.stderr
    assert list(store.load("one")) == [TaskBegan("1", 1.0), TaskBegan("2", 2.0)]


KILLED = """
import sys
from pathlib import Path
from codex_host.items import Text, UserMessage
from codex_host.records import ItemAdded
from codex_session_store_files import FilesStore

log = FilesStore(Path(sys.argv[1])).open("one")
number = 0
while True:
    log.append([ItemAdded(UserMessage((Text(f"{number} " + "x" * 50_000),)))])
    number += 1
    print(number, flush=True)
"""


def test_nothing_that_was_appended_is_lost_to_a_kill(store, folder):
    command = [sys.executable, "-c", KILLED, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        for _ in range(20):
            appended = int(child.stdout.readline())
        child.kill()
        appended = int((child.stdout.read().split() or [appended])[-1])
    found = list(store.load("one"))
    assert len(found) >= appended
    assert all(isinstance(record, ItemAdded) and isinstance(record.item, UserMessage) for record in found)
    store.open("one").close()


@pytest.mark.parametrize("session_id", ["", ".", "..", "../x", "a/b", "-x", "a\0", "x" * 101, "a b"])
def test_ids_that_are_no_file_names_are_refused(store, folder, session_id):
    with pytest.raises(StoreError, match="no name of a session"):
        store.open(session_id)
    assert not folder.exists()
