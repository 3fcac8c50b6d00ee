"""Which prices of a Transparency in Coverage file can be the rate of a unit, and which ``keep`` selects.

In: an element of ``negotiated_rates`` or ``allowed_amounts`` as JSON. Out: its prices in whole cents with the
number of NPIs that they count for, or the reason why they are set aside; see ``transparency``.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from sca_analysis.errors import ExportError
from sca_analysis.readers.source import Source

Json = dict[str, Any]

#: Provider references that are held in memory; a file with more is refused.
MAX_REFERENCES = 3_000_000
STATISTICS = ("median", "min", "max", "highest")
_TYPES = ("negotiated", "derived", "fee schedule")
_LISTS = ("billing_class", "setting", "service_code", "billing_code_modifier", "negotiated_type", "npi", "tin")
_CODE = re.compile(r"[0-9A-Z][0-9]{3}[0-9A-Z]")
_AMOUNT = re.compile(r"-?[0-9]{1,13}(\.[0-9]{0,40})?([eE][+-]?[0-9]{1,2})?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_MAX_VERDICTS = 10_000  # held in memory
_NOWHERE = -1
_NO_WORDS: frozenset[str] = frozenset()


class Price(NamedTuple):
    """A price [cents] with the number of NPIs it counts for and their billed charges, or why it is none."""

    reason: str
    cents: int = 0
    weight: int = 0
    billed: tuple[tuple[int, int], ...] = ()  # cents and NPIs


class Part(NamedTuple):
    """What an item holds: the name of its array, that of prices in an element, the key of an amount, its fields."""

    name: str
    prices: str
    amount: str
    fields: tuple[str, ...]


PARTS = {
    "in_network": Part(
        "negotiated_rates",
        "negotiated_prices",
        '"negotiated_rate"',
        ("billing_code", "billing_code_type", "negotiation_arrangement"),
    ),
    "out_of_network": Part("allowed_amounts", "payments", '"allowed_amount"', ("billing_code", "billing_code_type")),
}


@dataclass(frozen=True)
class Choice:
    """What ``keep`` of exports.yaml says; an empty list keeps all."""

    lists: dict[str, frozenset[str]]
    in_force_on: str
    statistic: str


@dataclass
class Head:
    """What stands beside the prices of a file: NPIs by provider_group_id (None = in a file elsewhere), its day."""

    where: str  # the file, for error messages
    weights: dict[Any, int | None] = field(default_factory=dict)
    updated_on: str = ""
    verdicts: dict[Any, str] = field(default_factory=dict)  # by the terms of a price
    is_known: bool = False  # all of it, from an earlier reading
    is_late: bool = False  # some of it stands behind the prices
    is_allowed: bool = False


def choose(source: Source) -> Choice:
    """Return what ``keep`` of exports.yaml selects.

    Raises
    ------
    ExportError
        If it names what is not known here.

    """
    keep = {k: [v.strip().casefold() for v in values] for k, values in source.keep.items()}
    if unknown := sorted(keep.keys() - {*_LISTS, "in_force_on", "statistic"}):
        raise ExportError(
            f"exports.yaml: fees: keep: {unknown[0]!r} is not known here; known are {', '.join(_LISTS)}, "
            "in_force_on, statistic."
        )
    day, statistic = (keep.pop(k, [d]) for k, d in (("in_force_on", ""), ("statistic", "median")))
    if len(statistic) != 1 or statistic[0] not in STATISTICS:
        raise ExportError(f"exports.yaml: fees: keep: statistic is one of {', '.join(STATISTICS)}.")
    if len(day) != 1 or not _DATE.fullmatch(day[0] or "0000-00-00"):
        raise ExportError("exports.yaml: fees: keep: in_force_on is one day, written YYYY-MM-DD.")
    if set(keep.get("negotiated_type", ())) - set(_TYPES):
        raise ExportError(f"exports.yaml: fees: keep: negotiated_type is of {', '.join(_TYPES)}: others are no rate.")
    lists = {k: frozenset(keep.get(k, ())) for k in _LISTS}
    lists["billing_class"] = lists["billing_class"] or frozenset({"professional"})
    lists["service_code"] = frozenset(c.zfill(2) for c in lists["service_code"])
    lists["tin"] = frozenset(t.replace("-", "") for t in lists["tin"])
    return Choice(lists, day[0], statistic[0])


def take_in(given: object, choice: Choice, head: Head) -> None:
    """Take in an element of ``provider_references``; prices that refer to a damaged one find no providers.

    Raises
    ------
    ExportError
        If there are more than ``MAX_REFERENCES``.

    """
    if not isinstance(given, dict):
        return
    key = _key(given.get("provider_group_id"))
    if "provider_groups" not in given and "location" in given:
        head.weights.setdefault(key, None)
    else:
        head.weights[key] = (head.weights.get(key) or 0) + _weigh(_objects(given.get("provider_groups")), choice)
    if len(head.weights) > MAX_REFERENCES:
        raise ExportError(
            f"{head.where} has more than {MAX_REFERENCES:,} provider references, the most that are held: split it."
        )


def judge_item(item: Json, part: Part) -> tuple[str, str]:
    """Return the code of an item and the reason why its prices are no rates, or none."""
    arrangement = word_of(item.get("negotiation_arrangement")) if "negotiation_arrangement" in part.fields else "ffs"
    if arrangement != "ffs":
        known = arrangement in ("bundle", "capitation")
        return "", arrangement if known else "unknown_value:negotiation_arrangement"
    if word_of(item.get("billing_code_type")) not in ("cpt", "hcpcs"):
        return "", "code_type"
    code = word_of(item.get("billing_code")).upper()
    return code, "" if _CODE.fullmatch(code) else "procedure_code_shape"


def judge_rate(choice: Choice, head: Head, given: Json) -> Iterator[Price]:
    """Yield each price of an element of ``negotiated_rates``."""
    weight, without = _find_providers(given, choice, head)
    for price in given["negotiated_prices"]:
        if not isinstance(price, dict):
            yield Price("malformed_record")
        elif reason := _judge_terms(price, choice, head) or without:
            yield Price(reason)
        else:
            yield _price(price.get("negotiated_rate"), weight)


def judge_allowed(choice: Choice, head: Head, given: Json) -> Iterator[Price]:
    """Yield each payment of an element of ``allowed_amounts``."""
    del head
    for payment in given["payments"]:
        if not isinstance(payment, dict):
            yield Price("malformed_record")
            continue
        providers = [p | {"tin": given.get("tin")} for p in _objects(payment.get("providers"))]
        # the guide's sample has modifiers beside the amount; beside the class they would speak of all amounts
        modifier = payment.get("billing_code_modifier") or given.get("billing_code_modifier")
        reason = _select(given | {"billing_code_modifier": modifier}, choice)
        weight = _weigh(providers, choice)
        if reason or not weight:
            yield Price(reason or (_not_selected(choice) if providers else "no_provider"))
        else:
            charges = ((_cents(word_of(p.get("billed_charge"))), _weigh([p], choice)) for p in providers)
            billed = tuple((cents, share) for cents, share in charges if isinstance(cents, int) and share)
            yield _price(payment.get("allowed_amount"), weight, billed)


def _price(given: object, weight: int, billed: tuple[tuple[int, int], ...] = ()) -> Price:
    cents = _cents(given if isinstance(given, str) else word_of(given))
    return Price(cents) if isinstance(cents, str) else Price("", cents, weight, billed)


@lru_cache(maxsize=100_000)
def _cents(given: str) -> int | str:
    """Return whole cents, half up, or the reason why there are none."""
    if not _AMOUNT.fullmatch(given):
        return "not_an_amount"
    amount = Decimal(given)
    if amount.adjusted() > 12:  # a trillion dollars
        return "not_an_amount"
    if amount < 0:
        return "negative_amount"
    return int(amount.scaleb(2).to_integral_value(ROUND_HALF_UP)) or "zero_amount"


def _judge_terms(price: Json, choice: Choice, head: Head) -> str:
    """Judge all but the amount of a price; what was found is kept, since the terms of most prices are alike."""
    modifier, service = price.get("billing_code_modifier"), choice.lists["service_code"]
    terms = (
        price.get("negotiated_type"),
        price.get("billing_class"),
        price.get("setting"),
        price.get("expiration_date"),
        tuple(modifier) if isinstance(modifier, list) else modifier,
        tuple(_words(price.get("service_code"))) if service else None,
    )
    try:
        return head.verdicts[terms]
    except (KeyError, TypeError) as error:  # new, or a list or object where a word should be
        day = choice.in_force_on or head.updated_on
        found = _judge_type(price, choice) or _select(price, choice) or _judge_expiry(price, day)
        if isinstance(error, KeyError) and len(head.verdicts) < _MAX_VERDICTS:
            head.verdicts[terms] = found
        return found


def _judge_type(price: Json, choice: Choice) -> str:
    kind = word_of(price.get("negotiated_type"))
    if kind not in _TYPES:
        return kind.replace(" ", "_") if kind in ("percentage", "per diem") else "unknown_value:negotiated_type"
    wanted = choice.lists["negotiated_type"]
    return "not_selected:negotiated_type" if wanted and kind not in wanted else ""


def _select(given: Json, choice: Choice) -> str:
    """Return the reason why a price is not among those that ``keep`` selects, or none."""
    lists = choice.lists
    if _words(given.get("billing_code_modifier")) != lists["billing_code_modifier"]:
        return "not_selected:billing_code_modifier"
    for key in ("billing_class", "setting"):
        if lists[key] and (word := word_of(given.get(key))) not in lists[key] and word != "both":
            return f"not_selected:{key}"
    if wanted := lists["service_code"]:
        codes = {c.zfill(2) for c in _words(given.get("service_code"))}
        if not codes & wanted and "cstm-00" not in codes:  # which means every place
            return "not_selected:service_code"
    return ""


def _judge_expiry(price: Json, day: str) -> str:
    expiry = price.get("expiration_date")
    if not day or not expiry:
        return ""
    last = day_of(expiry)
    return ("expired" if last < day else "") if last else "not_a_date:expiration_date"


def _find_providers(given: Json, choice: Choice, head: Head) -> tuple[int, str]:
    """Return how many NPIs an element of ``negotiated_rates`` counts for, or why for none."""
    groups, references = _objects(given.get("provider_groups")), given.get("provider_references")
    references = references if isinstance(references, list) else []
    weight, without = _weigh(groups, choice), "no_provider"
    if groups:
        without = _not_selected(choice)
    for one in references:
        found = head.weights.get(_key(one), _NOWHERE)
        if found is None:
            without = "providers_elsewhere"
        elif found == _NOWHERE:
            without = without if without == "providers_elsewhere" else "unknown_provider_group"
        else:
            weight += found
            without = _not_selected(choice) if without == "no_provider" else without
    return weight, "" if weight else without


def _weigh(groups: Sequence[Json], choice: Choice) -> int:
    """Return how many NPIs are in provider groups, of those that ``keep`` selects; a group without any is one."""
    npis, bare = set[Any](), 0
    wanted, tins = choice.lists["npi"], choice.lists["tin"]
    for group in groups:
        tin = group.get("tin")
        if tins and word_of(tin.get("value") if isinstance(tin, dict) else tin).replace("-", "") not in tins:
            continue
        given = group.get("npi")
        listed = given if isinstance(given, list) else [] if given is None else [given]
        try:
            npis.update(listed)
        except TypeError:  # an object among them
            npis.update(n for n in listed if isinstance(n, (int, str)))
        bare += not listed
    npis.discard(None)
    if wanted or len(set(map(type, npis))) > 1:  # as numbers or as texts
        npis = set(map(str, npis))
    return len(npis & wanted) if wanted else len(npis) + bare


def _not_selected(choice: Choice) -> str:
    return next((f"not_selected:{k}" for k in ("npi", "tin") if choice.lists[k]), "no_provider")


def _objects(given: object) -> list[Json]:
    return [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []


def word_of(given: object) -> str:
    """Return a text or whole number without regard to case; blank for anything else."""
    if isinstance(given, str):
        return given.strip().casefold()
    return str(given) if isinstance(given, int) and not isinstance(given, bool) else ""


def _words(given: object) -> frozenset[str]:
    """Return the words of a list, or of a text that is none."""
    if not given:
        return _NO_WORDS
    return frozenset(filter(None, map(word_of, given if isinstance(given, list) else [given])))


def day_of(given: object) -> str:
    """Return the day of a date or time in ISO 8601, blank if it is none."""
    found = _DATE.match(given) if isinstance(given, str) else None
    return found[0] if found else ""


def _key(given: object) -> int | str:
    """Return a provider_group_id such that 7 and "7" are one."""
    if type(given) is int:
        return given
    text = word_of(given)
    return int(text) if text.isdecimal() and len(text) < 19 else text
