"""One thread for live work: a hop is too small to be shared between cores, and waiting makes it late."""

import torch
from threadpoolctl import threadpool_limits


def use_one_thread() -> None:
    """Let torch and the library of numpy's products use one thread from now on, in this process."""
    torch.set_num_threads(1)
    threadpool_limits(1, user_api="blas")
