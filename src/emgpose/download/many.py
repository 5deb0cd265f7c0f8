"""Many files at once, over a few connections."""

from emgpose.download.desk import Desk
from emgpose.download.many_threads import run_all
from emgpose.download.transport import Transport
from emgpose.download.wanted import Wanted, require_free


def fetch_many(desk: Desk, wanted: list[Wanted], connections: int, noun: str) -> None:
    """Fetch files whose sizes are known, leaving those that are there.

    Parameters
    ----------
    desk : Desk
    wanted : list of Wanted
        Each with its size.
    connections : int
    noun : str
        What the files are called in messages.

    Raises
    ------
    DataError : one of them cannot be fetched, or the disk has too little room for all; what has come is kept.
    """
    to_fetch = [item for item in wanted if not desk.is_there(item)]
    desk.tally.n_there += len(wanted) - len(to_fetch)
    n_bytes = sum(item.size_bytes or 0 for item in to_fetch)
    require_free(desk.out, n_bytes)
    desk.listener.on_notice(
        f"{len(wanted)} {noun}, {len(wanted) - len(to_fetch)} of them there already; to fetch: {len(to_fetch)} {noun}, "
        f"{n_bytes / 2**30:.3f} GiB, over {min(connections, len(to_fetch))} connections"
    )
    desk.listener.on_total(n_bytes)

    def work(number: int, transport: Transport) -> None:
        to_fetch[number].target.parent.mkdir(parents=True, exist_ok=True)
        desk.fetch_listed(to_fetch[number], transport)

    run_all(work, len(to_fetch), connections, desk.link)
