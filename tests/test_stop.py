"""The first signal waits for the next place where stopping does no harm, the second one does not."""

import os
import signal
import threading

import pytest

from qtlplat.errors import Terminated
from qtlplat.signals import orderly_stop


def send(one):
    os.kill(os.getpid(), one)


@pytest.fixture(autouse=True)
def _handlers():
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for one, handler in before.items():
        signal.signal(one, handler)


@pytest.mark.parametrize(("one", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_the_first_signal_waits_for_a_check(one, error):
    done = []

    def work():
        with orderly_stop() as stop:
            stop.check()
            send(one)
            done.append("before the check")
            stop.check()
            done.append("after the check")

    with pytest.raises(error):
        work()
    assert done == ["before the check"]


def test_a_signal_after_the_last_check_is_obeyed_at_the_end():
    done = []

    def work():
        with orderly_stop() as stop:
            stop.check()
            send(signal.SIGINT)
            done.append("the last write")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["the last write"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_second_signal_does_not_wait():
    done = []

    def work():
        with orderly_stop():
            send(signal.SIGINT)
            done.append("before")
            send(signal.SIGINT)
            done.append("after")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["before"]


def test_handlers_are_as_before_afterwards_and_ignored_signals_stay_ignored():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with orderly_stop() as stop:
        send(signal.SIGTERM)
        stop.check()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_outside_of_the_main_thread_nothing_changes():
    seen = []

    def run():
        with orderly_stop() as stop:
            stop.check()
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]
