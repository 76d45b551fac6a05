"""Looks through what `make package` built: the long description, the wheel, the source archive.

The tests of the source archive run in it against the wheel, as a distributor runs them: those that
read other files of the repository, or all with `--all-tests`. `--release` also refuses what must
not be published.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
import venv
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from pathlib import Path

from markdown_it import MarkdownIt

_ROOT = Path(__file__).parents[1]
_TESTS = (
    "tests/installed",
    "tests/test_documents.py",
    "tests/test_packaging.py",
    "tests/data",
)
_IN_WHEEL = (
    "sunra_integrations/py.typed",
    "sunra_integrations/data/_profiles.py",
    "sunra_integrations/data/LICENSE",
    "sunra_integrations/_pyinstaller/hook-sunra_integrations.py",
    "{info}/licenses/LICENSE",
    "{info}/licenses/src/sunra_integrations/data/LICENSE",
    "{info}/entry_points.txt",
)


def main() -> None:
    """Checks the two files in the folder; ends with what is wrong, if anything is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--release", action="store_true", help="refuse what must not be published")
    parser.add_argument("--all-tests", action="store_true", help="run the whole suite")
    options = parser.parse_args()
    [wheel], [archive] = options.folder.glob("*.whl"), options.folder.glob("*.tar.gz")
    metadata = _metadata(wheel)
    repository = _repository(metadata)
    if options.release and not repository:
        raise SystemExit(
            "pyproject.toml names no repository, so the links of the long description are plain "
            'text. Add `Repository = "https://…"` under [project.urls] before a release.'
        )
    wrong = [
        *_wrong_in(wheel),
        *wrong_links(metadata.get_payload(), repository=repository, root=_ROOT),
        *_differing_from_a_wheel_of_the_tree(wheel),
        *_differing_from_the_repository(archive),
    ]
    if wrong:
        raise SystemExit("\n".join(wrong))
    _run_tests(archive, wheel, ("tests",) if options.all_tests else _TESTS)


def _repository(metadata: Message[str, str]) -> str | None:
    urls = dict(url.split(", ", 1) for url in metadata.get_all("Project-URL", []))
    return urls.get("Repository")


def wrong_links(markdown: str, *, repository: str | None, root: Path) -> Iterator[str]:
    """The links and images that lead nowhere when a page is read away from the repository."""
    for target in _targets(markdown):
        address, _, anchor = target.partition("#")
        if not target.startswith("https://"):
            yield f"The long description has the link {target}, which is not absolute."
        elif repository and address.startswith(repository):
            path = root / address.removeprefix(repository).strip("/").partition("/main/")[2]
            if not path.is_file():
                yield f"The long description has the link {target}, but there is no {path}."
            elif anchor and anchor not in _headings(path):
                yield f"The long description has the link {target}, but {path} has no such heading."


def _targets(markdown: str) -> Iterator[str]:
    tokens = MarkdownIt("commonmark").enable("table").parse(markdown)
    for token in (inner for outer in tokens for inner in (outer, *(outer.children or ()))):
        yield from (str(token.attrs[name]) for name in ("href", "src") if name in token.attrs)
        if token.type.startswith("html_"):
            yield from re.findall(r"""(?:href|src)\s*=\s*["']([^"']*)""", token.content)


def _headings(page: Path) -> set[str]:
    """The anchors that a code host gives to the headings of a page."""
    lines = re.findall(r"^#+ +(.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}


def _metadata(wheel: Path) -> Message[str, str]:
    with zipfile.ZipFile(wheel) as file:
        [name] = [name for name in file.namelist() if name.endswith(".dist-info/METADATA")]
        return message_from_bytes(file.read(name))


def _wrong_in(wheel: Path) -> Iterator[str]:
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
    info = "-".join(wheel.name.split("-")[:2]) + ".dist-info"
    for name in {name.format(info=info) for name in _IN_WHEEL} - names:
        yield f"{wheel.name} lacks {name}."
    for name in names:
        if not name.startswith(("sunra_integrations/", f"{info}/")) or "/test_" in name:
            yield f"{wheel.name} has {name}, which is not part of the package."


def _differing_from_a_wheel_of_the_tree(wheel: Path) -> Iterator[str]:
    """`python -m build` makes the wheel out of the source archive."""
    with tempfile.TemporaryDirectory() as folder:
        build = [sys.executable, "-m", "build", "--wheel", "--outdir", folder, str(_ROOT)]
        subprocess.run(build, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own command
        [other] = Path(folder).glob("*.whl")
        if other.read_bytes() != wheel.read_bytes():
            yield f"{wheel.name}, built of the source archive, is not the wheel of this tree."


def _differing_from_the_repository(archive: Path) -> Iterator[str]:
    if not (_ROOT / ".git").exists():  # this is a source archive itself
        return
    listed = subprocess.run(
        ["git", "ls-files", "-z"],  # noqa: S607 - whichever git made the checkout
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    wanted = {name for name in listed.split("\0") if name} | {"PKG-INFO"}
    with tarfile.open(archive) as file:
        found = {name.partition("/")[2] for name in file.getnames()}
    for name in sorted(wanted ^ found):
        yield f"{archive.name} {'lacks' if name in wanted else 'has the untracked file'} {name}."


def _run_tests(archive: Path, wheel: Path, tests: tuple[str, ...]) -> None:
    """Runs tests of the source archive with the wheel and the packages that are installed here."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(archive) as file:
            file.extractall(folder, filter="data")
        [source] = Path(folder).iterdir()
        environment = Path(folder) / "venv"
        python = _environment(environment)
        pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
        subprocess.run([*pip, "--no-deps", str(wheel.resolve())], check=True)  # noqa: S603
        pytest = [str(python), "-m", "pytest", "-q", "-n", "2", *tests]
        done = subprocess.run(pytest, cwd=source, check=False)  # noqa: S603 - our own tests
        if done.returncode != 0:
            raise SystemExit(f"The tests of {archive.name} fail when they run in it.")
    print(f"The tests of {archive.name} ran in {time.monotonic() - began:.0f} s.")


def _environment(folder: Path) -> Path:
    """An environment that sees the packages installed here, but not this source tree."""
    venv.create(folder, symlinks=True)
    [packages] = folder.glob("lib/python*/site-packages")
    # A folder that a `.pth` file adds has its own `.pth` files left unread: no editable installs.
    (packages / "installed_here.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return folder / "bin" / "python"


if __name__ == "__main__":
    main()
