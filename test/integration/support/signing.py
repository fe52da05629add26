# SPDX-License-Identifier: Apache-2.0
"""What a receiver would do to check a delivery, written down independently of the gateway."""

import base64
import hashlib
import hmac


def v0(secret, body):
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def check_v0(header, body, *secrets):
    """The header must hold exactly one signature for each secret, newest first."""
    assert header == "v0=" + ",".join(v0(s, body) for s in secrets), header


def v1(secret, msg_id, timestamp, body):
    key = base64.b64decode(secret.removeprefix("whsec_"))
    text = f"{msg_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
