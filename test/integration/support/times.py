# SPDX-License-Identifier: Apache-2.0
"""Timestamps of the API."""

import datetime


def parse(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def show(when):
    return when.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def after(seconds):
    return now() + datetime.timedelta(seconds=seconds)
