"""Sets that prepare themselves: where `data.source` says what to fetch and no `data.root` is given.

    $TLX_DATA, or cache_dir/data
        guns/, ppe/                     a published set (`tlx.data.published`)
        openimages/CLASSES/             a subset of Open Images (`tlx.data.openimages`)
        openimages/annotations/         the boxes of all its classes, which subsets share

One process fetches and the others wait; what was stopped goes on. A set appears under its name only
when it is whole, and one that a person has put there is taken as it is.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from filelock import FileLock

from tlx.common.download import DownloadError, Patience, resume, session
from tlx.common.errors import ConfigError, DataError, TlxError, first_line
from tlx.common.files import read_json, write_json
from tlx.common.packages import pip_install
from tlx.common.typos import unknown_choice
from tlx.config.schema import DATA_SOURCES, DataConfig
from tlx.data.openimages.job import Request, Source, download
from tlx.data.published import (
    PUBLISHED,
    PublishedSet,
    arrange,
    files_of_folder,
    files_of_zip,
)

log = logging.getLogger(__name__)

FOLDER = "TLX_DATA"  # an environment variable: the folder of all sets that are fetched
MIRROR = "TLX_DATA_MIRROR"  # likewise: an address or folder that has NAME.zip, or NAME/
NOTE = ".source.json"  # in the folder of a published set: where it came from
_PATIENCE = Patience(retries=4)


def data_folder(cache_dir: str | Path) -> Path:
    """Where fetched sets lie: `$TLX_DATA`, or `data` in the cache."""
    return Path(os.environ.get(FOLDER) or Path(cache_dir) / "data").expanduser().absolute()


def kept_annotations(cache_dir: str | Path) -> Path:
    """Where the boxes of all classes of Open Images are kept."""
    return data_folder(cache_dir) / "openimages" / "annotations"


def prepared(cfg: DataConfig, cache_dir: Path) -> tuple[Path, dict[str, Any] | None]:
    """The folder of a set, fetched where it is to be and not here yet; and where it came from.

    `data.root` always counts, and then nothing is fetched or known of the source.

    Raises:
        ConfigError: neither says where the set is, or a class that Open Images has not.
        DataError: it could not be fetched; says what to do.
    """
    if cfg.root is not None:
        return Path(str(cfg.root)).expanduser(), None
    if cfg.source is None:
        raise ConfigError(f"data={cfg.name} needs the folder that holds it: data.root=/path/to/it")
    if cfg.source == "openimages":
        return _open_images(cfg, cache_dir)
    if cfg.source not in PUBLISHED:  # a stranger's configuration, which nothing has checked
        raise ConfigError(unknown_choice("data.source", cfg.source, DATA_SOURCES))
    chosen = PUBLISHED[cfg.source]
    folder = prepare_published(chosen, data_folder(cache_dir) / chosen.name)
    return folder, _note(folder)


def subset_name(classes: list[str], max_images: int | None) -> str:
    """The folder of a subset: readable, of plain letters, and another one for other classes."""
    words = re.sub(r"[^a-z0-9]+", "-", "-".join(classes).casefold(), flags=re.ASCII).strip("-")
    text = "\n".join(name.casefold() for name in classes)
    name = f"{words[:40].strip('-') or 'classes'}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
    return name if max_images is None else f"{name}-{max_images}"


def prepare_published(chosen: PublishedSet, folder: Path) -> Path:
    """The folder of a published set, fetched where there is none.

    Raises:
        DataError: no source gives it; says where a person gets it, and where it belongs.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f".{folder.name}.lock"):
        if not _holds_something(folder):
            _fetch(chosen, folder)
    return folder


def _open_images(cfg: DataConfig, cache_dir: Path) -> tuple[Path, dict[str, Any]]:
    if not cfg.classes:
        raise ConfigError("data.source=openimages needs the names to fetch: data.classes=[Apple]")
    root = data_folder(cache_dir) / "openimages" / subset_name(cfg.classes, cfg.max_images)
    request = Request(classes=tuple(cfg.classes), max_images=cfg.max_images)
    try:
        summary = download(request, root, Source(kept_annotations(cache_dir)))
    except DownloadError as error:
        raise DataError(
            f"data={cfg.name} is not on this machine and could not be fetched: {error}\n"
            f"Start it again with a network, or give a folder that has it: data.root=FOLDER"
        ) from error
    if summary["classes"] != list(cfg.classes):
        raise ConfigError(
            f"data.classes=[{','.join(cfg.classes)}]: Open Images spells it "
            f"[{','.join(summary['classes'])}]"
        )
    about = {key: summary[key] for key in ("set", "annotations", "pictures")}
    return root, about | {"left_out": len(summary["left_out"])}


