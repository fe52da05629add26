# SPDX-License-Identifier: Apache-2.0
"""A small client of the native API: every answer as it came, one connection a thread."""

import http.client
import json as jsonlib
import threading
import urllib.parse

from .wait import DEADLINE

V1 = "/api/v1"


class Reply:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers  # http.client's message: case-insensitive
        self.body = body

    @property
    def json(self):
        return jsonlib.loads(self.body)

    def __repr__(self):
        return f"<Reply {self.status} {self.body[:600]!r}>"

    def must(self, status):
        assert self.status == status, f"wanted {status}, got {self!r}"
        return self.json if self.body else None

    def error(self, status, message, data=None):
        """Asserts the API's error shape, exactly."""
        want = {"status": status, "message": message}
        if data is not None:
            want["data"] = data
        assert self.status == status, f"wanted {want}, got {self!r}"
        assert self.json == want
        assert self.headers["content-type"].startswith("application/json")
        return self

    def empty(self, status):
        assert (self.status, self.body) == (status, b""), repr(self)
        return self


def seg(text):
    return urllib.parse.quote(text, safe="")


class Api:
    def __init__(self, base, token=None, timeout=DEADLINE, context=None):
        self.base = base
        self.url = urllib.parse.urlsplit(base)
        self.token = token
        self.timeout = timeout
        self.context = context
        self.local = threading.local()

    def with_token(self, token):
        return Api(self.base, token, self.timeout, self.context)

    def _connect(self):
        if self.url.scheme == "https":
            c = http.client.HTTPSConnection(
                self.url.hostname, self.url.port, timeout=self.timeout, context=self.context
            )
        else:
            c = http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=self.timeout)
        self.local.conn = c
        self.local.used = False
        return c

    def close(self):
        c = getattr(self.local, "conn", None)
        if c is not None:
            c.close()
            self.local.conn = None

    def request(self, method, path, json=None, body=None, headers=None, query=None):
        if query:
            path += "?" + urllib.parse.urlencode(query, doseq=True)
        head = dict(headers or {})
        if json is not None:
            body = jsonlib.dumps(json).encode()
        if body is not None:
            head.setdefault("Content-Type", "application/json")
        if self.token is not None:
            head.setdefault("Authorization", "Bearer " + self.token)
        c = getattr(self.local, "conn", None) or self._connect()
        try:
            return self._once(c, method, path, body, head)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            # The server closed an idle connection; only then is asking again harmless.
            if not self.local.used:
                self.close()
                raise
            self.close()
            return self._once(self._connect(), method, path, body, head)
        except (OSError, http.client.HTTPException):
            self.close()
            raise

    def _once(self, c, method, path, body, head):
        c.request(method, path, body=body, headers=head)
        r = c.getresponse()
        reply = Reply(r.status, r.headers, r.read())
        self.local.used = True
        if r.will_close:
            self.close()
        return reply

    def get(self, path, **query):
        return self.request("GET", V1 + path, query=query)

    def post(self, path, json=None, **kw):
        return self.request("POST", V1 + path, json=json, **kw)

    def put(self, path, json=None, **kw):
        return self.request("PUT", V1 + path, json=json, **kw)

    def patch(self, path, json=None, **kw):
        return self.request("PATCH", V1 + path, json=json, **kw)

    def delete(self, path):
        return self.request("DELETE", V1 + path)

    # ---- shortcuts that insist on success ----

    def tenant(self, tenant_id, **fields):
        r = self.put(f"/tenants/{seg(tenant_id)}", json=fields or None)
        assert r.status in (200, 201), repr(r)
        return r.json

    def token_of(self, tenant_id):
        return self.get(f"/tenants/{seg(tenant_id)}/token").must(200)["token"]

    def destination(self, tenant_id, url, topics="*", **fields):
        body = {"type": "webhook", "topics": topics, "config": {"url": url}}
        body["config"].update(fields.pop("config", {}))
        body.update(fields)
        return self.post(f"/tenants/{seg(tenant_id)}/destinations", json=body).must(201)

    def publish(self, tenant_id, data=None, **fields):
        body = {"tenant_id": tenant_id, "data": {"n": 1} if data is None else data}
        body.update(fields)
        return self.post("/publish", json=body).must(202)

    def attempts(self, **query):
        return self.get("/attempts", **query).must(200)["models"]

    def events(self, **query):
        return self.get("/events", **query).must(200)["models"]

    def metrics(self):
        """name{labels} -> value"""
        r = self.request("GET", "/metrics")
        assert r.status == 200, repr(r)
        values = {}
        for line in r.body.decode().splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                values[name] = float(value)
        return values
