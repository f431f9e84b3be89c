"""The tests of workerd; see ``docs/explanation/architecture.md`` for what each folder proves."""
