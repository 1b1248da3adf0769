"""What the work of a call is held to: its deadline, its share of the processor, its caller."""

import time

import pytest

from sensorium.core.errors import CancelledCallError, DeadlineExceededError
from sensorium.core.operation import Work


def test_a_cancelled_call_stops_at_its_next_look():
    work = Work()
    work.check()
    work.cancel()
    with pytest.raises(CancelledCallError):
        work.check()


def test_a_late_call_stops():
    with pytest.raises(DeadlineExceededError):
        Work(time.monotonic() - 1).check()


def test_a_call_that_computes_more_than_it_may_stops_and_one_that_waits_does_not():
    work = Work(cpu_s=0.05)
    time.sleep(0.1)
    work.check()
    with pytest.raises(DeadlineExceededError, match="of the processor"):
        check_for_ever(work)


def check_for_ever(work):
    while True:
        work.check()
