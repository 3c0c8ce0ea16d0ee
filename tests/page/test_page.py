# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page in a browser: its views, filters, addresses, thousands of rows, hostile data, and who cannot see or point."""

from __future__ import annotations

import csv
import json
import re
import subprocess
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import snapshots
import yaml
from conftest import ROOT, SHOTS, put
from playwright.sync_api import Page, expect

VIEWS = {
    "overview": "Overview",
    "app/web": "web",
    "costs": "Costs",
    "resources": "Resources",
    "activity": "Activity",
    "accounts": "Service accounts",
    "certificates": "Certificates",
    "volumes": "Volumes",
    "market": "Spot market",
}
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
LOOKS = [(1400, "light"), (1400, "dark"), (390, "light"), (390, "dark")]


def serious(page: Page) -> list[tuple[str, str, list[str]]]:
    """What axe-core finds that is serious or critical: the rule, how serious, and where first."""
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("axe.run(document, {preload: false, resultTypes: ['violations']}).then((result) => result.violations)")
    return [(one["id"], one["impact"], [node["target"] for node in one["nodes"]][:3]) for one in found if one["impact"] in ("serious", "critical")]


@pytest.mark.parametrize("width, scheme", LOOKS)
@pytest.mark.parametrize("route", VIEWS)
def test_a_view_is_shown_fits_its_window_and_axe_finds_nothing_serious(look, site, route, width, scheme):
    page = look(site, route, width, scheme)
    assert page.locator("h1").inner_text() == VIEWS[route]
    assert page.locator("nav [aria-current=page]").count() == 1
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{route.replace('/', '-')}-{width}-{scheme}.png")
    assert serious(page) == []


@pytest.mark.parametrize("width", [360, 768])
@pytest.mark.parametrize("route", VIEWS)
def test_a_narrow_window_needs_no_scrolling_to_the_side(look, site, route, width):
    assert look(site, route, width).evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("route", VIEWS)
def test_a_view_is_served_with_the_header_of_the_documentation(look, serve, site, route):
    assert look(serve(site), route).locator("h1").inner_text() == VIEWS[route]


def test_the_overview_has_the_figures_of_the_snapshot(look, site):
    words = look(site).locator("main").inner_text()
    made = snapshots.estate()
    serving = sum(fleet["serving"] for fleet in made["fleets"])
    target = sum(fleet["target"] for fleet in made["fleets"])
    assert f"{serving} of {target}" in words
    for figure in ("$31.42", "$2,094.11", "52.5 %", "$2,310.50", "worker in us-east-1 is short by 2 instances", "AccessDenied"):
        assert figure in words
    assert words.count("short by 2") >= 2


def test_an_application_has_its_fleets_by_region_and_zone_and_its_instances(look, site):
    page = look(site, "app/web")
    made = snapshots.estate()
    mine = [one for one in made["instances"] if one["app"] == "web"]
    assert page.locator("article h3").all_inner_texts() == ["us-east-1", "eu-west-1"]
    assert page.locator("article table.plainly").first.inner_text().count("us-east-1a") == 1
    table = page.get_by_role("region", name="Instances of web")
    assert table.locator("tbody tr").count() == len(mine)
    row = table.locator("tbody tr").filter(has_text=mine[0]["id"]).inner_text()
    for words in (mine[0]["zone"], mine[0]["type"], f"${mine[0]['price_per_hour']:.4f}/h", "healthy"):
        assert words in row
    assert page.locator("svg.spark").first.get_attribute("aria-label").startswith("CPU: last ")
    page.get_by_label("Utilisation").select_option("network")
    assert re.search(r"(KiB|MiB)/s", table.locator("tbody tr").first.inner_text())


def test_an_unhealthy_instance_is_told_from_the_others_by_more_than_colour(look, site):
    page = look(site, "app/web?health=unhealthy")
    made = [one for one in snapshots.estate()["instances"] if one["app"] == "web" and one["health"] == "unhealthy"]
    assert page.locator("tbody .badge.bad").all_inner_texts() == ["unhealthy"] * len(made)
    page.get_by_role("button", name=made[0]["id"]).click()
    assert made[0]["health_reason"] in page.get_by_role("dialog").inner_text()


