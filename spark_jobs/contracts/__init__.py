"""Tables, topics and identifiers of the platform, described once; standard library only.

Spark schemas, Trino checks, `docs/tables.md` and the register of personal data derive from here.
"""
