"""Workflows: calls that are not made yet, and how they follow one another.

On the wire each is a mapping of task, args, kwargs, options, subtask_type and immutable; the forms and the
rules by which they become one another are those of Celery 5.
"""