def test_the_ways_to_an_instance(look, site):
    one = next(each for each in snapshots.estate()["instances"] if each["app"] == "web" and each["public_ip"])
    page = look(site, f"app/web?q={one['id']}", permissions=["clipboard-read", "clipboard-write"])
    row = page.get_by_role("region", name="Instances of web").locator("tbody tr")
    assert row.count() == 1
    region = one["region"]
    assert row.get_by_role("link", name="Session Manager").get_attribute("href") == (
        f"https://{region}.console.aws.amazon.com/systems-manager/session-manager/{one['id']}?region={region}"
    )
    assert row.get_by_role("link", name="Instance Connect").get_attribute("href") == (
        f"https://{region}.console.aws.amazon.com/ec2/home?region={region}#ConnectToInstance:instanceId={one['id']}"
    )
    row.get_by_role("button", name="Copy ssh").click()
    expect(page.locator("#said")).to_contain_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == f"ssh -i ~/.ssh/production-web.pem admin@{one['public_ip']}"


def test_what_changes_something_is_a_link_or_a_command_to_copy(look, site):
    page = look(site, "app/web?region=eu-west-1", permissions=["clipboard-read", "clipboard-write"])
    assert page.get_by_role("link", name="Deploy").get_attribute("href") == "https://awx.example.com/#/templates/job_template/7/details?app=web"
    assert page.get_by_role("link", name="Scale").get_attribute("href").endswith("?app=web&region=eu-west-1")
    page.get_by_role("button", name="Copy: Roll back").click()
    expect(page.locator("#said")).to_contain_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "ansible-playbook spot.platform.app_rollback -e app=web"


COMMANDS = yaml.safe_load((ROOT / "roles/dashboard/vars/main.yml").read_text("utf-8"))["__dashboard_commands"]


def words_of(command: str) -> list[str]:
    """The words that a shell makes of a command."""
    done = subprocess.run(["bash", "-c", f"printf '%s\\0' {command}"], check=True, capture_output=True, text=True)
    return done.stdout.split("\0")[:-1]


def offered(page: Page, name: str) -> list[str]:
    """The words of the command that the open dialog offers."""
    return words_of(str(page.get_by_role("dialog").get_by_role("button", name=f"Copy: {name}").get_attribute("data-copies")))


