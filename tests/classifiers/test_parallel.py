"""Jobs run side by side, their results in order; a stop stops all of them soon."""

import threading
import time
from collections.abc import Callable

import pytest
from threadpoolctl import threadpool_info, threadpool_limits  # type: ignore[import-untyped]

from classifiers.parallel import Tick, one_blas_thread, run_jobs


class Cancelled(Exception):
    pass


def silent(share: float) -> None:
    pass


@pytest.mark.parametrize("threads", [1, 3])
def test_results_come_in_the_order_of_jobs(threads: int) -> None:
    def job(number: int) -> Callable[[Tick], int]:
        def run(tick: Tick) -> int:
            time.sleep(0.01 * (3 - number))
            tick(1.0)
            return number

        return run

    shares: list[float] = []
    assert run_jobs([job(number) for number in range(3)], threads, shares.append) == [0, 1, 2]
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_what_the_report_raises_stops_every_job_and_comes_out() -> None:
    begun, ended = threading.Semaphore(0), threading.Semaphore(0)

    def endless(tick: Tick) -> None:
        begun.release()
        try:
            while True:
                time.sleep(0.001)
                tick(0.5)
        finally:
            ended.release()

    def cancel(share: float) -> None:
        if share:
            raise Cancelled

    with pytest.raises(Cancelled):
        run_jobs([endless] * 5, 2, cancel)
    for _ in range(2):
        assert ended.acquire(timeout=1)
    assert not ended.acquire(blocking=False), "only those that had begun ran"


def test_what_a_job_raises_comes_out_without_waiting_for_the_others_to_end() -> None:
    def bad(tick: Tick) -> None:
        raise KeyError("broken")

    def endless(tick: Tick) -> None:
        while True:
            time.sleep(0.001)
            tick(0.5)

    with pytest.raises(KeyError, match="broken"):
        run_jobs([endless, bad], 2, silent)


def test_the_report_runs_in_the_callers_thread() -> None:
    seen: set[int] = set()
    run_jobs([lambda tick: tick(1)], 1, lambda _: seen.add(threading.get_ident()))
    assert seen == {threading.get_ident()}


def test_matrix_products_get_their_threads_back_when_the_last_has_left() -> None:
    def threads() -> set[int]:
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    with threadpool_limits(2, user_api="blas"):
        before = threads()
        first, second = one_blas_thread(), one_blas_thread()
        first.__enter__()
        second.__enter__()
        assert threads() == {1}
        first.__exit__(None, None, None)
        assert threads() == {1}
        second.__exit__(None, None, None)
        assert threads() == before
