"""A network that holds loopback alone: a namespace of Linux where it is allowed.

`namespace_command()` starts a program in it, and that program calls `loopback_up()` first. Where
it is not allowed, `GUARD` refuses connections beyond this machine, in Python processes only.
"""

import array
import fcntl
import shutil
import socket
import struct
import subprocess

NAMESPACE = ("unshare", "--map-root-user", "--net")
GUARD = '''"""Refuses every connection beyond this machine, in each Python process of the kernel."""
import ipaddress
import sys

def _is_near(host):
    name = host.decode() if isinstance(host, bytes) else host
    try:
        return name in (None, "", "localhost") or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False

def _refuse(event, args):
    if event == "socket.getaddrinfo" and not _is_near(args[0]):
        raise OSError(f"no network here: {args[0]}")
    if event in ("socket.connect", "socket.sendto") and isinstance(args[1], tuple):
        if not _is_near(args[1][0]):
            raise OSError(f"no network here: {args[1][0]}")

sys.addaudithook(_refuse)
'''
"""The text of a `sitecustomize.py`."""


def namespace_command() -> tuple[str, ...]:
    """Return what starts a program with loopback as its only network; empty where not allowed."""
    if shutil.which(NAMESPACE[0]) is None:
        return ()
    tried = subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False)
    return NAMESPACE if tried.returncode == 0 else ()


def loopback_up() -> bool:
    """Switch on `lo`; return whether it is the only interface there is (see Linux's netdevice)."""
    get_flags, set_flags, up = 0x8913, 0x8914, 0x1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        request = array.array("B", struct.pack("16sH22x", b"lo", 0))
        fcntl.ioctl(door, get_flags, request)
        flags = struct.unpack("16sH22x", request.tobytes())[1]
        fcntl.ioctl(door, set_flags, struct.pack("16sH22x", b"lo", flags | up))
    return [name for _, name in socket.if_nameindex()] == ["lo"]
