"""What stands in a text that an answer may repeat: order number, tracking number, phone, amount, e-mail address.

The rules would rather find nothing than the wrong thing: an answer that calls a phone an order number is worse than
one that names no number. Whoever claims characters first keeps them, in this order: links (claimed and ignored),
e-mail addresses, tracking numbers, dates (ignored), amounts, order numbers that a word like *order* or ``#`` announces,
phones, numbers of identity and bank cards (ignored: they are never repeated), bare order numbers.

The cost does not grow with the text: of a long one only head and tail are looked at, and every pattern is linear in
what remains, since each repetition is bounded and begins where no earlier one can have begun.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator

import msgspec
from phonenumbers import Leniency, PhoneNumberMatch, PhoneNumberMatcher

#: Longer than anything that a person types; what is pasted says its numbers at the start or at the end.
HEAD_CHARACTERS = 2000
TAIL_CHARACTERS = 1000
#: So many candidates for a phone are tried per region.
_PHONE_TRIES = 20
#: Claimed characters become this one, which no pattern lets through.
_CLAIMED = "\0"


class Found(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The first of each kind, as the contact wrote it in half-width characters; ``None`` where there is none.

    Args:
        order_number: without the ``#`` before it.
        tracking_number: of a parcel, in capitals.
        phone: with the separators of the text.
        amount: with its currency.
        email: an address.
    """

    order_number: str | None = None
    tracking_number: str | None = None
    phone: str | None = None
    amount: str | None = None
    email: str | None = None


def find(text: str, regions: tuple[str, ...] = ("CN", "US")) -> Found:
    """Return what stands in a text.

    Args:
        text: of any length and any characters.
        regions: ISO 3166 codes of the countries whose phone numbers need no ``+`` and country code.
    """
    if len(text) > HEAD_CHARACTERS + TAIL_CHARACTERS:
        text = f"{text[:HEAD_CHARACTERS]}\n{text[-TAIL_CHARACTERS:]}"
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    if not _WORTH_IT.search(text):
        return Found()
    page = _Page(text)
    page.claim(_LINK)
    email = page.claim(_EMAIL)
    tracking = page.claim(_TRACKING_SHAPE, _is_tracking) or page.claim(_TRACKING_ANNOUNCED, _is_tracking)
    page.claim(_DATE)
    amount = page.claim(_AMOUNT)
    order = page.claim(_ORDER_NAMED, _is_order) or page.claim(_ORDER_MENTIONED, _is_plain_order)
    order = order or page.claim(_ORDER_AFTER, _is_plain_order)
    phone = page.claim_phone(regions)
    page.claim(_PHONE_ANNOUNCED)  # a phone of another country is still no order
    page.claim(_CARD, _is_card)
    return Found(
        order_number=order or page.claim(_ORDER_BARE),
        tracking_number=tracking and tracking.upper(),
        phone=phone,
        amount=amount and _tight(amount),
        email=email,
    )


class _Page:
    """A text whose parts are claimed one after the other."""

    def __init__(self, text: str) -> None:
        self._text = text

    def claim(self, pattern: re.Pattern[str], fits: Callable[[str], bool] | None = None) -> str | None:
        """Claim all that a pattern matches and that fits; return the first.

        What counts is the group ``it``, or the whole match where the pattern has none.
        """
        group: int | str = "it" if "it" in pattern.groupindex else 0
        spans = [match.span(group) for match in pattern.finditer(self._text) if not fits or fits(match[group])]
        return self._claim_spans(spans)

    def claim_phone(self, regions: tuple[str, ...]) -> str | None:
        """Claim the phones, international ones or those of some regions; return the first."""
        spans = sorted({span for region in regions for span in self._phones(region)})
        return self._claim_spans(spans)

    def _phones(self, region: str) -> Iterator[tuple[int, int]]:
        matcher: Iterable[PhoneNumberMatch] = PhoneNumberMatcher(self._text, region, Leniency.VALID, _PHONE_TRIES)
        for match in matcher:
            start, end = match.start, match.end
            written = self._text[start:end]
            announced = _PHONE_WORD.search(self._text[max(start - 24, 0) : start])
            if announced or not written.isdigit() or _PHONE_BARE.fullmatch(written):
                yield start, end

    def _claim_spans(self, spans: list[tuple[int, int]]) -> str | None:
        if not spans:
            return None
        first = " ".join(self._text[slice(*spans[0])].split())
        for start, end in spans:
            self._text = self._text[:start] + _CLAIMED * (end - start) + self._text[end:]
        return first


