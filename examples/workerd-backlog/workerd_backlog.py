"""Two sub-commands: one as a class, one as a click command."""

import click

from workerd.bin import Command, Option, pass_app


class Tasks(Command):
    """List the tasks of the app."""

    def get_options(self):
        return (
            Option("--prefix", default="", help="Only those whose names begin so."),
            Option("--count", action="store_true", help="Only how many there are."),
        )

    def run(self, prefix="", count=False, **options):
        names = sorted(name for name in self.app.tasks if name.startswith(prefix))
        click.echo(len(names) if count else "\n".join(names))


@click.command()
@click.argument("queue", default="celery")
@pass_app
def backlog(app, queue):
    """Say how many messages wait in QUEUE."""
    with app.connection_for_read() as connection:
        declared = connection.default_channel.queue_declare(queue, passive=True)
    click.echo(f"{queue}: {declared.message_count}")
