# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the dashboards show: the metrics of a snapshot and of a cost report, of the node exporter, and alerts."""

from __future__ import annotations

from ansible_collections.spot.platform.plugins.module_utils.engine.grafana import Board, Panel, Query, Row, Steps, Variable

ENVIRONMENT = 'environment=~"$environment"'
REGIONS = f'{ENVIRONMENT},region=~"$region"'
APPS = f'{REGIONS},app=~"$app"'
OWNERS = f'{ENVIRONMENT},app=~"$app"'
"""For costs, which are of no region."""
UNHEALTHY = f'{APPS},health="unhealthy"'
ON_SPOT = f'{APPS},lifecycle="spot"'
HOSTS = 'region=~"$region",app=~"$app",instance_id!="",fstype=~"ext4|xfs|btrfs"'
"""File systems of hosts, as the role volume_alerts chooses them: targets of the node exporter have no label of the environment."""

ANY: Steps = ((None, "green"), (1, "orange"))
BAD: Steps = ((None, "green"), (1, "red"))
FULL: Steps = ((None, "green"), (0.8, "orange"), (0.9, "red"))
SPENT: Steps = ((None, "green"), (0.8, "orange"), (1, "red"))
SERVED: Steps = ((None, "red"), (0.9, "orange"), (1, "green"))
PLAIN: Steps = ((None, "text"),)

APP = ("app", "Application")
REGION = ("region", "Region")
PLACE = (APP, REGION)


def ours(name: str, labels: str = APPS) -> str:
    """A metric of ours, chosen by the variables."""
    return f"spot_platform_{name}{{{labels}}}"


def each(name: str, by: str, labels: str = APPS) -> str:
    """Its sum by labels."""
    return f"sum by ({by}) ({ours(name, labels)})"


def total(name: str, labels: str = APPS) -> str:
    """Its sum."""
    return f"sum({ours(name, labels)})"


def stat(title: str, description: str, expr: str, unit: str = "short", steps: Steps = PLAIN, **more: int) -> Panel:
    """One figure, with its course."""
    return Panel("stat", title, description, [Query(expr)], unit, steps, **more)


def values(label: str, name: str, labels: str) -> str:
    """The values of a label, for a variable."""
    return f"label_values({ours(name, labels) if labels else f'spot_platform_{name}'}, {label})"


V_ENVIRONMENT = Variable("environment", "Environment", values("environment", "snapshot_timestamp_seconds", ""))
V_REGION = Variable("region", "Region", values("region", "fleet_target", ENVIRONMENT))
V_APP = Variable("app", "Application", values("app", "fleet_target", REGIONS))
V_OWNER = Variable("app", "Application", values("app", "cost_month_usd", ENVIRONMENT))
V_POOLS = Variable("region", "Region", values("region", "pool_held", ENVIRONMENT))
FLEETS = (V_ENVIRONMENT, V_REGION, V_APP)

AGE = stat(
    "Age of the figures",
    "Since platform_report has written its metrics.",
    f"time() - min({ours('snapshot_timestamp_seconds', ENVIRONMENT)})",
    "s",
    ((None, "green"), (900, "orange"), (3600, "red")),
    decimals=0,
)
SAVED = f"1 - {total('fleet_cost_usd_per_hour', OWNERS)} / ({total('fleet_on_demand_cost_usd_per_hour', OWNERS)} > 0)"

