import msgspec
import pytest
import tomli_w

from cluster.load.run import needs
from cluster.load.scenario.scenario import SHIPPED, load_scenario, parse_scenario
from cluster.load.scenario.tables import SystemParts
from cluster.settings import Settings, load_settings

ALL = sorted(path.stem for path in SHIPPED.glob("*.toml"))
SMALL = '[[phases]]\nshape = "steady"\nrate = "10/s"\nlasts = "10s"\n'


def settings_of(tables, folder):
    path = folder / "config.toml"
    path.write_text(tomli_w.dumps(tables | {"store": {"data_dir": str(folder / "data")}}))
    path.chmod(0o600)
    return load_settings(path, create_secrets=False)


@pytest.mark.parametrize("name", ALL)
def test_a_system_that_is_started_for_a_scenario_has_all_that_it_needs(name, tmp_path):
    scenario = load_scenario(name)
    settings = settings_of(needs.fitting(scenario, "load", 4444), tmp_path)
    assert needs.disagreements(scenario, settings, "load") == []
    assert needs.changes(scenario, settings, "load") == {}


@pytest.mark.parametrize("name", ALL)
def test_the_changes_that_are_told_make_a_plain_system_fit_but_for_a_vendors_secrets(name, tmp_path):
    scenario = load_scenario(name)
    plain = settings_of({"accounts": {"shop": {}}}, tmp_path)
    assert needs.disagreements(scenario, plain, "shop")
    tables = needs.changes(scenario, plain, "shop") | {"accounts": {"shop": {}}}
    if wechat := tables["inboxes"].get("load-wechat"):
        wechat |= {"app_id": "wx0", "token": "t", "app_secret": "s", "mode": "plain", "api_base": "http://127.0.0.1:1"}
    assert needs.disagreements(scenario, settings_of(tables, tmp_path), "shop") == []


def test_a_limit_that_would_throttle_is_named_with_what_was_found_and_why():
    scenario = parse_scenario(SMALL.replace("10/s", "9000/s") + "[visitors]\ncount = 10\n", "x")
    told = needs.disagreements(scenario, Settings(), "default")
    assert any(
        line.startswith("limits.socket_rate: found 50; needed at least 1,800, since a socket sends up to 900")
        for line in told
    )


def test_a_vendor_who_is_a_real_one_is_refused(tmp_path):
    scenario = load_scenario("smoke")
    tables = needs.fitting(scenario, "load", 1)
    tables["inboxes"]["load-wechat"]["api_base"] = "https://api.weixin.qq.com"
    told = needs.disagreements(scenario, settings_of(tables, tmp_path), "load")
    assert len(told) == 1
    assert told[0].startswith("inboxes.load-wechat.api_base: found https://api.weixin.qq.com; allowed:")


def test_a_bot_that_is_on_where_the_scenario_wants_none_is_told():
    told = needs.disagreements(parse_scenario(SMALL, "x"), Settings(), "default")
    assert "bot.enabled: found true; the scenario says [system] bot = false" in told


def test_a_system_with_the_bot_and_so_many_gateways_is_started_so():
    scenario = msgspec.structs.replace(parse_scenario(SMALL, "x"), system=SystemParts(bot=True, gateways=3, routers=2))
    tables = needs.fitting(scenario, "load", 1)
    assert (tables["bot"]["enabled"], tables["intent"]["enabled"]) == (True, True)
    assert (tables["gateway"]["count"], tables["router"]["count"]) == (3, 2)


def test_many_sockets_need_many_gateways():
    counted = {need.name: need.least for need in needs.needs(load_scenario("connections"))}
    assert counted["count"] == 7
    assert counted["logins_per_minute"] == 10_000
