"""The package as installed: every interface, program, shared file and dependency is where users and ROS look for it."""

import ast
import configparser
import importlib
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from importlib import metadata
from pathlib import Path

import pytest

from llm_core.errors import LLMCoreError
from llm_ros.share import config_file, share_dir

ROOT = Path(__file__).resolve().parents[1]
INTERFACES = sorted(path for kind in ("msg", "srv", "action") for path in (ROOT / kind).glob(f"*.{kind}"))
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg")


def setup_lines(section: str, key: str) -> list[str]:
    return [line for line in SETUP[section][key].splitlines() if line]


def canonical(name: str) -> str:
    """The name that PyPI compares; the ROS wheels carry their ROS name inside, without `ros-`."""
    return re.sub(r"[-_.]+", "-", name).lower().removeprefix("ros-")


@pytest.mark.parametrize("path", INTERFACES, ids=lambda path: path.name)
def test_every_interface_file_is_built(path):
    module = importlib.import_module(f"llm_ros.{path.parent.name}")
    assert hasattr(module, path.stem), f"{path.name} is not in the installed llm_ros.{path.parent.name}"


def test_a_message_goes_through_the_compiled_type_support():
    from llm_ros.msg import ChatMessage
    from rclpy.serialization import deserialize_message, serialize_message

    message = ChatMessage()
    for field, kind in message.get_fields_and_field_types().items():
        if kind == "string":
            setattr(message, field, f"{field}: häß 🤖")
    assert deserialize_message(serialize_message(message), ChatMessage) == message


def test_version_and_license_are_those_of_package_xml():
    package = ET.parse(ROOT / "package.xml").getroot()
    assert metadata.version("llm_ros") == package.findtext("version")
    assert package.findtext("license") == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()


def entry_points() -> dict[str, str]:
    return dict(line.split(" = ") for line in setup_lines("options.entry_points", "console_scripts"))


@pytest.mark.parametrize("program", sorted(entry_points()))
def test_program_is_in_bin_and_where_ros2_run_looks(program):
    module, function = entry_points()[program].split(":")
    assert callable(getattr(importlib.import_module(module), function))
    for path in (Path(sys.prefix, "bin", program), Path(sys.prefix, "lib", "llm_ros", program)):
        assert os.access(path, os.X_OK), path


def test_program_for_ros2_run_uses_the_python_of_its_prefix():
    bare = {"PATH": "/usr/bin:/bin", "HOME": os.environ.get("HOME", "/")}
    run = subprocess.run([f"{sys.prefix}/lib/llm_ros/llm-core", "--help"], env=bare, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "") and run.stdout.startswith("usage: llm-core")


def test_ament_index_knows_the_package():
    index = Path(sys.prefix, "share", "ament_index", "resource_index")
    assert (index / "packages" / "llm_ros").is_file()
    built = (index / "rosidl_interfaces" / "llm_ros").read_text().split()
    assert {f"{path.parent.name}/{path.name}" for path in INTERFACES} <= set(built)


def test_share_files_are_installed_and_found_without_ros():
    share = Path(sys.prefix, "share", "llm_ros")
    for folder in ("config", "launch"):
        names = {path.name for path in (ROOT / folder).iterdir() if path.is_file()}
        assert names and names <= set(os.listdir(share / folder))
    assert (share_dir() / "package.xml").is_file()
    assert config_file("skills.yaml").read_text() == (ROOT / "config" / "skills.yaml").read_text()


def test_unknown_config_file_is_named_with_those_that_exist():
    with pytest.raises(LLMCoreError, match=r"nope\.yaml.*skills\.yaml"):
        config_file("nope.yaml")


def run_python(code: str, **env: str) -> subprocess.CompletedProcess:
    kept = {key: value for key, value in os.environ.items() if key in ("PATH", "HOME", "LLM_CORE_CACHE")}
    return subprocess.run([sys.executable, "-c", code], env=kept | env, capture_output=True, text=True, cwd="/")


ANOTHER_VENV = {"_ROS_WHEELS_BOOTSTRAP_COMPLETE": "1", "LD_LIBRARY_PATH": "/elsewhere/lib"}


@pytest.mark.parametrize("inherited", [{}, ANOTHER_VENV], ids=["bare", "another venv"])
def test_ros_works_in_a_bare_environment_and_in_one_of_another_venv(inherited):
    code = "import os, llm_ros, rclpy; rclpy.init(); rclpy.shutdown(); print(os.environ['AMENT_PREFIX_PATH'])"
    run = run_python(code, **inherited)
    assert (run.returncode, run.stdout.strip()) == (0, sys.prefix), run.stderr


def test_a_set_ament_prefix_path_is_kept():
    run = run_python("import os, llm_ros; print(os.environ['AMENT_PREFIX_PATH'])", AMENT_PREFIX_PATH="/opt/ros/some")
    assert run.stdout.strip() == "/opt/ros/some", run.stderr


def imported_modules(folder: str) -> set[str]:
    """Top-level names of the absolute imports in all Python files of `folder` that are not the standard library's."""
    found = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - {"llm_core", "llm_ros"}


# Imported where it exists: peers of the benchmark, the extra `sim`, the hub client that `tokenizers` brings, ROS parts
# not on PyPI.
OPTIONAL = {
    "faster_whisper",
    "huggingface_hub",
    "launch",
    "launch_ros",
    "llama_cpp",
    "mujoco",
    "pocketsphinx",
    "sounddevice",
}


def test_every_import_is_a_declared_dependency_and_every_dependency_is_imported():
    distributions = metadata.packages_distributions()
    imported = {
        canonical(name)
        for module in (imported_modules("llm_core") | imported_modules("llm_ros")) - OPTIONAL
        for name in distributions.get(module, [module])
    }
    declared = {canonical(re.match(r"[\w.-]+", line)[0]) for line in setup_lines("options", "install_requires")}
    loaded_by_ros = {"rmw-fastrtps-cpp"}  # the middleware, which rclpy loads by name
    assert imported - declared == set(), "imported but not in setup.cfg"
    assert declared - imported - loaded_by_ros == set(), "in setup.cfg but not imported"


def test_core_never_imports_ros():
    assert imported_modules("llm_core") & {"rclpy", "ament_index_python", "std_msgs", "sensor_msgs"} == set()
    run = run_python("import sys, llm_core; sys.exit('rclpy' in sys.modules or 'llm_ros' in sys.modules)")
    assert run.returncode == 0, run.stderr


def test_setup_script_reads_every_requirement():
    script = ROOT / "scripts" / "requirements.py"
    lines = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True).stdout.splitlines()
    assert set(setup_lines("options", "install_requires")) <= set(lines)
    assert any(line.startswith("cmake") for line in lines) and any(line.startswith("pytest") for line in lines)


def test_setup_script_explains_itself_and_refuses_what_it_cannot_use(tmp_path):
    script = str(ROOT / "scripts" / "run.sh")
    assert subprocess.run(["bash", script], capture_output=True).returncode == 2
    old = tmp_path / "python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    env = os.environ | {"PYTHON": str(old)}
    run = subprocess.run(["bash", script, "test"], env=env, capture_output=True, text=True)
    assert run.returncode == 1 and run.stderr.startswith(f"error: PYTHON={old} is not a Python 3.10 to 3.13")
