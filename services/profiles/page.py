"""The page about the API: its OpenAPI document as plain HTML, which loads nothing from anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "h2{border-top:1px solid #ccc;padding-top:1rem}code,pre{background:#f4f4f4;padding:.1rem .3rem}"
    "pre{padding:.8rem;overflow:auto}table{border-collapse:collapse}td,th{text-align:left;padding:.2rem .8rem .2rem 0}"
)


def page(document: Mapping[str, Any]) -> str:
    """The whole page."""
    title, about = escape(document["info"]["title"]), escape(document["info"].get("description", ""))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"<h1>{title} {escape(document['info']['version'])}</h1><p>{about}</p>"
        f'<p><a href="openapi.json">openapi.json</a></p>{"".join(_operations(document))}</html>'
    )


def _operations(document: Mapping[str, Any]) -> Iterator[str]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            about = escape(operation.get("description", ""))
            yield f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{about}</p>"
            yield from _parameters(operation)
            if "requestBody" in operation:
                yield f"<h3>Body</h3><pre>{_pretty(operation['requestBody']['content'])}</pre>"
            yield "<h3>Answers</h3><table>"
            for status, answer in operation["responses"].items():
                yield f"<tr><td>{escape(status)}</td><td>{escape(answer['description'])}</td></tr>"
            yield "</table>"
    if schemas := document.get("components", {}).get("schemas"):
        yield f"<h2>Schemas</h2><pre>{_pretty(schemas)}</pre>"


def _parameters(operation: Mapping[str, Any]) -> Iterator[str]:
    if parameters := operation.get("parameters"):
        yield "<table><tr><th>parameter</th><th>in</th><th></th></tr>"
        for one in parameters:
            yield f"<tr><td><code>{escape(one['name'])}</code></td><td>{escape(one['in'])}</td>"
            yield f"<td>{escape(one.get('description', ''))}</td></tr>"
        yield "</table>"


def _pretty(content: object) -> str:
    return escape(json.dumps(content, indent=2, ensure_ascii=False))