FLEET = Board(
    "Fleet",
    "What serves, on Spot and On-Demand, beside what is to serve; health, certificates and quotas.",
    FLEETS,
    (
        Row(
            "",
            (
                stat(
                    "Serving of target",
                    "Of the application and region that lacks most.",
                    f"min({each('fleet_serving', 'app, region')} / ({each('fleet_target', 'app, region')} > 0))",
                    "percentunit",
                    SERVED,
                    decimals=0,
                ),
                stat(
                    "On Spot",
                    "Share of what serves.",
                    f"{total('fleet_spot')} / ({total('fleet_serving')} > 0)",
                    "percentunit",
                    decimals=0,
                ),
                stat("On-Demand in place of Spot", "Capacity that is On-Demand because Spot is short.", total("fleet_fallback"), steps=ANY),
                stat("Unhealthy instances", "Of all.", total("instances", UNHEALTHY), steps=BAD),
                stat("Not read", "What platform_report could not read; the page says what.", total("snapshot_errors", ENVIRONMENT), steps=ANY),
                AGE,
            ),
        ),
        Row(
            "Capacity",
            (
                Panel(
                    "timeseries",
                    "Serving and target",
                    "By application, in its own unit, instances or vCPUs.",
                    [
                        Query(each("fleet_serving", "app"), "{{app}} serving"),
                        Query(each("fleet_target", "app"), "{{app}} target"),
                    ],
                    low=0,
                ),
                Panel(
                    "timeseries",
                    "Spot and On-Demand",
                    "What serves, by the way it is bought.",
                    [
                        Query(total("fleet_spot"), "Spot"),
                        Query(f"{total('fleet_on_demand')} - {total('fleet_fallback')}", "On-Demand"),
                        Query(total("fleet_fallback"), "On-Demand in place of Spot"),
                    ],
                    stacked=True,
                    low=0,
                ),
                Panel(
                    "table",
                    "Applications",
                    "Each in each region.",
                    [
                        Query(each(f"fleet_{name}", "app, region, unit"), head)
                        for name, head in (
                            ("target", "Target"),
                            ("serving", "Serving"),
                            ("spot", "Spot"),
                            ("on_demand", "On-Demand"),
                            ("fallback", "In place of Spot"),
                            ("min", "Least"),
                            ("max", "Most"),
                        )
                    ],
                    labels=(*PLACE, ("unit", "Unit")),
                    sort="Target",
                ),
            ),
        ),
        Row(
            "Health",
            (
                Panel(
                    "timeseries",
                    "Instances by health",
                    "As the load balancer, the group and EC2's status checks see them.",
                    [Query(each("instances", "health"), "{{health}}")],
                    stacked=True,
                    low=0,
                    width=8,
                ),
                Panel(
                    "table",
                    "Certificates",
                    "How long they last; of one name the first that ends.",
                    [Query(f"min by (name, region, app, in_use) ({ours('certificate_expiry_timestamp_seconds')}) - time()", "Ends in", "s")],
                    labels=(("name", "Name"), REGION, APP, ("in_use", "In use")),
                    width=8,
                ),
                Panel(
                    "bargauge",
                    "Quotas",
                    "Those of which most is used.",
                    [Query(f"topk(10, {ours('quota_used', REGIONS)} / ({ours('quota_limit', REGIONS)} > 0))", "{{region}} {{name}}")],
                    "percentunit",
                    FULL,
                    low=0,
                    high=1,
                ),
            ),
        ),
    ),
)

