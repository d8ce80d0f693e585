"""Downloads, from a server on this machine: on request only, whole or not at all."""

import hashlib
import http.server
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from nlmodel.errors import ChoiceError, DomainError, DtypeError, FileError, MissingPackageError
from paper_repro.data import download as module
from paper_repro.data.download import download
from paper_repro.data.layout import LAYOUTS
from paper_repro.data.prepare import prepare
from paper_repro.data.published import ARCHIVES, ORIGIN, Archive
from tests.paper_repro.cifar_files import TINY10, binary_files, tiny_images, write_archive


KEY = ("cifar10", "binary")
FILE = "cifar-10-binary.tar.gz"


@pytest.fixture
def content(tmp_path) -> bytes:
    return write_archive(tmp_path / "source.tar.gz", binary_files(TINY10, tiny_images(TINY10))).read_bytes()


@contextmanager
def served(monkeypatch: pytest.MonkeyPatch, data: bytes, *, status: int = 200, length: int | None = None):
    """A server that answers every request with `data`; yields the paths that were asked for."""
    asked: list[str] = []

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(status)
            if status == 302:
                self.send_header("Location", f"http://127.0.0.1:{server.server_port}/elsewhere")
            self.send_header("Content-Length", str(len(data) if length is None else length))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setattr(module, "ORIGIN", f"http://127.0.0.1:{server.server_port}/")
        monkeypatch.setattr(module, "SCHEMES", ("http://127.0.0.1:",))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        try:
            yield asked
        finally:
            server.shutdown()
            thread.join()


def publish(monkeypatch: pytest.MonkeyPatch, data: bytes, **changes) -> None:
    """Pin `data` as the official archive, with `changes` to its sums."""
    sums = {"md5": hashlib.md5(data).hexdigest(), "sha256": hashlib.sha256(data).hexdigest()}
    monkeypatch.setitem(ARCHIVES, KEY, Archive(FILE, **({"size": len(data)} | sums | changes)))


def test_a_download_is_the_archive_and_happens_once(tmp_path, monkeypatch, content):
    publish(monkeypatch, content)
    told = []
    folder = tmp_path / "new" / "data"
    with served(monkeypatch, content) as asked:
        path = download("cifar10", folder, report=lambda done, total: told.append((done, total)))
        assert path == folder / FILE and path.read_bytes() == content
        assert list(folder.iterdir()) == [path]
        assert download("cifar10", folder) == path
    assert asked == [f"/{FILE}"]
    assert told[-1] == (len(content), len(content)) and told == sorted(told)


def test_a_set_is_fetched_on_request_only(tmp_path, monkeypatch, content):
    publish(monkeypatch, content)
    monkeypatch.setitem(LAYOUTS, "cifar10", TINY10)
    with served(monkeypatch, content) as asked:
        with pytest.raises(FileError, match="python -m paper_repro data --download"):
            prepare("cifar10", tmp_path / "data")
        assert asked == [] and not (tmp_path / "data").exists()
        fetched = prepare("cifar10", tmp_path / "data", fetch=True)
        assert asked == [f"/{FILE}"]
    assert prepare("cifar10", tmp_path / "data").fingerprint == fetched.fingerprint


BAD = {
    "wrong SHA-256": ({"sha256": "0" * 64}, {}, "must be fetched whole, SHA-256 0000.* ValueError: SHA256 hash"),
    "wrong MD5": ({"md5": "0" * 32}, {}, "MD5 00000000000000000000000000000000: got [0-9]+ bytes, MD5"),
    "too short": ({"size": 10**6}, {}, "must have 1000000 bytes, MD5 .*: got [0-9]+ bytes"),
    "too long": ({"size": 1000}, {}, "must have 1000 bytes: got more from the server"),
    "not found": ({}, {"status": 404}, "must be fetched whole.*HTTPError: 404"),
    "server error": ({}, {"status": 503}, "must be fetched whole.*HTTPError: 503"),
    "redirection": ({"size": 10**9}, {"status": 302}, "must have 1000000000 bytes"),
    "cut off": ({}, {"length": 10**6}, "must be fetched whole"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("exists", [True, False])
def test_a_bad_download_leaves_nothing(tmp_path, monkeypatch, content, name, exists):
    changes, answer, match = BAD[name]
    publish(monkeypatch, content, **changes)
    folder = tmp_path / "new" / "data"
    if exists:
        folder.mkdir(parents=True)
        (folder / "own.txt").write_text("mine")
    with served(monkeypatch, content, **answer) as asked:
        with pytest.raises(FileError, match=match):
            download("cifar10", folder)
        assert asked == [f"/{FILE}"]  # one request: no redirection followed, no second try
    assert [path.name for path in tmp_path.rglob("*") if path.name not in ("source.tar.gz", "new", "data")] == (
        ["own.txt"] if exists else []
    )
    assert (tmp_path / "new").exists() == exists


def test_a_file_of_another_content_is_not_overwritten(tmp_path, monkeypatch, content):
    publish(monkeypatch, content)
    (tmp_path / FILE).write_bytes(b"my own archive")
    with served(monkeypatch, content) as asked:
        with pytest.raises(FileError, match=f"{FILE} must be the official archive, SHA-256 [0-9a-f]{{64}}: got"):
            download("cifar10", tmp_path)
        assert asked == []
    assert (tmp_path / FILE).read_bytes() == b"my own archive"


def test_only_https_is_asked(tmp_path, monkeypatch):
    assert ORIGIN.startswith("https://") and module.SCHEMES == ("https://",)
    monkeypatch.setattr(module, "ORIGIN", ORIGIN.replace("https", "http"))
    with pytest.raises(DomainError, match="over https only: got http://"):
        download("cifar10", tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_no_answer_is_an_error_that_names_the_address(tmp_path, monkeypatch):
    with served(monkeypatch, b""):
        address = module.ORIGIN
    monkeypatch.setattr(module, "ORIGIN", address)
    monkeypatch.setattr(module, "SCHEMES", ("http://",))
    with pytest.raises(FileError, match=r"127\.0\.0\.1.* must be fetched whole.*ConnectionError"):
        download("cifar10", tmp_path)


def test_without_pooch_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(MissingPackageError, match=r"nlmodel\[repro\]"):
        download("cifar10", tmp_path)


def test_the_published_sums():
    assert set(ARCHIVES) == {(name, kind) for name in ("cifar10", "cifar100") for kind in ("binary", "python")}
    sums = [(archive.md5, archive.sha256) for archive in ARCHIVES.values()]
    assert all(len(md5) == 32 and len(sha) == 64 for md5, sha in sums) and len(set(sums)) == 4
    assert all(1.6e8 < archive.size < 1.8e8 for archive in ARCHIVES.values())
    assert ARCHIVES["cifar10", "python"].md5 == "c58f30108f718f92721af3b95e74349a"


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: download("imagenet", "x"), ChoiceError, "name must be one of"),
        (lambda: download("cifar10", "x", distribution="matlab"), ChoiceError, "must be one of 'binary', 'python'"),
        (lambda: download("cifar10", 3), DtypeError, "folder must be a path"),
    ],
)
def test_mistakes_are_named(call, error, match):
    with pytest.raises(error, match=match):
        call()
    assert not Path("x").exists()