def _pattern(source: str) -> re.Pattern[str]:
    # ASCII: digits of other scripts are no part of our numbers, and a Chinese character ends a word.
    return re.compile(source, re.ASCII | re.IGNORECASE | re.VERBOSE)


_WORTH_IT = _pattern(r"[0-9@]")
_LINK = _pattern(
    r"""(?: https?:// | (?<![a-z0-9.-])www\. ) [^\s\u3000-\u9fff]+
    | (?<![a-z0-9.-])[a-z0-9.-]{1,80}\.(?:com|cn|net|org|html?)(?![a-z0-9])(?![^\s/]{0,64}@)[/?:][^\s\u3000-\u9fff]*"""
)
_EMAIL = _pattern(r"(?<![\w.+%-])[\w.+%-]{1,64}@[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){1,4}")
_DATE = _pattern(
    r"""(?<![\w-])(?:
      (?:19|20)\d\d [-/.年] \d{1,2} [-/.月] \d{1,2}
    | \d{1,2} ([-/.]) \d{1,2} \1 (?:19|20)?\d\d
    )(?![\w-])"""
)

# Words announce a number: Chinese and English, then up to a few signs and an "is".
_IS = r"[\s:#\"'(\[\-=.,是为\u201c\u300c\u3010]{0,6}(?:(?:is|was|are)(?![a-z])[\s:#\"']{0,3})?"
_NUMBER_WORD = r"(?:\s?(?:numbers?|no|num|nr|id|code|ref(?:erence)?)(?![a-z])|\s?\#)"

# The shapes of the large carriers: SF, YTO, JT, JD, DPK, TBA, LP, UPS, FedEx's and USPS' long ones, postal unions.
_TRACKING_SHAPE = _pattern(
    r"""(?<![a-z0-9])(?P<it>
      SF\d{12,15} | YT\d{13,18} | JTS?\d{13,15} | JD[A-Z]{0,3}\d{10,16}(?:-\d{1,3}){0,2} | DPK\d{10,16} | TBA\d{10,14}
    | LP\d{12,18} | 1Z[0-9A-Z]{16} | 9[2-5]\d{20} | [A-Z]{2}\d{9}[A-Z]{2}
    )(?![a-z0-9])"""
)
_TRACKING_ANNOUNCED = _pattern(
    rf"""(?:
      (?: 快递 | 物流 | 运 | 追踪 | 包裹 ) 单?编?(?: 号码 | 号 | 单 )
    | (?: 顺丰 | 中通 | 圆通 | 申通 | 韵达 | 极兔 | 德邦 | 邮政 | (?<![a-z])(?:ups|ems|usps|fedex|dhl)(?![a-z]) )
      (?: 快递 | 速运 )? (?: 单号 | 单 )? {_NUMBER_WORD}?
    | (?<![a-z])(?:tracking|waybill|awb|consignment)(?![a-z]){_NUMBER_WORD}?
    ){_IS}(?P<it>[a-z0-9](?:-?[a-z0-9]){{7,29}})(?![a-z0-9-])"""
)

_SIGN = r"[\u00a5\u20ac\u00a3\u20b9]"  # yen or yuan, euro, pound, rupee
_CODE = r"rs|inr|usd|rmb|cny|eur|gbp"
_CURRENCY_BEFORE = rf"(?: (?:US|HK|NT|A|C)?\$ | {_SIGN} | (?<![a-z])(?:{_CODE})\.? )"
#: This word also counts pieces, two pieces of battery: it means money only before the end of a phrase.
_PIECE = r"块(?= 钱 | [^\u4e00-\u9fff] | $ | [的了吧吗呢多都和可就] )"
_CURRENCY_AFTER = rf"""(?: 元 | 圆 | {_PIECE} | 美元 | 欧元 | {_SIGN} | \$
    | (?:{_CODE}|dollars?|bucks|rupees?|euros?|pounds?|yuan)(?![a-z]) )"""
_QUANTITY = r"""(?:
      \d{1,3}(?:,\d{2,3}){1,4}(?:\.\d{1,2})?  # 1,299.00 and 1,29,900
    | \d{1,3}(?:\.\d{3}){1,3},\d{2}          # 1.299,00
    | \d{1,9}(?:[.,]\d{1,2})?
    )(?!\d)"""
