"""Maps the four code folders to packages and builds the one C extension; everything else is in pyproject.toml."""

from pathlib import Path

from setuptools import Extension, setup

FOLDERS = {"tncc": "tncc", "tncc.ir": "ir", "tncc.passes": "passes", "tncc.runtime": "runtime"}


def subpackages(package: str, folder: str) -> dict[str, str]:
    """`package` and every package below it, mapped to folders; symbolic links are not followed."""
    found = {package: folder}
    for child in sorted(Path(folder).iterdir()):
        if child.is_dir() and not child.is_symlink() and (child / "__init__.py").exists():
            found |= subpackages(f"{package}.{child.name}", str(child))
    return found


packages: dict[str, str] = {}
for package, folder in FOLDERS.items():
    packages |= subpackages(package, folder)

SOURCES = ("runtime/csrc", "passes/csrc")  # the simulator, and the placer's inner loop: one extension holds both
native = Extension(
    "tncc.runtime._native",
    sources=sorted(str(path) for folder in SOURCES for path in Path(folder).glob("*.c")),
    depends=sorted(str(path) for folder in SOURCES for path in Path(folder).glob("*.h")),
    include_dirs=list(SOURCES),
    define_macros=[("Py_LIMITED_API", "0x030B0000")],
    extra_compile_args=["-std=c11", "-O3", "-Wall", "-Wextra", "-fvisibility=hidden", "-pthread"],
    extra_link_args=["-pthread"],
    py_limited_api=True,
)
setup(
    packages=list(packages),
    package_dir=packages,
    package_data={name: ["py.typed", "*.lark", "*.pyi", "data/*"] for name in packages},
    include_package_data=False,  # the sdist holds the C sources, the wheel only what they build
    ext_modules=[native],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
