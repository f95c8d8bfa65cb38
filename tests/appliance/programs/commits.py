"""Write or read a Delta table in HDFS as the platform does: `commits FOLDER write|empty|read`; says what was seen."""

from __future__ import annotations

import json
import sys

import hdfs
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException

from spark_jobs import settings as settings_file
from spark_jobs.storage.session import start_session

COMMITS, ROWS = 4, 500
folder, step = sys.argv[1:]
settings = settings_file.load()


def empty_newest() -> int:
    """Leave no byte of the newest commit."""
    client = hdfs.InsecureClient(settings.webhdfs_url, user="databank")
    place = f"/{folder.split('/', 3)[3]}/_delta_log"
    newest = max(name for name in client.list(place) if name.endswith(".json"))
    client.write(f"{place}/{newest}", data=b"", overwrite=True)
    return 0


spark = start_session(settings.spark, "databank commits")
try:
    if step == "write":
        for number in range(COMMITS):
            # What is written into the commit is what its block is found by.
            writer = spark.range(ROWS).coalesce(1).write.format("delta").mode("append")
            writer.option("userMetadata", f"{folder.rsplit('/', 1)[1]}-{number}-planted").save(folder)
    seen: object = empty_newest() if step == "empty" else spark.read.format("delta").load(folder).count()
except (PySparkException, Py4JError) as error:
    seen = str(getattr(error, "java_exception", error))[:2000]
finally:
    spark.stop()
sys.stdout.write(json.dumps(seen))
