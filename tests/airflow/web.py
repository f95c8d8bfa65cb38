"""Airflow as a person meets it: by its web address, with an account."""

from __future__ import annotations

from typing import Any

import requests


class Web:
    """A session of an account that came in with its password."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False
        account = {"username": user, "password": password}
        token = self._said(self._session.post(f"{url}/auth/token", json=account, timeout=60))["access_token"]
        self._session.headers["Authorization"] = f"Bearer {token}"

    def get(self, place: str) -> dict[str, Any]:
        return self._said(self._session.get(f"{self.url}/api/v2/{place}", timeout=60))

    def _said(self, answer: requests.Response) -> dict[str, Any]:
        assert answer.ok, f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text[:800]}"
        said: dict[str, Any] = answer.json()
        return said