def test_what_has_a_survey_is_asked_for_and_becomes_a_command(look, of):
    page = look(of("commands", snapshots.estate() | {"actions": COMMANDS}), "app/web", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Scale …").click()
    dialog = page.get_by_role("dialog")
    target = max(fleet["target"] for fleet in snapshots.estate()["fleets"] if fleet["app"] == "web")
    assert dialog.get_by_label("At least, in each region (instances)").input_value() == str(target)
    dialog.get_by_label("At least, in each region").fill("12")
    dialog.get_by_label("Why").fill("it's \"hot\" $(id) `id` today")
    *program, answers = offered(page, "Scale")
    assert program == ["ansible-playbook", "spot.platform.app_scale", "-e"]
    assert json.loads(answers) == {"app": "web", "minimum": 12, "hours": 2, "reason": "it's \"hot\" $(id) `id` today"}
    dialog.get_by_role("combobox", name="Region").select_option("eu-west-1")
    assert json.loads(offered(page, "Scale")[-1])["region"] == "eu-west-1"
    dialog.get_by_role("button", name="Copy: Scale").click()
    expect(page.locator("#said")).to_contain_text("Copied")
    assert words_of(page.evaluate("navigator.clipboard.readText()")) == offered(page, "Scale")
    assert serious(page) == []


@pytest.mark.parametrize(
    ("label", "answer", "said"),
    [
        ("At least, in each region", "5001", "5,000 is the most; for more, raise capacity.max in the manifest"),
        ("At least, in each region", "1", "2 is the least"),
        ("At least, in each region", "2.5", "give a whole number"),
        ("At least, in each region", "", "give a whole number"),
        ("For so many hours", "169", "168 is the most; what is to last longer belongs in the manifest"),
        ("Why", "{{ lookup('pipe', 'id') }}", "Ansible would take {{"),
    ],
)
def test_an_answer_that_is_wrong_makes_no_command(look, of, label, answer, said):
    page = look(of("commands", snapshots.estate() | {"actions": COMMANDS}), "app/web")
    page.get_by_role("button", name="Scale …").click()
    page.get_by_role("dialog").get_by_label(label).fill(answer)
    assert said in page.get_by_role("dialog").inner_text()
    assert page.get_by_role("dialog").get_by_role("button", name="Copy").count() == 0


def test_the_answers_are_filled_into_the_link_of_a_template(look, of):
    url = "https://awx.example.com/launch?app={app}&region={region}&minimum={minimum}&why={reason}&vars={answers}"
    page = look(of("templates", snapshots.estate() | {"actions": {"scale": {"url": url}}}), "app/web")
    page.get_by_role("button", name="Scale …").click()
    page.get_by_label("At least, in each region").fill("7")
    page.get_by_label("Why").fill("a&b=c")
    link = parse_qs(urlsplit(str(page.get_by_role("dialog").get_by_role("link", name="Scale").get_attribute("href"))).query, keep_blank_values=True)
    assert {key: link[key] for key in ("app", "region", "minimum", "why")} == {"app": ["web"], "region": [""], "minimum": ["7"], "why": ["a&b=c"]}
    assert json.loads(link["vars"][0])["reason"] == "a&b=c"


@pytest.mark.parametrize("view", ["resources", "accounts"])
def test_a_public_key_becomes_a_command_and_a_private_one_never(look, of, view):
    page = look(of("commands", snapshots.estate() | {"actions": COMMANDS}), view)
    page.get_by_role("button", name="Import a key …").click()
    dialog = page.get_by_role("dialog")
    line = f"ssh-ed25519 {'A' * 68} alice's laptop"
    dialog.get_by_label("Your user name").fill("alice")
    dialog.get_by_label("Your public key").fill(line)
    assert offered(page, "Import a key")[:3] == ["ansible-playbook", "spot.platform.key_import", "-e"]
    assert json.loads(offered(page, "Import a key")[3]) == {"key_user": "alice", "public_key": line}
    refused = {
        f"-----BEGIN OPENSSH PRIVATE KEY----- {'B' * 70}": "This is a private key. Give it to nobody",
        "ssh-dss AAAA": "begins with ssh-ed25519 or ssh-rsa",
    }
    for wrong, said in refused.items():
        dialog.get_by_label("Your public key").fill(wrong)
        assert said in dialog.inner_text() and dialog.get_by_role("button", name="Copy").count() == 0
        assert wrong[-40:] not in dialog.inner_text()
    assert serious(page) == []


@pytest.mark.parametrize(("view", "button"), [("app/web", "Scale …"), ("accounts", "Import a key …")])
@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_a_survey_fits_its_window(look, of, view, button, width, scheme):
    page = look(of("commands", snapshots.estate() | {"actions": COMMANDS}), view, width, scheme)
    page.get_by_role("button", name=button).click()
    dialog = page.get_by_role("dialog")
    assert dialog.evaluate("(one) => one.scrollWidth <= one.clientWidth")
    page.screenshot(path=SHOTS / f"survey-{view.replace('/', '-')}-{width}-{scheme}.png")
    assert serious(page) == []


def test_what_is_temporary_is_said_with_a_way_to_end_it(look, of):
    made = snapshots.estate() | {"actions": COMMANDS}
    assert look(of("commands", made), "app/web").get_by_role("button", name="Copy: End what is temporary").count() == 0
    summary = "temporarily at least 12 instances, until 2026-11-26T11:00Z (alice: <b>advert</b>)"
    made["fleets"][0]["override"] = {"minimum": 12, "until": "2026-11-26T11:00Z", "summary": summary}
    page = look(of("temporary", made), "app/web")
    page.screenshot(path=SHOTS / "temporary.png")
    assert "temporary at least 12 instances, until 2026-11-26T11:00Z (alice: <b>advert</b>)" in page.locator("article").first.inner_text().replace("\n", " ")
    command = page.get_by_role("button", name="Copy: End what is temporary").get_attribute("data-copies")
    assert command == "ansible-playbook spot.platform.app_scale -e app=web -e state=absent"
    assert serious(page) == []


def test_no_command_for_ansible_is_made_of_a_name_that_it_would_take_for_more(look, of):
    for number, name in enumerate(("web state=absent", "{{ lookup('pipe', 'id') }}", "{'a': 1}", snapshots.HOSTILE)):
        made = snapshots.estate() | {"actions": COMMANDS}
        made["apps"] = [{**made["apps"][0], "app": name}]
        made["fleets"] = [{**made["fleets"][0], "app": name}]
        page = look(of(f"name-{number}", made), f"app/{quote(name, safe='')}")
        for label in ("Take the next step", "Explain the capacity"):
            assert page.get_by_role("button", name=f"Copy: {label}").count() == 0
            assert f"{label}: there is no command, for app is no plain name" in page.locator("main").inner_text()
        page.get_by_role("button", name="Scale …").click()
        if "{{" in name:
            assert "there is no command, for an answer has a template" in page.get_by_role("dialog").inner_text()
        else:
            assert json.loads(offered(page, "Scale")[-1])["app"] == name


def test_filters_are_in_the_address_and_an_address_has_its_filters(look, site):
    page = look(site, "resources")
    page.get_by_label("Kind").select_option("database")
    page.get_by_label("Search").fill("api database-014")
    expect(page.locator("p[role=status].soft")).to_contain_text("1 of 96")
    address = page.evaluate("location.hash")
    assert "kind=database" in address and "q=api+database-014" in address
    again = look(site, address.removeprefix("#/"))
    assert again.get_by_label("Search").input_value() == "api database-014"
    assert again.locator("tbody").first.locator("tr").count() == 1


def test_back_returns_to_the_view_before_with_its_filters(look, site):
    page = look(site, "resources")
    page.get_by_label("Kind").select_option("database")
    page.get_by_role("link", name="Volumes").click()
    expect(page.locator("h1")).to_have_text("Volumes")
    page.go_back()
    expect(page.locator("h1")).to_have_text("Resources")
    assert page.get_by_label("Kind").input_value() == "database"


def test_a_table_is_sorted_by_the_keyboard_and_says_so(look, site):
    page = look(site, "volumes")
    head = page.get_by_role("columnheader", name="Size")
    assert head.get_attribute("aria-sort") == "none"
    head.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    sizes = [int(words.split()[0]) for words in page.locator("tbody tr td:nth-child(6)").all_inner_texts()]
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) > 1
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    expect(page.locator("#said")).to_contain_text("sorted by Size, ascending")
    assert "sort=size_gib" in page.evaluate("location.hash")


