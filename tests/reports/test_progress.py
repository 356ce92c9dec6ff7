import io

from rich.console import Console

from fundusseg.reports import progress as module
from fundusseg.reports.progress import progress


def test_a_log_file_has_lines_with_rate_and_time_left(monkeypatch):
    clock = iter([100.0, 110.0, 161.0, 170.0, 300.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    console = Console(file=io.StringIO(), width=120)
    with progress(1000, 600, console) as advance:
        for _ in range(4):
            advance()
    assert console.file.getvalue().splitlines() == [
        "602 of 1000 photographs, 0.0 per second, 12139 s left",
        "604 of 1000 photographs, 0.0 per second, 19800 s left",
    ]


def test_a_terminal_has_a_bar_that_goes_on_from_an_earlier_run():
    console = Console(file=io.StringIO(), width=120, force_terminal=True)
    with progress(10, 7, console) as advance:
        advance()
        advance()
    with progress(4, 0, console, "photographs of [b]{odd}[/b]") as advance:
        advance()
    said = console.file.getvalue()
    assert "Photographs of [b]{odd}[/b]" in said and "1/4" in said
    assert "9/10" in console.file.getvalue() and "Photographs" in console.file.getvalue()