def _holds_something(folder: Path) -> bool:
    return folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir())


def _note(folder: Path) -> dict[str, Any]:
    try:
        note = read_json(folder / NOTE)
    except (OSError, ValueError):
        note = None
    return note if isinstance(note, dict) else {"from": "put there by hand"}


def _fetch(chosen: PublishedSet, folder: Path) -> None:
    """Try one source after the other, into a draft that takes the set's name when it is whole."""
    failures = []
    for name, fill in _sources(chosen, folder):
        draft = folder.with_name(f".{folder.name}.{os.getpid()}-{secrets.token_hex(4)}")
        draft.mkdir()
        try:
            log.info("fetching %s from %s", chosen.name, name)
            known = fill(draft)
            if not known:
                log.warning(
                    "the pictures of %s from %s are not the bytes that are known as %s: its "
                    "figures need not be those of others", chosen.name, name, chosen.name,
                )  # fmt: skip
            write_json(draft / NOTE, {"set": chosen.name, "from": name, "known_pictures": known})
            if folder.exists():
                shutil.rmtree(folder)  # empty, but for names that begin with a dot
            draft.rename(folder)
            return
        except (TlxError, OSError) as error:
            failures.append(f"{name}: {first_line(error)}")
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    raise DataError(
        f"data={chosen.name} is not on this machine and could not be fetched "
        f"({'; '.join(failures)}).\n"
        f"Get it from {chosen.page} and put its zip at {_packed(folder)}, or give a folder with "
        "data.root=FOLDER"
    )


def _packed(folder: Path) -> Path:
    """Where a person puts the zip of a set."""
    return folder.with_name(f"{folder.name}.zip")


def _sources(chosen: PublishedSet, folder: Path) -> Iterator[tuple[str, Callable[[Path], bool]]]:
    """In the order in which they are tried: the name of a source, and what fills a draft from it
    and says whether its pictures are those that are known."""
    mirror = os.environ.get(MIRROR)
    if _packed(folder).is_file():
        yield str(_packed(folder)), partial(_from_place, chosen, folder)
    elif not mirror:
        yield f"kaggle.com/{chosen.kaggle}", partial(_from_kaggle, chosen)
        yield chosen.archive, partial(_from_archive, chosen, folder, chosen.archive)
    elif "://" in mirror:
        url = f"{mirror.rstrip('/')}/{chosen.name}.zip"
        yield url, partial(_from_archive, chosen, folder, url)
    else:
        place = Path(mirror).expanduser() / chosen.name
        yield str(place), partial(_from_place, chosen, place)


def _from_kaggle(chosen: PublishedSet, draft: Path) -> bool:
    session().close()  # which says so where nothing is to be fetched
    try:
        kagglehub = import_module("kagglehub")
    except ImportError as error:
        raise DataError(f"kagglehub is not installed: {pip_install('kaggle')}") from error
    try:
        fetched = Path(kagglehub.dataset_download(chosen.kaggle))
    except Exception as error:  # it raises those of requests, of Kaggle's client, and its own
        raise DataError(first_line(error)) from error
    return arrange(chosen, files_of_folder(fetched), draft)


def _from_archive(chosen: PublishedSet, folder: Path, url: str, draft: Path) -> bool:
    part = folder.with_name(f".{folder.name}.zip.partial")
    resume(url, part, _PATIENCE)
    try:
        with files_of_zip(part) as files:
            return arrange(chosen, files, draft)
    finally:
        part.unlink()


def _from_place(chosen: PublishedSet, place: Path, draft: Path) -> bool:
    packed = _packed(place)
    if packed.is_file():
        with files_of_zip(packed) as files:
            return arrange(chosen, files, draft)
    if not place.is_dir():
        raise DataError(f"there is neither {place.name}/ nor {packed.name}")
    return arrange(chosen, files_of_folder(place), draft)
