"""What is found in real-looking texts, what is left alone, and that no text costs more than it should."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from models.bot.found import HEAD_CHARACTERS, TAIL_CHARACTERS, Found, find

ORDERS = [
    ("我的订单12345678901到哪了", "12345678901"),
    ("订单号：１２３４５６７８９０１２", "123456789012"),
    ("订单编号是 AB12345678，什么时候发货", "AB12345678"),
    ("单号123456退款", "123456"),
    ("123456789这个订单怎么还没发", "123456789"),
    ("where is order #1001", "1001"),
    ("my order no. 100-234567 please", "100-234567"),
    ("Order number is ABC12345.", "ABC12345"),
    ("order id:2023A5567", "2023A5567"),
    ("order 4155552671 is late", "4155552671"),
    ("113-1234567-1234567", "113-1234567-1234567"),
    ("2837465918273645001", "2837465918273645001"),
    ("orders: 7654321 and 7654322", "7654321"),
    ("订单号13812345678", "13812345678"),  # whoever says "number" knows better than we do
    ("order 123456 is $20", "123456"),
    ("收到12个，订单号12345678缺了2个", "12345678"),
]

TRACKINGS = [
    ("SF1234567890123 到哪了", "SF1234567890123"),
    ("运单YT1234567890123没更新", "YT1234567890123"),
    ("jdva00012345678-1-1 在哪", "JDVA00012345678-1-1"),
    ("tracking number: 1Z999AA10123456784", "1Z999AA10123456784"),
    ("EMS EA123456789CN", "EA123456789CN"),
    ("快递单号 773012345678901 没更新", "773012345678901"),
    ("物流单号:7301-2345-6789", "7301-2345-6789"),
    ("顺丰快递 123456789012", "123456789012"),
    ("Tracking is 9400111899223344556677", "9400111899223344556677"),
    ("fedex no 123456789012", "123456789012"),
]

PHONES = [
    ("电话13812345678收", "13812345678"),
    ("我的手机号是138 1234 5678", "138 1234 5678"),
    ("+86 138-1234-5678", "+86 138-1234-5678"),
    ("座机010-12345678", "010-12345678"),
    ("你们是400-123-4567吗", "400-123-4567"),
    ("call me at (415) 555-2671", "(415) 555-2671"),
    ("my cell is 4155552671", "4155552671"),
    ("reach me on +44 20 7946 0958", "+44 20 7946 0958"),
    ("订单手机号13812345678", "13812345678"),
    ("订单13812345678", "13812345678"),
]

AMOUNTS = [
    ("退我￥1,299.00元", "¥1,299.00"),
    ("退 199.5 元", "199.5元"),
    ("才３０块钱", "30块"),
    ("扣了500块！", "500块"),
    ("5万元的货", "5万元"),
    ("Rs. 1,29,900/- charged", "Rs. 1,29,900/-"),
    ("you took rs 500", "rs 500"),
    ("INR 2500 debited", "INR 2500"),
    ("refund $ 20.50 now", "$20.50"),
    ("it was 20 dollars", "20 dollars"),
    ("1.299,00 € abgebucht", "1.299,00€"),
    ("US$5", "US$5"),
    ("£9.99?", "£9.99"),
]

NOTHING = [
    "",
    "买了2块电池",
    "iphone15 100件",
    "RTX4090 好不好",
    "iPhone 15 Pro 256gb",
    "https://item.jd.com/100012043978.html 这个",
    "item.jd.com/100012043978.html",
    "下单时间 2026-11-23",
    "order 20261123",
    "my order 2026-11-23 is late",
    "订单2026年11月23日下的",
    "order in 2026",
    "12/11/2026 or 1-2-2026",
    "110101199003070011",  # identity card
    "4111111111111111",  # bank card
    "my mobile number is 9876543210",  # a phone of a country that was not asked for
    "我要退款500",
    "order please",
    "订单号是多少",
    "price 12.3456789012",
    "验证码 482913",
    "٠١٢٣٤٥٦٧٨٩٠",
]


@pytest.mark.parametrize(("text", "number"), ORDERS)
def test_an_order_number_is_found(text, number):
    assert find(text).order_number == number


@pytest.mark.parametrize(("text", "number"), TRACKINGS)
def test_a_tracking_number_is_found_and_is_no_order(text, number):
    assert (find(text).tracking_number, find(text).order_number) == (number, None)


@pytest.mark.parametrize(("text", "phone"), PHONES)
def test_a_phone_is_found_and_is_no_order(text, phone):
    assert find(text) == Found(phone=phone)


@pytest.mark.parametrize(("text", "amount"), AMOUNTS)
def test_an_amount_is_found(text, amount):
    assert find(text) == Found(amount=amount)


@pytest.mark.parametrize("text", NOTHING)
def test_what_only_looks_like_a_number_is_left_alone(text):
    assert find(text) == Found()


def test_everything_in_one_text():
    text = "订单AB20261123 快递SF1234567890123 付了￥99.90 电话13812345678 邮箱 li.ming@example.com.cn"
    assert find(text) == Found(
        order_number="AB20261123",
        tracking_number="SF1234567890123",
        phone="13812345678",
        amount="¥99.90",
        email="li.ming@example.com.cn",
    )


def test_phones_of_other_regions_when_asked_for():
    assert find("9876543210", ("IN",)).phone is None  # alone it may as well be an order
    assert find("my mobile number is 9876543210", ("IN",)).phone == "9876543210"


def test_head_and_tail_of_a_long_text_are_looked_at():
    assert find("订单号12345678" + "啊" * 10_000).order_number == "12345678"
    assert find("啊" * 10_000 + "订单号12345678").order_number == "12345678"
    assert find("啊" * HEAD_CHARACTERS + "订单号12345678" + "啊" * (TAIL_CHARACTERS + 1)).order_number is None


PIECES = [
    "1234567890 ", "1-", "(", "1", "a.", "a", "order ", "#", "1,", "order number is ", "订单号:", "1.1", "a@a.", "www.",
    "运单号", "$ ", "电话", "ﷺ", "order-", "tel ", "1-1", "1 ", "￥1", "1a-", "\0", "86138", "+", "http://", "SF1", "@",
]  # fmt: skip


@pytest.mark.parametrize("piece", PIECES)
def test_no_long_text_costs_much(piece):
    text = piece * (10_000 // len(piece))
    start = time.process_time()
    find(text)
    assert time.process_time() - start < 0.5  # usually below 0.01; anything quadratic takes longer


@given(st.text(max_size=300) | st.lists(st.sampled_from(PIECES), max_size=60).map("".join))
@example("\ud800")
def test_any_text_gives_parts_of_itself(text):
    found = find(text)
    for name in Found.__struct_fields__:
        value = getattr(found, name)
        assert value is None or (0 < len(value) <= 100 and "\0" not in value and "\n" not in value)
