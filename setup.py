"""`pip install .`: CMake builds and installs everything into a staging folder, and the wheel is that folder.

CMakeLists.txt is the one list of what is installed (colcon uses the same). The ROS build tools come from the ROS
wheels of the build environment. Name, version, description, license and maintainer are package.xml's, the rest is in
setup.cfg.
"""

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

from setuptools import Distribution, find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent.resolve()
PACKAGES = ("llm_core", "llm_ros")


def ros_prefix() -> Path:
    """The prefix into which the ROS build wheels are installed; its file says which of them are there."""
    import ament_package

    return Path(ament_package.__file__).parents[4]


def cmake_install(build: Path, stage: Path) -> None:
    """Configure, build and install the project into `stage`. `build` is reused if it was made with the same tools."""
    prefix = ros_prefix()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    env = os.environ | {
        "AMENT_PREFIX_PATH": str(prefix),
        "CMAKE_PREFIX_PATH": str(prefix),
        "LD_LIBRARY_PATH": f"{prefix}/lib",
        "PATH": path,
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        "_ROS_WHEELS_BOOTSTRAP_COMPLETE": "1",  # no second start of each Python: its library path is set here
    }
    cmake = shutil.which("cmake", path=path)
    if cmake is None:
        raise SystemExit("error: cmake was not found in the build environment; run pip without --no-build-isolation")
    made_with = f"{prefix}\n{sys.executable}\n{sys.version}\n{ROOT}\n"
    note = build / "made_with.txt"
    if not note.is_file() or note.read_text() != made_with:
        shutil.rmtree(build, ignore_errors=True)
    shutil.rmtree(stage, ignore_errors=True)
    configure = [cmake, "-S", ROOT, "-B", build, "-GNinja", f"-DCMAKE_INSTALL_PREFIX={stage}", "-DLLM_ROS_WHEEL=ON"]
    configure += [f"-DPython3_EXECUTABLE={sys.executable}", "-DBUILD_TESTING=OFF", "-Wno-dev"]
    configure += [f"-DCMAKE_PROJECT_INCLUDE={ROOT}/cmake/wheel_fixups.cmake"]
    # Small generated files: -O1 halves the compile time and no message is large enough to tell.
    configure += [f"-DCMAKE_{lang}_FLAGS={os.environ.get(lang + 'FLAGS', '-O1')}" for lang in ("C", "CXX")]
    subprocess.run(configure, env=env, check=True)
    note.write_text(made_with)
    subprocess.run([cmake, "--build", build, "--target", "install"], env=env, check=True)


class BuildFromStage(build_py):
    """Takes the Python packages and the prefix files (libraries, programs, share/) from CMake's install tree."""

    def run(self) -> None:
        if self.editable_mode:
            raise SystemExit("error: generated interfaces cannot be installed editable; use `pip install .`")
        stage = ROOT / "build" / "stage"
        cmake_install(ROOT / "build" / "cmake", stage)
        site = next(stage.rglob("llm_core/__init__.py")).parents[1]
        for package in PACKAGES:
            target = Path(self.build_lib) / package
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(site / package, target, ignore=shutil.ignore_patterns("__pycache__", "*.c"))
        self.distribution.data_files = list(prefix_files(stage, site))


def prefix_files(stage: Path, site: Path):
    """(folder under the prefix, its files): libraries, programs and share/, without what only C++ builds need."""
    for top in ("lib", "share"):
        for folder, _, names in os.walk(stage / top):
            here = Path(folder)
            if names and site not in (here, *here.parents) and here.name != "cmake":
                yield str(here.relative_to(stage)), [str((here / name).relative_to(ROOT)) for name in sorted(names)]


class PlatformDistribution(Distribution):
    """The wheel holds compiled type support, so it is for one platform and Python version."""

    def has_ext_modules(self) -> bool:
        return True


def metadata() -> dict[str, str]:
    """The fields of package.xml under the names setuptools has for them."""
    package = ET.parse(ROOT / "package.xml").getroot()
    maintainer = package.find("maintainer")
    fields = {field: package.findtext(field) for field in ("name", "version", "description", "license")}
    return fields | {"maintainer": maintainer.text, "maintainer_email": maintainer.get("email")}


setup(
    **metadata(),
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    packages=find_packages(include=[f"{package}*" for package in PACKAGES]),
    cmdclass={"build_py": BuildFromStage},
    distclass=PlatformDistribution,
)