def test_what_is_not_known_comes_last_whichever_way(look, site):
    page = look(site, "volumes")
    cells = page.locator("tbody tr td:nth-child(9)")
    for way in ("ascending", "descending"):
        if page.get_by_role("columnheader", name="Full in").get_attribute("aria-sort") != way:
            page.get_by_role("columnheader", name="Full in").get_by_role("button").click()
        assert cells.last.inner_text() == "not soon"
        assert cells.first.inner_text() != "not soon"


def test_csv_has_the_rows_that_are_shown_and_no_formula(look, of):
    made = snapshots.estate(10, 10)
    made["resources"][0] |= {"name": '=HYPERLINK("https://example.com")', "note": 'a,b\n"c"', "app": "@x"}
    page = look(of("csv", made), f"resources?q={made['resources'][0]['id']}")
    with page.expect_download() as download:
        page.get_by_role("button", name="Export CSV").click()
    assert download.value.suggested_filename == "resources.csv"
    with open(download.value.path(), encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 1
    assert rows[0]["Name"] == '\'=HYPERLINK("https://example.com")'
    assert rows[0]["Application"] == "'@x"
    assert rows[0]["note"] == 'a,b\n"c"'
    assert float(rows[0]["Cost a month"]) == made["resources"][0]["usd_per_month"]


def test_five_thousand_instances_are_all_there_and_few_are_in_the_document(look, of):
    made = snapshots.estate(5000, 2000)
    page = look(of("large", made), "resources")
    table = page.get_by_role("region", name="Resources").locator("table")
    assert table.get_attribute("aria-rowcount") == str(len(made["resources"]) + 1)
    assert table.locator("tbody tr").count() < 80
    region = page.get_by_role("region", name="Resources")
    region.evaluate("(place) => { place.scrollTop = place.scrollHeight; }")
    expect(table.locator(f"tr[aria-rowindex='{len(made['resources']) + 1}']")).to_be_visible()
    page.get_by_label("Search").fill(made["instances"][4321]["id"])
    expect(page.locator("p[role=status].soft")).to_contain_text(f"1 of {len(made['resources']):,}")
    assert made["instances"][4321]["id"] in table.locator("tbody tr").first.inner_text()
    for route in VIEWS:
        page.goto(page.url.split("#")[0] + f"#/{route}")
        expect(page.locator("h1")).to_have_text(VIEWS[route])
        assert page.locator("*").count() < 9000


def test_a_row_that_is_focused_stays_so_while_the_table_scrolls(look, of):
    page = look(of("large", snapshots.estate(5000, 2000)), "app/web")
    place = page.get_by_role("region", name="Instances of web")
    button = place.locator("tbody tr[aria-rowindex='6'] button").first
    button.focus()
    place.evaluate("(place) => { place.scrollTop = 120; }")
    page.wait_for_timeout(100)
    assert page.evaluate("document.activeElement.textContent") == button.inner_text()


HARMLESS = """() => ({
  hit: window.hit,
  scripts: [...document.scripts].map((one) => one.getAttribute("src")),
  images: [...document.images].map((one) => one.getAttribute("src")),
  handlers: [...document.querySelectorAll("*")].flatMap((one) => [...one.attributes]).filter((one) => one.name.startsWith("on")).length,
  links: [...document.querySelectorAll("[href]")].map((one) => one.getAttribute("href"))
    .filter((one) => !/^(#|https:\\/\\/|icon\\.svg$|style\\.css$)/.test(one)),
})"""


def test_script_in_every_field_does_nothing(look, of):
    folder = of("hostile", snapshots.hostile())
    name = "app/" + re.sub(r"[^a-z]", lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), snapshots.HOSTILE)
    for route in [*VIEWS, name]:
        page = look(folder, route)
        if route == "app/web":
            assert "no application web" in page.locator("main").inner_text()
            continue
        assert "<script>window.hit=1</script><img src=x onerror=window.hit=1>{{ 1 }}" in page.locator("body").inner_text()
        page.evaluate("for (const one of document.querySelectorAll('main details')) one.open = true")
        for place in page.locator("main tbody button.plain").all()[:1]:
            place.click()
            assert page.get_by_role("dialog").is_visible()
            found = page.evaluate(HARMLESS)
            page.get_by_role("button", name="Close").click()
            assert not found["hit"]
        found = page.evaluate(HARMLESS)
        assert found == {"hit": None, "scripts": ["page.js", "data/snapshot.js"], "images": ["icon.svg"], "handlers": 0, "links": []}
        assert page.evaluate("({}).hit") is None