_AMOUNT = _pattern(
    rf"""(?<![\w.,\#-]) (?: {_CURRENCY_BEFORE} \s? {_QUANTITY} (?:/-)?
    | {_QUANTITY} \s? (?:[万千]|k(?![a-z]))? \s? {_CURRENCY_AFTER} (?!\s?\.?\d) )"""
)

_ORDER_TOKEN = r"(?P<it>[a-z0-9](?:-?[a-z0-9]){3,24})(?![a-z0-9]|-[a-z0-9]|\.\d)"
_ORDER_NAMED = _pattern(
    rf"""(?:
      订单(?:编号|号码|号) | (?<![递流运])单号
    | (?<![a-z])order{_NUMBER_WORD} | (?<![a-z0-9&])\#
    ){_IS}{_ORDER_TOKEN}"""
)
_ORDER_MENTIONED = _pattern(rf"(?: 订单 | (?<![a-z])orders?(?![a-z]) ){_IS}{_ORDER_TOKEN}")
_ORDER_AFTER = _pattern(r"(?<![\w.-])(?P<it>\d{6,20})\s?[这那]?个?的?(?:订单|单子)")
_ORDER_BARE = _pattern(r"(?<![\w.+-])(?:\d{3}-\d{7}-\d{7}|\d{10,20})(?![\w-]|\.\d)")

_PHONE_WORD = _pattern(
    r"""(?: 电话 | 手机 | 号码 | 联系 | 致电
    | (?<![a-z])(?:tel|phone|mobile|cell|call|whatsapp|contact|reach)(?![a-z]) )[^\n\0\d]{0,20}$"""
)
#: Without separators only these can be told from an order number: Chinese mobiles and numbers with an area code or 400.
_PHONE_BARE = _pattern(r"(?:86)?1[3-9]\d{9} | 00?\d{9,14} | [48]00\d{7}")
_PHONE_ANNOUNCED = _pattern(
    r"""(?: 电话 | 手机 | (?<![a-z])(?:tel|phone|mobile|cell|whatsapp|contact)(?![a-z]) )
    [^\n\0\d]{0,20}(?P<it>\d{7,15})(?!\d)"""
)

_CARD = _pattern(r"(?<![\w-])(?P<it>\d{17}x|\d{13,19})(?![\w-])")
_MOBILE = re.compile(r"1[3-9]\d{9}", re.ASCII)
_DAY = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])", re.ASCII)

#: The space beside a sign of money.
_LOOSE = re.compile(r"(?<=[^\w\s.])\s(?=\d)|(?<=\d)\s(?=[^\x00-\x7f])|(?<=\d)\s(?=\$)")


def _digits(token: str) -> int:
    return sum(each.isdigit() for each in token)


def _is_tracking(token: str) -> bool:
    return _digits(token) >= 6


def _is_order(token: str) -> bool:
    """Of a token that is called an order number: it is long enough, and more than a word."""
    length = len(token.replace("-", ""))
    return length <= 20 and _digits(token) >= 4


def _is_plain_order(token: str) -> bool:
    """Of a token next to the word *order*, which may also be a phone, a day or a product."""
    if _MOBILE.fullmatch(token) or _DAY.fullmatch(token):
        return False
    length = len(token.replace("-", ""))
    return 6 <= length <= 20 and 2 * _digits(token) >= length


def _is_card(token: str) -> bool:
    """Whether digits may be a Chinese identity number or a bank card."""
    if len(token) == 18 and _DAY.fullmatch(token[6:14]):
        weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)  # GB 11643-1999
        check = sum(weight * int(digit) for weight, digit in zip(weights, token, strict=False)) % 11
        return token[-1].upper() == "10X98765432"[check]
    if not token.isdigit() or not token.startswith(("4", "51", "52", "53", "54", "55", "62", "34", "37")):
        return False
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in token[-2::-2])  # Luhn, ISO/IEC 7812-1
    return (doubled + sum(int(digit) for digit in token[-1::-2])) % 10 == 0


def _tight(amount: str) -> str:
    """Return an amount without the space beside a sign: ``$ 20`` becomes ``$20``, ``Rs 500`` stays."""
    return _LOOSE.sub("", amount)
