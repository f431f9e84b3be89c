"""Options of the app: on the command line, in the help, in steps, and in every process."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from tests.support.daemon import Workerd

APP = """
import sys
import click
from workerd import App, bootsteps, signals
from workerd.bin import Option

app = App("options")
app.user_options["worker"].update([
    Option("--enable-it", action="store_true", default=False, help="In the words of optparse."),
    Option("--limit-it", type="int"),
    click.Option(["--call-it"], type=click.Choice(["this", "that"]), default="this"),
    click.Option(["--count-it"], count=True, default=None),
])
app.user_options["preload"].add(Option("-Z", "--template", default="default", help="Which template to use."))


@signals.user_preload_options.connect
def choose(app, options, sender, **words):
    app.conf.task_default_queue = options["template"]
    print(f"template {options['template']} for {sender}", file=sys.stderr)


class Takes(bootsteps.StartStopStep):
    def __init__(self, parent, **options):
        print(f"{type(parent).__name__} takes {sorted(options.items())}")


class Names(bootsteps.StartStopStep):
    def __init__(self, parent, enable_it, limit_it=3600, call_it="unseen", *, unknown="mine"):
        print(f"{type(parent).__name__} names {enable_it} {limit_it} {call_it} {unknown}")


for blueprint in ("worker", "consumer"):
    app.steps[blueprint].update([Takes, Names])


@app.task
def queue():
    return app.conf.task_default_queue
"""


def test_the_chapter(follow: Callable[[str], None]) -> None:
    follow("options.md")


def test_options_in_both_spellings_reach_every_step_of_both_blueprints(
    short_dir: Path, make: Callable[..., Workerd]
) -> None:
    (short_dir / "optionsapp.py").write_text(APP)
    daemon = make(app="optionsapp")
    help_ = daemon.run("-A", "optionsapp", "start", "--help").stdout
    shown = help_[help_.index("Options of optionsapp:") :]
    assert re.findall(r"--\w+[-\w]*", shown)[:5] == [
        "--call-it",
        "--count-it",
        "--enable-it",
        "--limit-it",
        "--template",
    ]
    for words, problem in (
        (("--limit-it", "many"), "invalid integer value: 'many'"),
        (("--call-it", "other"), "'other' is not one of 'this', 'that'"),
        (("--limit-i", "1"), "did you mean one of: '--limit-it'"),
    ):
        refused = daemon.run("start", "-A", "optionsapp", "--dry", *words)
        assert refused.returncode == 2 and problem in refused.stderr.lower()

    daemon.start("--enable-it", "-Z", "blue", "--call-it", "that", size="1")
    called = daemon.run("-A", "optionsapp", "-Zblue", "call", "optionsapp.queue", "--wait")
    assert called.stdout.endswith('\n"blue"\n')
    assert daemon.stop() == 0
    for parent in ("WorkController", "Consumer"):
        # What was not typed and has no default is left out, so that the step's own default counts.
        assert f"{parent} takes [('call_it', 'that'), ('enable_it', True)]\n" in daemon.text()
        assert f"{parent} names True 3600 that mine\n" in daemon.text()
    assert daemon.text().count("template blue for workerd start") == 2  # the daemon, and its template
