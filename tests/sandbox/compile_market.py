"""Compile the sandbox's market (``spot_sandbox/market.json.xz``) from real figures.

    SPOT_DATA=../shared/data python tests/sandbox/compile_market.py

Reads ``$SPOT_DATA/prices`` (see the README there for sources and licences) and moto's instance types and offerings.
The same input gives the same bytes. What the real figures lack is approximated, and the file says which and how.
"""

from __future__ import annotations

import csv
import json
import lzma
import os
import re
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TARGET = HERE / "spot_sandbox" / "market.json.xz"
REFERENCE = "us-east-1"

NEIGHBOURS = {
    "af-south-1": "sa-east-1",
    "ap-east-1": "ap-southeast-1",
    "ap-east-2": "ap-northeast-1",
    "ap-south-2": "ap-south-1",
    "ap-southeast-3": "ap-southeast-1",
    "ap-southeast-4": "ap-southeast-2",
    "ap-southeast-5": "ap-southeast-1",
    "ap-southeast-7": "ap-southeast-1",
    "ca-west-1": "ca-central-1",
    "eu-central-2": "eu-central-1",
    "eu-north-1": "eu-west-1",
    "eu-south-1": "eu-west-3",
    "eu-south-2": "eu-west-1",
    "il-central-1": "eu-west-3",
    "me-central-1": "ap-south-1",
    "me-south-1": "ap-south-1",
    "mx-central-1": "us-west-1",
}
"""Regions younger than the 2019 price list take the ratio of a neighbour of about the same price level."""

ABOUT = {
    "sources": [
        "On-Demand, us-east-1: AWS price list as generated in aws/karpenter-provider-aws, 2026-07-20 (Apache-2.0)",
        "On-Demand, ratio between regions: ec2instances.info data of 2019-03-11 (MIT)",
        "Spot prices: ericpauley/aws-spot-price-history, 2022-05-31 (no licence stated; figures only)",
        "Savings and interruption bands: AWS Spot Instance Advisor feed of 2025-06-28, as kept by alexei-led/spotinfo"
        " (Apache-2.0)",
        "Instance types, zones and offerings: moto (Apache-2.0)",
    ],
    "approximations": [
        "On-Demand prices outside us-east-1 are the price in us-east-1 times the ratio between the regions in 2019:"
        " of the type itself, else the median of its family, else the median of the region.",
        "Regions younger than 2019 take the ratio of the neighbour that is named in 'ratio_of'.",
        "Spot base prices are the 2022 figure where the pool has one ('measured'), never above On-Demand; else"
        " On-Demand less the saving that the advisor states for the region and type, the same in every zone.",
        "Regions for which moto has no offerings by zone ('zones_assumed') offer every type of the advisor in every"
        " zone.",
        "The movement of prices and the room of pools are made by the sandbox, not measured.",
    ],
    "columns": {
        "types": "vcpus, memory MiB, architectures, burstable, current generation, accelerators, bare metal",
        "pools": "On-Demand USD/h; interruption band 0 (<5 % a month) to 4 (>20 %) or null; for each zone of the region"
        " in the order of 'zones' the Spot base price in thousandths of On-Demand, null: no Spot, -1: not offered;"
        " letters of the zones whose Spot price was measured",
    },
}


def data_folder() -> Path:
    folder = Path(os.environ.get("SPOT_DATA") or HERE.parents[1] / "../shared/data").resolve() / "prices"
    if not folder.is_dir():
        sys.exit(f"no price data in {folder}: set SPOT_DATA to the folder that holds prices/")
    return folder


def spot_rows(path: Path) -> dict[tuple[str, str], float]:
    """The last Linux price of each (zone id, type)."""
    text = subprocess.run(["zstdcat", str(path)], check=True, capture_output=True, text=True).stdout
    rows = sorted(csv.reader(text.splitlines(), delimiter="\t"), key=lambda row: row[4])
    return {(zone_id, kind): float(price) for zone_id, kind, product, price, _time in rows if product == "Linux/UNIX"}


def family(instance_type: str) -> str:
    """``m`` of ``m5ad.large``: the class whose prices move together between regions."""
    return re.match(r"[a-z]+", instance_type).group()