COST = Board(
    "Cost",
    "What the month has cost and will cost, by application and service; budgets, savings, waste.",
    (V_ENVIRONMENT, V_OWNER),
    (
        Row(
            "",
            (
                stat("Month so far", "As cost_report read it.", total("cost_month_usd", OWNERS), "currencyUSD", decimals=2),
                stat(
                    "Expected at its end",
                    "Of all applications together.",
                    total("cost_forecast_usd", ENVIRONMENT + ',app="",bound="expected"'),
                    "currencyUSD",
                    decimals=2,
                ),
                stat("An hour now", "Running instances of all regions.", total("fleet_cost_usd_per_hour", OWNERS), "currencyUSD", decimals=3),
                stat(
                    "Saved now",
                    "Of what the running instances would cost On-Demand.",
                    SAVED,
                    "percentunit",
                    ((None, "orange"), (0.3, "green")),
                    decimals=1,
                ),
                stat("Waste a month", "What is paid for and not used.", total("waste_month_usd", ENVIRONMENT), "currencyUSD", ANY, decimals=2),
                stat(
                    "Age of the report",
                    "Since cost_report has written its metrics.",
                    f"time() - min({ours('cost_report_timestamp_seconds', ENVIRONMENT)})",
                    "s",
                    ((None, "green"), (129600, "orange"), (259200, "red")),
                    decimals=0,
                ),
            ),
        ),
        Row(
            "Instances",
            (
                Panel(
                    "timeseries",
                    "Spot beside On-Demand",
                    "What the running instances cost in an hour, and what they would cost On-Demand.",
                    [
                        Query(total("fleet_cost_usd_per_hour", OWNERS), "as it is"),
                        Query(total("fleet_on_demand_cost_usd_per_hour", OWNERS), "all On-Demand"),
                    ],
                    "currencyUSD",
                    low=0,
                ),
                Panel(
                    "timeseries",
                    "By application",
                    "What its running instances cost in an hour.",
                    [Query(each("fleet_cost_usd_per_hour", "app", OWNERS), "{{app}}")],
                    "currencyUSD",
                    stacked=True,
                    low=0,
                ),
                Panel(
                    "table",
                    "Savings",
                    "Estimated, over the time that EC2 tells of.",
                    [
                        Query(each("instance_cost_usd", "app", OWNERS), "Paid", "currencyUSD"),
                        Query(each("instance_cost_all_on_demand_usd", "app", OWNERS), "All On-Demand", "currencyUSD"),
                        Query(each("instance_cost_fallback_usd", "app", OWNERS), "For On-Demand in place of Spot", "currencyUSD"),
                        Query(each("instance_cost_interrupted_usd", "app", OWNERS), "For instances that Spot took away", "currencyUSD"),
                    ],
                    labels=(APP,),
                    sort="Paid",
                    width=12,
                    height=6,
                ),
                Panel(
                    "table",
                    "Savings of the month",
                    "Hours of Spot and On-Demand Instances: what was billed, beside the same On-Demand at list price.",
                    [
                        Query(each("instance_month_usd", "app", OWNERS), "Billed", "currencyUSD"),
                        Query(each("instance_month_on_demand_usd", "app", OWNERS), "All On-Demand", "currencyUSD"),
                        Query(
                            f"1 - {each('instance_month_usd', 'app', OWNERS)} / ({each('instance_month_on_demand_usd', 'app', OWNERS)} > 0)",
                            "Saved",
                            "percentunit",
                        ),
                    ],
                    labels=(APP,),
                    sort="Billed",
                    width=12,
                    height=6,
                ),
            ),
        ),
        Row(
            "The month",
            (
                Panel(
                    "bargauge",
                    "Applications",
                    "So far; without a name what belongs to none.",
                    [Query(f"sort_desc({each('cost_month_usd', 'app', OWNERS)})", "{{app}}")],
                    "currencyUSD",
                    PLAIN,
                    low=0,
                ),
                Panel(
                    "bargauge",
                    "Services",
                    "The ten dearest.",
                    [Query(f"topk(10, {each('cost_month_usd', 'service', OWNERS)})", "{{service}}")],
                    "currencyUSD",
                    PLAIN,
                    low=0,
                ),
                Panel(
                    "bargauge",
                    "Purchase options",
                    "Spot, On-Demand, commitments.",
                    [Query(f"sort_desc({each('cost_month_usd', 'purchase', OWNERS)})", "{{purchase}}")],
                    "currencyUSD",
                    PLAIN,
                    low=0,
                ),
                Panel(
                    "bargauge",
                    "Budgets",
                    "What is spent of them.",
                    [Query(f"sort_desc({each('budget_spent_ratio', 'app', OWNERS)})", "{{app}}")],
                    "percentunit",
                    SPENT,
                    low=0,
                    high=1,
                ),
                Panel(
                    "table",
                    "Forecast",
                    "At the end of the month; without a name of all together. Low and high hold four of five months.",
                    [
                        *(
                            Query(each("cost_forecast_usd", "app", f'{OWNERS},bound="{bound}"'), head, "currencyUSD")
                            for bound, head in (("low", "Low"), ("expected", "Expected"), ("high", "High"))
                        ),
                        Query(each("budget_usd", "app", OWNERS), "Budget", "currencyUSD"),
                    ],
                    labels=(APP,),
                    sort="Expected",
                    width=16,
                ),
            ),
        ),
        Row(
            "What is unusual",
            (
                Panel(
                    "table",
                    "Days out of line",
                    "How much above or below what is usual; * is all applications together.",
                    [Query(each("cost_anomaly_usd", "day, app", OWNERS), "USD", "currencyUSD")],
                    labels=(("day", "Day"), APP),
                    sort="Day",
                    width=12,
                ),
                Panel(
                    "table",
                    "Waste",
                    "USD a month; waste_info tells how each is mended.",
                    [Query(each("waste_month_usd", "kind, region", ENVIRONMENT), "USD a month", "currencyUSD")],
                    labels=(("kind", "What"), REGION),
                    sort="USD a month",
                    width=12,
                ),
            ),
        ),
    ),
)

