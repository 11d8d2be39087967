"""Download a data set into the cache; only verified files ever get a name there."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pooch
import requests
from tqdm.auto import tqdm

from sparsecourse.data.catalogue import Entry, cache_folder
from sparsecourse.data.errors import DamagedDataError, DataNotFoundError

RETRIES = 2
CONNECT_SECONDS, SILENCE_SECONDS = 4, 20


class _HomeFailsError(OSError):
    """No answer, or a refusal: to be asked again in a second would not change it.

    pooch retries on the errors of requests and on ValueError, not on this.
    """


def download(entry: Entry, verify: Callable[[str, Path], object]) -> list[Path]:
    """Fetch what is not yet in the cache from the first home that has all of it.

    pooch writes to a temporary name in the cache and renames the file when it is complete, so that
    an interrupted download leaves nothing, and several processes may fetch the same file.

    Parameters
    ----------
    entry : Entry
    verify : callable(file name, path)
        Called with each new file under its temporary name; raises DamagedDataError to refuse it.

    Returns
    -------
    paths : list of Path
        In the cache, one for each of ``entry.downloads``.

    Raises
    ------
    DataNotFoundError
        If no home has all of it; the message holds one line about each of them.
    """
    # pooch reports every file with its full path; the bar says enough.
    pooch.get_logger().setLevel(logging.WARNING)
    problems = []
    for home in entry.homes:
        try:
            folder = cache_folder() / entry.name
            folder.mkdir(parents=True, exist_ok=True)
            store = pooch.create(
                path=folder,
                base_url=home,
                # No digest for pooch, which would compare that of the packed file; ours is of the
                # decoded content.
                registry=dict.fromkeys(entry.downloads),
                retry_if_failed=RETRIES,
            )
            return [
                Path(store.fetch(name, downloader=_downloader(name, verify)))
                for name in entry.downloads
            ]
        except DamagedDataError as error:
            problems.append(f"{home}: what it sent is damaged: {error.why}")
        except OSError as error:
            # Also a full disk, or a cache that cannot be written.
            problems.append(f"{home}: {error}")
    raise DataNotFoundError("\n".join(problems))


class _Bar:
    """The progress bar as pooch expects it, drawn with the first bytes: not where none come."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.total = 0  # set by pooch
        self.bar = None

    def update(self, n_bytes: int) -> None:
        if self.bar is None:
            # A widget in a notebook; disable=None: else none where no terminal shows it.
            self.bar = tqdm(
                desc=self.name,
                total=self.total,
                unit="B",
                unit_scale=True,
                leave=False,
                disable=None,
            )
        self.bar.update(n_bytes)

    def reset(self) -> None:
        if self.bar is not None:
            self.bar.reset()

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


def _downloader(name: str, verify: Callable[[str, Path], object]) -> Callable[..., None]:
    def fetch_and_verify(url: str, path: str, store: pooch.Pooch) -> None:
        with closing(_Bar(name)) as bar:
            http = pooch.HTTPDownloader(
                progressbar=bar, chunk_size=2**16, timeout=(CONNECT_SECONDS, SILENCE_SECONDS)
            )
            try:
                http(url, path, store)
            except (requests.ConnectionError, requests.Timeout) as error:
                raise _HomeFailsError(f"no connection ({error})") from error
            except requests.HTTPError as error:
                if error.response.status_code >= 500:
                    raise
                raise _HomeFailsError(str(error)) from error
        verify(name, Path(path))
        # The temporary file was for its owner alone, but a cache may be shared.
        Path(path).chmod(0o644)

    return fetch_and_verify
