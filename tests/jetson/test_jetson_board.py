"""What a board says of itself: tegrastats' lines, the kernel's files, and whether it throttled."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.jetson.helpers_jetson import load_tool

jb = load_tool()

# Lines that boards printed. Sources: Nano and AGX Xavier, tests of DataDog/datadog-agent
# (pkg/collector, nvidia/jetson, 2020, Apache-2.0); Orin Nano under load, henrygd/beszel
# agent/gpu_test.go (2024, MIT); AGX Orin, GDWR/jetson_exporter issue 14 (2025); Xavier NX as root,
# a comment in a public ground-control script; AGX Orin with JetPack 7, jetson_stats pull request
# 894 (2026).
NANO = (
    "RAM 613/3964MB (lfb 634x4MB) SWAP 0/1982MB (cached 0MB) CPU [2%@102,1%@102,0%@102,0%@102] "
    "EMC_FREQ 0% GR3D_FREQ 0% PLL@39C CPU@40.5C PMIC@100C GPU@41C AO@46C thermal@41C "
    "POM_5V_IN 900/943 POM_5V_GPU 0/0 POM_5V_CPU 123/123"
)
AGX_XAVIER = (
    "RAM 1903/15692MB (lfb 3251x4MB) CPU [1%@1190,1%@1190,2%@1190,0%@1190,0%@1190,0%@1190,0%@1190,"
    "0%@1190] EMC_FREQ 0% GR3D_FREQ 0% AO@32.5C GPU@32C Tboard@32C Tdiode@34.75C AUX@31.5C "
    "CPU@33.5C thermal@32.9C PMIC@100C GPU 0/0 CPU 216/216 SOC 864/864 CV 0/0 VDDRQ 144/144 "
    "SYS5V 1889/1889"
)
XAVIER_NX = (
    "RAM 2387/7774MB (lfb 961x4MB) SWAP 0/3887MB (cached 0MB) CPU [14%@1190,9%@1190,2%@1190,"
    "4%@1190,0%@1190,1%@1344] EMC_FREQ 1%@1600 GR3D_FREQ 0%@114 VIC_FREQ 0%@115 APE 150 MTS fg 0% "
    "bg 3% AO@31C GPU@31.5C PMIC@100C AUX@31.5C CPU@33C thermal@31.95C VDD_IN 3528/3569 "
    "VDD_CPU_GPU_CV 410/426 VDD_SOC 1107/1115"
)
ORIN_NANO = (
    "11-15-2024 08:38:09 RAM 6185/7620MB (lfb 8x2MB) SWAP 851/3810MB (cached 1MB) CPU [15%@729,"
    "11%@729,14%@729,13%@729,11%@729,8%@729] EMC_FREQ 43%@2133 GR3D_FREQ 63%@[621] NVDEC off NVJPG "
    "off NVJPG1 off VIC off OFA off APE 200 cpu@53.968C soc2@52.437C soc0@50.75C gpu@53.343C "
    "tj@53.968C soc1@51.656C VDD_IN 12479mW/12479mW VDD_CPU_GPU_CV 4667mW/4667mW "
    "VDD_SOC 2817mW/2817mW"
)
AGX_ORIN = (
    "04-11-2025 10:36:27 RAM 4321/62801MB (lfb 1759x4MB) SWAP 19/31400MB (cached 0MB) CPU [0%@729,"
    "0%@729,0%@729,0%@729,0%@729,0%@729,0%@729,0%@729,0%@729,0%@729,0%@729,0%@729] EMC_FREQ "
    "0%@2133 GR3D_FREQ 0%@[0,0] VIC_FREQ 729 APE 174 CV0@-256C CPU@44.562C Tboard@32C SOC2@40.093C "
    "Tdiode@33C SOC0@41.093C CV1@-256C GPU@-256C tj@44.343C SOC1@41.25C CV2@-256C VDD_GPU_SOC "
    "2340mW/2340mW VDD_CPU_CV 390mW/390mW VIN_SYS_5V0 4025mW/4025mW NC 0mW/0mW VDDQ_VDD2_1V8AO "
    "301mW/301mW NC 0mW/0mW"
)
JETPACK_7 = (
    "07-25-2026 09:08:28 RAM 20642/62817MB (lfb 1x2MB) CPU [23%@2201,10%@2201] EMC_FREQ 3%@3199 "
    "GR3D_FREQ 0%@[1300,1275] NVENC0 off NVDEC0 off APE 174 cpu@52.968C/52.968C"
)


@pytest.mark.parametrize(
    ("line", "ram", "gpu", "power", "hottest"),
    [
        (NANO, 613, (0, None), {"POM_5V_IN": 900, "POM_5V_GPU": 0, "POM_5V_CPU": 123}, ("AO", 46)),
        (AGX_XAVIER, 1903, (0, None),
         {"GPU": 0, "CPU": 216, "SOC": 864, "CV": 0, "VDDRQ": 144, "SYS5V": 1889},
         ("Tdiode", 34.75)),
        (XAVIER_NX, 2387, (0, 114),
         {"VDD_IN": 3528, "VDD_CPU_GPU_CV": 410, "VDD_SOC": 1107}, ("CPU", 33)),
        (ORIN_NANO, 6185, (63, 621),
         {"VDD_IN": 12479, "VDD_CPU_GPU_CV": 4667, "VDD_SOC": 2817}, ("cpu", 53.968)),
        (AGX_ORIN, 4321, (0, 0), {"VDD_GPU_SOC": 2340, "VDD_CPU_CV": 390, "VIN_SYS_5V0": 4025,
                                  "VDDQ_VDD2_1V8AO": 301}, ("CPU", 44.562)),
        (JETPACK_7, 20642, (0, 1275), None, ("cpu", 52.968)),
    ],
    ids=["nano", "agx-xavier", "xavier-nx", "orin-nano", "agx-orin", "jetpack-7"],
)  # fmt: skip
def test_lines_of_every_board(
    line: str, ram: int, gpu: Any, power: Any, hottest: tuple[str, float]
) -> None:
    found = jb.parse_tegrastats(line)
    assert found["ram_used_mb"] == ram
    assert (found.get("gpu_load_percent"), found.get("gpu_mhz")) == gpu
    assert found.get("power_mw") == power
    temperatures = found["temperature_c"]
    assert "PMIC" not in temperatures  # a constant
    assert min(temperatures.values()) > 0  # -256 is a sensor that is off
    name = max(temperatures, key=temperatures.get)
    assert (name, temperatures[name]) == hottest


def test_cores_and_memory_bus_of_a_line() -> None:
    found = jb.parse_tegrastats(ORIN_NANO)
    assert found["cpu_mhz"] == [729] * 6
    assert found["cpu_load_percent"] == [15, 11, 14, 13, 11, 8]
    assert (found["emc_load_percent"], found["emc_mhz"]) == (43, 2133)
    assert found["ram_total_mb"] == 7620
    off = jb.parse_tegrastats("RAM 1/2MB CPU [2%@345,off,off] GR3D_FREQ @[314,300]")
    assert off["cpu_mhz"] == [345]
    assert off["gpu_mhz"] == 300
    assert "gpu_load_percent" not in off
    assert jb.parse_tegrastats("tegrastats: permission denied") == {}


def test_totals() -> None:
    def total(line: str) -> Any:
        sample = dict(jb.parse_tegrastats(line), source="tegrastats")
        return jb.summarise([sample])["total_power_mw"]

    assert (total(NANO)["mean"], total(NANO)["of"]) == (900, "POM_5V_IN")
    assert (total(ORIN_NANO)["mean"], total(ORIN_NANO)["of"]) == (12479, "VDD_IN")
    assert total(AGX_XAVIER)["mean"] == 216 + 864 + 144 + 1889
    assert total(AGX_XAVIER)["of"].startswith("sum of CPU, CV, GPU")
    # Memory is fed from VIN_SYS_5V0 and counted there.
    assert total(AGX_ORIN)["mean"] == 2340 + 390 + 4025
    assert total(AGX_ORIN)["of"] == "sum of VDD_CPU_CV, VDD_GPU_SOC, VIN_SYS_5V0"
    assert total(AGX_ORIN.replace("VIN_SYS_5V0 4025mW/4025mW ", ""))["mean"] == 2340 + 390 + 301
    assert total(XAVIER_NX)["mean"] == 3528


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("NVPM WARN: fan mode is not set!\nNV Power Mode: MAXN\n0\n", "MAXN"),
        ("NV Fan Mode:quiet\nNV Power Mode: MODE_15W_6CORE\n2\n", "15W_6CORE"),
        ("NV Power Mode: 25W\n1\n", "25W"),
        ("bash: nvpmodel: command not found", None),
    ],
)
def test_power_mode(text: str, mode: str | None) -> None:
    assert jb.parse_nvpmodel(text) == mode


def sysfs(root: Path, files: dict[str, Any]) -> Any:
    for name, value in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")
    return jb.Board(str(root))


ORIN_FILES = {
    "proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit\0",
    "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 1, BOARD: generic",
    "sys/class/devfreq/17000000.gpu/cur_freq": 612000000,
    "sys/class/devfreq/17000000.gpu/min_freq": 306000000,
    "sys/class/devfreq/17000000.gpu/max_freq": 1020000000,
    "sys/class/devfreq/15340000.vic/cur_freq": 729000000,
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal",
    "sys/class/thermal/thermal_zone0/temp": 48562,
    "sys/class/thermal/thermal_zone1/type": "cv0-thermal",
    "sys/class/thermal/thermal_zone1/temp": -256000,
    "sys/class/thermal/cooling_device0/type": "pwm-fan",
    "sys/class/thermal/cooling_device0/cur_state": 3,
    "sys/class/thermal/cooling_device1/type": "devfreq-17000000.gpu",
    "sys/class/thermal/cooling_device1/cur_state": 0,
    "sys/class/hwmon/hwmon1/name": "ina3221",
    "sys/class/hwmon/hwmon1/in1_label": "VDD_IN",
    "sys/class/hwmon/hwmon1/in1_input": 4992,
    "sys/class/hwmon/hwmon1/curr1_input": 1000,
    "sys/class/hwmon/hwmon1/in2_label": "NC",
    "sys/class/hwmon/hwmon1/in2_input": 5,
    "sys/class/hwmon/hwmon1/curr2_input": 5,
    "sys/class/hwmon/hwmon2/oc1_event_cnt": 0,
}
NANO_FILES = {
    "sys/class/devfreq/57000000.gpu/cur_freq": 921600000,
    "sys/class/devfreq/57000000.gpu/min_freq": 921600000,
    "sys/class/devfreq/57000000.gpu/max_freq": 921600000,
    "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0/rail_name_0": "POM_5V_IN",
    "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0/in_power0_input": 2471,
}


def test_files_of_the_kernel(tmp_path: Path) -> None:
    board = sysfs(tmp_path / "orin", ORIN_FILES)
    assert board.describe()["model"] == "NVIDIA Jetson Orin Nano Developer Kit"
    assert board.describe()["l4t"] == "36.4.3"
    assert board.gpu_clock() == {"cur": 612, "min": 306, "max": 1020}
    assert board.sample() == {
        "gpu_mhz": 612, "temperature_c": {"cpu": 48.562}, "power_mw": {"VDD_IN": 4992.0},
        "cooling": {"devfreq-17000000.gpu (cooling_device1)": 0},
        "over_current": {"oc1_event_cnt": 0},
    }  # fmt: skip
    board = sysfs(tmp_path / "nano", NANO_FILES)
    assert board.power() == {"POM_5V_IN": 2471.0}
    assert jb.Board(str(tmp_path / "none")).sample() == {}
    assert jb.Board(str(tmp_path / "none")).describe()["model"] is None


def test_samples_are_taken_while_it_runs(tmp_path: Path) -> None:
    board = sysfs(tmp_path, ORIN_FILES)
    script = f"import time\nwhile True:\n print({ORIN_NANO!r}, flush=True)\n time.sleep(.02)"
    counter = tmp_path / "sys/class/hwmon/hwmon2/oc1_event_cnt"
    with jb.Telemetry(board, 0.02, [sys.executable, "-c", script]) as telemetry:
        deadline = jb.time.time() + 20
        while len({s["source"] for s in telemetry.samples}) < 2 and jb.time.time() < deadline:
            jb.time.sleep(0.02)
        counter.write_text("2\n")
    found = jb.summarise(telemetry.samples)
    assert found["sources"] == ["sysfs", "tegrastats"]
    assert found["total_power_mw"]["mean"] == 12479  # tegrastats', where both tell
    assert found["gpu_mhz"] == {"min": 612, "mean": pytest.approx(616, abs=5), "max": 621}
    assert "tj" in found["temperature_c"]
    reasons, _ = jb.throttle_reasons(telemetry.samples, board.gpu_clock(), None)
    assert reasons == ["oc1_event_cnt rose by 2: over-current"]  # seen in the last sample
    count = len(telemetry.samples)
    jb.time.sleep(0.1)
    assert len(telemetry.samples) == count


def test_no_tegrastats_is_no_error(tmp_path: Path) -> None:
    with jb.Telemetry(jb.Board(str(tmp_path)), 0.01, ["no-such-program"]) as telemetry:
        jb.time.sleep(0.05)
    assert telemetry.samples == []


LOCKED, FREE = {"cur": 1020, "min": 1020, "max": 1020}, {"cur": 612, "min": 306, "max": 1020}


@pytest.mark.parametrize(
    ("samples", "limits", "slowdown", "reasons", "cautions"),
    [
        ([{"gpu_mhz": 1020, "cooling": {"gpu": 0}}], LOCKED, 1.0, [], []),
        ([{"cooling": {"gpu": 0}}, {"cooling": {"gpu": 2}}, {"cooling": {"gpu": 1}}], LOCKED, 1.0,
         ["cooling by gpu reached state 2"], []),
        # It reports and slows nothing down; what does slow down beside it is a reason still.
        ([{"cooling": {"hot-surface-alert (cooling_device9)": 1, "gpu": 0}}], LOCKED, 1.0,
         [], ["the board's surface was hot"]),
        ([{"cooling": {"hot-surface-alert (cooling_device9)": 1, "gpu-throttle-alert": 1}}], LOCKED,
         1.0, ["cooling by gpu-throttle-alert reached state 1"], ["surface was hot"]),
        ([{"gpu_mhz": 1020}, {"gpu_mhz": 918}], LOCKED, None,
         ["the GPU clock fell to 918 of 1020 MHz"], []),
        ([{"gpu_mhz": 1020}, {"gpu_mhz": 612}], FREE, 1.3,
         ["the GPU clock fell from 1020 to 612 MHz and the latency rose by 30 %"], ["not locked"]),
        # A clock that follows the load is no throttling as long as the latency stays.
        ([{"gpu_mhz": 1020}, {"gpu_mhz": 612}], FREE, 1.0, [], ["not locked"]),
        ([{"gpu_mhz": 1020}], LOCKED, 1.3, [], ["rose by 30 % over the run"]),
        ([], {}, None, [], []),
    ],
)  # fmt: skip
def test_what_counts_as_throttled(
    samples: Any, limits: Any, slowdown: Any, reasons: Any, cautions: Any
) -> None:
    found, doubts = jb.throttle_reasons(samples, limits, slowdown)
    assert found == reasons
    assert len(doubts) == len(cautions)
    assert all(part in doubt for part, doubt in zip(cautions, doubts, strict=True))


def test_slowdown_compares_the_ends() -> None:
    assert jb.slowdown_of([1.0] * 40 + [1.5] * 20) == 1.5
    assert jb.slowdown_of([1.0] * 49) is None