HELD = f"({ours('pool_held', REGIONS)} > 0)"
ALL_HELD = total("pool_held", REGIONS)
POOL = (("zone", "Zone"), ("type", "Type"))
MARKET = Board(
    "Spot market",
    "The pools, each a zone and an instance type, that are held and that would be; what they cost and how safe they are.",
    (V_ENVIRONMENT, V_POOLS),
    (
        Row(
            "",
            (
                stat("Pools held", "In which something runs.", f"count({HELD})"),
                stat("Held", "Spot capacity in all pools, in the units of the applications.", ALL_HELD),
                stat(
                    "In one pool",
                    "Largest share of what runs that one pool could take away.",
                    f"max({ours('pool_held', REGIONS)}) / ({ALL_HELD} > 0)",
                    "percentunit",
                    ((None, "green"), (0.5, "orange")),
                    decimals=0,
                ),
                stat(
                    "Price of an instance",
                    "USD an hour, the mean over what runs.",
                    f"sum({ours('pool_held', REGIONS)} * {ours('pool_price_usd_per_hour', REGIONS)}) / ({ALL_HELD} > 0)",
                    "currencyUSD",
                    decimals=4,
                ),
                stat(
                    "Next loss",
                    "Mean time until the riskiest pool that is held takes an instance away.",
                    f"min({ours('pool_loss_seconds', REGIONS)} and {HELD})",
                    "s",
                    decimals=1,
                ),
                AGE,
            ),
        ),
        Row(
            "Held",
            (
                Panel(
                    "timeseries",
                    "Capacity by pool",
                    "What runs, in the units of the applications.",
                    [Query(HELD, "{{zone}} {{type}}")],
                    stacked=True,
                    low=0,
                ),
                Panel(
                    "timeseries",
                    "Prices of the pools held",
                    "USD an hour for an instance.",
                    [Query(f"{ours('pool_price_usd_per_hour', REGIONS)} and {HELD}", "{{zone}} {{type}}")],
                    "currencyUSD",
                ),
                Panel(
                    "timeseries",
                    "Held and wanted",
                    "By region, in the units of the applications.",
                    [
                        Query(each("pool_held", "region", REGIONS), "{{region}} held"),
                        Query(each("pool_wanted", "region", REGIONS), "{{region}} wanted"),
                    ],
                    low=0,
                ),
                Panel(
                    "timeseries",
                    "Chance that a held pool gives more",
                    "As the engine estimates it from what the pools gave, refused and took away.",
                    [Query(f"{ours('pool_open_ratio', REGIONS)} and {HELD}", "{{zone}} {{type}}")],
                    "percentunit",
                    low=0,
                    high=1,
                ),
            ),
        ),
        Row(
            "All pools",
            (
                Panel(
                    "table",
                    "Pools",
                    "Held, wanted, and the cheapest others that are looked at.",
                    [
                        Query(each("pool_held", "zone, type", REGIONS), "Held"),
                        Query(each("pool_wanted", "zone, type", REGIONS), "Wanted"),
                        Query(f"max by (zone, type) ({ours('pool_price_usd_per_hour', REGIONS)})", "USD an hour", "currencyUSD"),
                        Query(f"min by (zone, type) ({ours('pool_open_ratio', REGIONS)})", "Gives an instance", "percentunit"),
                        Query(f"min by (zone, type) ({ours('pool_loss_seconds', REGIONS)})", "Until a loss", "s"),
                    ],
                    labels=POOL,
                    sort="Held",
                    height=12,
                ),
            ),
        ),
    ),
)