def test_addresses_that_are_not_https_are_no_links_and_hosts_that_are_none_have_no_command(look, of):
    name = "".join(f"%{byte:02X}" for byte in snapshots.HOSTILE.encode())
    page = look(of("hostile", snapshots.hostile()), f"app/{name}")
    assert "Deploy: its address is not https" in page.locator("main").inner_text()
    assert page.get_by_role("link", name="Session Manager").count() == 0
    assert page.get_by_role("button", name="Copy ssh").count() == 0
    command = page.get_by_role("button", name="Copy: Roll back").get_attribute("data-copies")
    assert command == "echo '" + snapshots.HOSTILE.replace("'", "'\\''") + "'"


def test_the_policy_lets_no_inline_script_run(look, serve, site):
    for where in (site, serve(site)):
        page = look(where, quiet=False)
        assert (
            page.evaluate("() => { try { document.body.innerHTML = '<b>x</b>'; return 'made'; } catch (error) { return error.name; } }")
            == "TypeError"
        )
        page.evaluate("() => { const one = document.createElement('button'); one.setAttribute('id', 'lure'); document.body.append(one); }")
        page.evaluate("() => { try { document.getElementById('lure').setAttribute('onclick', 'window.hit = 1'); } catch { /* refused */ } }")
        page.evaluate("document.getElementById('lure').click()")
        assert page.evaluate("window.hit") is None


