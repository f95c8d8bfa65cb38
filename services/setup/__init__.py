"""Set-up: from bash and python3 to a checked virtual environment, checked artifacts and a chosen Java.

Modules that run before the virtual environment exists (`__main__`, `java`, `locking`, `packages`, `paths`, `pip`,
`progress`, `space`, `venv`) import the standard library, `spark_jobs.errors` and each other only.
"""
