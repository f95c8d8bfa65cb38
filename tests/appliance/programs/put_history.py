"""Put the old system's exported files into HDFS; told: `files`, `url` of WebHDFS, `folder` there. Says how many."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import hdfs

told = json.load(sys.stdin)
client = hdfs.InsecureClient(told["url"], user="databank")
client.delete(told["folder"], recursive=True)
files = [path for path in Path(told["files"]).rglob("*") if path.is_file()]
for path in files:
    client.upload(f"{told['folder']}/{path.relative_to(told['files'])}", str(path))
sys.stdout.write(json.dumps(len(files)))