def test_parts_that_are_missing_are_said_to_be(look, of):
    made = snapshots.estate()
    only = {key: made[key] for key in ("made_at", "environment", "fleets", "activity")} | {
        "errors": [{"what": "certificates", "message": "no access"}],
        "actions": {},
    }
    folder = of("bare", only)
    said = {
        "costs": "The bill is not known",
        "resources": "All resources are not known",
        "accounts": "Service accounts are not known",
        "certificates": "no access",
        "volumes": "Volumes are not known",
        "market": "The Spot market is not known",
        "app/web": "Its instances are not known",
    }
    for route, words in said.items():
        assert words in look(folder, route).locator("main").inner_text()
    assert "Neither a template nor a command is set for: Deploy, Roll back, Scale," in look(folder, "app/web").locator("main").inner_text()
    spent = sum(fleet["cost"]["spot_platform"] for fleet in made["fleets"])
    assert f"${spent:,.2f}" in look(folder).locator("main").inner_text()


def test_an_environment_with_nothing_says_so(look, of):
    made = snapshots.estate()
    none = {key: [] if isinstance(value, list) else value for key, value in made.items()} | {"costs": {"days": []}, "market": {"pools": []}}
    folder = of("nothing", none)
    said = {
        "overview": "No application runs in this environment yet.",
        "app/web": "There is no application web",
        "costs": "No cost is known of these days",
        "resources": "There are no resources.",
        "activity": "No event has all",
        "accounts": "There are no service accounts.",
        "certificates": "There are no certificates.",
        "volumes": "There are no volumes.",
        "market": "No pool was looked at.",
    }
    for route, words in said.items():
        assert words in look(folder, route).locator("main").inner_text()


def test_data_that_are_not_there_or_broken_are_told_in_words(look, of):
    page = look(of("without", None), quiet=False)
    assert "data/snapshot.js is missing" in page.locator("main").inner_text()
    folder = of("broken", snapshots.estate(2, 2))
    (folder / "data" / "snapshot.js").write_text("receive('{\"made_at\":');\n", encoding="utf-8")
    assert "cannot be read" in look(folder).locator("main").inner_text()


def test_a_served_page_refreshes_itself_and_keeps_what_is_typed(look, serve, of):
    folder = of("refreshed", snapshots.estate())
    page = look(serve(folder), "resources")
    page.get_by_label("Search").press_sequentially("worker")
    expect(page.locator("p[role=status].soft")).to_contain_text("of 96")
    made = snapshots.estate() | {"made_at": "2026-11-26T09:01:00.000Z"}
    made["resources"].append(made["resources"][0] | {"id": "new-one", "app": "worker"})
    put(folder, made)
    page.evaluate("refresh()")
    expect(page.locator("p[role=status].soft")).to_contain_text("of 97")
    assert "09:01 UTC" in page.locator("#as-of").inner_text()
    assert page.evaluate("document.activeElement.id") == "filter-q"
    assert page.get_by_label("Search").input_value() == "worker"
    assert page.get_by_text("new-one").count() == 1


