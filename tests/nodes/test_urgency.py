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


HURRY = """
import os, time
from ami_nodes.urgency import be_urgent, rest_after
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
be_urgent()
away_s, began_s = 0.0, time.monotonic()
while (last_s := time.monotonic()) < began_s + 3.0:
    until_s = last_s + 0.025
    while last_s < until_s:
        now_s = time.monotonic()
        away_s, last_s = max(away_s, now_s - last_s), now_s
    {rest}
print(away_s)
"""


def longest_away_s(rest):
    """How long a thread that always has work was kept off its core; ordinary ones want that core too."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in os.sched_getaffinity(0)]
    try:
        code = HURRY.format(rest=rest)
        out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
        return float(out.stdout)
    finally:
        for process in others:
            process.kill()
            process.wait()


@pytest.mark.graph  # is run again where the machine stood still meanwhile
def test_work_without_end_keeps_its_core_when_it_rests_after_each_piece():
    if not ask()[0]:
        pytest.skip("no right to real-time priority")
    if longest_away_s("") < 0.03:
        pytest.skip("this kernel takes no core away from threads with real-time priority")
    assert longest_away_s("rest_after(0.025)") < 0.02


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may less")
def test_a_user_who_may_not_have_it_takes_turns_as_others_do():
    got, own, inner, later, niceness = ask(f"import ami_nodes.urgency; os.setuid({NOBODY})")
    assert not got and own == inner == later == os.SCHED_OTHER and niceness == os.getpriority(os.PRIO_PROCESS, 0)
