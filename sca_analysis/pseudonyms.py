"""Numbers that stand for people without naming them, the same in every run."""

import hashlib
import os

#: Environment variable with the key of the pseudonyms. Without one, whoever knows all member numbers could
#: find out which of them a pseudonym stands for: set it before anything with case numbers leaves the plan.
KEY = "SCA_KEY"


def pseudonym(prefix: str, *parts: str) -> str:
    """Return ``prefix`` and ten letters and digits drawn from the parts: BLAKE2b, keyed if ``KEY`` is set."""
    key = os.environ.get(KEY, "").encode()[: hashlib.blake2b.MAX_KEY_SIZE]
    digest = hashlib.blake2b("\x1f".join(parts).encode(), digest_size=5, key=key).hexdigest()
    return f"{prefix}{digest.upper()}"