FREE = f"node_filesystem_avail_bytes{{{HOSTS}}}"
SIZE = f"node_filesystem_size_bytes{{{HOSTS}}}"
ON_HOST = "app, region, instance_id, mountpoint"
VOLUMES = Board(
    "Volumes",
    "EBS volumes, and the file systems of the hosts: what is used, how fast it fills, and what may grow.",
    (
        V_ENVIRONMENT,
        Variable("region", "Region", values("region", "volumes", ENVIRONMENT)),
        Variable("app", "Application", values("app", "volumes", REGIONS)),
    ),
    (
        Row(
            "",
            (
                stat("Volumes", "Of all applications.", total("volumes")),
                stat("Size", "Of all volumes.", total("volumes_size_bytes"), "bytes", decimals=1),
                stat(
                    "May grow now",
                    "EBS does not let the others be modified yet.",
                    f"{total('volumes_changeable')} / ({total('volumes')} > 0)",
                    "percentunit",
                    ((None, "orange"), (0.9, "green")),
                    decimals=0,
                ),
                stat("Fullest file system", "Share that is used.", f"max(1 - {FREE} / {SIZE})", "percentunit", FULL, decimals=0),
                stat(
                    "Alerts",
                    "File systems that fill, as the rules of the role volume_alerts see them.",
                    'count(ALERTS{alertname=~"VolumeFilling|VolumeFullSoon",alertstate="firing",region=~"$region",app=~"$app"}) or vector(0)',
                    steps=BAD,
                ),
                AGE,
            ),
        ),
        Row(
            "File systems of hosts",
            (
                Panel(
                    "timeseries",
                    "The fullest",
                    "Share that is used.",
                    [Query(f"topk(10, 1 - {FREE} / {SIZE})", "{{app}} {{instance_id}} {{mountpoint}}")],
                    "percentunit",
                    low=0,
                    high=1,
                ),
                Panel(
                    "timeseries",
                    "Used by application",
                    "Of all its file systems.",
                    [Query(f"sum by (app) ({SIZE} - {FREE})", "{{app}}")],
                    "bytes",
                    stacked=True,
                    low=0,
                ),
                Panel(
                    "table",
                    "File systems",
                    "Full in: at the rate of the last six hours; empty where nothing is added.",
                    [
                        Query(f"max by ({ON_HOST}) (1 - {FREE} / {SIZE})", "Used", "percentunit"),
                        Query(f"max by ({ON_HOST}) ({SIZE})", "Size", "bytes"),
                        Query(f"max by ({ON_HOST}) ({FREE})", "Free", "bytes"),
                        Query(f"86400 * max by ({ON_HOST}) (-deriv({FREE}[6h]))", "Growth a day", "bytes"),
                        Query(f"min by ({ON_HOST}) ({FREE} / (-deriv({FREE}[6h]) > 0))", "Full in", "s"),
                    ],
                    labels=(*PLACE, ("instance_id", "Instance"), ("mountpoint", "Mount")),
                    sort="Used",
                    height=10,
                ),
            ),
        ),
        Row(
            "EBS",
            (
                Panel(
                    "timeseries",
                    "Size by application",
                    "Of its volumes.",
                    [Query(each("volumes_size_bytes", "app"), "{{app}}")],
                    "bytes",
                    stacked=True,
                    low=0,
                ),
                Panel(
                    "table",
                    "Mounts",
                    "Volumes of an application and region that are mounted in one place.",
                    [
                        Query(each("volumes", "app, region, mount"), "Volumes"),
                        Query(each("volumes_size_bytes", "app, region, mount"), "Size", "bytes"),
                        Query(each("volumes_changeable", "app, region, mount"), "May grow now"),
                    ],
                    labels=(*PLACE, ("mount", "Mount")),
                    sort="Size",
                    width=12,
                ),
            ),
        ),
    ),
)

