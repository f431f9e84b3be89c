"""The verbs: ``workerd NAME`` is ``command`` of the module NAME, imported when it is typed."""
