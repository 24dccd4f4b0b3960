"""What goes wrong on object storage, as errors of the operating system with a cause and a remedy.

The client library tells everything but a missing object in one class of error and a long text, which also
holds the URL that was asked, with a signature in it on Azure. So the text is never passed on: the status,
the service's code and the kind of the network's failure are read from it, and told in words of our own.
"""

from __future__ import annotations

import errno
import re

from lmc_sweep.store.object_uris import ObjectUri

_STATUS = re.compile(r"status code: (\d{3})|\bstatus: (\d{3})")
_CODE = re.compile(r"<Code>(\w{1,80})</Code>")
_KIND = re.compile(r"kind: (Connect|Timeout|Interrupted|Request|Decode|Unknown)\b")

_WRONG_NAME = re.compile(r'\bPath "(.{1,300}?)"(?:: | contained )')

_NO_BUCKET = {"NoSuchBucket", "ContainerNotFound", "InvalidBucketName", "AllAccessDisabled"}
_WRONG_REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
_WRONG_CLOCK = {"RequestTimeTooSkewed", "RequestExpired"}
_NOT_LET_IN = {"ExpiredToken", "InvalidToken", "TokenRefreshRequired", "InvalidAccessKeyId", "AuthFailure"}
_FULL = {"XMinioStorageFull", "QuotaExceeded"}

CREDENTIALS = {
    "s3": "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile of ~/.aws by AWS_PROFILE",
    "gs": "Set GOOGLE_APPLICATION_CREDENTIALS, or run: gcloud auth application-default login",
    "az": "Set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
"""What to do where no credentials are found, or where they are refused."""

_ENDPOINTS = {
    "s3": "Check the network and AWS_ENDPOINT_URL",
    "gs": "Check the network",
    "az": "Check the network, AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ENDPOINT",
}
AGAIN = "Run the same command again: what had finished is stored"
_AGAIN = "then run the same command again: what had finished is stored"

PASSING = {
    errno.EIO,
    errno.EAGAIN,
    errno.ETIMEDOUT,
    errno.ECONNREFUSED,
    errno.ECONNRESET,
    errno.EHOSTUNREACH,
    errno.ENOSPC,
}
"""Errors that may be over in a while; ``terms`` waits for the same."""


class ObjectError(OSError):
    """Something on object storage cannot be read or written.

    ``errno`` says whether it may pass, as it does for files: a service that is away, slow or overloaded may
    come back; refused credentials and a bucket that is not there need a person. ``remedy`` is what that
    person can do, without a full stop.
    """

    def __init__(self, number: int, cause: str, where: str, remedy: str) -> None:
        super().__init__(number, cause, where)
        self.remedy = remedy

    def __reduce__(self) -> tuple[type[ObjectError], tuple[int | None, str | None, str, str]]:
        return ObjectError, (self.errno, self.strerror, self.filename, self.remedy)


def translated(error: Exception, uri: ObjectUri, path: str = "") -> OSError:
    """The error of the client library as FileNotFoundError (the object is missing) or ObjectError."""
    text = str(error)
    where = f"{uri}/{path}" if path else str(uri)
    code = match[1] if (match := _CODE.search(text)) else ""
    if isinstance(error, FileNotFoundError) and code not in _NO_BUCKET:
        return FileNotFoundError(errno.ENOENT, "no such object", where)
    number, cause, remedy = _told(text, code, _status(text), uri)
    return ObjectError(number, cause, where, remedy)


def is_conflict(error: BaseException) -> bool:
    """Whether the service says that the name is taken, or that somebody else is writing it."""
    return type(error).__name__ in ("AlreadyExistsError", "PreconditionError", "NotModifiedError")


def is_not_offered(error: BaseException) -> bool:
    """Whether the service does not know conditional writes."""
    return type(error).__name__ == "NotSupportedError" or _status(str(error)) == 501


def _status(text: str) -> int:
    """The HTTP status that an error tells; 0 where there was no answer."""
    match = _STATUS.search(text)
    return int(match[1] or match[2]) if match else 0


def _told(text: str, code: str, status: int, uri: ObjectUri) -> tuple[int, str, str]:
    """Number of the error, its cause and its remedy."""
    answer = " ".join(part for part in (str(status or ""), code) if part)
    if code in _NO_BUCKET:
        name = "container" if uri.scheme == "az" else "bucket"
        return (
            errno.EINVAL,
            f"there is no {name} {uri.bucket!r} ({code})",
            f"Make the {name}, or name another",
        )
    if code in _WRONG_REGION or "redirect without LOCATION" in text:
        return errno.EINVAL, "the bucket is in another region", "Set AWS_REGION to the region of the bucket"
    if code in _WRONG_CLOCK:
        return errno.EACCES, f"the service finds the clock wrong ({code})", "Set the clock of this machine"
    if "169.254.169.254" in text or "metadata.google.internal" in text:
        return errno.EACCES, "no credentials were found, and no role of this machine", CREDENTIALS[uri.scheme]
    if status in (401, 403) or code in _NOT_LET_IN:
        allowed = "and ask for the right to list, read, write and delete there"
        return errno.EACCES, f"the service refuses access ({answer})", f"{CREDENTIALS[uri.scheme]}, {allowed}"
    if status == 507 or code in _FULL:
        return errno.ENOSPC, f"the service has no space left ({answer})", f"Free some, {_AGAIN}"
    if status in (408, 409, 429, 503):
        return errno.EAGAIN, f"the service asks to come back later ({answer})", f"Wait a while, {_AGAIN}"
    if status >= 500:
        return errno.EIO, f"the service fails ({answer})", f"Wait a while, {_AGAIN}"
    if status:
        return errno.EINVAL, f"the service refuses the request ({answer})", _ENDPOINTS[uri.scheme]
    if "invalid path" in text.lower() or "parse path" in text:
        name = f" ({match[1]!r})" if (match := _WRONG_NAME.search(text)) else ""
        return (
            errno.EINVAL,
            f"a name there is none that a store has{name}",
            "Delete that object, or choose another prefix",
        )
    return _of_the_network(text, uri)


def _of_the_network(text: str, uri: ObjectUri) -> tuple[int, str, str]:
    """Number, cause and remedy where no answer came."""
    kind = match[1] if (match := _KIND.search(text)) else ""
    remedy = f"{_ENDPOINTS[uri.scheme]}, {_AGAIN}"
    if "certificate" in text.lower():
        remedy = "Set AWS_CA_BUNDLE to the certificates that sign it" if uri.scheme == "s3" else remedy
        return errno.EINVAL, "the server's certificate is not trusted", remedy
    if kind == "Timeout":
        return errno.ETIMEDOUT, "the server does not answer in time", remedy
    if kind == "Connect":
        if "dns error" in text:
            return errno.EHOSTUNREACH, "the server's name is not known", remedy
        return errno.ECONNREFUSED, "no connection to the server", remedy
    if kind == "Interrupted":
        return errno.ECONNRESET, "the connection broke", remedy
    return errno.EIO, "the server's answer cannot be read", remedy
