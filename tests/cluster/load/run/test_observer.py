import os
import subprocess
import sys

from cluster.load.report.markup import cost_words
from cluster.load.run.conductor import cost_of
from cluster.load.run.observer import KERNEL, MACHINE, Memory, Observer, kernel_pages, machine


def test_a_process_is_counted_from_its_second_look_on_and_its_heir_goes_on_with_its_line():
    observer = Observer(None, {"this": os.getpid()})
    observer.look(-1.0)
    burned = sum(number * number for number in range(2_000_000))
    assert burned
    observer.look(0.5)
    lines = {use.name: use for use in observer.uses()}
    assert lines["this"].at_s == [0.5]
    assert lines["this"].cpu[0] > 0.2
    assert 5 < lines["this"].memory_mb[0] < 10_000
    assert lines[MACHINE].memory_mb[-1] > lines["this"].memory_mb[0]


def test_a_process_that_is_gone_ends_its_line_and_nothing_else():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    observer = Observer(None, {"child": child.pid})
    observer.look(0.0)
    observer.look(1.0)
    child.communicate(b"\n")
    observer.look(2.0)
    lines = {use.name: use for use in observer.uses()}
    assert lines["child"].at_s == [1.0]
    assert lines[MACHINE].at_s == [0.0, 1.0, 2.0]


def test_the_kernels_pages_are_read_where_it_tells_them():
    told = "sockets: used 11\nTCP: inuse 1 orphan 0 tw 0 alloc 1 mem 101\nUDP: inuse 0 mem 7\n"
    assert kernel_pages(told) == 101
    assert kernel_pages("TCP: inuse 1") is None
    assert kernel_pages("") is None
    observer = Observer(None, {})
    observer.look(0.0)
    assert {use.name for use in observer.uses()} <= {MACHINE, KERNEL}


def test_the_machine_is_named():
    assert any("cores" in line for line in machine())


def test_what_sockets_took_is_memory_after_less_memory_before():
    cost = cost_of(1_000, 2.0, Memory(100.0, 1.0, 900.0), Memory(113.0, 3.0, 950.0))
    assert (cost.gateways_mb, cost.kernel_mb, cost.machine_mb) == (13.0, 2.0, 50.0)
    told = cost_words(cost)
    assert "1,000 sockets opened in 2s, 500/s; each took 13.0 KB in the gateways, 2.0 KB in the kernel's" in told
    assert "50.0 KB of the whole machine" in told
    assert cost_of(1, 1.0, Memory(0, None, 0), Memory(0, 1.0, 0)).kernel_mb is None
