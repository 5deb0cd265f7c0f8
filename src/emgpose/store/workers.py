"""Run jobs in this process, in local processes, or on a Dask cluster: the same jobs, the same results."""

import contextlib
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

from emgpose.errors import ConfigError, DataError, EmgPoseError, MissingExtraError


def run_jobs(
    function: Callable[..., Any], jobs: Sequence[tuple[Any, ...]], *, workers: int, dask: str | None
) -> Generator[Any]:
    """Call a function for each job; results come as they are ready.

    Parameters
    ----------
    function : callable
        At the top level of a module, so that another process finds it.
    jobs : sequence of tuple
        Arguments of each call.
    workers : int
        Local processes; 1 stays in this one.
    dask : str or None
        Address of a Dask scheduler whose workers are to do it, such as tcp://host:8786.

    Raises
    ------
    ConfigError : the scheduler cannot be reached.
    MissingExtraError : joblib or dask is not installed.
    DataError : a worker died.
    """
    if not jobs:
        return
    if dask is None and workers == 1:
        for job in jobs:
            yield function(*job)
        return
    joblib = _joblib()
    with _backend(joblib, dask):
        parallel = joblib.Parallel(
            n_jobs=-1 if dask is not None else min(workers, len(jobs)), batch_size=1, return_as="generator_unordered"
        )
        try:
            yield from parallel(joblib.delayed(function)(*job) for job in jobs)
        except (EmgPoseError, OSError):
            raise
        except Exception as error:
            if any(word in type(error).__name__ for word in ("Terminated", "Killed", "Cancelled")):
                raise DataError(
                    "a worker process, or the scheduler, ended unexpectedly, perhaps for lack of memory; run the same "
                    f"command again, perhaps with fewer workers: what is complete is kept ({type(error).__name__})"
                ) from None
            raise


def _joblib() -> Any:
    try:
        import joblib
    except ImportError:
        raise MissingExtraError(
            'several workers need the library joblib, which is not installed; run: pip install "emgpose[store]", or '
            "use --workers 1"
        ) from None
    return joblib


@contextlib.contextmanager
def _backend(joblib: Any, dask: str | None) -> Iterator[None]:
    if dask is None:
        with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
            yield
        return
    try:
        from distributed import Client
    except ImportError:
        raise MissingExtraError(
            '--dask needs the library dask, which is not installed; run: pip install "emgpose[store]"'
        ) from None
    try:
        client = Client(dask, timeout=20, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise ConfigError(f"--dask {dask}: no scheduler answers there: {error}; give its address") from None
    with client, joblib.parallel_config(backend="dask", client=client):
        yield
