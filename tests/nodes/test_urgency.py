"""Who runs first on a busy machine: threads of the loop that brakes, as far as the system allows it."""

import os
import subprocess
import sys

import pytest

NOBODY = 65534
ASK = """
import os, sys, threading
{before}
from ami_nodes.urgency import be_urgent, start_ordinary_threads
def policy_of_a_new_thread():
    policies = []
    thread = threading.Thread(target=lambda: policies.append(os.sched_getscheduler(0)))
    thread.start()
    thread.join()
    return policies[0]
got = be_urgent()
inner = policy_of_a_new_thread()
start_ordinary_threads()
own = os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK
print(int(got), own, inner, policy_of_a_new_thread(), os.getpriority(os.PRIO_PROCESS, 0))
"""


def ask(before=""):
    """Whether it got real-time priority; policies of its thread, one started then, one started later; its niceness."""
    done = subprocess.run(
        [sys.executable, "-c", ASK.format(before=before)], capture_output=True, text=True, check=True, timeout=60
    )
    return [int(word) for word in done.stdout.split()]


def test_real_time_priority_holds_for_the_threads_of_the_middleware_and_for_none_that_come_later():
    got, own, inner, later, _ = ask()
    expected = os.SCHED_FIFO if got else os.SCHED_OTHER
    assert (own, inner, later) == (expected, expected, os.SCHED_OTHER)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may less")
def test_a_user_who_may_not_have_it_takes_turns_as_others_do():
    got, own, inner, later, niceness = ask(f"import ami_nodes.urgency; os.setuid({NOBODY})")
    assert not got and own == inner == later == os.SCHED_OTHER and niceness == os.getpriority(os.PRIO_PROCESS, 0)
