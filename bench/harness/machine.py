# SPDX-License-Identifier: Apache-2.0
"""What the machine is, and what it spent: CPU, memory, disk, flush latency. Linux /proc only."""

import os
import pathlib
import platform
import time

TICK_US = 1_000_000 // os.sysconf("SC_CLK_TCK")
SECTOR = 512


def read(path, fallback=""):
    try:
        return pathlib.Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return fallback


def cpu_model():
    fields = {}
    for line in read("/proc/cpuinfo").split("\n\n", maxsplit=1)[0].splitlines():
        key, _, value = line.partition(":")
        fields[key.strip()] = value.strip()
    name = fields.get("model name", "")
    flags = set(fields.get("flags", "").split())
    return {
        "name": name or " ".join(fields.get(k, "?") for k in ("vendor_id", "cpu family", "model")),
        "cores": os.cpu_count(),
        "sha_ni": "sha_ni" in flags,
        "aes": "aes" in flags,
    }


def memory_mb():
    for line in read("/proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) // 1024
    return 0


def block_device(path):
    """(major, minor, name) of the device below a folder, or None when it cannot be told."""
    dev = os.stat(path).st_dev
    wanted = [(os.major(dev), os.minor(dev))]
    for line in read("/proc/self/mountinfo").splitlines():
        fields = line.split()
        if fields[2] == f"{wanted[0][0]}:{wanted[0][1]}" and " - " in line:
            source = line.split(" - ", 1)[1].split()[1]
            if source.startswith("/dev/") and os.path.exists(source):
                real = os.stat(source).st_rdev
                wanted.append((os.major(real), os.minor(real)))
    for line in read("/proc/diskstats").splitlines():
        fields = line.split()
        if (int(fields[0]), int(fields[1])) in wanted:
            return int(fields[0]), int(fields[1]), fields[2]
    return None


def disk_written(device):
    """Bytes written to the device so far, and write and flush requests; None when unknown."""
    if device is None:
        return None
    for line in read("/proc/diskstats").splitlines():
        fields = line.split()
        if fields[2] == device[2]:
            flushes = int(fields[18]) if len(fields) > 18 else 0
            return {"bytes": int(fields[9]) * SECTOR, "writes": int(fields[7]), "flushes": flushes}
    return None


def busy_us():
    """CPU time all cores spent on anything but idling since boot."""
    fields = [int(f) for f in read("/proc/stat").split("\n", 1)[0].split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields
    return {"busy": (user + nice + system + irq + softirq) * TICK_US, "steal": steal * TICK_US}


def stat_cpu_us(stat):
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_US if len(fields) > 12 else 0


def process_cpu_us(pid):
    return stat_cpu_us(read(f"/proc/{pid}/stat"))


def thread_cpu_us(pid):
    """CPU per thread by id: (name, microseconds); from schedstat, which counts nanoseconds."""
    threads = {}
    try:
        tids = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return threads
    for tid in tids:
        base = f"/proc/{pid}/task/{tid}"
        schedstat = read(f"{base}/schedstat").split()
        us = int(schedstat[0]) / 1000 if schedstat else stat_cpu_us(read(f"{base}/stat"))
        name = read(f"{base}/comm").strip()
        threads[tid] = (name + " (main)" if tid == str(pid) else name, us)
    return threads


def process_memory_kb(pid):
    out = {}
    for line in read(f"/proc/{pid}/status").splitlines():
        key, _, value = line.partition(":")
        if key in ("VmHWM", "VmRSS", "RssAnon", "RssFile", "RssShmem"):
            out[key] = int(value.split()[0])
    return out


def context_switches(pid):
    total = 0
    try:
        tids = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return 0
    for tid in tids:
        for line in read(f"/proc/{pid}/task/{tid}/status").splitlines():
            if "ctxt_switches" in line:
                total += int(line.split(":")[1])
    return total


def quantile(values, q):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else 0


def flush_latency(folder, seconds=2.0, most=2000):
    """Latency of a 4 KiB write with fdatasync into a file that is already allocated."""
    size, block = 4 << 20, os.urandom(4096)
    path = os.path.join(folder, "flush.tmp")
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    taken = []
    try:
        for offset in range(0, size, len(block)):
            os.pwrite(fd, block, offset)
        os.fsync(fd)
        end = time.monotonic() + seconds
        while time.monotonic() < end and len(taken) < most:
            start = time.perf_counter_ns()
            os.pwrite(fd, block, (len(taken) * 4096 * 7) % size)
            os.fdatasync(fd)
            taken.append((time.perf_counter_ns() - start) / 1000)
    finally:
        os.close(fd)
        os.unlink(path)
    return {"n": len(taken), "p50_us": round(quantile(taken, 0.5)),
            "p99_us": round(quantile(taken, 0.99)), "max_us": round(max(taken, default=0))}


def describe(folder):
    device = block_device(folder)
    return {
        "kernel": platform.release(),
        "arch": platform.machine(),
        "cpu": cpu_model(),
        "memory_mb": memory_mb(),
        "device": device[2] if device else None,
        "libc": " ".join(platform.libc_ver()),
        "python": platform.python_version(),
        "flush": flush_latency(folder),
    }
