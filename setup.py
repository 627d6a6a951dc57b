"""Builds the native engine; everything else about the project is in pyproject.toml."""

import os
import platform
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.modified import newer_group

DOORS = Path("src/keystead/_native")
CORE = Path("native")
FLAGS = ["-O3", "-std=c11", "-Wall", "-Wextra", "-D_POSIX_C_SOURCE=200809L"]
INCLUDE = [(CORE / "include").as_posix(), (CORE / "src").as_posix()]

# The core is a library beside its doors, so that what it keeps (tables of keys, the choice of an
# engine, threads) is there once a process, however many doors there are.
LIBRARY = "ks_core"
LIBRARY_FILE = f"lib{LIBRARY}.so"

CORE_FILES = sorted(
    path.as_posix() for folder in ("include", "src") for path in (CORE / folder).rglob("*.[ch]")
)

# Sources that need instructions which not every CPU of the architecture has. Whether this one has
# them is asked at run time (native/src/ks_choose.c); native/Makefile has the same flags.
IFMA = ["-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx512ifma", "-mbmi2"]
FLAGS_OF = {
    "p256_kernel_ifma.c": IFMA,
    "ed25519_kernel_ifma.c": IFMA,
    "ks_base64url_avx2.c": ["-mavx2"],
    "ks_base64url_vbmi.c": ["-mavx512f", "-mavx512bw", "-mavx512vbmi"],
}
# Vectors of two words gain nothing here, and a word that was stored as half of one is loaded late.
WITHOUT_VECTORS = {
    "p256_kernel_portable.c",
    "p256_point.c",
    "p384_kernel.c",
    "ed25519_kernel_portable.c",
}
X86_64 = platform.machine().lower() in {"x86_64", "amd64"}


class BuildEngine(build_ext):
    """Compiles the C core into one library, then each door, which finds it beside itself."""

    def build_extensions(self) -> None:
        if self.extensions:
            self._build_core()
        for door in self.extensions:
            door.library_dirs.append(self._core().parent.as_posix())
        super().build_extensions()

    def get_outputs(self) -> list[str]:
        core = [self._core().as_posix()] if self.extensions and not self.inplace else []
        return [*super().get_outputs(), *core]

    def get_output_mapping(self) -> dict[str, str]:
        core = {self._core().as_posix(): (DOORS / LIBRARY_FILE).as_posix()}
        return super().get_output_mapping() | (core if self.extensions and self.inplace else {})

    def copy_extensions_to_source(self) -> None:
        super().copy_extensions_to_source()
        if self.extensions:
            self.copy_file(self._core().as_posix(), (DOORS / LIBRARY_FILE).as_posix())

    def _core(self) -> Path:
        return Path(self.build_lib, DOORS.relative_to("src"), LIBRARY_FILE)

    def _build_core(self) -> None:
        target = self._core().as_posix()
        if not (self.force or newer_group(CORE_FILES, target, "newer")):
            return
        sources = [path for path in CORE_FILES if path.endswith(".c")]
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # half a minute of compiling, a core each
            objects = [made for each in pool.map(self._compile, sources) for made in each]
        self.compiler.link_shared_object(
            objects, target, libraries=["crypto"], extra_postargs=[f"-Wl,-soname,{LIBRARY_FILE}"]
        )

    def _compile(self, source: str) -> list[str]:
        name = Path(source).name
        own = FLAGS_OF.get(name, []) if X86_64 else []
        if name in WITHOUT_VECTORS:
            own = [*own, "-fno-tree-vectorize"]
        made: list[str] = self.compiler.compile(
            [source],
            output_dir=self.build_temp,
            include_dirs=INCLUDE,
            extra_postargs=[*FLAGS, *own],
        )
        return made


def doors() -> list[Extension]:
    """`keystead._native.*`: one extension for each Cython file in that folder."""
    found = sorted(DOORS.glob("*.pyx"))
    if not found:
        return []
    from Cython.Build import cythonize

    # The generated C goes to build/, so that the source folders hold sources only.
    built: list[Extension] = cythonize(
        [_door(source) for source in found],
        build_dir="build/cython",
        include_path=["src"],
        compiler_directives={"language_level": "3"},
    )
    return built


def _door(source: Path) -> Extension:
    declarations = [path.as_posix() for path in DOORS.glob("*.pxd")]
    headers = [path for path in CORE_FILES if path.endswith(".h")]
    return Extension(
        f"keystead._native.{source.stem}",
        sources=[source.as_posix()],
        depends=sorted([*declarations, *headers]),
        include_dirs=INCLUDE,
        libraries=[LIBRARY],
        runtime_library_dirs=["$ORIGIN"],
        extra_compile_args=FLAGS,
    )


setup(ext_modules=doors(), cmdclass={"build_ext": BuildEngine})