def test_what_cannot_be_refreshed_is_said_and_stays(look, serve, of):
    folder = of("gone", snapshots.estate(4, 4))
    page = look(serve(folder), quiet=False)
    (folder / "data" / "snapshot.json").unlink()
    page.evaluate("refresh()")
    expect(page.locator("#as-of")).to_contain_text("It could not be refreshed: the server says 404")
    assert page.locator("h1").inner_text() == "Overview"


def test_live_events_come_by_themselves(look, serve, of):
    folder = of("live", snapshots.estate(4, 4))
    page = look(serve(folder), "activity?live=1")
    page.clock.install()
    page.get_by_label("Live").uncheck()
    page.get_by_label("Live").check()
    made = snapshots.estate(4, 4) | {"made_at": "2026-11-26T09:00:10.000Z"}
    made["activity"].append(made["activity"][0] | {"id": "latest", "time": "2026-11-26T09:00:09.000Z", "summary": "This is new"})
    put(folder, made)
    page.clock.run_for(11000)
    expect(page.locator("ol.time li").first).to_contain_text("This is new")
    expect(page.get_by_label("Live")).to_be_checked()


def test_events_are_filtered_and_have_their_reasons(look, site):
    page = look(site, "activity")
    page.get_by_label("Kind").select_option("scaling.failed")
    page.get_by_label("Application").select_option("media")
    wanted = [event for event in snapshots.estate()["activity"] if event["kind"] == "scaling.failed" and event["app"] == "media"]
    expect(page.locator("p[role=status].soft")).to_contain_text(f"{len(wanted)} of 400 events")
    assert page.locator("ol.time > li").count() == len(wanted)
    first = page.locator("ol.time > li").first
    first.get_by_text("Why").click()
    assert "no other pool scores above 3" in first.inner_text()
    first.get_by_role("button", name="More").click()
    assert "scheduler" in page.get_by_role("dialog").inner_text()
    page.keyboard.press("Escape")
    page.get_by_label("Kind").select_option("")
    page.get_by_label("Application").select_option("")
    assert page.locator("ol.time > li").count() == 40
    page.get_by_role("button", name="Show 200 earlier events").click()
    assert page.locator("ol.time > li").count() == 240


PAINTED = """(canvas) => {
  const { data, width, height } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const found = {};
  for (let at = 0; at < data.length; at += 4) if (data[at + 3] === 255) {
    const key = `${data[at]},${data[at + 1]},${data[at + 2]}`;
    found[key] = (found[key] || 0) + 1;
  }
  return found;
}"""


def test_the_bill_is_stacked_by_day_and_a_table_has_its_figures(look, site):
    page = look(site, "costs?days=7")
    page.wait_for_selector(".uplot canvas")
    painted = page.locator(".uplot canvas").evaluate(PAINTED)
    spot, on_demand = painted.get("11,138,125", 0), painted.get("212,130,15", 0)
    assert spot > on_demand > 500
    page.get_by_text("The figures as a table").click()
    rows = page.get_by_role("region", name="as a table").locator("tbody tr")
    assert rows.count() == 7
    days = snapshots.estate()["costs"]["days"]
    day = rows.last.locator("th").inner_text()
    spent = sum(row["usd"] for row in days if row["day"] == day and row["purchase"] == "spot")
    assert rows.last.locator("td").all_inner_texts()[["Spot", "Other", "On-Demand"].index("Spot")] == f"${spent:,.2f}"
    page.get_by_role("combobox", name="Stacked by").select_option("service")
    page.wait_for_selector(".uplot canvas")
    assert page.locator(".legend li").all_inner_texts() == ["EC2", "EBS", "Load balancing", "The same On-Demand"]