INTERRUPTIONS = Board(
    "Interruptions",
    "What Spot took away in the last 24 hours, what stood in for it, and what it cost. Figures of a day, at each moment.",
    FLEETS,
    (
        Row(
            "",
            (
                stat("Told to go", "Spot Instances that AWS told to go, in 24 hours.", total("interruption_notices_last_day"), steps=ANY),
                stat("Recommended to leave", "Most of these are never interrupted; in 24 hours.", total("rebalance_recommendations_last_day")),
                stat(
                    "Of the Spot Instances",
                    "Told to go in 24 hours, beside those that run.",
                    f"{total('interruption_notices_last_day')} / ({total('instances', ON_SPOT)} > 0)",
                    "percentunit",
                    decimals=1,
                ),
                stat("On-Demand took over", "Steps in 24 hours.", total("fallbacks_last_day"), steps=ANY),
                stat("Spot took over again", "Steps in 24 hours.", total("returns_last_day")),
                stat(
                    "All events counted",
                    "1, or 0 where there were more than the snapshot keeps: the figures are the least.",
                    f"min({ours('events_complete', ENVIRONMENT)})",
                    steps=((None, "orange"), (1, "green")),
                ),
            ),
        ),
        Row(
            "Course",
            (
                Panel(
                    "timeseries",
                    "Told to go, at each moment",
                    "Instances in the 24 hours before, by application.",
                    [Query(each("interruption_notices_last_day", "app"), "{{app}}")],
                    stacked=True,
                    bars=True,
                    low=0,
                ),
                Panel(
                    "timeseries",
                    "On-Demand in place of Spot",
                    "Capacity, by application and region.",
                    [Query(each("fleet_fallback", "app, region"), "{{app}} {{region}}")],
                    stacked=True,
                    low=0,
                ),
                Panel(
                    "timeseries",
                    "Serving of target",
                    "By application and region: what interruptions did to it.",
                    [Query(f"{each('fleet_serving', 'app, region')} / ({each('fleet_target', 'app, region')} > 0)", "{{app}} {{region}}")],
                    "percentunit",
                    low=0,
                ),
                Panel(
                    "timeseries",
                    "Events",
                    "All that was done or happened in the 24 hours before, by what it was about.",
                    [Query(each("events_last_day", "area"), "{{area}}")],
                    stacked=True,
                    low=0,
                ),
            ),
        ),
        Row(
            "By application and region",
            (
                Panel(
                    "table",
                    "24 hours",
                    "Instances, and steps.",
                    [
                        Query(each("interruption_notices_last_day", "app, region"), "Told to go"),
                        Query(each("rebalance_recommendations_last_day", "app, region"), "Recommended to leave"),
                        Query(each("fallbacks_last_day", "app, region"), "On-Demand took over"),
                        Query(each("returns_last_day", "app, region"), "Spot took over again"),
                    ],
                    labels=PLACE,
                    sort="Told to go",
                    width=16,
                ),
                Panel(
                    "bargauge",
                    "Paid for what was taken away",
                    "Estimated, over the time that EC2 tells of.",
                    [Query(each("instance_cost_interrupted_usd", "app", OWNERS), "{{app}}")],
                    "currencyUSD",
                    PLAIN,
                    low=0,
                ),
            ),
        ),
    ),
)

BOARDS = {"fleet": FLEET, "cost": COST, "market": MARKET, "volumes": VOLUMES, "interruptions": INTERRUPTIONS}
