"""The fast way out for messages: written to an open connection as bytes, many in one go.

An outlet sits on a connection that kombu has opened (URLs, TLS, login, fail-over and patience are kombu's),
and over which kombu has already declared and published.  What it cannot carry, and what it has lost, goes
by kombu's producer: see ``app.publish``.
"""