def test_what_was_saved_says_of_what_and_since_when_and_each_day_has_it(look, site):
    words = look(site).locator("main").inner_text()
    said = "$2,310.50 on instances since 2026-11-01; billed, On-Demand at list price"
    assert said in words
    page = look(site, "costs?days=7&by=service&app=web")
    words = page.locator("main").inner_text()
    assert said in words and "since 2026-11-25 09:00, estimated" in words, "each figure says its basis and its period"
    days = [row for row in snapshots.estate()["costs"]["days"] if row["app"] == "web"]
    page.get_by_text("The figures as a table").click()
    rows = page.get_by_role("region", name="as a table").locator("tbody tr")
    page.wait_for_selector(".uplot canvas")
    total = other = 0.0
    for number in range(7):
        day = rows.nth(number).locator("th").inner_text()
        mine = [row for row in days if row["day"] == day]
        instead = sum(row["usd"] if row["on_demand_usd"] is None else row["on_demand_usd"] for row in mine)
        assert rows.nth(number).locator("td").last.inner_text() == f"${instead:,.2f}"
        total += sum(row["usd"] for row in mine)
        other += instead
    assert f"${total:,.2f} in 7 days; with all instances On-Demand ${other:,.2f}, so ${other - total:,.2f} of it saved" in words


def test_without_a_comparison_the_saving_of_a_day_is_not_known_and_the_estimate_says_so(look, of):
    made = snapshots.estate()
    bare = [{key: value for key, value in row.items() if key != "on_demand_usd"} for row in made["costs"]["days"]]
    estimate = {"days": bare, "saved_since": snapshots.when(hours=24), "saved_basis": "estimated"}
    page = look(of("estimated", {**made, "costs": {**made["costs"], **estimate}}), "costs")
    words = page.locator("main").inner_text()
    assert "what it would have cost On-Demand is not known" in words and "since 2026-11-25 09:00; estimated" in words
    assert "The same On-Demand" not in page.locator(".legend").inner_text()


def test_the_capacity_is_drawn_in_the_colours_of_the_scheme(look, site):
    for scheme, colour in (("light", "11,138,125"), ("dark", "47,184,168")):
        page = look(site, "app/web", scheme=scheme)
        page.wait_for_selector("article canvas")
        assert page.locator("article canvas").first.evaluate(PAINTED).get(colour, 0) > 1000
    page.emulate_media(color_scheme="light")
    page.wait_for_function("getComputedStyle(document.documentElement).getPropertyValue('--spot').trim() === '#0b8a7d'")
    page.wait_for_selector("article canvas")
    assert page.locator("article canvas").first.evaluate(PAINTED).get("11,138,125", 0) > 1000


def test_the_keyboard_reaches_the_content_and_closes_what_it_opens(look, site):
    page = look(site, "accounts")
    page.keyboard.press("Tab")
    page.wait_for_function("document.activeElement.textContent === 'Skip to the content'")
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.id === 'main' && location.hash.startsWith('#/accounts')")
    opener = page.get_by_role("button", name="ci-deployer")
    opener.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("412 days old")
    assert serious(page) == []
    page.keyboard.press("Escape")
    page.wait_for_function("document.activeElement.textContent === 'ci-deployer'")


def test_another_view_is_announced_and_focused(look, site):
    page = look(site)
    page.get_by_role("link", name="Certificates", exact=True).click()
    expect(page.locator("#said")).to_contain_text("Certificates: spot.platform")
    assert page.evaluate("document.activeElement.id") == "main"
    assert page.title() == "Certificates: spot.platform"


def test_the_market_says_where_the_platform_is_and_where_it_would_go(look, site):
    page = look(site, "market?here=would+go+here")
    pools = [pool for pool in snapshots.estate()["market"]["pools"] if pool["wanted"] and not pool["held"]]
    assert page.locator("tbody tr").count() == len(pools)
    assert set(page.locator("tbody .badge").all_inner_texts()) == {"would go here"}


def test_the_snapshot_is_handed_over_as_it_was_made(look, of):
    made = snapshots.hostile()
    page = look(of("hostile", made))
    assert page.evaluate("JSON.stringify(data.snapshot)") == page.evaluate("(text) => JSON.stringify(JSON.parse(text))", json.dumps(made))