def ratios(old: dict[str, dict[str, float]], region: str) -> tuple[dict[str, float], dict[str, float], float]:
    """Price in ``region`` over the price in us-east-1, by type, by family, and for the region."""
    by_type = {kind: price / old[REFERENCE][kind] for kind, price in old[region].items() if kind in old[REFERENCE]}
    families = defaultdict(list)
    for kind, ratio in by_type.items():
        families[family(kind)].append(ratio)
    return by_type, {name: statistics.median(r) for name, r in families.items()}, statistics.median(by_type.values())


def type_row(info: dict[str, Any]) -> list[Any]:
    accelerators = 0
    for group, items in (
        ("GpuInfo", "Gpus"),
        ("InferenceAcceleratorInfo", "Accelerators"),
        ("NeuronInfo", "NeuronDevices"),
        ("FpgaInfo", "Fpgas"),
    ):
        accelerators += sum(item.get("Count", 0) for item in info.get(group, {}).get(items, []))
    return [
        info["VCpuInfo"]["DefaultVCpus"],
        info["MemoryInfo"]["SizeInMiB"],
        info["ProcessorInfo"]["SupportedArchitectures"],
        int(info["BurstablePerformanceSupported"]),
        int(info["CurrentGeneration"]),
        accelerators,
        int(info["BareMetal"]),
    ]


def compile_market(folder: Path) -> dict[str, Any]:
    from moto.ec2.models.availability_zones_and_regions import RegionsAndZonesBackend
    from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS, INSTANCE_TYPES

    on_demand = json.loads((folder / "ondemand-2026-07.json").read_text())["linux_ondemand_per_h"][REFERENCE]
    old = json.loads((folder / "ondemand-linux-allregions-2019-03.json").read_text())["linux_ondemand_usd_h"]
    advisor = json.loads((folder / "spot-advisor-data.2025-06-28.json").read_text())["spot_advisor"]
    measured = spot_rows(folder / "spot-prices-2022-05-31.tsv.zst")
    offerings = INSTANCE_TYPE_OFFERINGS["availability-zone"]
    regions = {}
    for region in sorted(set(advisor) & set(RegionsAndZonesBackend.zones)):
        zones = {zone.name: zone.zone_id for zone in RegionsAndZonesBackend.zones[region]}
        advice = advisor[region]["Linux"]
        offered: dict[str, set[str]] = defaultdict(set)
        for row in offerings.get(region, []):
            offered[row["InstanceType"]].add(row["Location"])
        if not offered:
            offered = {kind: set(zones) for kind in advice}
        base = region if region in old else NEIGHBOURS[region]
        by_type, by_family, overall = ratios(old, base)
        pools = {}
        for kind in sorted(set(offered) & set(on_demand) & set(INSTANCE_TYPES)):
            ratio = by_type.get(kind) or by_family.get(family(kind)) or overall
            price = round(on_demand[kind] * (1.0 if region == REFERENCE else ratio), 5)
            if not price:
                continue
            shares: list[int | None] = []
            letters = ""
            for zone, zone_id in zones.items():
                share = None
                if zone not in offered[kind]:
                    share = -1
                elif (zone_id, kind) in measured:
                    share = min(1000, max(1, round(1000 * measured[zone_id, kind] / price)))
                    letters += zone[-1]
                elif kind in advice:
                    share = 1000 - 10 * advice[kind]["s"]
                shares.append(share)
            pools[kind] = [price, advice.get(kind, {}).get("r"), shares, letters]
        regions[region] = {"zones": zones, "zones_assumed": region not in offerings, "ratio_of": base, "pools": pools}
    used = sorted({kind for region in regions.values() for kind in region["pools"]})
    return {"about": ABOUT, "types": {kind: type_row(INSTANCE_TYPES[kind]) for kind in used}, "regions": regions}


def main() -> None:
    market = compile_market(data_folder())
    text = json.dumps(market, separators=(",", ":"), sort_keys=False)
    TARGET.write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
    pools = [share for region in market["regions"].values() for pool in region["pools"].values() for share in pool[2]]
    spot = sum(share is not None and share >= 0 for share in pools)
    letters = sum(len(pool[3]) for region in market["regions"].values() for pool in region["pools"].values())
    print(
        f"{TARGET.name}: {TARGET.stat().st_size:,} bytes, {len(market['regions'])} regions, "
        f"{len(market['types'])} types, {sum(share != -1 for share in pools):,} pools, "
        f"{spot:,} with a Spot price ({letters:,} measured)"
    )


if __name__ == "__main__":
    main()
