import os
import subprocess
import sys

from dropkit.experiments.owner import Owner


def test_this_process_lives_and_two_studies_in_it_differ() -> None:
    me, again = Owner.new(), Owner.new()
    assert not me.is_dead()
    assert me != again
    assert Owner.parse(str(me)) == me


def test_a_process_that_ended_is_dead() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        owner = Owner.new()._replace(pid=other.pid)
        other.communicate(b"\n")
    assert owner.is_dead()


def test_a_number_taken_over_by_another_process_is_dead() -> None:
    before_boot = Owner.new()._replace(started=1.0)
    assert before_boot.pid == os.getpid()
    assert before_boot.is_dead()


def test_a_clock_set_by_a_second_kills_nobody() -> None:
    me = Owner.new()
    assert not me._replace(started=me.started + 1).is_dead()


def test_nothing_is_certain_of_another_machine() -> None:
    assert not Owner.new()._replace(host="another", pid=2**22 + 1, started=1.0).is_dead()


def test_a_host_may_have_any_name() -> None:
    odd = Owner("a/b c", 1, 2.5, "ab")
    assert Owner.parse(str(odd)) == odd
