"""`movable audit`: a real kernel's calls to a driver, held against the contract."""

from __future__ import annotations

import click

FOUND = 1
KERNEL_NAMES = ("5.10", "6.1", "any")


@click.command(short_help="Hold a real kernel's calls to a driver against the contract.")
@click.argument("path", metavar="TRACE|RECORDING")
@click.option(
    "--kernel",
    type=click.Choice(KERNEL_NAMES),
    help="Whose order of calls to expect; a recording says so itself, a trace is taken for 6.1.",
)
@click.option("--cut", is_flag=True, help="Tracing began or ended while compaction was at work.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def audit(path: str, kernel: str | None, cut: bool, as_json: bool) -> None:
    """Read the calls in a RECORDING's log, or in an ftrace text, the TRACE, and say what is wrong.

    As root, in /sys/kernel/tracing, for a driver whose callbacks are my_isolate, my_migrate and
    my_putback (on 5.10, newpage, page and mode of migrate_page are $arg2, $arg3 and $arg4):

    \b
    echo 0 > tracing_on; echo 65536 > buffer_size_kb
    echo 'p:isolate_page my_isolate page=$arg1 mode=$arg2:u32' >> kprobe_events
    echo 'r64:isolate_page_ret my_isolate ret=$retval:u8' >> kprobe_events
    echo 'p:migrate_page my_migrate newpage=$arg1 page=$arg2 mode=$arg3:u32' >> kprobe_events
    echo 'r64:migrate_page_ret my_migrate ret=$retval:s32' >> kprobe_events
    echo 'p:putback_page my_putback page=$arg1' >> kprobe_events
    echo 1 > events/kprobes/enable; echo > trace; echo 1 > tracing_on
    echo 1 > /proc/sys/vm/compact_memory
    echo 0 > tracing_on; cat trace > my.trace

    Exit code 0: clean. 1: something does not fit. 2: the file cannot be used.
    """
    from movable.audit import audit as examine
    from movable.audit import read

    report = examine(read(path, kernel, cut=cut))
    click.echo(report.to_json() if as_json else str(report))
    if not report.clean:
        raise SystemExit(FOUND)
